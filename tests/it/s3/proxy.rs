//! A proxy before the server that does to answers what networks and busy servers do, by a seeded choice.
//!
//! Everything that is signed passes untouched, the Host header too, so the signature holds behind it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::server::listen;

/// One thing that can happen to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It comes late.
    Delay,
    /// The request is carried out, and the connection is reset before the answer.
    Reset,
    /// The connection is reset in the middle of the body.
    ResetWithin,
    /// 503 SlowDown; the server behind never sees the request.
    SlowDown,
    /// 500 InternalError; the server behind never sees the request.
    InternalError,
    /// Content-Length promises more than comes before the connection is closed in order.
    Truncated,
    /// The body comes in drips.
    SlowBody,
    /// One byte of the body is wrong.
    Corrupted,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::Delay,
        Self::Reset,
        Self::ResetWithin,
        Self::SlowDown,
        Self::InternalError,
        Self::Truncated,
        Self::SlowBody,
        Self::Corrupted,
    ];

    /// Whether there must be a body for it to happen to.
    fn needs_body(self) -> bool {
        matches!(self, Self::ResetWithin | Self::Truncated | Self::SlowBody | Self::Corrupted)
    }
}

/// How often each fault happens, as a share of the requests, and to which of them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    chances: BTreeMap<Fault, f64>,
    everywhere: bool,
}

impl Faults {
    /// Every fault to this share of the reads of objects.
    pub fn each(chance: f64) -> Self {
        let chances = Fault::ALL.map(|fault| (fault, chance)).into();
        Self { chances, everywhere: false }
    }

    /// One fault only, to this share of the reads of objects.
    pub fn only(fault: Fault, chance: f64) -> Self {
        Self { chances: [(fault, chance)].into(), everywhere: false }
    }

    /// Not to reads of objects only but to every request.
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// The fault that the drawn number, from 0 to 1, stands for.
    fn choose(&self, drawn: f64) -> Option<Fault> {
        let mut upper = 0.0;
        self.chances.iter().find_map(|(fault, chance)| {
            upper += chance;
            (drawn < upper).then_some(*fault)
        })
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct Inner {
    upstream: SocketAddr,
    seed: u64,
    faults: Faults,
    client: Client<HttpConnector, Incoming>,
    /// How often each method and path with its query came by.
    seen: Mutex<HashMap<String, u64>>,
    counts: Mutex<BTreeMap<Fault, u64>>,
}

/// The proxy, on a port of the loopback that was free; gone when dropped.
pub struct FaultProxy {
    inner: Arc<Inner>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl FaultProxy {
    /// Starts a proxy before `upstream`, such as `http://127.0.0.1:40123`. The same requests meet the same faults
    /// under the same seed, in whatever order they come.
    pub fn start(upstream: &str, seed: u64, faults: Faults) -> Self {
        let upstream = upstream.trim_start_matches("http://").parse().expect("the address of a server");
        let (runtime, listener, address) = listen();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let (seen, counts) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { upstream, seed, faults, client, seen, counts });
        let serving = Arc::clone(&inner);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { inner, address, runtime: Some(runtime) }
    }

    /// Such as `http://127.0.0.1:40124`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The faults that happened so far.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    /// A number made of the seed, the request, and how often it came before: the same in every run, whatever else
    /// is in flight.
    fn draw(&self, request: &Request<Incoming>) -> u64 {
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let name = format!("{} {path}", request.method());
        let mut hasher = DefaultHasher::new();
        (self.seed, &name).hash(&mut hasher);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let times = seen.entry(name).or_default();
        times.hash(&mut hasher);
        *times += 1;
        hasher.finish()
    }

    fn count(&self, fault: Fault) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    /// The answer of the server behind, whole, with its length.
    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Bytes>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.upstream.to_string().parse()?);
        parts.uri = Uri::from_parts(uri)?;
        let bodiless = parts.method == Method::HEAD;
        let (mut parts, body) = self.client.request(Request::from_parts(parts, body)).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        parts.headers.remove(TRANSFER_ENCODING);
        if !bodiless && parts.status != StatusCode::NO_CONTENT && parts.status != StatusCode::NOT_MODIFIED {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Ok(Response::from_parts(parts, body))
    }

    /// Answers `request`; an error ends the connection, with a reset where `reset` was set.
    async fn answer(&self, request: Request<Incoming>, reset: &AtomicBool) -> Result<Answer, BoxError> {
        // Path style: something behind the bucket's slash.
        let path = request.uri().path();
        let is_object = path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
        let reads_object = request.method() == Method::GET && is_object;
        let drawn = self.draw(&request);
        let chosen = if reads_object || self.faults.everywhere {
            // 53 bits are what a number between 0 and 1 holds.
            self.faults.choose((drawn >> 11) as f64 / (1u64 << 53) as f64)
        } else {
            None
        };
        match chosen {
            Some(fault @ Fault::SlowDown) => {
                self.count(fault);
                return Ok(refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "SlowDown",
                    "Please reduce your request rate.",
                ));
            }
            Some(fault @ Fault::InternalError) => {
                self.count(fault);
                let message = "We encountered an internal error. Please try again.";
                return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message));
            }
            _ => {}
        }
        let (parts, body) = self.forward(request).await?.into_parts();
        let whole = |body: Bytes| Full::new(body).map_err(never).boxed_unsync();
        let Some(fault) = chosen.filter(|fault| !fault.needs_body() || body.len() > 1) else {
            return Ok(Response::from_parts(parts, whole(body)));
        };
        self.count(fault);
        let body = match fault {
            Fault::Delay => {
                tokio::time::sleep(Duration::from_millis(20 + drawn % 80)).await;
                whole(body)
            }
            Fault::Reset => {
                reset.store(true, Ordering::Relaxed);
                return Err("reset on purpose".into());
            }
            Fault::ResetWithin => {
                reset.store(true, Ordering::Relaxed);
                cut(body)
            }
            Fault::Truncated => cut(body),
            Fault::SlowBody => drip(body),
            Fault::Corrupted => {
                let mut bytes = body.to_vec();
                let at = (drawn % bytes.len() as u64) as usize;
                bytes[at] ^= 1;
                whole(bytes.into())
            }
            // Answered above, before the request went on.
            Fault::SlowDown | Fault::InternalError => whole(body),
        };
        Ok(Response::from_parts(parts, body))
    }
}

fn never(never: Infallible) -> std::io::Error {
    match never {}
}

/// An error as S3 words it.
fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>J42N2W7ET0EC03CV</RequestId></Error>"
    );
    let mut response = Response::new(Full::new(Bytes::from(text)).map_err(never).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// The first half of `body`, and then the end of the connection.
fn cut(body: Bytes) -> UnsyncBoxBody<Bytes, std::io::Error> {
    let half = body.slice(..body.len() / 2);
    let end = async {
        // Lets the half go out before the connection is given up.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut on purpose"))
    };
    let pieces = stream::once(async { Ok(Frame::data(half)) }).chain(stream::once(end));
    StreamBody::new(pieces).boxed_unsync()
}

/// `body` in eight pieces with pauses between them.
fn drip(body: Bytes) -> UnsyncBoxBody<Bytes, std::io::Error> {
    let size = body.len().div_ceil(8);
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, std::io::Error>(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}

async fn serve(stream: TcpStream, inner: Arc<Inner>) {
    type Answering = Pin<Box<dyn Future<Output = std::io::Result<Answer>> + Send>>;
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&reset);
    let service = service_fn(move |request| -> Answering {
        let (inner, asked) = (Arc::clone(&inner), Arc::clone(&asked));
        Box::pin(async move { inner.answer(request, &asked).await.map_err(std::io::Error::other) })
    });
    let mut connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let stream = connection.into_parts().io.into_inner();
    if ended.is_err() && reset.load(Ordering::Relaxed) {
        // Closing with something left to linger for, and no time for it, is how a reset is asked for.
        let _ = stream.set_zero_linger();
    }
}
