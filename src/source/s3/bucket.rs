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
use tokio::task::JoinError;

use super::list::log_object;
use super::throttle::Throttle;
use crate::cloud::Meter;
use crate::error::{Error, ErrorKind};
use crate::source::{AfterCommit, Disposed, Failure, FailureClass, LogObject, Remote};

/// Objects asked for at a time when nothing is set: what hides the latency of Amazon's servers from two cores.
pub(super) const CONCURRENCY: usize = 64;
/// How often a body that broke off, or did not fit its checksum, is asked for again.
const BODIES: u32 = 5;
/// Seconds waited at most before a request is made again for which the server had no capacity, time after time. Each
/// time the SDK has tried it for some seconds.
const WAITS: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// The largest object that is read, as stored: it is held in memory.
const LARGEST: u64 = 5 << 30;
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
    /// Requests made again by us, of which the meter knows nothing.
    pub repeated: AtomicU64,
}

impl Bucket {
    fn payer(&self) -> Option<RequestPayer> {
        self.requester_pays.then_some(RequestPayer::Requester)
    }

    /// One page of a listing. Waits while the server is overloaded.
    pub(super) async fn list(
        &self,
        prefix: &str,
        by_folder: bool,
        after: Option<String>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, Failure> {
        let mut waits = 0;
        loop {
            let failure = match self.try_list(prefix, by_folder, after.clone(), token.clone()).await {
                Ok(page) => return Ok(page),
                Err(failure) => failure,
            };
            if !self.wait_out(failure.class, &mut waits).await {
                return Err(failure);
            }
        }
    }

    /// The object with that key as it is now; `None` when it is gone.
    pub(super) async fn look(&self, key: &str) -> Result<Option<LogObject>, Failure> {
        let mut token = None;
        loop {
            let page = self.list(key, false, None, token.take()).await?;
            // Of all keys that begin so, it is the first.
            if let Some(first) = page.contents.unwrap_or_default().into_iter().next() {
                return Ok(log_object(first).filter(|object| object.key == key));
            }
            match page.next_continuation_token {
                Some(next) if page.is_truncated == Some(true) => token = Some(next),
                _ => return Ok(None),
            }
        }
    }

    async fn try_list(
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

    /// The task that made a listing has ended before it.
    pub(super) fn cut_short(&self, prefix: &str, source: JoinError) -> Failure {
        let error = Error::new(ErrorKind::Internal, "the listing was cut short")
            .with_context("prefix", self.place(prefix))
            .with_source(source);
        Failure::new(self.place(prefix), FailureClass::Refused, error)
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

    /// Waits because the server asked for fewer requests, `waits` times before; false when that is not why a request
    /// failed, or it was long enough. Whoever is not interested any more drops the future.
    async fn wait_out(&self, class: FailureClass, waits: &mut usize) -> bool {
        let Some(seconds) = WAITS.get(*waits).copied().filter(|_| class == FailureClass::Throttled) else {
            return false;
        };
        *waits += 1;
        self.repeat_after(seconds * 1_000).await;
        true
    }

    /// Waits so many milliseconds, or down to half of them, before a request is made again.
    async fn repeat_after(&self, longest: u64) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(longest / 2..=longest))).await;
    }

    async fn try_get(&self, object: &LogObject) -> Result<Vec<u8>, Failure> {
        let _place = self.throttle.enter().await;
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(&object.key)
            .set_if_match(condition(object))
            .set_request_payer(self.payer())
            .send()
            .await;
        self.observe(answer.is_ok());
        let mut answer = answer.map_err(|e| self.failure(&object.key, "read", &e))?;
        let mut body = std::mem::take(&mut answer.body);
        // Collected here, so that a large object is in memory once.
        let mut bytes: Vec<u8> = Vec::new();
        if bytes.try_reserve_exact(object.size as usize).is_err() {
            return Err(self.too_large(object));
        }
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|e| self.broken(&object.key, e))?);
            // More than it should be is as wrong as less.
            if bytes.len() as u64 > object.size {
                break;
            }
        }
        self.checked(object, &answer, bytes)
    }

    /// An object that would not fit in memory.
    #[cold]
    fn too_large(&self, object: &LogObject) -> Failure {
        let error = Error::new(ErrorKind::Input, "the object is too large to be read from a bucket")
            .with_context("object", self.place(&object.key))
            .with_context("bytes", object.size.to_string())
            .with_hint("leave it out with --exclude; a local copy can have any size");
        Failure::new(self.place(&object.key), FailureClass::TooLarge, error)
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
        // The SDK has compared the bytes with the checksum that came with them; one of parts ("...-2") it passes over.
        let checksums = [
            &answer.checksum_crc32,
            &answer.checksum_crc32_c,
            &answer.checksum_crc64_nvme,
            &answer.checksum_sha1,
            &answer.checksum_sha256,
        ];
        if checksums.into_iter().flatten().any(|checksum| !checksum.contains('-')) {
            return Ok(bytes);
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

    async fn delete(&self, objects: &[LogObject]) -> Disposed {
        let mut disposed = Disposed::default();
        for objects in objects.chunks(DELETE) {
            let mut waits = 0;
            let answer = loop {
                let failure = match self.try_delete(objects).await {
                    Ok(refused) => break Ok(refused),
                    Err(failure) => failure,
                };
                if !self.wait_out(failure.class, &mut waits).await {
                    break Err(failure);
                }
            };
            match answer {
                Ok(refused) => {
                    disposed.done += objects.len().saturating_sub(refused.len()) as u64;
                    disposed.failed += refused.len() as u64;
                    disposed.failures.extend(refused);
                }
                Err(failure) => {
                    disposed.failed += objects.len() as u64;
                    disposed.failures.push(failure);
                }
            }
        }
        disposed
    }

    /// One request to delete; those of the objects that are still there, with the reason.
    async fn try_delete(&self, objects: &[LogObject]) -> Result<Vec<Failure>, Failure> {
        let identifiers: Result<Vec<_>, _> = objects
            .iter()
            .map(|object| ObjectIdentifier::builder().key(&object.key).set_e_tag(condition(object)).build())
            .collect();
        let delete = identifiers
            .and_then(|identifiers| Delete::builder().quiet(true).set_objects(Some(identifiers)).build())
            .map_err(|e| {
                let error = Error::new(ErrorKind::Internal, "cannot ask to delete").with_source(e);
                Failure::new(self.place(""), FailureClass::Refused, error)
            })?;
        let _place = self.throttle.enter().await;
        let done = self
            .client
            .delete_objects()
            .bucket(&self.name)
            .delete(delete)
            .set_request_payer(self.payer())
            .send()
            .await;
        self.observe(done.is_ok());
        let first = objects.first().map_or("", |object| object.key.as_str());
        let done = done.map_err(|e| self.failure(first, "delete log objects", &e))?;
        let refused = done.errors.unwrap_or_default().into_iter().map(|refused| {
            let place = self.place(refused.key.as_deref().unwrap_or_default());
            let class = classify(None, refused.code.as_deref(), false);
            let error = Error::new(ErrorKind::Io, "cannot delete a log object that is in the lake")
                .with_context("object", place.clone())
                .with_context("reason", refused.message.unwrap_or_default());
            Failure::new(place, class, error)
        });
        // One that somebody else has deleted is as gone as the others.
        Ok(refused.filter(|failure| failure.class != FailureClass::Vanished).collect())
    }

    /// Copies an object to a prefix; the object when that went well.
    async fn copy(&self, object: LogObject, to: String) -> Result<LogObject, Failure> {
        let mut waits = 0;
        loop {
            let failure = match self.try_copy(&object, &to).await {
                Ok(()) => return Ok(object),
                Err(failure) => failure,
            };
            if !self.wait_out(failure.class, &mut waits).await {
                return Err(failure);
            }
        }
    }

    async fn try_copy(&self, object: &LogObject, to: &str) -> Result<(), Failure> {
        let key = &object.key;
        let source: String =
            url::form_urlencoded::byte_serialize(format!("{}/{key}", self.name).as_bytes()).collect();
        let _place = self.throttle.enter().await;
        let done = self
            .client
            .copy_object()
            .bucket(&self.name)
            .copy_source(source.replace('+', "%20"))
            .set_copy_source_if_match(condition(object))
            .key(format!("{to}{key}"))
            .set_request_payer(self.payer())
            .send()
            .await;
        self.observe(done.is_ok());
        done.map(drop).map_err(|e| self.failure(key, "move a log object", &e))
    }
}

impl Remote for Bucket {
    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    fn get<'a>(&'a self, object: &'a LogObject) -> BoxFuture<'a, Result<Vec<u8>, Failure>> {
        Box::pin(async move {
            if object.size > LARGEST {
                return Err(self.too_large(object));
            }
            let (mut bodies, mut waits) = (1, 0);
            loop {
                let failure = match self.try_get(object).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(failure) => failure,
                };
                if self.wait_out(failure.class, &mut waits).await {
                    continue;
                }
                // Requests were tried again by the SDK; what it does not see is a body that breaks off.
                let is_body = matches!(failure.class, FailureClass::Truncated | FailureClass::Checksum);
                if !is_body || bodies == BODIES {
                    return Err(failure);
                }
                self.repeat_after(50 << bodies).await;
                bodies += 1;
            }
        })
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn retries(&self) -> u64 {
        self.meter.retries() + self.repeated.load(Ordering::Relaxed)
    }

    fn disposes(&self) -> bool {
        self.after != AfterCommit::Keep
    }

    fn dispose<'a>(&'a self, objects: &'a [LogObject]) -> BoxFuture<'a, Disposed> {
        Box::pin(async move {
            match &self.after {
                AfterCommit::Keep => Disposed::default(),
                AfterCommit::Delete => self.delete(objects).await,
                AfterCommit::MoveTo(prefix) => {
                    let copies = futures::stream::iter(objects.to_vec())
                        .map(|object| self.copy(object, prefix.clone()))
                        .buffer_unordered(COPIES);
                    let (mut copied, mut failures) = (Vec::new(), Vec::new());
                    for copy in copies.collect::<Vec<_>>().await {
                        match copy {
                            Ok(object) => copied.push(object),
                            // Somebody else has moved or deleted it.
                            Err(failure) if failure.class == FailureClass::Vanished => {}
                            Err(failure) => failures.push(failure),
                        }
                    }
                    let mut disposed = self.delete(&copied).await;
                    disposed.failed += failures.len() as u64;
                    disposed.failures.extend(failures);
                    disposed
                }
            }
        })
    }
}

/// The etag of an object as requests name it that are about this content and no other.
fn condition(object: &LogObject) -> Option<String> {
    let etag = object.etag.as_deref().filter(|etag| !etag.is_empty())?;
    Some(format!("\"{etag}\""))
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
        | FailureClass::TooLarge
        | FailureClass::Damaged
        | FailureClass::Refused => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Config};

    use super::*;
    use crate::source::Place;

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

    /// A bucket that nobody serves.
    fn nowhere() -> Bucket {
        let latest = BehaviorVersion::latest();
        Bucket {
            client: Client::from_conf(Config::builder().behavior_version(latest).build()),
            name: "amzn-s3-demo-logs".to_owned(),
            requester_pays: false,
            meter: Meter::default(),
            throttle: Throttle::new(1),
            concurrency: 1,
            after: AfterCommit::Keep,
            slow_downs: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_in_memory_is_not_asked_for() {
        let bucket = nowhere();
        let object = LogObject {
            place: Place::Remote,
            key: "logs/large".to_owned(),
            size: LARGEST + 1,
            modified: None,
            etag: Some("e1".to_owned()),
        };
        let failure = bucket.get(&object).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::TooLarge);
        assert!(failure.error.report().contains("--exclude"), "{}", failure.error.report());
        assert_eq!(bucket.retries(), 0);
    }

    #[tokio::test]
    async fn only_a_busy_server_is_waited_for_and_not_for_ever() {
        let bucket = nowhere();
        assert!(!bucket.wait_out(FailureClass::AccessDenied, &mut 0).await);
        assert!(!bucket.wait_out(FailureClass::Throttled, &mut WAITS.len()).await);
        assert_eq!(bucket.retries(), 0);
        let mut waits = 0;
        assert!(bucket.wait_out(FailureClass::Throttled, &mut waits).await);
        assert_eq!((waits, bucket.retries()), (1, 1));
    }

    #[test]
    fn a_digest_is_compared_with_its_hex() {
        assert!(hex_is(&Md5::digest(b""), "d41d8cd98f00b204e9800998ecf8427e"));
        assert!(!hex_is(&Md5::digest(b"x"), "d41d8cd98f00b204e9800998ecf8427e"));
    }
}
