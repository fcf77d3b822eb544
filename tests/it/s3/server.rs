//! The server itself: signatures, who is refused what, the log of requests; and the test's hand on all of it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::Extensions;
use hyper::service::service_fn;
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::dto;
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Request, S3Response, S3Result, s3_error};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::backend::Backend;
use super::store::{Bucket, Damage, Object, Shared, State};

/// Region of the server and of every bucket that was not made elsewhere.
pub const REGION: &str = "us-east-1";
/// The account that the one pair of keys belongs to.
pub const ACCOUNT: &str = "111122223333";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// How the keys of a bucket's log objects are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    Simple,
    EventTime,
    DeliveryTime,
}

/// A request whose signature was right, whatever came of it.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "some of it is only printed, where an assertion fails")]
pub struct Request {
    /// AWS's name of the operation, such as `GetObject`.
    pub api: String,
    pub method: String,
    pub bucket: String,
    pub key: String,
    /// As it came, without the question mark.
    pub query: String,
    pub user_agent: String,
    pub prefix: Option<String>,
    pub start_after: Option<String>,
    /// Whether a listing goes on where a page before it ended.
    pub continued: bool,
}

impl Request {
    fn of(cx: &S3AccessContext<'_>) -> Self {
        let query = cx.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
        };
        let header = |name: HeaderName| cx.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            api: cx.s3_op().name().to_owned(),
            method: cx.method().to_string(),
            bucket: cx.s3_path().get_bucket_name().unwrap_or_default().to_owned(),
            key: cx.s3_path().get_object_key().unwrap_or_default().to_owned(),
            query: query.to_owned(),
            user_agent: header(USER_AGENT).unwrap_or_default().to_owned(),
            prefix: value("prefix"),
            start_after: value("start-after"),
            continued: value("continuation-token").is_some(),
        }
    }
}

/// Requests by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub list: usize,
    /// Keys and common prefixes that the listings named.
    pub listed: usize,
    pub get: usize,
    pub head: usize,
    pub put: usize,
    pub copy: usize,
    pub delete: usize,
    pub multipart: usize,
    /// Everything about buckets but listings.
    pub other: usize,
}

impl Counts {
    fn of(state: &State) -> Self {
        let mut counts = Self { listed: state.listed, ..Self::default() };
        for request in &state.log {
            let count = match request.api.as_str() {
                "ListObjectsV2" => &mut counts.list,
                "GetObject" => &mut counts.get,
                "HeadObject" => &mut counts.head,
                "PutObject" => &mut counts.put,
                "CopyObject" => &mut counts.copy,
                "DeleteObject" | "DeleteObjects" => &mut counts.delete,
                api if api.contains("Part") || api.contains("Multipart") => &mut counts.multipart,
                _ => &mut counts.other,
            };
            *count += 1;
        }
        counts
    }
}

/// Stands between signature and operation: notes every request and refuses what is to be refused, in the order in
/// which S3 does.
struct Gate(Shared);

impl Gate {
    fn admit(&self, cx: &S3AccessContext<'_>) -> S3Result<()> {
        let request = Request::of(cx);
        let mut state = self.0.lock();
        state.log.push(request.clone());
        if state.slow_down > 0 {
            state.slow_down -= 1;
            return Err(s3_error!(SlowDown, "Please reduce your request rate."));
        }
        let action = (request.bucket.clone(), request.api.clone());
        if let Some(left) = state.busy_actions.get_mut(&action).filter(|left| **left > 0) {
            *left -= 1;
            return Err(s3_error!(SlowDown, "Please reduce your request rate."));
        }
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        if let Some(left) = &mut state.expires_after {
            if *left == 0 {
                return Err(s3_error!(ExpiredToken, "The provided token has expired."));
            }
            *left -= 1;
        }
        if let Some(bucket) = state.buckets.get(&request.bucket) {
            check_region(bucket, &request, cx)?;
            let pays = cx.headers().get("x-amz-request-payer").is_some_and(|payer| payer == "requester");
            if bucket.requester_pays && !pays {
                return Err(s3_error!(AccessDenied, "Access Denied"));
            }
        }
        if state.denied_actions.contains(&action) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        Ok(())
    }

    fn hangs(&self, cx: &S3AccessContext<'_>) -> bool {
        let Request { bucket, api, .. } = Request::of(cx);
        self.0.lock().hanging_actions.contains(&(bucket, api))
    }
}

/// Sends a client that signed for another region to the right one. The location may be asked for from everywhere.
fn check_region(bucket: &Bucket, request: &Request, cx: &S3AccessContext<'_>) -> S3Result<()> {
    let authorization = cx.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // AWS4-HMAC-SHA256 Credential=KEY/20260301/us-east-1/s3/aws4_request, ...
    let signed_for = authorization.and_then(|text| text.split('/').nth(2)).unwrap_or(REGION);
    if bucket.region == signed_for || request.api == "GetBucketLocation" {
        return Ok(());
    }
    let mut error = s3_error!(
        PermanentRedirect,
        "The bucket you are attempting to access must be addressed using the specified endpoint."
    );
    let mut headers = HeaderMap::new();
    let region = HeaderValue::from_str(&bucket.region).map_err(s3s::S3Error::internal_error)?;
    headers.insert("x-amz-bucket-region", region);
    headers.insert("content-type", HeaderValue::from_static("application/xml"));
    error.set_headers(headers);
    Err(error)
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        self.admit(cx)?;
        if self.hangs(cx) {
            std::future::pending::<()>().await;
        }
        let latency = self.0.lock().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        Ok(())
    }
}

/// GetCallerIdentity, which clients ask at the same endpoint where the environment names one for every service.
struct CallerIdentity;

#[async_trait]
impl S3Route for CallerIdentity {
    fn is_match(&self, method: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        method == Method::POST && uri.path() == "/"
    }

    async fn call(&self, _: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let text = format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/alice</Arn>\
             <UserId>AIDACKCEVSQ6C2EXAMPLE</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        let mut response = S3Response::new(Body::from(Bytes::from(text)));
        response.headers.insert("content-type", HeaderValue::from_static("text/xml"));
        Ok(response)
    }
}

/// An S3 server in memory, on a port of the loopback that was free; gone when dropped.
#[derive(Debug)]
pub struct S3Server {
    state: Shared,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Starts the server on threads of its own. It has no buckets.
    pub fn start() -> Self {
        let state = Shared::default();
        let mut builder = S3ServiceBuilder::new(Backend(state.clone()));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_access(Gate(state.clone()));
        builder.set_route(CallerIdentity);
        let service = builder.build();
        let (runtime, listener, address) = listen();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, service.clone()));
            }
        });
        Self { state, address, runtime: Some(runtime) }
    }

    /// Such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// The environment of a program that is to use this server and no other, and no configuration of the machine.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
        vec![
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", nothing.to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", nothing.to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    /// What `change` does to the bucket, which must be there.
    #[track_caller]
    fn bucket<T>(&self, name: &str, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut state = self.state.lock();
        let Some(bucket) = state.buckets.get_mut(name) else { panic!("there is no bucket {name}") };
        change(bucket)
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock())
    }

    pub fn create_bucket(&self, name: &str) {
        self.create_bucket_in(name, REGION);
    }

    /// A bucket that answers 301 to requests signed for any other region.
    pub fn create_bucket_in(&self, name: &str, region: &str) {
        self.state(|state| state.buckets.insert(name.to_owned(), Bucket::new(region)));
    }

    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        self.put_at(bucket, key, body, SystemTime::now());
    }

    /// Puts an object as if it had been at `last_modified`.
    pub fn put_at(&self, bucket: &str, key: &str, body: impl Into<Bytes>, last_modified: SystemTime) {
        let object = Object::new(body.into(), last_modified);
        self.bucket(bucket, |bucket| bucket.objects.insert(key.to_owned(), object));
    }

    /// Whether there was such an object.
    pub fn delete(&self, bucket: &str, key: &str) -> bool {
        self.bucket(bucket, |bucket| bucket.objects.remove(key).is_some())
    }

    /// All keys, in the order in which they are listed.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.bucket(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.bucket(bucket, |bucket| bucket.objects.get(key).map(|object| object.body.clone()))
    }

    /// Puts every file below `dir` under `prefix` and its path; returns how many.
    pub fn load_tree(&self, bucket: &str, prefix: &str, dir: &Path) -> usize {
        let mut files = 0;
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry.expect("the folder can be read");
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(dir).expect("below the folder");
                let names: Vec<_> = path.iter().map(|name| name.to_str().expect("UTF-8")).collect();
                let body = std::fs::read(entry.path()).expect("the file can be read");
                self.put(bucket, &format!("{prefix}{}", names.join("/")), body);
                files += 1;
            }
        }
        files
    }

    /// `bucket` is logged into `target`; nothing is delivered.
    pub fn set_logging(&self, bucket: &str, target: &str, prefix: &str, format: KeyFormat) {
        let partitioned = |source| dto::TargetObjectKeyFormat {
            partitioned_prefix: Some(dto::PartitionedPrefix {
                partition_date_source: Some(dto::PartitionDateSource::from_static(source)),
            }),
            simple_prefix: None,
        };
        let logging = dto::LoggingEnabled {
            target_bucket: target.to_owned(),
            target_prefix: prefix.to_owned(),
            target_grants: None,
            target_object_key_format: match format {
                KeyFormat::Simple => None,
                KeyFormat::EventTime => Some(partitioned(dto::PartitionDateSource::EVENT_TIME)),
                KeyFormat::DeliveryTime => Some(partitioned(dto::PartitionDateSource::DELIVERY_TIME)),
            },
        };
        self.bucket(bucket, |bucket| bucket.logging = Some(logging));
    }

    pub fn set_policy(&self, bucket: &str, policy: &str) {
        self.bucket(bucket, |bucket| bucket.policy = Some(policy.to_owned()));
    }

    /// Requests without `x-amz-request-payer` are denied from now on.
    pub fn set_requester_pays(&self, bucket: &str) {
        self.bucket(bucket, |bucket| bucket.requester_pays = true);
    }

    /// No checksums in answers: only length and ETag tell whether a body is right.
    pub fn without_checksums(&self, bucket: &str) {
        self.bucket(bucket, |bucket| bucket.no_checksums = true);
    }

    fn damage(&self, bucket: &str, key: &str, damage: Damage) {
        self.bucket(bucket, |bucket| bucket.damage.insert(key.to_owned(), damage));
    }

    /// Reading `key` gives AccessDenied.
    pub fn deny(&self, bucket: &str, key: &str) {
        self.damage(bucket, key, Damage::Denied);
    }

    /// `key` is listed and is gone when it is read.
    pub fn vanish_on_get(&self, bucket: &str, key: &str) {
        self.damage(bucket, key, Damage::Vanishing);
    }

    /// Only half of `key` ever arrives.
    pub fn truncate(&self, bucket: &str, key: &str) {
        self.damage(bucket, key, Damage::Truncated);
    }

    /// One byte of `key` is wrong on arrival.
    pub fn corrupt(&self, bucket: &str, key: &str) {
        self.damage(bucket, key, Damage::Corrupted);
    }

    /// All objects of `bucket` can be read again; what vanished stays away.
    pub fn heal(&self, bucket: &str) {
        self.bucket(bucket, |bucket| bucket.damage.clear());
    }

    /// The operation, by AWS's name of it, gives AccessDenied on this bucket.
    pub fn deny_action(&self, bucket: &str, api: &str) {
        self.state(|state| state.denied_actions.insert((bucket.to_owned(), api.to_owned())));
    }

    /// The operation is allowed again.
    pub fn allow_action(&self, bucket: &str, api: &str) {
        self.state(|state| state.denied_actions.remove(&(bucket.to_owned(), api.to_owned())));
    }

    /// The operation is never answered on this bucket.
    pub fn hang_on_action(&self, bucket: &str, api: &str) {
        self.state(|state| state.hanging_actions.insert((bucket.to_owned(), api.to_owned())));
    }

    /// The operation is answered with 503 SlowDown on this bucket, so many times.
    pub fn slow_down_action(&self, bucket: &str, api: &str, requests: u64) {
        self.state(|state| state.busy_actions.insert((bucket.to_owned(), api.to_owned()), requests));
    }

    /// Somebody puts `body` over the object after it was listed and before it is read.
    pub fn overwrite_before_get(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let object = Object::new(body.into(), SystemTime::now());
        self.bucket(bucket, |bucket| bucket.before_get.insert(key.to_owned(), object));
    }

    /// Somebody puts `body` over the object as soon as it has been read.
    pub fn overwrite_after_get(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let object = Object::new(body.into(), SystemTime::now());
        self.bucket(bucket, |bucket| bucket.after_get.insert(key.to_owned(), object));
    }

    /// After `requests` more requests, all are refused with ExpiredToken until [`Self::renew`].
    pub fn expire_credentials_after(&self, requests: u64) {
        self.state(|state| state.expires_after = Some(requests));
    }

    pub fn renew(&self) {
        self.state(|state| state.expires_after = None);
    }

    /// The next `requests` requests are answered with 503 SlowDown.
    pub fn slow_down(&self, requests: u64) {
        self.state(|state| state.slow_down = requests);
    }

    /// Every request waits so long for its answer.
    #[allow(dead_code, reason = "the benchmark sets it")]
    pub fn set_latency(&self, latency: Duration) {
        self.state(|state| state.latency = latency);
    }

    /// Pages of listings hold at most this many keys, instead of 1,000.
    pub fn set_page_limit(&self, keys: usize) {
        self.state(|state| state.page_limit = Some(keys));
    }

    /// Pages of listings hold fewer keys than they may, and sometimes none, although there are more.
    pub fn set_short_pages(&self) {
        self.state(|state| state.short_pages = true);
    }

    /// Requests since the start or [`Self::reset_counts`].
    pub fn requests(&self) -> Counts {
        self.state(|state| Counts::of(state))
    }

    pub fn log(&self) -> Vec<Request> {
        self.state(|state| state.log.clone())
    }

    pub fn reset_counts(&self) {
        self.state(|state| {
            state.log.clear();
            state.listed = 0;
        });
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A runtime of its own, and a listener in it.
pub fn listen() -> (Runtime, TcpListener, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("s3-server")
        .enable_all()
        .build()
        .expect("threads can be started");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    listener.set_nonblocking(true).expect("a listener can be non-blocking");
    let listener = {
        // Not `block_on`: the test may be within a runtime already.
        let _inside = runtime.enter();
        TcpListener::from_std(listener).expect("the runtime has an event loop")
    };
    (runtime, listener, address)
}

async fn serve(stream: TcpStream, service: S3Service) {
    // Answers go out in two writes, which Nagle's algorithm would hold apart by 40 ms.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let service = service.clone();
        async move {
            let mut response = service.call(request.map(Body::from)).await?;
            let headers = response.headers_mut();
            headers.insert("x-amz-request-id", HeaderValue::from_static("J42N2W7ET0EC03CV"));
            headers.insert("x-amz-id-2", HeaderValue::from_static("s9lzHYrFp76ZVxRcpX9EXAMPLE="));
            Ok::<_, HttpError>(response)
        }
    });
    // A client that goes away, or a body that is cut on purpose, ends a connection with an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
