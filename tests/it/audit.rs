//! `s3trail audit`: from a file, and from a real S3 server that others wrote.
//!
//! The server is moto (`pip install 'moto[server]'`). Where `moto_server` is not installed its test says so and has
//! nothing to do. moto knows no access points of another host, keeps no key format of log objects, and cannot say
//! whether a bucket is public: what it cannot answer must be reported and change nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::root;

/// A folder with a lake in it, and the program run there.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("S3TRAIL_LAKE")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output of a run that must succeed.
    #[track_caller]
    fn out(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {:?}: {err}", output.status.code());
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let out = self.out(args);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// `detection | bucket | subject` of the findings that the audit takes part in, in order.
    #[track_caller]
    fn found(&self) -> Vec<String> {
        let found = self.json(&["-q", "detect", "--lake", "lake", "--tag", "audit", "--format", "json"]);
        assert_eq!(found["skipped"], serde_json::json!([]));
        let mut all: Vec<String> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| ["id", "bucket", "subject"].map(|name| f[name].as_str().unwrap()).join(" | "))
            .collect();
        all.sort();
        all
    }
}

fn sample(name: &str) -> PathBuf {
    root().join("sample_logs/detections").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_made_with_the_aws_cli_is_audited() {
    let desk = Desk::new();
    let file = sample("config-delivery-broken/fires.config.json");
    let out = desk.out(&["-q", "audit", "--config-file", text(&file), "--lake", "lake"]);
    assert!(out.contains("amzn-s3-demo-far/amzn-s3-demo-a/"), "{out}");
    assert!(out.contains("could not be read:"), "{out}");
    assert!(out.contains("head-bucket: 404: amzn-s3-demo-gone"), "{out}");
    assert!(
        desk.found()
            .contains(&"config-delivery-broken | amzn-s3-demo-d | delivery to amzn-s3-demo-shut".to_owned())
    );

    let json = desk.json(&["-q", "audit", "--config-file", text(&file), "--lake", "lake", "--json"]);
    assert_eq!((&json["source"], &json["is_complete"]), (&"111122223333".into(), &true.into()));
    assert_eq!(json["rows"].as_array().unwrap().len(), 15);
    let sql = "SELECT count(*) AS n, count(DISTINCT audit_id) AS audits FROM bucket_config";
    let counted = desk.json(&["-q", "query", sql, "--lake", "lake", "--format", "json"]);
    assert_eq!(counted, serde_json::json!([{ "n": 30, "audits": 2 }]), "both audits are kept");
}

#[test]
fn the_newest_audit_counts_and_the_older_ones_are_history() {
    let desk = Desk::new();
    let first = fs::read_to_string(sample("config-recursion-loop/fires.config.json")).unwrap();
    let first = desk.write("first.json", &first);
    let second = fs::read_to_string(sample("config-recursion-loop/quiet.config.json")).unwrap();
    let second = desk.write("second.json", &second.replace("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"));
    desk.out(&["-q", "audit", "--config-file", text(&first), "--lake", "lake"]);
    assert_eq!(desk.found().iter().filter(|line| line.starts_with("config-recursion-loop")).count(), 3);
    desk.out(&["-q", "audit", "--config-file", text(&second), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0], "what the newest audit does not find is gone");
    // An older file that comes late changes nothing.
    desk.out(&["-q", "audit", "--config-file", text(&first), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0]);
}

#[test]
fn mistakes_in_the_file_are_named() {
    let desk = Desk::new();
    let file = desk.write(
        "config.json",
        r#"{"@audited-at": "2026-03-01T12:00:00Z", "amzn-s3-demo-web": {"get-bucket-loging": {}}}"#,
    );
    let output = desk.run(&["audit", "--config-file", text(&file), "--lake", "lake"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["config.json", "amzn-s3-demo-web", "get-bucket-loging", "did you mean get-bucket-logging"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    assert!(!desk.dir.path().join("lake").exists(), "no lake is made for a file that cannot be read");
    assert!(desk.out(&["audit", "--print-script"]).starts_with("#!/bin/sh\n"));
}

#[test]
fn without_an_audit_nothing_is_found_and_nothing_fails() {
    let desk = Desk::new();
    let logs = sample("config-recursion-loop/fires.log");
    desk.out(&["-q", "ingest", text(&logs), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0]);
    let out = desk.out(&["-q", "query", "bucket-posture", "--lake", "lake", "--format", "csv"]);
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[cfg(feature = "s3")]
mod against_moto {
    use std::net::{TcpListener, TcpStream};
    use std::process::Child;
    use std::time::{Duration, Instant};

    use aws_sdk_s3::Client;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_s3::types::{
        BucketLifecycleConfiguration, BucketLocationConstraint, BucketLoggingStatus,
        CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
        LoggingEnabled, ServerSideEncryption, ServerSideEncryptionByDefault,
        ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    };

    use super::*;

    /// A moto server of our own; gone with this.
    struct Moto {
        child: Child,
        url: String,
    }

    impl Moto {
        /// Starts it; `None`, said aloud, where it is not installed.
        fn start() -> Option<Moto> {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let started = Command::new("moto_server")
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                // Never check signatures.
                .env("INITIAL_NO_AUTH_ACTION_COUNT", "1000000000")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let Ok(child) = started else {
                eprintln!(
                    "audit against moto skipped: moto_server is not installed (pip install 'moto[server]')"
                );
                return None;
            };
            let mut moto = Moto { child, url: format!("http://127.0.0.1:{port}") };
            let begun = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if let Some(status) = moto.child.try_wait().unwrap() {
                    eprintln!("audit against moto skipped: moto_server ended with {status}");
                    return None;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "moto_server does not answer");
                std::thread::sleep(Duration::from_millis(100));
            }
            Some(moto)
        }

        fn client(&self, region: &'static str) -> Client {
            let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
            let config = aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::from_static(region))
                .credentials_provider(keys)
                .endpoint_url(&self.url)
                .force_path_style(true);
            Client::from_conf(config.build())
        }
    }

    impl Drop for Moto {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn name(bucket: &str) -> String {
        format!("amzn-s3-demo-{bucket}")
    }

    /// A bucket that can take logs: log delivery may write, and they expire.
    async fn make(s3: &Client, bucket: &str, location: Option<BucketLocationConstraint>) {
        let bucket = name(bucket);
        let place =
            location.map(|place| CreateBucketConfiguration::builder().location_constraint(place).build());
        s3.create_bucket().bucket(&bucket).set_create_bucket_configuration(place).send().await.unwrap();
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "logging.s3.amazonaws.com" }, "Action": "s3:PutObject",
            "Resource": format!("arn:aws:s3:::{bucket}/*")
        }] });
        s3.put_bucket_policy().bucket(&bucket).policy(policy.to_string()).send().await.unwrap();
        let rule = LifecycleRule::builder()
            .id("expire")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(90).build())
            .build()
            .unwrap();
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
        let call = s3.put_bucket_lifecycle_configuration().bucket(&bucket).lifecycle_configuration(rules);
        call.send().await.unwrap();
    }

    async fn log(s3: &Client, source: &str, target: &str) {
        let prefix = format!("{}/", name(source));
        let enabled =
            LoggingEnabled::builder().target_bucket(name(target)).target_prefix(prefix).build().unwrap();
        let status = BucketLoggingStatus::builder().logging_enabled(enabled).build();
        s3.put_bucket_logging().bucket(name(source)).bucket_logging_status(status).send().await.unwrap();
    }

    /// A self-loop, circles of two and of three, a chain, a target in another Region, and one with SSE-KMS.
    async fn set_up(moto: &Moto) {
        let (s3, eu) = (moto.client("us-east-1"), moto.client("eu-west-1"));
        let buckets = [
            "self", "east", "west", "one", "two", "three", "web", "logs", "audit", "data", "far", "app",
            "kms",
        ];
        for bucket in buckets {
            make(&s3, bucket, None).await;
        }
        let edges = [
            ("self", "self"),
            ("east", "west"),
            ("west", "east"),
            ("one", "two"),
            ("two", "three"),
            ("three", "one"),
            ("web", "logs"),
            ("logs", "audit"),
            ("data", "far"),
            ("app", "kms"),
        ];
        for (source, target) in edges {
            log(&s3, source, target).await;
        }
        let by = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms);
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(by.build().unwrap())
            .build();
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
        let call = s3.put_bucket_encryption().bucket(name("kms"));
        call.server_side_encryption_configuration(rules).send().await.unwrap();
        // Neither AWS nor moto lets a log go to another Region; a target that is deleted and made anew can be in one.
        let left = s3.list_objects_v2().bucket(name("far")).send().await.unwrap();
        for object in left.contents() {
            s3.delete_object().bucket(name("far")).key(object.key().unwrap()).send().await.unwrap();
        }
        s3.delete_bucket().bucket(name("far")).send().await.unwrap();
        make(&eu, "far", Some(BucketLocationConstraint::EuWest1)).await;
    }

    #[test]
    fn loops_chains_and_broken_deliveries_are_found() {
        let Some(moto) = Moto::start() else { return };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(set_up(&moto));
        let desk = Desk::new();
        let ask = ["-q", "audit", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&ask);
        assert_eq!((&audit["source"], &audit["is_complete"]), (&"123456789012".into(), &true.into()));
        let rows = audit["rows"].as_array().unwrap();
        let row = |bucket: &str| rows.iter().find(|row| row["name"] == name(bucket).as_str()).unwrap();
        assert_eq!(row("far")["region"], "eu-west-1");
        assert_eq!(
            (&row("kms")["encryption_algorithm"], &row("web")["encryption_algorithm"]),
            (&"aws:kms".into(), &"none".into())
        );
        assert_eq!(
            (&row("web")["logging_permitted"], &row("web")["logging_expires"]),
            (&true.into(), &true.into())
        );
        assert_eq!(row("audit")["logging_known"], true);
        assert_eq!(row("web")["policy_is_public"], Value::Null, "moto does not say");
        assert!(!audit["unanswered"].as_array().unwrap().is_empty());

        let expected = [
            "config-delivery-broken | amzn-s3-demo-app | delivery to amzn-s3-demo-kms",
            "config-delivery-broken | amzn-s3-demo-data | delivery to amzn-s3-demo-far",
            "config-recursion-chain | amzn-s3-demo-logs | amzn-s3-demo-logs -> amzn-s3-demo-audit",
            "config-recursion-loop | amzn-s3-demo-east | amzn-s3-demo-east -> amzn-s3-demo-west -> amzn-s3-demo-east",
            "config-recursion-loop | amzn-s3-demo-one | amzn-s3-demo-one -> amzn-s3-demo-two -> amzn-s3-demo-three -> amzn-s3-demo-one",
            "config-recursion-loop | amzn-s3-demo-self | amzn-s3-demo-self -> amzn-s3-demo-self",
        ];
        assert_eq!(desk.found(), expected);

        // With logs in which two of the loops show.
        let logs = sample("config-recursion-loop/fires.log");
        let run = ["-q", "run", text(&logs), "--lake", "lake", "--tag", "audit", "--format", "json"];
        let found = desk.json(&run);
        let kind = |subject: &str| {
            let findings = found["findings"].as_array().unwrap();
            let finding = findings.iter().find(|f| f["subject"] == subject).unwrap();
            (finding["details"]["evidence_kind"].clone(), finding["evidence"].as_array().unwrap().len())
        };
        let (observed, only) = ("configured and observed", "configured only");
        assert_eq!(kind("amzn-s3-demo-self -> amzn-s3-demo-self"), (observed.into(), 5));
        assert_eq!(kind("amzn-s3-demo-east -> amzn-s3-demo-west -> amzn-s3-demo-east"), (observed.into(), 5));
        let three = "amzn-s3-demo-one -> amzn-s3-demo-two -> amzn-s3-demo-three -> amzn-s3-demo-one";
        assert_eq!(kind(three).0, only);
    }

    #[test]
    fn a_named_bucket_brings_the_buckets_its_logs_lead_to() {
        let Some(moto) = Moto::start() else { return };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(set_up(&moto));
        let desk = Desk::new();
        let ask =
            ["-q", "audit", "amzn-s3-demo-one", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&ask);
        assert_eq!(audit["is_complete"], false);
        let rows = audit["rows"].as_array().unwrap();
        let buckets =
            rows.iter().filter(|row| row["kind"] == "bucket").map(|row| row["name"].as_str().unwrap());
        assert_eq!(buckets.collect::<Vec<_>>(), ["one", "three", "two"].map(name));
        assert_eq!(desk.found().len(), 1);

        let missing =
            ["-q", "audit", "amzn-s3-demo-nowhere", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&missing);
        let rows = audit["rows"].as_array().unwrap();
        assert_eq!(rows.iter().find(|row| row["kind"] == "bucket").unwrap()["bucket_exists"], false);
    }
}
