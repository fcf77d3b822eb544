//! Asks S3 for the configuration of buckets.
//!
//! What is denied or fails is part of the answer, bucket by bucket and call by call; only a list of buckets that cannot
//! be read, when there is nothing else to go by, ends it. Every bucket is asked in its own Region. Buckets that logs are
//! delivered to are asked about too, named or not: without them nothing can be said of a loop or of a delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3control::Client as ControlClient;
use aws_sdk_s3control::config::Region;
use aws_sdk_s3control::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use futures::{StreamExt, stream};

use super::answer::{
    ACCESS_POINT, ACCESS_POINT_POLICY, ACL, AccessPointAnswers, Answer, Answers, Api, Bucket, BucketAnswers,
    BucketList, CORS, ENCRYPTION, HEAD, Head, IDENTITY, Identity, LIFECYCLE, LIST_ACCESS_POINTS,
    LIST_BUCKETS, LIST_OBJECT_LAMBDA, LOCATION, LOGGING, ListedBucket, OBJECT_LAMBDA, OBJECT_LAMBDA_POLICY,
    OBJECT_LOCK, OWNERSHIP, ObjectLambdaAnswers, ObjectLambdaPoint, POLICY, POLICY_STATUS,
    PUBLIC_ACCESS_BLOCK, PolicyText, PublicAccessBlock, REPLICATION, REQUEST_PAYMENT, VERSIONING, not_listed,
};
use super::{convert, sdk};
use crate::cloud::Cloud;
use crate::error::{Error, ErrorKind, Result};

/// Buckets asked about at once. A bucket takes some fifteen calls, one after the other.
const AT_ONCE: usize = 8;

/// Most buckets that are asked about only because logs are delivered to them, one after the other along a chain.
const HOPS: usize = 32;

/// Why what needs the id of the account was not asked for.
const NO_ACCOUNT: &str = "the id of the account is not known";

/// Asks about `names`, or about every bucket of the account where there are none; `on_bucket` is told how many have
/// been read, and of how many.
///
/// # Errors
///
/// [`ErrorKind::Io`] when the buckets of the account cannot be listed and none is named.
pub async fn read(
    cloud: &Cloud,
    names: &[String],
    on_bucket: &(dyn Fn(usize, usize) + Sync),
) -> Result<Answers> {
    let mut answers = Answers { endpoint: cloud.endpoint_url().map(str::to_owned), ..Answers::default() };
    let call = cloud.sts().get_caller_identity().send();
    answers.account.identity =
        ask(&IDENTITY, call, |output| Identity { account: output.account, arn: output.arn }).await;
    let told = answers.account.identity.given().and_then(|identity| identity.account.clone());
    if told.is_none() {
        answers.account_id = cloud.account_of_credentials().await;
    }
    let account_id = told.or_else(|| answers.account_id.clone());
    answers.account.buckets = list_buckets(&cloud.s3()).await;
    let wanted: BTreeSet<String> = match (names, &answers.account.buckets) {
        ([], Answer::Given(list)) => list.buckets.iter().map(|bucket| bucket.name.clone()).collect(),
        ([], Answer::Denied(reason) | Answer::Failed(reason)) => return Err(no_list(reason)),
        ([], Answer::NotAsked | Answer::Absent) => BTreeSet::new(),
        (names, _) => names.iter().cloned().collect(),
    };
    answers.is_complete = names.is_empty();
    read_buckets(cloud, wanted, &mut answers, on_bucket).await;
    match &account_id {
        Some(account) => read_account(&control(cloud), account, &mut answers).await,
        None => {
            answers.account.public_access_block = Answer::of_error(&PUBLIC_ACCESS_BLOCK, NO_ACCOUNT);
            let lists = [LIST_ACCESS_POINTS, LIST_OBJECT_LAMBDA];
            answers.unanswered.extend(lists.map(|api| not_listed("account", api, NO_ACCOUNT)));
        }
    }
    Ok(answers)
}

/// What belongs to the account and not to a bucket.
async fn read_account(control: &ControlClient, account: &str, answers: &mut Answers) {
    let call = control.get_public_access_block().account_id(account).send();
    answers.account.public_access_block = ask(&PUBLIC_ACCESS_BLOCK, call, |output| {
        let block = output.public_access_block_configuration.map(sdk::control_public_access_block);
        PublicAccessBlock { public_access_block_configuration: block.unwrap_or_default() }
    })
    .await;
    read_access_points(control, account, answers).await;
}

/// A client for accounts and access points. AWS has a host for each account; another server has the one it has.
fn control(cloud: &Cloud) -> ControlClient {
    let client = cloud.s3control();
    match cloud.endpoint_url() {
        None => client,
        Some(url) => {
            let config = client.config().to_builder().endpoint_resolver(OneHost(url.to_owned()));
            ControlClient::from_conf(config.build())
        }
    }
}

/// Sends everything to one URL.
#[derive(Debug)]
struct OneHost(String);

impl ResolveEndpoint for OneHost {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

#[cold]
fn no_list(reason: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the buckets cannot be listed: {reason}"))
        .with_hint("allow s3:ListAllMyBuckets, or name the buckets to audit")
}

async fn list_buckets(s3: &Client) -> Answer<BucketList> {
    let mut list = BucketList::default();
    // Asking for pages makes S3 tell the Regions.
    let mut pages = s3.list_buckets().max_buckets(1_000).into_paginator().send();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => list.buckets.extend(page.buckets.unwrap_or_default().into_iter().map(|bucket| {
                ListedBucket { name: bucket.name.unwrap_or_default(), bucket_region: bucket.bucket_region }
            })),
            Err(error) => return Answer::of_error(&LIST_BUCKETS, &reason(&error)),
        }
    }
    Answer::Given(list)
}

/// Reads the buckets `wanted` and those that their logs lead to.
async fn read_buckets(
    cloud: &Cloud,
    mut wanted: BTreeSet<String>,
    answers: &mut Answers,
    on_bucket: &(dyn Fn(usize, usize) + Sync),
) {
    for _ in 0..HOPS {
        let total = answers.buckets.len() + wanted.len();
        let mut reading = stream::iter(std::mem::take(&mut wanted))
            .map(|name| async move {
                let read = read_bucket(cloud, &name).await;
                (name, read)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, read)) = reading.next().await {
            answers.buckets.insert(name, Bucket { answers: read, access_points: None });
            on_bucket(answers.buckets.len(), total);
        }
        drop(reading);
        let targets = answers.buckets.values().filter_map(|bucket| {
            let enabled = bucket.answers.logging.given()?.logging_enabled.as_ref()?;
            Some(enabled.target_bucket.clone())
        });
        wanted = targets.filter(|target| !answers.buckets.contains_key(target)).collect();
        if wanted.is_empty() {
            return;
        }
    }
}

/// Everything about one bucket, in its own Region.
async fn read_bucket(cloud: &Cloud, bucket: &str) -> BucketAnswers {
    let mut answers =
        BucketAnswers { head: read_region(&cloud.s3(), bucket).await, ..BucketAnswers::default() };
    // Where there is no bucket, every other call would say so again.
    if matches!(&answers.head, Answer::Failed(reason) if reason == "NotFound" || reason == "404") {
        return answers;
    }
    let region = answers.head.given().and_then(|head| head.bucket_region.clone());
    let s3 = region.as_deref().map_or_else(|| cloud.s3(), |region| cloud.s3_in(region));
    if region.is_none() {
        answers.location =
            ask(&LOCATION, s3.get_bucket_location().bucket(bucket).send(), sdk::location).await;
    }
    answers.logging = ask(&LOGGING, s3.get_bucket_logging().bucket(bucket).send(), sdk::logging).await;
    answers.versioning =
        ask(&VERSIONING, s3.get_bucket_versioning().bucket(bucket).send(), sdk::versioning).await;
    answers.encryption =
        ask(&ENCRYPTION, s3.get_bucket_encryption().bucket(bucket).send(), sdk::encryption).await;
    let call = s3.get_public_access_block().bucket(bucket).send();
    answers.public_access_block = ask(&PUBLIC_ACCESS_BLOCK, call, sdk::public_access_block).await;
    answers.policy = ask(&POLICY, s3.get_bucket_policy().bucket(bucket).send(), sdk::policy).await;
    let call = s3.get_bucket_policy_status().bucket(bucket).send();
    answers.policy_status = ask(&POLICY_STATUS, call, sdk::policy_status).await;
    answers.acl = ask(&ACL, s3.get_bucket_acl().bucket(bucket).send(), sdk::acl).await;
    let call = s3.get_bucket_ownership_controls().bucket(bucket).send();
    answers.ownership = ask(&OWNERSHIP, call, sdk::ownership).await;
    answers.cors = ask(&CORS, s3.get_bucket_cors().bucket(bucket).send(), sdk::cors).await;
    let call = s3.get_object_lock_configuration().bucket(bucket).send();
    answers.object_lock = ask(&OBJECT_LOCK, call, sdk::object_lock).await;
    let call = s3.get_bucket_request_payment().bucket(bucket).send();
    answers.request_payment = ask(&REQUEST_PAYMENT, call, sdk::request_payment).await;
    let call = s3.get_bucket_lifecycle_configuration().bucket(bucket).send();
    answers.lifecycle = ask(&LIFECYCLE, call, sdk::lifecycle).await;
    answers.replication =
        ask(&REPLICATION, s3.get_bucket_replication().bucket(bucket).send(), sdk::replication).await;
    answers
}

/// The Region of a bucket, which S3 tells in a header even where it refuses or redirects.
async fn read_region(s3: &Client, bucket: &str) -> Answer<Head> {
    match s3.head_bucket().bucket(bucket).send().await {
        Ok(output) => Answer::Given(Head { bucket_region: output.bucket_region }),
        Err(error) => {
            let region =
                error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
            match region {
                Some(region) => Answer::Given(Head { bucket_region: Some(region.to_owned()) }),
                None => Answer::of_error(&HEAD, &reason(&error)),
            }
        }
    }
}

/// The access points of every Region in which there is a bucket of the answers.
async fn read_access_points(control: &ControlClient, account: &str, answers: &mut Answers) {
    let own = control.config().region().map(|region| region.as_ref().to_owned());
    let mut regions: BTreeSet<String> =
        answers.buckets.values().filter_map(|bucket| convert::region(&bucket.answers)).collect();
    regions.extend(own);
    for region in regions {
        let config = control.config().to_builder().region(Region::new(region.clone())).build();
        let control = ControlClient::from_conf(config);
        read_points_of_region(&control, account, &region, answers).await;
        read_object_lambda_of_region(&control, account, &region, answers).await;
        answers.regions.insert(region);
    }
}

async fn read_points_of_region(control: &ControlClient, account: &str, region: &str, answers: &mut Answers) {
    let mut found: BTreeMap<String, BTreeMap<String, AccessPointAnswers>> = BTreeMap::new();
    let mut pages = control.list_access_points().account_id(account).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                return answers.unanswered.push(not_listed(region, LIST_ACCESS_POINTS, &reason(&error)));
            }
        };
        for point in page.access_point_list.unwrap_or_default() {
            if !answers.buckets.contains_key(&point.bucket) {
                continue;
            }
            let name = point.name.as_str();
            let call = control.get_access_point().account_id(account).name(name).send();
            let access_point = ask(&ACCESS_POINT, call, sdk::access_point).await;
            let call = control.get_access_point_policy().account_id(account).name(name).send();
            let policy = ask(&ACCESS_POINT_POLICY, call, |output| PolicyText { policy: output.policy }).await;
            let read = AccessPointAnswers { access_point, policy };
            found.entry(point.bucket).or_default().insert(point.name, read);
        }
    }
    for (name, bucket) in &mut answers.buckets {
        let is_here = convert::region(&bucket.answers).as_deref() == Some(region);
        let points = found.remove(name);
        if is_here || points.is_some() {
            bucket.access_points.get_or_insert_default().extend(points.unwrap_or_default());
        }
    }
}

async fn read_object_lambda_of_region(
    control: &ControlClient,
    account: &str,
    region: &str,
    answers: &mut Answers,
) {
    let mut pages =
        control.list_access_points_for_object_lambda().account_id(account).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                return answers.unanswered.push(not_listed(region, LIST_OBJECT_LAMBDA, &reason(&error)));
            }
        };
        for point in page.object_lambda_access_point_list.unwrap_or_default() {
            let name = point.name.as_str();
            let call = control
                .get_access_point_configuration_for_object_lambda()
                .account_id(account)
                .name(name)
                .send();
            let configuration = ask(&OBJECT_LAMBDA, call, sdk::object_lambda).await;
            let call =
                control.get_access_point_policy_for_object_lambda().account_id(account).name(name).send();
            let policy =
                ask(&OBJECT_LAMBDA_POLICY, call, |output| PolicyText { policy: output.policy }).await;
            let read = ObjectLambdaAnswers { configuration, policy };
            let (name, region) = (point.name, Some(region.to_owned()));
            answers.object_lambda_access_points.push(ObjectLambdaPoint { name, region, answers: read });
        }
    }
}

/// Makes a call and brings its output into our shape.
async fn ask<T, O, E>(
    api: &Api,
    call: impl Future<Output = std::result::Result<O, SdkError<E>>>,
    convert: impl FnOnce(O) -> T,
) -> Answer<T>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match call.await {
        Ok(output) => Answer::Given(convert(output)),
        Err(error) => Answer::of_error(api, &reason(&error)),
    }
}

/// The code of an error, else its HTTP status, else what went wrong before there was an answer.
fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(code) = error.code() {
        return code.to_owned();
    }
    match error {
        SdkError::ServiceError(refusal) if !refusal.raw().status().is_success() => {
            refusal.raw().status().as_u16().to_string()
        }
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => "an answer that cannot be read".to_owned(),
        other => {
            let mut cause: &dyn StdError = other;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
    }
}
