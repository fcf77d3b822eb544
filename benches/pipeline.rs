//! The stages of an ingest, one after the other, over the same 16 MB of generated log.
//!
//! ```text
//! lines    find the line ends
//! parse    lines to records; also of a log in which every record holds something odd
//! batch    parse, and records to Arrow batches, chunk by chunk
//! encode   batches to one Parquet file
//! ingest   everything, a file to a lake of its own: read, parse, batch, remove duplicates, encode, commit
//! ```
//!
//! `lines` to `encode` run on one thread, `ingest` on all. Rates are bytes of log text, so that the stages compare.
//! Each run asserts how many records it has measured. `cargo bench -- parse` runs one stage; a machine that does
//! something else meanwhile gives figures that are worth little.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use s3trail::batch::Batcher;
use s3trail::generate::{self, Amount, Options, Scenario};
use s3trail::ingest::{IngestOptions, Silent, ingest};
use s3trail::lake::encode::write_part;
use s3trail::lake::{Lake, Table};
use s3trail::lines::{split_lines, whole_lines};
use s3trail::parse::Parser;
use s3trail::record::Record;
use s3trail::source::{SourceOptions, Sources};
use s3trail::stop::Stop;

/// Bytes of log text, about.
const BYTES: u64 = 16 << 20;
/// Bytes of a chunk, as in the ingest.
const CHUNK: usize = 1 << 20;

/// A generated log and the number of its records; every line is one.
struct Log {
    text: Vec<u8>,
    records: usize,
}

impl Log {
    /// One day of mixed traffic, 27 fields; `quirk_rate` of the records hold something odd.
    fn generate(bytes: u64, quirk_rate: f64) -> Self {
        let options = Options {
            amount: Amount::Bytes(bytes),
            seed: 20_260_301,
            scenario: Scenario::Mixed,
            quirk_rate: Some(quirk_rate),
            ..Options::default()
        };
        let text = ok(generate::lines(&options));
        let records = split_lines(&text).count();
        assert!(records > 1000, "only {records} records in {} bytes", text.len());
        Self { text, records }
    }

    /// As S3 writes it: one record in a thousand is odd.
    fn plain() -> Self {
        Self::generate(BYTES, 0.001)
    }

    fn group<'a>(&self, c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(self.text.len() as u64)).sample_size(20);
        group
    }

    /// The text in chunks of whole lines.
    fn chunks(&self) -> Vec<&[u8]> {
        let mut chunks = Vec::new();
        let mut at = 0;
        while at < self.text.len() {
            let most = &self.text[at..self.text.len().min(at + CHUNK)];
            let length = if at + most.len() == self.text.len() { most.len() } else { whole_lines(most) };
            chunks.push(&self.text[at..at + length]);
            at += length;
        }
        chunks
    }
}

/// The value, or the end of the benchmark with the whole story.
fn ok<T>(result: s3trail::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The records of `text`; all of its lines must be some.
fn parse(text: &[u8]) -> usize {
    let mut parser = Parser::new();
    let mut record = Record::default();
    let mut records = 0;
    for line in split_lines(text) {
        records += usize::from(parser.parse(line.text, &mut record).is_ok());
        black_box(&record);
    }
    records
}

/// The batches of one chunk, as the ingest makes them.
fn batch(chunk: &[u8]) -> Vec<RecordBatch> {
    let mut batcher = Batcher::new();
    let mut rows = ok(batcher.chunk(chunk, split_lines(chunk).count()));
    let from = rows.provenance(Some("amzn-s3-demo-logs"), "logs/bench", 0, 0);
    let mut parser = Parser::new();
    let mut record = Record::default();
    for line in split_lines(chunk) {
        if parser.parse(line.text, &mut record).is_ok() {
            rows.push(&mut record, &line, &from);
        }
    }
    ok(batcher.finish()).into_iter().map(|dated| dated.batch).collect()
}

fn lines(c: &mut Criterion) {
    let log = Log::plain();
    log.group(c, "lines").bench_function("split", |b| {
        b.iter(|| {
            let lines =
                split_lines(black_box(&log.text)).filter(|line| black_box(line).len_with_lf() > 0).count();
            assert_eq!(lines, log.records);
        });
    });
}

fn parsing(c: &mut Criterion) {
    for (name, quirk_rate) in [("plain", 0.001), ("odd", 1.0)] {
        let log = Log::generate(BYTES, quirk_rate);
        log.group(c, "parse").bench_function(name, |b| {
            b.iter(|| assert_eq!(parse(black_box(&log.text)), log.records));
        });
    }
}

fn batching(c: &mut Criterion) {
    let log = Log::plain();
    let chunks = log.chunks();
    log.group(c, "batch").bench_function("1 MB chunks", |b| {
        b.iter(|| {
            let batches = chunks.iter().flat_map(|chunk| batch(black_box(chunk)));
            assert_eq!(batches.map(|batch| black_box(batch).num_rows()).sum::<usize>(), log.records);
        });
    });
}

fn encode(c: &mut Criterion) {
    let log = Log::plain();
    let batches: Vec<RecordBatch> = log.chunks().into_iter().flat_map(batch).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = log.group(c, "encode");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("access_logs", |b| {
        b.iter(|| {
            // Which date it is does not matter; the disk would, so nothing is synced.
            let part = ok(write_part(folder.path(), Table::AccessLogs, Some(20_513), &batches, false));
            assert_eq!(part.rows, log.records as u64);
            std::fs::remove_file(folder.path().join(&part.path)).expect("the file was just written");
        });
    });
}

fn end_to_end(c: &mut Criterion) {
    let log = Log::plain();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("access.log");
    std::fs::write(&file, &log.text[..]).expect("the log can be written");
    let words = [path_word(&file)];
    let options = IngestOptions { durable: false, ..IngestOptions::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut group = log.group(c, "ingest");
    group.sample_size(10).measurement_time(Duration::from_secs(15));
    group.bench_function("a file", |b| {
        let new_lake = || {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let lake = ok(runtime.block_on(Lake::open_or_create(&path_word(&folder.path().join("lake")))));
            (folder, lake)
        };
        let run = |(folder, mut lake): (tempfile::TempDir, Lake)| {
            let sources = ok(Sources::files(&words, &SourceOptions::default()));
            let summary =
                ok(runtime.block_on(ingest(Some(&mut lake), sources, &options, &Silent, &Stop::new())));
            let lines = summary.records + summary.duplicates;
            assert_eq!((lines, summary.rejects, summary.commit_batches), (log.records as u64, 0, 1));
            // Dropped, and so removed, when the clock has stopped.
            (folder, lake)
        };
        b.iter_batched(new_lake, run, BatchSize::PerIteration);
    });
}

fn path_word(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}

criterion_group!(pipeline, lines, parsing, batching, encode, end_to_end);
criterion_main!(pipeline);
