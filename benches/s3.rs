//! Reading log objects from a bucket, beside a bare loop over the same client.
//!
//! ```text
//! bare     GET every object, as many at a time as the ingest, and forget the bytes
//! read     list, GET, check, parse; nothing is written (a dry run)
//! ingest   the whole of it, into a lake of its own
//! ```
//!
//! A server in memory, in a process of its own on this machine, holds objects of three sizes. It is measured as fast as
//! it is, when all that counts is the processor it shares with the client, and with the latency of Amazon's. Rounds are
//! interleaved, the figures are medians, the ratio is that of objects a second to the bare loop's. CPU is that of the
//! client alone.
//! It is a program and no statistics: `cargo bench --bench s3`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use s3trail::cloud::{Cloud, CloudOptions};
use s3trail::generate::{self, Amount, Options, Scenario};
use s3trail::ingest::{IngestOptions, Silent, ingest};
use s3trail::lake::Lake;
use s3trail::source::s3::Listing;
use s3trail::source::{SourceOptions, Sources};
use s3trail::stop::Stop;
use tokio::task::JoinSet;

#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../tests/it/s3/mod.rs"]
mod s3;

const BUCKET: &str = "amzn-s3-demo-logs";
/// Bytes of an object, about, and how many of them.
const SIZES: [(usize, usize); 3] = [(1_000, 20_000), (10_000, 20_000), (1_000_000, 500)];
/// Milliseconds until an answer begins.
const LATENCIES: [u64; 2] = [0, 20];
const ROUNDS: usize = 5;
/// Requests in flight: what the ingest does by itself.
const CONCURRENCY: usize = 64;
/// Says that this process is the server, and how late it answers, in milliseconds.
const SERVE: &str = "S3TRAIL_BENCH_SERVE";

fn ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|e| panic!("{e:?}"))
}

fn main() {
    if let Some(latency) = std::env::var_os(SERVE) {
        return serve(Duration::from_millis(ok(latency.to_string_lossy().parse())));
    }
    let servers = LATENCIES.map(|latency| {
        let mut server = Server::start(latency);
        let [access_key, secret_key, endpoint] = [server.line(), server.line(), server.line()];
        // SAFETY: no other thread runs yet. The keys are the same for all.
        unsafe {
            std::env::set_var("AWS_ACCESS_KEY_ID", access_key);
            std::env::set_var("AWS_SECRET_ACCESS_KEY", secret_key);
            std::env::set_var("AWS_EC2_METADATA_DISABLED", "true");
        }
        (latency, endpoint, server)
    });
    let runtime = ok(tokio::runtime::Builder::new_multi_thread().enable_all().build());
    for (latency, endpoint, _) in &servers {
        println!("answers after {latency} ms, {CONCURRENCY} requests in flight");
        compare(&runtime, endpoint);
    }
}

fn compare(runtime: &tokio::runtime::Runtime, endpoint: &str) {
    println!("object bytes  way     objects/s   MB/s  CPU us/object  ratio");
    for (bytes, objects) in SIZES {
        let mut bare = Vec::new();
        let mut read = Vec::new();
        let mut taken = Vec::new();
        for _ in 0..ROUNDS {
            let cloud = ok(runtime.block_on(Cloud::connect(&CloudOptions {
                endpoint_url: Some(endpoint.to_owned()),
                path_style: true,
                ..CloudOptions::default()
            })));
            bare.push(measure(runtime, bare_loop(&cloud, bytes, objects)));
            read.push(measure(runtime, take_in(&cloud, bytes, objects, false)));
            taken.push(measure(runtime, take_in(&cloud, bytes, objects, true)));
        }
        let rate = |runs: &[Took]| objects as f64 / median(runs.iter().map(|took| took.seconds));
        let base = rate(&bare);
        for (way, runs) in [("bare", &bare), ("read", &read), ("ingest", &taken)] {
            let (rate, cpu) = (rate(runs), median(runs.iter().map(|took| took.cpu_seconds)) / objects as f64);
            println!(
                "{bytes:12}  {way:6} {rate:10.0} {:6.1} {:14.0} {:6.2}",
                rate * bytes as f64 / 1e6,
                cpu * 1e6,
                rate / base
            );
        }
    }
}

/// The other process.
struct Server {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(latency: u64) -> Self {
        let mut child = ok(Command::new(ok(std::env::current_exe()))
            .env(SERVE, latency.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn());
        let said = BufReader::new(child.stdout.take().expect("its standard output"));
        Self { child, said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        ok(self.said.read_line(&mut line));
        line.trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn prefix(bytes: usize) -> String {
    format!("of-{bytes}/")
}

fn key(bytes: usize, n: usize) -> String {
    let (hour, minute, second) = (n / 3_600 % 24, n / 60 % 60, n % 60);
    format!("{}2026-03-01-{hour:02}-{minute:02}-{second:02}-{n:016X}", prefix(bytes))
}

fn serve(latency: Duration) {
    let server = s3::S3Server::start();
    server.set_latency(latency);
    server.create_bucket(BUCKET);
    for (bytes, objects) in SIZES {
        let total = (bytes * objects * 11 / 10) as u64;
        let options = Options {
            amount: Amount::Bytes(total),
            seed: 20_260_301,
            scenario: Scenario::Mixed,
            ..Options::default()
        };
        let text = ok(generate::lines(&options));
        let mut rest = text.as_slice();
        for n in 0..objects {
            let end = rest.iter().skip(bytes.min(rest.len()).saturating_sub(600)).position(|b| *b == b'\n');
            let end = bytes.saturating_sub(600) + end.expect("enough was generated") + 1;
            server.put(BUCKET, &key(bytes, n), rest[..end].to_vec());
            rest = &rest[end..];
        }
    }
    println!("{}\n{}\n{}", server.access_key(), server.secret_key(), server.endpoint());
    ok(std::io::stdout().flush());
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

fn measure(runtime: &tokio::runtime::Runtime, work: impl Future<Output = ()>) -> Took {
    let (cpu, started) = (cpu(), Instant::now());
    runtime.block_on(work);
    Took { seconds: started.elapsed().as_secs_f64(), cpu_seconds: (self::cpu() - cpu).as_secs_f64() }
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    // SAFETY: it fills in the struct that it is given.
    unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        let of = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        of(usage.ru_utime) + of(usage.ru_stime)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn bare_loop(cloud: &Cloud, bytes: usize, objects: usize) {
    let client = Arc::new(cloud.s3());
    let mut gets = JoinSet::new();
    let (mut next, mut read) = (0, 0);
    loop {
        while gets.len() < CONCURRENCY && next < objects {
            let (client, key) = (Arc::clone(&client), key(bytes, next));
            gets.spawn(async move {
                let got = ok(client.get_object().bucket(BUCKET).key(key).send().await);
                ok(got.body.collect().await).into_bytes().len()
            });
            next += 1;
        }
        match gets.join_next().await {
            Some(len) => read += ok(len),
            None => break,
        }
    }
    assert!(read > bytes * objects / 2, "{read} bytes");
}

async fn take_in(cloud: &Cloud, bytes: usize, objects: usize, is_written: bool) {
    let folder = ok(tempfile::tempdir());
    let location = folder.path().join("lake");
    let mut lake = match is_written {
        true => Some(ok(Lake::open_or_create(&location.to_string_lossy()).await)),
        false => None,
    };
    let options = IngestOptions { log_bucket: Some(BUCKET.to_owned()), ..IngestOptions::default() };
    let listing = Listing::open(cloud, BUCKET, vec![prefix(bytes)], &SourceOptions::default(), None).await;
    let sources = Sources::Bucket(ok(listing));
    let summary = ok(ingest(lake.as_mut(), sources, &options, &Silent, &Stop::new()).await);
    assert_eq!((summary.objects, summary.failed_objects), (objects as u64, 0));
}
