//! Holds the server and the proxy against AWS's own client.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketLoggingStatus, CompletedMultipartUpload, CompletedPart,
    CreateBucketConfiguration, Delete, LoggingEnabled, ObjectIdentifier, PartitionDateSource,
    PartitionedPrefix, RequestPayer, TargetObjectKeyFormat,
};

use super::*;

const BUCKET: &str = "amzn-s3-demo-bucket";

fn client_of(server: &S3Server) -> Client {
    client(&server.endpoint(), server.access_key(), server.secret_key())
}

fn server() -> S3Server {
    let server = S3Server::start();
    server.create_bucket(BUCKET);
    server
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The error code of an answer, or what happened instead of one.
fn code<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error @ SdkError::ServiceError(_)) => {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            error.code().map_or_else(|| status.to_string(), str::to_owned)
        }
        Err(SdkError::DispatchFailure(_)) => "no answer".to_owned(),
        Err(_) => "another error".to_owned(),
    }
}

/// The keys of every page of a listing.
async fn pages(client: &Client, start_after: Option<&str>) -> Vec<Vec<String>> {
    let listing = client.list_objects_v2().bucket(BUCKET).max_keys(5_000);
    let mut pages = listing.set_start_after(start_after.map(str::to_owned)).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!(page.key_count(), Some(i32::try_from(page.contents().len()).unwrap()));
        keys.push(page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect());
    }
    keys
}

#[test]
fn keys_are_listed_in_binary_order_in_pages() {
    let server = server();
    let mut keys: Vec<String> = (0..2_494).map(|n| format!("logs/{n:04}")).collect();
    // In UTF-16 the last but one would come last.
    keys.extend(["+%26\t x", "ÄÖ", "a//b/", "logs", "z\u{FFFD}", "z\u{10000}"].map(str::to_owned));
    let time = UNIX_EPOCH + Duration::from_millis(1_772_360_430_789);
    keys.iter().for_each(|key| server.put_at(BUCKET, key, key.clone(), time));
    keys.sort_unstable();
    assert_eq!(server.keys(BUCKET), keys);
    run(async {
        let client = client_of(&server);
        let listed = pages(&client, None).await;
        assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(listed.concat(), keys);
        let after = keys.iter().filter(|key| key.as_str() > "logs/2000").cloned().collect::<Vec<_>>();
        assert_eq!(pages(&client, Some("logs/2000")).await.concat(), after);
        let log = server.log();
        assert_eq!(log.iter().filter(|request| request.continued).count(), 2);
        assert_eq!(log.last().unwrap().start_after.as_deref(), Some("logs/2000"));

        let page = client.list_objects_v2().bucket(BUCKET).prefix("logs/000").send().await.unwrap();
        let object = &page.contents()[7];
        assert_eq!((object.key(), object.size()), (Some("logs/0007"), Some(9)));
        // MD5 of "logs/0007", as md5sum gives it.
        assert_eq!(object.e_tag(), Some("\"d8fada14e219f75ded9beff7fe9534d1\""));
        assert_eq!(object.last_modified().unwrap().secs(), 1_772_360_430);
        assert_eq!(object.storage_class().unwrap().as_str(), "STANDARD");

        let folders = client.list_objects_v2().bucket(BUCKET).delimiter("/").send().await.unwrap();
        let prefixes: Vec<_> = folders.common_prefixes().iter().map(|p| p.prefix().unwrap()).collect();
        assert_eq!(prefixes, ["a/", "logs/"]);
        assert_eq!(folders.contents().len(), 5);

        server.set_page_limit(400);
        assert_eq!(pages(&client, None).await.len(), 7);
        server.set_short_pages();
        let short = pages(&client, None).await;
        assert!(short.iter().any(Vec::is_empty));
        assert_eq!(short.concat(), keys);
    });
    assert!(server.requests().list > 15);
}

#[test]
fn writes_and_reads_keep_their_conditions() {
    let server = server();
    run(async {
        let client = client_of(&server);
        let put = |text: &'static str| {
            client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(text.as_bytes()))
        };
        let first = put("first").if_none_match("*").send().await.unwrap();
        let etag = first.e_tag().unwrap();
        assert_eq!(code(put("other").if_none_match("*").send().await), "PreconditionFailed");
        assert_eq!(code(put("other").if_match("\"0\"").send().await), "PreconditionFailed");
        assert_eq!(code(put("other").key("new").if_match(etag).send().await), "NoSuchKey");
        let second = put("second").if_match(etag).send().await.unwrap();
        assert_eq!(server.get(BUCKET, "k").unwrap(), "second");

        let get = || client.get_object().bucket(BUCKET).key("k");
        assert_eq!(code(get().if_match(etag).send().await), "PreconditionFailed");
        assert_eq!(code(get().if_none_match(second.e_tag().unwrap()).send().await), "304");
        let part = get().range("bytes=1-3").send().await.unwrap();
        assert_eq!(part.content_range(), Some("bytes 1-3/6"));
        assert_eq!(part.body.collect().await.unwrap().into_bytes(), "eco");
        assert_eq!(code(get().range("bytes=6-").send().await), "InvalidRange");
        let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert_eq!((head.content_length(), head.e_tag()), (Some(6), second.e_tag()));
        assert_eq!(code(client.get_object().bucket(BUCKET).key("none").send().await), "NoSuchKey");

        let copy = || client.copy_object().bucket(BUCKET).key("copy/k").copy_source(format!("{BUCKET}/k"));
        copy().send().await.unwrap();
        assert_eq!(code(copy().if_none_match("*").send().await), "PreconditionFailed");
        assert_eq!(server.keys(BUCKET), ["copy/k", "k"]);
        let both = Delete::builder()
            .objects(ObjectIdentifier::builder().key("copy/k").build().unwrap())
            .objects(ObjectIdentifier::builder().key("k").e_tag("\"0\"").build().unwrap())
            .build()
            .unwrap();
        let deleted = client.delete_objects().bucket(BUCKET).delete(both).send().await.unwrap();
        assert_eq!((deleted.deleted().len(), deleted.errors().len()), (1, 1));
        client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert!(server.keys(BUCKET).is_empty());
    });
    let counts = server.requests();
    assert_eq!(
        (counts.put, counts.get, counts.head, counts.copy, counts.delete),
        (5, 5, 1, 2, 2),
        "{counts:?}"
    );
    assert!(server.log().iter().all(|request| request.user_agent.contains("aws-sdk-rust")));
}

#[test]
fn an_upload_in_parts_becomes_one_object() {
    let server = server();
    run(async {
        let client = client_of(&server);
        let upload = client.create_multipart_upload().bucket(BUCKET).key("big").send().await.unwrap();
        let id = upload.upload_id().unwrap();
        let mut parts = CompletedMultipartUpload::builder();
        for (number, body) in [(1, vec![b'a'; 5 << 20]), (2, b"tail".to_vec())] {
            let sent = client
                .upload_part()
                .bucket(BUCKET)
                .key("big")
                .upload_id(id)
                .part_number(number)
                .body(body.into())
                .send()
                .await
                .unwrap();
            let part = CompletedPart::builder().part_number(number).e_tag(sent.e_tag().unwrap()).build();
            parts = parts.parts(part);
        }
        let complete = client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(id);
        let done = complete.multipart_upload(parts.build()).if_none_match("*").send().await.unwrap();
        assert!(done.e_tag().unwrap().ends_with("-2\""));
        let whole = server.get(BUCKET, "big").unwrap();
        assert_eq!((whole.len(), &whole[whole.len() - 5..]), ((5 << 20) + 4, &b"atail"[..]));
        let abort = client.abort_multipart_upload().bucket(BUCKET).key("big").upload_id(id);
        assert_eq!(code(abort.send().await), "NoSuchUpload");
    });
    assert_eq!(server.requests().multipart, 5);
}

#[test]
fn buckets_have_regions_logging_and_policies() {
    let server = server();
    server.create_bucket("amzn-s3-demo-logs");
    server.create_bucket_in("amzn-s3-demo-far", "eu-west-1");
    run(async {
        let client = client_of(&server);
        let format = TargetObjectKeyFormat::builder().partitioned_prefix(
            PartitionedPrefix::builder().partition_date_source(PartitionDateSource::EventTime).build(),
        );
        let logging = |target: &str| {
            let enabled = LoggingEnabled::builder().target_bucket(target).target_prefix("logs/");
            let enabled = enabled.target_object_key_format(format.clone().build()).build().unwrap();
            let status = BucketLoggingStatus::builder().logging_enabled(enabled).build();
            client.put_bucket_logging().bucket(BUCKET).bucket_logging_status(status)
        };
        assert_eq!(
            code(logging("amzn-s3-demo-far").send().await),
            "InvalidTargetBucketForLogging",
            "S3 delivers within a region only"
        );
        logging("amzn-s3-demo-logs").send().await.unwrap();
        let read = || client.get_bucket_logging().bucket(BUCKET);
        let by_client = read().send().await.unwrap().logging_enabled().unwrap().clone();
        assert_eq!(by_client.target_prefix(), "logs/");
        server.set_logging(BUCKET, "amzn-s3-demo-logs", "logs/", KeyFormat::EventTime);
        assert_eq!(read().send().await.unwrap().logging_enabled(), Some(&by_client));
        server.deny_action(BUCKET, "GetBucketLogging");
        assert_eq!(code(read().send().await), "AccessDenied");

        let policy = || client.get_bucket_policy().bucket(BUCKET);
        assert_eq!(code(policy().send().await), "NoSuchBucketPolicy");
        let text = r#"{"Version":"2012-10-17","Statement":[]}"#;
        client.put_bucket_policy().bucket(BUCKET).policy(text).send().await.unwrap();
        assert_eq!(policy().send().await.unwrap().policy(), Some(text));
        server.set_policy(BUCKET, "{}");
        assert_eq!(policy().send().await.unwrap().policy(), Some("{}"));
        let versioning = client.get_bucket_versioning().bucket(BUCKET).send().await.unwrap();
        assert!(versioning.status().is_none());

        let far = client.list_objects_v2().bucket("amzn-s3-demo-far").send().await.unwrap_err();
        let raw = far.raw_response().unwrap();
        assert_eq!(
            (raw.status().as_u16(), raw.headers().get("x-amz-bucket-region")),
            (301, Some("eu-west-1"))
        );
        let location = client.get_bucket_location().bucket("amzn-s3-demo-far").send().await.unwrap();
        assert_eq!(location.location_constraint().unwrap().as_str(), "eu-west-1");

        let there = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::UsWest2)
            .build();
        let new =
            || client.create_bucket().bucket("amzn-s3-demo-new").create_bucket_configuration(there.clone());
        new().send().await.unwrap();
        assert!(server.keys("amzn-s3-demo-new").is_empty());
        let all = client.list_buckets().send().await.unwrap();
        let names: Vec<_> = all.buckets().iter().map(|bucket| bucket.name().unwrap()).collect();
        assert_eq!(names, [BUCKET, "amzn-s3-demo-far", "amzn-s3-demo-logs", "amzn-s3-demo-new"]);
        client.head_bucket().bucket("amzn-s3-demo-logs").send().await.unwrap();
        assert_eq!(code(client.head_bucket().bucket("amzn-s3-demo-none").send().await), "NotFound");
    });
}

#[test]
fn clients_are_refused_as_s3_refuses_them() {
    let server = server();
    server.put(BUCKET, "k", "text");
    run(async {
        let wrong = client(&server.endpoint(), server.access_key(), "wrong");
        let client = client_of(&server);
        let get = || client.get_object().bucket(BUCKET).key("k");
        assert_eq!(code(wrong.get_object().bucket(BUCKET).key("k").send().await), "SignatureDoesNotMatch");
        server.slow_down(1);
        assert_eq!(code(get().send().await), "SlowDown");
        server.expire_credentials_after(1);
        assert_eq!(code(get().send().await), "no error");
        assert_eq!(code(get().send().await), "ExpiredToken");
        server.renew();
        server.set_requester_pays(BUCKET);
        assert_eq!(code(get().send().await), "AccessDenied");
        assert_eq!(code(get().request_payer(RequestPayer::Requester).send().await), "no error");
    });
    // Refused before anything else: the wrong secret.
    assert_eq!(server.requests(), Counts { get: 5, ..Counts::default() });
    server.reset_counts();
    assert_eq!(server.requests(), Counts::default());
}

#[test]
fn objects_are_spoilt_as_they_are_told_to() {
    let server = server();
    let keys = ["corrupt", "denied", "right", "truncated", "vanishing"];
    keys.iter().for_each(|key| server.put(BUCKET, key, "0123456789".repeat(100)));
    server.corrupt(BUCKET, "corrupt");
    server.deny(BUCKET, "denied");
    server.truncate(BUCKET, "truncated");
    server.vanish_on_get(BUCKET, "vanishing");
    run(async {
        let client = client_of(&server);
        let get = |key: &str| client.get_object().bucket(BUCKET).key(key).send();
        assert_eq!(pages(&client, None).await.concat(), keys);
        assert_eq!(code(get("denied").await), "AccessDenied");
        assert_eq!(code(get("vanishing").await), "NoSuchKey");
        assert_eq!(pages(&client, None).await.concat(), keys[..4]);
        assert!(get("truncated").await.unwrap().body.collect().await.is_err());
        assert!(get("corrupt").await.unwrap().body.collect().await.is_err(), "the checksum tells");
        server.without_checksums(BUCKET);
        let quietly = get("corrupt").await.unwrap();
        let etag = quietly.e_tag().unwrap().to_owned();
        assert_ne!(quietly.body.collect().await.unwrap().into_bytes(), server.get(BUCKET, "right").unwrap());
        server.heal(BUCKET);
        let healed = get("corrupt").await.unwrap();
        assert_eq!(healed.e_tag(), Some(etag.as_str()));
        assert_eq!(healed.body.collect().await.unwrap().into_bytes(), server.get(BUCKET, "right").unwrap());
    });
    assert!(server.delete(BUCKET, "right") && !server.delete(BUCKET, "right"));
}

/// What AWS's client says to one read of an object through a proxy with `faults`.
async fn through(server: &S3Server, faults: Faults) -> (FaultProxy, &'static str) {
    let proxy = FaultProxy::start(&server.endpoint(), 7, faults);
    let client = client(&proxy.endpoint(), server.access_key(), server.secret_key());
    let said = match client.get_object().bucket(BUCKET).key("k").send().await {
        Ok(answer) => match answer.body.collect().await {
            Ok(body) => match body.into_bytes() == server.get(BUCKET, "k").unwrap() {
                true => "right",
                false => "wrong",
            },
            Err(_) => "broken",
        },
        Err(SdkError::DispatchFailure(_)) => "no answer",
        Err(error) if error.code() == Some("SlowDown") => "SlowDown",
        Err(error) if error.code() == Some("InternalError") => "InternalError",
        Err(_) => "another error",
    };
    (proxy, said)
}

#[test]
fn the_proxy_does_what_it_counts() {
    let server = server();
    server.put(BUCKET, "k", "0123456789".repeat(5_000));
    run(async {
        for fault in Fault::ALL {
            let (proxy, said) = through(&server, Faults::only(fault, 1.0)).await;
            let expected: &[&str] = match fault {
                Fault::Delay | Fault::SlowBody => &["right"],
                Fault::Reset => &["no answer"],
                // A reset may overtake the head that went before it.
                Fault::ResetWithin => &["broken", "no answer"],
                Fault::SlowDown => &["SlowDown"],
                Fault::InternalError => &["InternalError"],
                Fault::Truncated | Fault::Corrupted => &["broken"],
            };
            assert!(expected.contains(&said), "{fault:?}: {said}");
            assert_eq!(proxy.counts(), BTreeMap::from([(fault, 1)]));
        }
        let (none, said) = through(&server, Faults::default()).await;
        assert_eq!((said, none.counts().len()), ("right", 0));

        // The same seed, the same requests: the same faults; and writes and listings only where that is asked for.
        let spoilt = |faults: Faults| {
            let proxy = FaultProxy::start(&server.endpoint(), 11, faults);
            let client = client(&proxy.endpoint(), server.access_key(), server.secret_key());
            async move {
                let _until_the_end = proxy;
                let mut codes = Vec::new();
                for n in 0..20 {
                    let put = client.put_object().bucket(BUCKET).key(format!("new/{n}"));
                    codes.push(code(put.body(ByteStream::from_static(b"x")).send().await));
                    codes.push(code(client.list_objects_v2().bucket(BUCKET).send().await));
                    codes.push(code(client.get_object().bucket(BUCKET).key("k").send().await));
                }
                codes
            }
        };
        let reads = spoilt(Faults::only(Fault::InternalError, 0.5)).await;
        assert!(reads.iter().skip(2).step_by(3).any(|code| code == "InternalError"));
        assert!(reads.iter().step_by(3).all(|code| code == "no error"));
        assert_eq!(reads, spoilt(Faults::only(Fault::InternalError, 0.5)).await);
        let all = spoilt(Faults::only(Fault::SlowDown, 0.5).everywhere()).await;
        assert!((0..3).all(|kind| all.iter().skip(kind).step_by(3).any(|code| code == "SlowDown")));
        let mixed = spoilt(Faults::each(0.05)).await;
        assert!(mixed.iter().any(|code| code == "no error"));
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("below/file"), "text").unwrap();
    assert_eq!(server.load_tree(BUCKET, "tree/", folder.path()), 1);
    assert_eq!(server.get(BUCKET, "tree/below/file").unwrap(), "text");
    assert!(server.env().iter().any(|(name, value)| *name == "AWS_REGION" && value == REGION));
}
