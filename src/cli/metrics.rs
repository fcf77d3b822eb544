//! Numbers about rounds in the Prometheus text format, version 0.0.4: in a file that node_exporter picks up, or from
//! a small HTTP server that Prometheus asks.
//!
//! This module counts what it is told, writes the format and reads it back: counters of a program that runs, ends and
//! runs again go on from what the file says, since a counter that begins at 0 each time tells nothing. It knows
//! neither rounds nor lakes from inside.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::finding::Level;
use crate::ingest::Summary;

/// Connections served at a time; more than anybody needs to ask for numbers.
const MAX_CONNECTIONS: usize = 16;
/// How long a connection may last.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);

/// Where metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A file, written anew after every round.
    File(PathBuf),
    /// An address that answers.
    Address(SocketAddr),
}

impl Target {
    /// `HOST:PORT` with an IP address, `localhost` or nothing (both 127.0.0.1) as the host; everything else is a file.
    pub fn parse(text: &str) -> Result<Target, String> {
        if text.is_empty() {
            return Err("name a file, or an address such as 127.0.0.1:9464".to_owned());
        }
        let is_port = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if is_port(&port) && !text.contains('/') => (host, port),
            _ => return Ok(Target::File(text.into())),
        };
        let port: u16 = port.parse().map_err(|_| format!("{port} is no port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match host {
            "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| {
                format!(
                    "write an IP address before the port, such as 127.0.0.1:{port}, or ./{text} for a file"
                )
            })?,
        };
        Ok(Target::Address(SocketAddr::new(host, port)))
    }
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was taken in.
    Success,
    /// It came to its end, but objects could not be read, too many lines were refused, or a detection failed.
    Partial,
    /// It did not come to its end, or did not see all of the source.
    Failed,
    /// A signal ended it.
    Interrupted,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Success, Outcome::Partial, Outcome::Failed, Outcome::Interrupted];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// Counters without labels: name, help, and where a summary has them.
type Counter = (&'static str, &'static str, fn(&Summary) -> u64);
const COUNTERS: [Counter; 9] = [
    ("s3trail_objects_total", "Log objects taken in.", |s| s.objects),
    ("s3trail_lines_total", "Lines of the log objects taken in.", |s| s.lines),
    ("s3trail_records_total", "Log records taken in.", |s| s.records),
    ("s3trail_rejects_total", "Lines refused and kept in the table rejects.", |s| s.rejects),
    ("s3trail_duplicates_total", "Lines left out because the same line was there.", |s| s.duplicates),
    ("s3trail_bytes_in_total", "Bytes of log objects taken in, as stored.", |s| s.bytes_in),
    ("s3trail_bytes_out_total", "Bytes of Parquet files written.", |s| s.bytes_out),
    ("s3trail_commit_batches_total", "Commits made to the lake.", |s| s.commit_batches),
    ("s3trail_retries_total", "Requests and commits that had to be tried again.", |s| s.retries),
];
const FAILED_OBJECTS: &str = "s3trail_failed_objects_total";
const ROUNDS: &str = "s3trail_rounds_total";
const LAST_SUCCESS: &str = "s3trail_last_success_timestamp_seconds";
const NEWEST_DELIVERY: &str = "s3trail_newest_delivery_timestamp_seconds";

/// What a table of the lake holds.
#[derive(Debug, Clone)]
pub(super) struct TableSize {
    pub name: String,
    pub rows: u64,
    /// Parquet files, and their bytes.
    pub files: u64,
    pub bytes: u64,
}

/// The numbers, as of the last round. What they take does not grow with rounds.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    counts: [u64; COUNTERS.len()],
    failed_objects: BTreeMap<String, u64>,
    rounds: [u64; Outcome::ALL.len()],
    round_seconds: Option<f64>,
    /// Seconds since the epoch.
    last_success: Option<i64>,
    newest_delivery: Option<i64>,
    lake: Vec<TableSize>,
    findings: Option<[u64; Level::ALL.len()]>,
}

impl Metrics {
    /// Counts a round that ended at `now` (seconds since the epoch).
    pub fn round(&mut self, outcome: Outcome, took: Duration, now: i64) {
        self.rounds[outcome as usize] += 1;
        self.round_seconds = Some(took.as_secs_f64());
        // An object that can never be read must not look like a source that was never reached.
        if matches!(outcome, Outcome::Success | Outcome::Partial) {
            self.last_success = Some(now);
        }
    }

    /// Counts what a round took in.
    pub fn taken_in(&mut self, summary: &Summary) {
        for (count, (_, _, of)) in self.counts.iter_mut().zip(COUNTERS) {
            *count += of(summary);
        }
        for (class, count) in &summary.failures {
            *self.failed_objects.entry((*class).to_owned()).or_default() += count;
        }
        let newest = summary.newest_delivery_us.map(|us| us.div_euclid(1_000_000));
        self.newest_delivery = self.newest_delivery.max(newest);
    }

    /// Notes what the lake holds.
    pub fn lake(&mut self, tables: Vec<TableSize>) {
        self.lake = tables;
    }

    /// Notes the findings that are not suppressed, by level.
    pub fn findings(&mut self, by_level: [u64; Level::ALL.len()]) {
        self.findings = Some(by_level);
    }

    /// Goes on from the counters of an earlier process, as [`Metrics::page`] wrote them. What is not understood is
    /// left out: the file may be of another version.
    pub fn resume(&mut self, page: &str) {
        for sample in samples(page) {
            let Ok(value) = sample.value.parse::<u64>() else { continue };
            let label = |name: &str| {
                sample.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
            };
            if let Some(at) = COUNTERS.iter().position(|(name, _, _)| *name == sample.name) {
                self.counts[at] += value;
            }
            match (sample.name, label("class"), label("outcome")) {
                (FAILED_OBJECTS, Some(class), _) => {
                    *self.failed_objects.entry(class.to_owned()).or_default() += value;
                }
                (ROUNDS, _, Some(outcome)) => {
                    if let Some(at) = Outcome::ALL.iter().position(|known| known.name() == outcome) {
                        self.rounds[at] += value;
                    }
                }
                (LAST_SUCCESS, ..) => self.last_success = self.last_success.max(i64::try_from(value).ok()),
                (NEWEST_DELIVERY, ..) => {
                    self.newest_delivery = self.newest_delivery.max(i64::try_from(value).ok());
                }
                _ => {}
            }
        }
    }

    /// The page that Prometheus reads, at `now` (seconds since the epoch).
    pub fn page(&self, now: i64) -> String {
        let mut page = Page::default();
        page.family("s3trail_build_info", "gauge", "The version that runs.");
        page.sample("s3trail_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        for ((name, help, _), count) in COUNTERS.iter().zip(self.counts) {
            page.family(name, "counter", help);
            page.sample(name, &[], count);
        }
        page.family(FAILED_OBJECTS, "counter", "Log objects that could not be read, by class; tried again.");
        for (class, count) in &self.failed_objects {
            page.sample(FAILED_OBJECTS, &[("class", class)], count);
        }
        page.family(ROUNDS, "counter", "Rounds, by how they ended.");
        for (outcome, count) in Outcome::ALL.iter().zip(self.rounds) {
            page.sample(ROUNDS, &[("outcome", outcome.name())], count);
        }
        if let Some(seconds) = self.round_seconds {
            page.family("s3trail_round_seconds", "gauge", "How long the last round took.");
            page.sample("s3trail_round_seconds", &[], seconds);
        }
        if let Some(at) = self.last_success {
            page.family(LAST_SUCCESS, "gauge", "When the last round ended that came to its end.");
            page.sample(LAST_SUCCESS, &[], at);
        }
        if let Some(at) = self.newest_delivery {
            page.family(NEWEST_DELIVERY, "gauge", "Delivery time of the newest log object taken in.");
            page.sample(NEWEST_DELIVERY, &[], at);
            let help = "Age of the newest log object taken in, when this page was written.";
            page.family("s3trail_lag_seconds", "gauge", help);
            page.sample("s3trail_lag_seconds", &[], (now - at).max(0));
        }
        self.lake_page(&mut page);
        if let Some(findings) = self.findings {
            page.family("s3trail_findings", "gauge", "Findings that are not suppressed, by level.");
            for (level, count) in Level::ALL.iter().zip(findings) {
                page.sample("s3trail_findings", &[("level", level.name())], count);
            }
        }
        page.0
    }

    fn lake_page(&self, page: &mut Page) {
        type Gauge = (&'static str, &'static str, fn(&TableSize) -> u64);
        const GAUGES: [Gauge; 3] = [
            ("s3trail_lake_rows", "Rows of the lake, by table.", |t| t.rows),
            ("s3trail_lake_files", "Parquet files of the lake, by table.", |t| t.files),
            ("s3trail_lake_bytes", "Bytes of the Parquet files of the lake, by table.", |t| t.bytes),
        ];
        for (name, help, of) in GAUGES.iter().filter(|_| !self.lake.is_empty()) {
            page.family(name, "gauge", help);
            for table in &self.lake {
                page.sample(name, &[("table", &table.name)], of(table));
            }
        }
    }
}

/// A page in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |value: &str| value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        let pairs: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        match pairs.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", pairs.join(","))),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// One value of a page.
#[derive(Debug, PartialEq, Eq)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: &'a str,
}

/// The values of a page; lines that have another form are left out.
fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        Some(Sample { name, labels, value: value.trim() })
    })
}

/// The labels that `text` begins with, behind the opening brace, and what follows the closing one.
fn labels(mut text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.trim_start_matches(',').split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.push((name, value));
        text = &rest[end + 1..];
    }
}

/// What an address answers with.
#[derive(Debug)]
pub(super) struct Answer {
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    /// A page of metrics.
    pub fn metrics(body: String) -> Answer {
        Answer { content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    /// JSON.
    pub fn json(body: String) -> Answer {
        Answer { content_type: "application/json", body }
    }
}

/// Answers GET and HEAD for the paths that `answer` knows, until it is dropped.
pub(super) async fn serve<A>(listener: TcpListener, answer: A) -> Infallible
where
    A: Fn(&str) -> Option<Answer> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, most likely: others have to be closed first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Beyond the limit a connection is closed at once.
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else { continue };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&request, &*answer);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_LIMIT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever the other side does wrong is its own affair.
            let _ = tokio::time::timeout(CONNECTION_LIMIT, connection).await;
            drop(place);
        });
    }
}

fn respond<B>(request: &Request<B>, answer: impl Fn(&str) -> Option<Answer>) -> Response<Full<Bytes>> {
    let refused = |status: StatusCode| {
        let text = format!("{status}\n");
        (status, Answer { content_type: "text/plain; charset=utf-8", body: text })
    };
    let (status, answer) = if !matches!(*request.method(), Method::GET | Method::HEAD) {
        refused(StatusCode::METHOD_NOT_ALLOWED)
    } else {
        match answer(request.uri().path()) {
            Some(answer) => (StatusCode::OK, answer),
            None => refused(StatusCode::NOT_FOUND),
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn address(text: &str) -> Target {
        Target::Address(text.parse().unwrap())
    }

    #[test]
    fn a_file_or_an_address() {
        for (text, target) in [
            ("127.0.0.1:9464", address("127.0.0.1:9464")),
            (":9464", address("127.0.0.1:9464")),
            ("localhost:9464", address("127.0.0.1:9464")),
            ("0.0.0.0:80", address("0.0.0.0:80")),
            ("[::1]:9464", address("[::1]:9464")),
            ("s3trail.prom", Target::File("s3trail.prom".into())),
            ("/run/s3trail:9464", Target::File("/run/s3trail:9464".into())),
            ("./a:1", Target::File("./a:1".into())),
            ("9464", Target::File("9464".into())),
        ] {
            assert_eq!(Target::parse(text), Ok(target), "{text}");
        }
        for text in ["", ":99999", "metrics.example.com:9464", "a b:1"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    fn busy() -> Metrics {
        let summary = Summary {
            objects: 3,
            lines: 10,
            records: 7,
            rejects: 2,
            duplicates: 1,
            bytes_in: u64::MAX / 4,
            retries: 5,
            newest_delivery_us: Some(1_772_360_430_000_000),
            failures: BTreeMap::from([("damaged", 2), ("access-denied", 1)]),
            ..Summary::default()
        };
        let mut metrics = Metrics::default();
        metrics.taken_in(&summary);
        metrics.taken_in(&Summary { objects: 1, newest_delivery_us: Some(5), ..Summary::default() });
        metrics.round(Outcome::Partial, Duration::from_millis(1500), 1_772_360_500);
        metrics.round(Outcome::Failed, Duration::from_millis(250), 1_772_360_600);
        metrics.lake(vec![TableSize { name: "access_logs".to_owned(), rows: 8, files: 4, bytes: 1000 }]);
        metrics.findings([0, 1, 0, 2, 0]);
        metrics
    }

    /// Checks the form of a page line by line, and returns its values by name and labels.
    fn read(page: &str) -> BTreeMap<String, String> {
        let mut described = BTreeMap::new();
        let mut values = BTreeMap::new();
        assert!(page.ends_with('\n'));
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && described.insert(name, None).is_none(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert_eq!(described.insert(name, Some(kind)), Some(None), "{line}");
            } else {
                let sample = samples(line).next().expect(line);
                assert!(described[sample.name].is_some(), "{line}");
                assert!(sample.value.parse::<f64>().unwrap().is_finite(), "{line}");
                let key = line.rsplit_once(' ').unwrap().0.to_owned();
                assert!(values.insert(key, sample.value.to_owned()).is_none(), "{line}");
            }
        }
        values
    }

    #[test]
    fn the_page_says_what_was_counted() {
        let values = read(&busy().page(1_772_360_490));
        let bytes_in = (u64::MAX / 4).to_string();
        for (name, value) in [
            ("s3trail_objects_total", "4"),
            ("s3trail_records_total", "7"),
            ("s3trail_rejects_total", "2"),
            ("s3trail_duplicates_total", "1"),
            ("s3trail_bytes_in_total", &bytes_in),
            ("s3trail_retries_total", "5"),
            (r#"s3trail_failed_objects_total{class="damaged"}"#, "2"),
            (r#"s3trail_failed_objects_total{class="access-denied"}"#, "1"),
            (r#"s3trail_rounds_total{outcome="success"}"#, "0"),
            (r#"s3trail_rounds_total{outcome="partial"}"#, "1"),
            (r#"s3trail_rounds_total{outcome="failed"}"#, "1"),
            ("s3trail_round_seconds", "0.25"),
            ("s3trail_last_success_timestamp_seconds", "1772360500"),
            ("s3trail_lag_seconds", "60"),
            (r#"s3trail_lake_files{table="access_logs"}"#, "4"),
            (r#"s3trail_lake_rows{table="access_logs"}"#, "8"),
            (r#"s3trail_findings{level="high"}"#, "2"),
            (concat!(r#"s3trail_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), "1"),
        ] {
            assert_eq!(values.get(name).map(String::as_str), Some(value), "{name}");
        }
    }

    #[test]
    fn nothing_is_made_up_before_there_is_something() {
        let values = read(&Metrics::default().page(1_772_360_490));
        assert_eq!(values["s3trail_objects_total"], "0");
        for name in ["s3trail_lag_seconds", "s3trail_last_success_timestamp_seconds", "s3trail_round_seconds"]
        {
            assert!(!values.contains_key(name), "{name}");
        }
    }

    #[test]
    fn counters_go_on_where_an_earlier_process_ended() {
        let mut later = Metrics::default();
        later.resume(&busy().page(0));
        later.resume("garbage\nobjects{a=\"b\n{} 3\ns3trail_rounds_total{outcome=\"other\"} 3\ns3trail_objects_total -1\n");
        later.taken_in(&Summary { objects: 1, ..Summary::default() });
        let values = read(&later.page(1_772_360_490));
        assert_eq!(values["s3trail_objects_total"], "5");
        assert_eq!(values[r#"s3trail_failed_objects_total{class="damaged"}"#], "2");
        assert_eq!(values[r#"s3trail_rounds_total{outcome="failed"}"#], "1");
        assert_eq!(values["s3trail_last_success_timestamp_seconds"], "1772360500");
        assert_eq!(values["s3trail_lag_seconds"], "60");
        assert!(!values.contains_key(r#"s3trail_lake_files{table="access_logs"}"#));
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        let hostile = "a\"b\\c\nd}{=,";
        page.sample("x", &[("class", hostile), ("other", "y")], 1);
        assert_eq!(page.0, "x{class=\"a\\\"b\\\\c\\nd}{=,\",other=\"y\"} 1\n");
        let labels = vec![("class", hostile.to_owned()), ("other", "y".to_owned())];
        assert_eq!(samples(&page.0).collect::<Vec<_>>(), [Sample { name: "x", labels, value: "1" }]);
    }

    #[tokio::test]
    async fn an_address_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, |path| {
            (path == "/metrics").then(|| Answer::metrics("x 1\n".to_owned()))
        }));
        for (request, status, body) in [
            ("GET /metrics HTTP/1.1", "200 OK", "x 1\n"),
            ("HEAD /metrics HTTP/1.1", "200 OK", ""),
            ("GET /metrics?a=b HTTP/1.1", "200 OK", "x 1\n"),
            ("GET /other HTTP/1.1", "404 Not Found", "404 Not Found\n"),
            ("POST /metrics HTTP/1.1", "405 Method Not Allowed", "405 Method Not Allowed\n"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("{request}\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            let (head, got) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(got, body, "{request}");
            assert_eq!(head.contains("version=0.0.4"), status == "200 OK", "{request}: {head}");
        }
        server.abort();
    }
}
