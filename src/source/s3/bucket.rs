//! One bucket of log objects: the requests that are made of it, and what their failures mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStreamError;
use aws_sdk_s3::types::{Delete, ObjectIdentifier, RequestPayer, ServerSideEncryption};
use futures::StreamExt;
use futures::future::BoxFuture;
use md5::{Digest, Md5};

use super::throttle::Throttle;
use crate::cloud::Meter;
use crate::error::{Error, ErrorKind};
use crate::source::{AfterCommit, Failure, FailureClass, LogObject, Remote};

/// Objects asked for at a time when nothing is set: what hides the latency of Amazon's servers from two cores.
pub(super) const CONCURRENCY: usize = 64;
/// How often a body that broke off, or did not fit its checksum, is asked for again.
const BODIES: u32 = 5;
/// Objects of one request to delete.
const DELETE: usize = 1000;
/// Copies at a time.
const COPIES: usize = 16;

/// A bucket, with the client for its region.
#[derive(Debug)]
pub(super) struct Bucket {
    pub client: Client,
    pub name: String,
    pub requester_pays: bool,
    pub meter: Meter,
    pub throttle: Arc<Throttle>,
    pub concurrency: usize,
    pub after: AfterCommit,
    /// Answers asking for fewer requests that the throttle knows of.
    pub slow_downs: AtomicU64,
}

impl Bucket {
    fn payer(&self) -> Option<RequestPayer> {
        self.requester_pays.then_some(RequestPayer::Requester)
    }

    /// One page of a listing.
    pub(super) async fn list(
        &self,
        prefix: &str,
        by_folder: bool,
        after: Option<String>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, Failure> {
        let _place = self.throttle.enter().await;
        let page = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .set_delimiter(by_folder.then(|| "/".to_owned()))
            .set_start_after(after)
            .set_continuation_token(token)
            .set_request_payer(self.payer())
            .send()
            .await;
        self.observe(page.is_ok());
        page.map_err(|e| self.failure(prefix, "list", &e))
    }

    /// A page that says there are more, and not where.
    pub(super) fn no_token(&self, prefix: &str) -> Failure {
        let error = Error::new(ErrorKind::Input, "the server says that the listing goes on, but not where")
            .with_context("prefix", self.place(prefix));
        Failure::new(self.place(prefix), FailureClass::Refused, error)
    }

    /// Tells the throttle what the last answers were.
    fn observe(&self, went_well: bool) {
        let seen = self.meter.slow_downs();
        if self.slow_downs.fetch_max(seen, Ordering::Relaxed) < seen {
            self.throttle.slow_down();
        } else if went_well {
            self.throttle.went_well();
        }
    }

    async fn try_get(&self, object: &LogObject) -> Result<Vec<u8>, Failure> {
        let _place = self.throttle.enter().await;
        let etag = object.etag.as_deref().filter(|etag| !etag.is_empty());
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(&object.key)
            .set_if_match(etag.map(|etag| format!("\"{etag}\"")))
            .set_request_payer(self.payer())
            .send()
            .await;
        self.observe(answer.is_ok());
        let mut answer = answer.map_err(|e| self.failure(&object.key, "read", &e))?;
        let body = std::mem::take(&mut answer.body);
        match body.collect().await {
            Ok(bytes) => self.checked(object, &answer, bytes.to_vec()),
            Err(e) => Err(self.broken(&object.key, e)),
        }
    }

    /// The bytes, if they are all of the object's and the right ones.
    fn checked(
        &self,
        object: &LogObject,
        answer: &GetObjectOutput,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let refuse = |class, what: &str| {
            let error = Error::new(ErrorKind::Input, what).with_context("object", self.place(&object.key));
            Err(Failure::new(self.place(&object.key), class, error))
        };
        if bytes.len() as u64 != object.size {
            return refuse(FailureClass::Truncated, "the object has another size than the listing says");
        }
        // The etag of an object that was put in one piece is the MD5 of its bytes, unless KMS or the customer holds the
        // key. Source: AWS, "Checking object integrity", ETags.
        let other_key = answer.sse_customer_algorithm.is_some()
            || answer.server_side_encryption.as_ref().is_some_and(|sse| *sse != ServerSideEncryption::Aes256);
        let expected = object.etag.as_deref().filter(|etag| etag.len() == 32 && !other_key);
        if let Some(expected) = expected
            && !hex_is(&Md5::digest(&bytes), expected)
        {
            return refuse(FailureClass::Checksum, "the object does not have its checksum");
        }
        Ok(bytes)
    }

    /// A body that did not come to its end.
    fn broken(&self, key: &str, source: ByteStreamError) -> Failure {
        let text = DisplayErrorContext(&source).to_string();
        let class = match text.contains("checksum") {
            true => FailureClass::Checksum,
            false => FailureClass::Truncated,
        };
        let error = Error::new(ErrorKind::Io, "the object broke off while it was read")
            .with_context("object", self.place(key))
            .with_source(source);
        Failure::new(self.place(key), class, error)
    }

    /// What the failure of a request means.
    fn failure<E>(&self, key: &str, what: &str, error: &SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let class = classify(status, error.code(), matches!(error, SdkError::ConstructionFailure(_)));
        let told = Error::new(ErrorKind::Io, format!("cannot {what}: {}", reason(error)))
            .with_context("object", self.place(key));
        let told = hint(class).into_iter().fold(told, Error::with_hint);
        Failure::new(self.place(key), class, told)
    }

    async fn delete(&self, keys: &[String]) -> Vec<Failure> {
        let mut failures = Vec::new();
        for keys in keys.chunks(DELETE) {
            let objects: Result<Vec<_>, _> =
                keys.iter().map(|key| ObjectIdentifier::builder().key(key).build()).collect();
            let delete =
                objects.and_then(|objects| Delete::builder().quiet(true).set_objects(Some(objects)).build());
            let request = match delete {
                Ok(delete) => self.client.delete_objects().bucket(&self.name).delete(delete),
                Err(e) => {
                    let error = Error::new(ErrorKind::Internal, "cannot ask to delete").with_source(e);
                    failures.push(Failure::new(self.place(""), FailureClass::Refused, error));
                    continue;
                }
            };
            match request.set_request_payer(self.payer()).send().await {
                Ok(done) => failures.extend(done.errors.unwrap_or_default().into_iter().map(|refused| {
                    let place = self.place(refused.key.as_deref().unwrap_or_default());
                    let class = classify(None, refused.code.as_deref(), false);
                    let error = Error::new(ErrorKind::Io, "cannot delete a log object that is in the lake")
                        .with_context("object", place.clone())
                        .with_context("reason", refused.message.unwrap_or_default());
                    Failure::new(place, class, error)
                })),
                Err(e) => failures.push(self.failure(&keys[0], "delete log objects", &e)),
            }
        }
        failures
    }

    /// Copies an object to a prefix; its key when that went well.
    async fn copy(&self, key: String, to: String) -> Result<String, Failure> {
        let source: String =
            url::form_urlencoded::byte_serialize(format!("{}/{key}", self.name).as_bytes()).collect();
        let done = self
            .client
            .copy_object()
            .bucket(&self.name)
            .copy_source(source.replace('+', "%20"))
            .key(format!("{to}{key}"))
            .set_request_payer(self.payer())
            .send()
            .await;
        match done {
            Ok(_) => Ok(key),
            Err(e) => Err(self.failure(&key, "move a log object", &e)),
        }
    }
}

impl Remote for Bucket {
    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    fn get<'a>(&'a self, object: &'a LogObject) -> BoxFuture<'a, Result<Vec<u8>, Failure>> {
        Box::pin(async move {
            let mut tries = 1;
            loop {
                let failure = match self.try_get(object).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(failure) => failure,
                };
                // Requests were tried again by the SDK; what it does not see is a body that breaks off.
                let is_body = matches!(failure.class, FailureClass::Truncated | FailureClass::Checksum);
                if !is_body || tries == BODIES {
                    return Err(failure);
                }
                let longest = 50 << tries;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(longest / 2..=longest))).await;
                tries += 1;
            }
        })
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn retries(&self) -> u64 {
        self.meter.retries()
    }

    fn disposes(&self) -> bool {
        self.after != AfterCommit::Keep
    }

    fn dispose<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Vec<Failure>> {
        Box::pin(async move {
            match &self.after {
                AfterCommit::Keep => Vec::new(),
                AfterCommit::Delete => self.delete(keys).await,
                AfterCommit::MoveTo(prefix) => {
                    let copies = futures::stream::iter(keys.to_vec())
                        .map(|key| self.copy(key, prefix.clone()))
                        .buffer_unordered(COPIES);
                    let (mut moved, mut failures) = (Vec::new(), Vec::new());
                    for copied in copies.collect::<Vec<_>>().await {
                        match copied {
                            Ok(key) => moved.push(key),
                            Err(failure) => failures.push(failure),
                        }
                    }
                    failures.extend(self.delete(&moved).await);
                    failures
                }
            }
        })
    }
}

fn hex_is(bytes: &[u8], hex: &str) -> bool {
    let digits = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    digits.eq(hex.bytes().map(|b| b.to_ascii_lowercase()))
}

/// What an answer of S3 means. Codes: AWS, "List of error codes".
fn classify(status: Option<u16>, code: Option<&str>, not_sent: bool) -> FailureClass {
    match (code, status) {
        (Some("NoSuchKey" | "NoSuchVersion"), _) => FailureClass::Vanished,
        (Some("PreconditionFailed"), _) | (None, Some(412)) => FailureClass::Changed,
        (Some("InvalidObjectState"), _) => FailureClass::Archived,
        (
            Some(
                "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "InvalidToken"
                | "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "RequestTimeTooSkewed",
            ),
            _,
        ) => FailureClass::Credentials,
        (Some("SlowDown" | "ServiceUnavailable" | "TooManyRequests" | "RequestLimitExceeded"), _)
        | (_, Some(429 | 503)) => FailureClass::Throttled,
        (Some("AccessDenied" | "AllAccessDisabled" | "Forbidden"), _) | (_, Some(403)) => {
            FailureClass::AccessDenied
        }
        (_, Some(_)) | (Some(_), None) => FailureClass::Refused,
        (None, None) if not_sent => FailureClass::Credentials,
        (None, None) => FailureClass::Unreachable,
    }
}

/// What S3 said, or else what kept us from asking, in a few words.
fn reason<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}, {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) if error.raw_response().is_some() => {
            format!("status {}", error.raw_response().map_or(0, |response| response.status().as_u16()))
        }
        (None, _) => {
            let mut said = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                said = error.to_string();
                cause = error.source();
            }
            said
        }
    }
}

fn hint(class: FailureClass) -> Option<&'static str> {
    match class {
        FailureClass::AccessDenied => Some(
            "objects of old deliveries can belong to the log service: only their owner can open them; else see deploy/iam",
        ),
        FailureClass::Archived => Some("restore it, or leave it out with --exclude"),
        FailureClass::Throttled => Some("run again later, or with a smaller --concurrency"),
        FailureClass::Credentials => {
            Some("renew the credentials and run again: what is in the lake is not read again")
        }
        FailureClass::Unreachable => Some("is the network there, and --endpoint-url right?"),
        FailureClass::Vanished
        | FailureClass::Changed
        | FailureClass::Truncated
        | FailureClass::Checksum
        | FailureClass::Damaged
        | FailureClass::Refused => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_can_be_done_about_them() {
        for (status, code, class) in [
            (Some(404), Some("NoSuchKey"), FailureClass::Vanished),
            (Some(412), Some("PreconditionFailed"), FailureClass::Changed),
            (Some(403), Some("InvalidObjectState"), FailureClass::Archived),
            (Some(403), Some("AccessDenied"), FailureClass::AccessDenied),
            (Some(403), None, FailureClass::AccessDenied),
            (Some(400), Some("ExpiredToken"), FailureClass::Credentials),
            (Some(403), Some("SignatureDoesNotMatch"), FailureClass::Credentials),
            (Some(503), Some("SlowDown"), FailureClass::Throttled),
            (Some(503), None, FailureClass::Throttled),
            (Some(500), Some("InternalError"), FailureClass::Refused),
            (None, None, FailureClass::Unreachable),
        ] {
            assert_eq!(classify(status, code, false), class, "{status:?} {code:?}");
        }
    }

    #[test]
    fn a_digest_is_compared_with_its_hex() {
        assert!(hex_is(&Md5::digest(b""), "d41d8cd98f00b204e9800998ecf8427e"));
        assert!(!hex_is(&Md5::digest(b"x"), "d41d8cd98f00b204e9800998ecf8427e"));
    }
}
