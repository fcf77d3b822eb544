//! Log objects in, tables out: what is in the lake after a run, after a second one, and after one that was killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::SessionContext;
use s3trail::batch::LineReader;
use s3trail::generate::{self, Amount, Options};
use s3trail::ingest::{IngestOptions, Silent, Summary, ingest};
use s3trail::lake::{Lake, Table};
use s3trail::source::{FailureClass, Files, Found, Skipped, SourceOptions, Sources};
use s3trail::stop::Stop;

use crate::common;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .unwrap()
}

fn words(paths: &[&Path]) -> Vec<String> {
    paths.iter().map(|p| p.to_str().unwrap().to_owned()).collect()
}

async fn take_in(lake: &mut Lake, sources: &[&Path], options: &IngestOptions) -> Summary {
    let sources = Sources::files(&words(sources), &SourceOptions::default()).map_err(|e| e.report()).unwrap();
    ingest(Some(lake), sources, options, &Silent, &Stop::new()).await.map_err(|e| e.report()).unwrap()
}

async fn open(dir: &Path) -> Lake {
    Lake::open_or_create(dir.to_str().unwrap()).await.map_err(|e| e.report()).unwrap()
}

async fn rows(lake: &Lake, table: Table, sql: &str) -> Vec<RecordBatch> {
    let context = SessionContext::new();
    let provider = lake.provider(table).await.map_err(|e| e.report()).unwrap();
    context.register_table(table.name(), provider).unwrap();
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

async fn count(lake: &Lake, table: Table) -> i64 {
    let batches = rows(lake, table, &format!("SELECT count(*) FROM {table}")).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn assert_sound(lake: &mut Lake) {
    let verification = lake.verify().await.map_err(|e| e.report()).unwrap();
    assert_eq!(verification.problems, Vec::<String>::new());
}

/// Log key, offset, line with its LF.
type PlacedLine = (String, i64, Vec<u8>);

/// The place and line of every row of `access_logs`, sorted.
async fn lines_of(lake: &Lake) -> Vec<PlacedLine> {
    let mut out = Vec::new();
    for batch in rows(lake, Table::AccessLogs, "SELECT * FROM access_logs").await {
        let reader = LineReader::new(&batch).map_err(|e| e.report()).unwrap();
        let keys = cast(batch.column_by_name("log_key").unwrap(), &DataType::Utf8).unwrap();
        let offsets = batch.column_by_name("log_offset").unwrap().clone();
        let bytes = batch.column_by_name("record_bytes").unwrap().clone();
        for row in 0..batch.num_rows() {
            let mut line = reader.line(row).expect("a row prints its line");
            if line.len() < bytes.as_primitive::<Int64Type>().value(row) as usize {
                line.push(b'\n');
            }
            assert_eq!(line.len() as i64, bytes.as_primitive::<Int64Type>().value(row));
            let offset = offsets.as_primitive::<Int64Type>().value(row);
            out.push((keys.as_string::<i32>().value(row).to_owned(), offset, line));
        }
    }
    out.sort();
    out
}

fn small_options() -> Options {
    Options { amount: Amount::Records(3_000), records_per_object: Some(40), ..Options::default() }
}

/// A folder of generated log objects.
fn generated(options: &Options) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("logs");
    generate::generate(options, &out, &|_| {}).map_err(|e| e.report()).unwrap();
    dir
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                out.insert(key, fs::read(path).unwrap());
            }
        }
    }
    out
}

#[test]
fn every_row_prints_the_bytes_at_its_place() {
    let options = Options {
        quirk_rate: Some(0.2),
        damage_rate: 0.02,
        generations: vec![17, 18, 24, 25, 26, 27],
        ..small_options()
    };
    let dir = generated(&options);
    let logs = dir.path().join("logs");
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert!(summary.rejects > 0 && summary.records > 2_000, "{summary:?}");
        assert_eq!(summary.lines, summary.records + summary.rejects + summary.duplicates);
        let files = files(&logs);
        assert_eq!(summary.objects as usize, files.len());
        let rows = lines_of(&lake).await;
        assert_eq!(rows.len() as u64, summary.records);
        for (key, offset, line) in &rows {
            assert_eq!(&files[key][*offset as usize..][..line.len()], &line[..], "{key} at {offset}");
        }
        assert_eq!(count(&lake, Table::Rejects).await as u64, summary.rejects);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn a_large_file_is_read_in_ranges_without_losing_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let mut text = generate::lines(&Options { amount: Amount::Bytes(6_500_000), ..Options::default() })
        .map_err(|e| e.report())
        .unwrap();
    // No LF at the end, and one line longer than the block it begins in.
    text.pop();
    let long = format!(
        "o b [06/Feb/2019:00:00:38 +0000] 192.0.2.3 - ID REST.GET.OBJECT k \"GET /{} HTTP/1.1\" 200 - 1 1 1 1 \"-\" \"x\" -\n",
        "y".repeat(2_500_000)
    );
    text.splice(0..0, long.bytes());
    fs::write(&path, &text).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&path], &IngestOptions::default()).await;
        let newlines = text.iter().filter(|b| **b == b'\n').count() as u64;
        assert_eq!(summary.lines, newlines + 1);
        assert_eq!(summary.records, summary.lines, "{:?}", summary.quirks);
        let rows = lines_of(&lake).await;
        let mut at = 0;
        for (_, offset, line) in &rows {
            assert_eq!(*offset as usize, at);
            assert_eq!(&text[at..at + line.len()], &line[..]);
            at += line.len();
        }
        assert_eq!(at, text.len());
        // The hash of the content is the same when the ledger is asked first.
        let again = take_in(&mut lake, &[&path], &IngestOptions::default()).await;
        assert_eq!((again.objects, again.known_objects, again.records), (0, 1, 0));
    });
}

#[test]
fn a_second_run_adds_nothing_and_another_root_is_recognised() {
    let dir = generated(&small_options());
    let logs = dir.path().join("logs");
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let options = IngestOptions { commit_bytes: 300_000, ..IngestOptions::default() };
        let first = take_in(&mut lake, &[&logs], &options).await;
        assert!(first.commit_batches > 3, "{first:?}");
        let second = take_in(&mut lake, &[&logs], &options).await;
        assert_eq!((second.objects, second.known_objects), (0, first.objects));
        // The same tree from one folder higher up.
        let third =
            take_in(&mut lake, &[dir.path().join("logs").parent().unwrap().join("logs").as_path()], &options)
                .await;
        assert_eq!(third.objects, 0);
        let mut reopened = Lake::open(dir.path().join("lake").to_str().unwrap()).await.unwrap();
        assert_eq!(count(&reopened, Table::AccessLogs).await as u64, first.records);
        assert_eq!(count(&reopened, Table::LogObjects).await as u64, first.objects);
        assert_sound(&mut reopened).await;
    });
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[test]
fn compressed_objects_and_a_broken_one_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let text = generate::lines(&Options { amount: Amount::Records(300), ..Options::default() })
        .map_err(|e| e.report())
        .unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    let part = |from: usize, to: usize| lines[from..to].concat();
    let mut members = gzip(&part(0, 50));
    members.extend(gzip(&part(50, 100)));
    fs::write(logs.join("members.gz"), members).unwrap();
    // Recognised by content, whatever the name says.
    fs::write(logs.join("plain-name"), gzip(&part(100, 150))).unwrap();
    fs::write(logs.join("b.zst"), zstd::encode_all(&part(150, 200)[..], 1).unwrap()).unwrap();
    fs::write(logs.join("c.log"), part(200, 250)).unwrap();
    let whole = gzip(&part(250, 300));
    fs::write(logs.join("truncated.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(logs.join("vended"), b"{\"schema_version_id\":1}\n").unwrap();
    // 300 MB of blanks in a few hundred kB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..300).for_each(|_| bomb.write_all(&vec![b' '; 1 << 20]).unwrap());
    fs::write(logs.join("bomb.gz"), bomb.finish().unwrap()).unwrap();
    fs::write(logs.join("README.md"), "not a log").unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        let mut failed: Vec<String> = summary
            .failed
            .iter()
            .map(|f| Path::new(&f.place).file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        failed.sort();
        assert_eq!(failed, ["bomb.gz", "truncated.gz", "vended"]);
        assert_eq!((summary.objects, summary.lines, summary.rejects), (4, 250, 0));
        assert_eq!(summary.skipped_files, 1);
        assert_sound(&mut lake).await;
    });
}

/// Records of `generate`.
fn some_lines(records: u64) -> Vec<u8> {
    let options = Options { amount: Amount::Records(records), ..Options::default() };
    generate::lines(&options).map_err(|e| e.report()).unwrap()
}

#[test]
fn a_large_compressed_object_is_known_again() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    // More than is kept in memory once it is decoded.
    let text = some_lines(2_000);
    let mut whole = Vec::new();
    for copy in 0..(34 << 20) / text.len() + 1 {
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            whole.extend_from_slice(line);
            // No two lines the same.
            whole.extend_from_slice(format!(" copy-{copy}\n").as_bytes());
        }
    }
    fs::write(logs.join("large.gz"), gzip(&whole)).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let first = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!(first.objects, 1);
        assert!(first.records > 10_000, "{}", first.records);
        let second = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((second.objects, second.known_objects), (0, 1));
        assert_eq!(count(&lake, Table::LogObjects).await, 1);
    });
}

/// Letters that hardly compress.
fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..len).map(|_| random.u8(b'a'..=b'z')).collect()
}

/// 65 MiB without a line end, which compress well but are no bomb.
fn endless() -> Vec<u8> {
    let rest = vec![b'x'; (1 << 20) - (1 << 14)];
    let blocks: Vec<Vec<u8>> =
        noise(65 << 14).chunks(1 << 14).map(|noise| [noise, &rest[..]].concat()).collect();
    blocks.concat()
}

/// The names of the files that could not be read, sorted.
fn failed(summary: &Summary) -> Vec<String> {
    let name = |place: &str| Path::new(place).file_name().unwrap().to_string_lossy().into_owned();
    let mut failed: Vec<String> = summary.failed.iter().map(|failure| name(&failure.place)).collect();
    failed.sort();
    failed
}

#[test]
fn compressed_streams_that_ask_for_too_much_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(logs.join(name), bytes).unwrap();
    // Thirty frames of 10 MB of nothing each.
    let frame = zstd::encode_all(std::io::repeat(0).take(10 << 20), 1).unwrap();
    write("bomb.zst", &frame.repeat(30));
    // 40 MB of empty lines, each of which would be a reject.
    write("newlines.zst", &zstd::encode_all(std::io::repeat(b'\n').take(40 << 20), 1).unwrap());
    // A frame that wants a window of 2 GiB, and one empty block in it.
    write("window.zst", b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00");
    // A file name in the header that does not end.
    write("header.gz", &[&b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"[..], &[b'n'; 1 << 20]].concat());
    write("magic.gz", b"\x1f\x8b");
    write("magic.zst", b"\x28\xb5\x2f\xfd");
    // No bomb: very many members, of which one says something.
    write("members.gz", &[gzip(b"").repeat(200_000), gzip(&some_lines(50))].concat());
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        let refused = ["bomb.zst", "header.gz", "magic.gz", "magic.zst", "newlines.zst", "window.zst"];
        assert_eq!(failed(&summary), refused);
        assert!(summary.failed.iter().all(|failure| failure.class == FailureClass::Damaged), "{summary:?}");
        assert_eq!((summary.objects, summary.records, summary.rejects), (1, 50, 0));
        assert_sound(&mut lake).await;
    });
}

#[test]
fn lines_without_end_fail_their_objects_alone() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("good.log"), some_lines(200)).unwrap();
    // A line of 1 GB, which takes no room on the disk.
    fs::File::create(logs.join("endless.log")).unwrap().set_len(1 << 30).unwrap();
    // Good lines before such a line are not half of a log object: they are not taken in either.
    let mut long = some_lines(50);
    // It is not refused for how well it compresses.
    long.extend(endless());
    fs::write(logs.join("endless.zst"), zstd::encode_all(&long[..], 1).unwrap()).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!(failed(&summary), ["endless.log", "endless.zst"]);
        for failure in &summary.failed {
            assert_eq!(failure.class, FailureClass::Damaged);
            assert!(failure.error.message().contains("longer than 64 MiB"), "{}", failure.error.report());
        }
        assert_eq!((summary.objects, summary.lines, summary.records), (1, 200, 200));
        assert_eq!(count(&lake, Table::AccessLogs).await, 200);
        assert_sound(&mut lake).await;
        // In a lake that has something, where the content is hashed before it is parsed, too.
        let again = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((again.objects, again.known_objects, again.failed_objects), (0, 1, 2));
    });
}

#[test]
fn the_longest_line_that_may_be_is_only_a_reject() {
    const LONGEST: usize = 64 << 20;
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let good = some_lines(10);
    let around = |long: usize| [&good[..], &noise(1 << 20).repeat(65)[..long], b"\n", &good[..]].concat();
    fs::write(logs.join("longest.log"), around(LONGEST)).unwrap();
    fs::write(logs.join("too-long.log"), around(LONGEST + 1)).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!(failed(&summary), ["too-long.log"]);
        assert_eq!((summary.objects, summary.lines, summary.rejects), (1, 21, 1));
    });
}

/// With less memory than the line has bytes.
#[test]
fn a_line_of_4_gb_is_not_held_in_memory() {
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("a.log"), some_lines(10)).unwrap();
    fs::File::create(logs.join("b.log")).unwrap().set_len(4 << 30).unwrap();
    let mut command = ingest_command(&logs, &lake);
    command.args(["--threads", "2"]).stdout(Stdio::piped());
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 3 << 30, rlim_max: 3 << 30 };
            match libc::setrlimit(libc::RLIMIT_AS, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["records"], &summary["failed_objects"]), (&10.into(), &1.into()), "{summary}");
}

/// Counts the bytes that are parsed.
#[derive(Default)]
struct ParsedBytes(std::sync::atomic::AtomicU64);

impl s3trail::ingest::Progress for ParsedBytes {
    fn add(&self, bytes: u64, _: u64, _: u64) {
        self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst);
    }
    fn reject(&self, _: &str, _: u64, _: &str) {}
    fn skipped(&self, _: &Skipped) {}
}

#[test]
fn many_lines_without_end_cost_no_more_than_one() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let good = some_lines(10_000);
    fs::write(logs.join("a.log"), &good).unwrap();
    let stored = zstd::encode_all(&endless()[..], 1).unwrap();
    for n in 0..8 {
        fs::write(logs.join(format!("{n}.zst")), &stored).unwrap();
    }
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let parsed = ParsedBytes::default();
        let sources = Sources::files(&words(&[&logs]), &SourceOptions::default()).unwrap();
        let options = IngestOptions::default();
        let summary = ingest(Some(&mut lake), sources, &options, &parsed, &Stop::new()).await.unwrap();
        assert_eq!((summary.objects, summary.failed_objects), (1, 8));
        let parsed = parsed.0.into_inner();
        assert!(parsed <= 2 * good.len() as u64, "{parsed} bytes parsed of {}", good.len());
    });
}

fn named_pipe(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

#[test]
fn a_tree_with_loops_and_special_files_is_walked_to_its_end() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let deep = logs.join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("d.log"), some_lines(20)).unwrap();
    symlink(".", logs.join("self")).unwrap();
    symlink("..", logs.join("a/b/up")).unwrap();
    symlink(&logs, deep.join("root")).unwrap();
    symlink("other", logs.join("one")).unwrap();
    symlink("one", logs.join("other")).unwrap();
    symlink("nowhere", logs.join("dangling")).unwrap();
    symlink("/dev/zero", logs.join("zero")).unwrap();
    named_pipe(&logs.join("pipe"));
    symlink("pipe", logs.join("to-pipe")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("socket")).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records), (1, 20));
        assert_eq!(failed(&summary), ["dangling", "one", "other"]);
        assert_eq!(summary.skipped_files, 4);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn a_folder_is_walked_once_however_many_ways_lead_to_it() {
    const DEPTH: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    for n in 0..DEPTH {
        let folder = logs.join(n.to_string());
        fs::create_dir_all(&folder).unwrap();
        for link in ["x", "y"] {
            std::os::unix::fs::symlink(format!("../{}", n + 1), folder.join(link)).unwrap();
        }
    }
    let last = logs.join(DEPTH.to_string());
    fs::create_dir(&last).unwrap();
    fs::write(last.join("a.log"), some_lines(1)).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records), (1, 1));
    });
}

#[test]
fn a_folder_goes_by_its_own_name_and_links_lead_out_of_the_source() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let (logs, elsewhere) = (dir.path().join("logs"), dir.path().join("elsewhere"));
    fs::create_dir_all(logs.join("b")).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    let lines = some_lines(2);
    let mut lines = lines.split_inclusive(|b| *b == b'\n');
    fs::write(logs.join("b/in.log"), lines.next().unwrap()).unwrap();
    fs::write(elsewhere.join("out.log"), lines.next().unwrap()).unwrap();
    symlink("b", logs.join("a")).unwrap();
    symlink(&elsewhere, logs.join("c")).unwrap();
    symlink(&logs, elsewhere.join("back")).unwrap();
    let root = dir.path().join("root");
    symlink(&logs, &root).unwrap();
    for named in [&logs, &root] {
        let files = Files::open(&words(&[named]), &SourceOptions::default()).unwrap();
        let keys: Vec<String> = files
            .map(|found| match found {
                Found::Object(object) => object.key,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(keys, ["b/in.log", "c/out.log"]);
    }
}

#[test]
fn a_pipe_that_was_named_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    named_pipe(&pipe);
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, some_lines(6_000)).unwrap()
    });
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&pipe], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records), (1, 6_000));
        assert_sound(&mut lake).await;
    });
    writer.join().unwrap();
}

#[test]
fn files_may_have_any_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let long = "n".repeat(255);
    let names: [&[u8]; 12] = [
        b"new\nline",
        b"\x1b[31mred\x1b]8;;x\x07",
        b"caf\xe9",
        b"\xff\xfe",
        "\u{202e}gpj.\u{9b}".as_bytes(),
        b" ",
        b"-",
        b"--lake",
        b"*[?{",
        b"back\\slash",
        b"event_date=2026-03-01",
        long.as_bytes(),
    ];
    let lines = some_lines(names.len() as u64);
    for (name, line) in names.iter().zip(lines.split_inclusive(|b| *b == b'\n')) {
        fs::write(logs.join(OsStr::from_bytes(name)), line).unwrap();
    }
    let mut expected: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).to_vec();
    expected.sort();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records), (12, 12));
        assert_eq!((summary.failed.len(), summary.skipped_files), (0, 0));
        let mut keys: Vec<String> = lines_of(&lake).await.into_iter().map(|(key, _, _)| key).collect();
        keys.sort();
        assert_eq!(keys, expected);
        let again = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((again.objects, again.known_objects), (0, 12));
        assert_sound(&mut lake).await;
    });
}

#[test]
fn without_room_for_temporary_files_the_rest_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("a.log"), some_lines(10)).unwrap();
    // More than is kept in memory once it is decoded.
    let agent = format!("\"{}\"", String::from_utf8(noise(1 << 20)).unwrap());
    let line = |n: u32| {
        let line = common::Spelled::new().with(s3trail::Field::UserAgent, &agent);
        [line.with(s3trail::Field::RequestId, format!("{n:016X}")).line(), b"\n".to_vec()].concat()
    };
    let text: Vec<u8> = (0..36).flat_map(line).collect();
    fs::write(logs.join("b.zst"), zstd::encode_all(&text[..], 1).unwrap()).unwrap();
    let ingest = |temporary: &Path| {
        let output = ingest_command(&logs, &lake)
            .env("TMPDIR", temporary)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), summary, String::from_utf8(output.stderr).unwrap())
    };
    let (code, summary, said) = ingest(&dir.path().join("nowhere"));
    assert_eq!((code, &summary["records"], &summary["failed_objects"]), (Some(2), &10.into(), &1.into()));
    assert!(said.contains("temporary file") && said.contains("nowhere"), "{said}");
    assert!(said.contains("TMPDIR"), "{said}");
    let (code, summary, said) = ingest(dir.path());
    assert_eq!((code, &summary["records"]), (Some(0), &36.into()), "{said}");
}

/// Asks to stop as soon as all was parsed, when what is left to do is encoding.
struct StopAtTheEnd {
    stop: Stop,
    left: std::sync::atomic::AtomicU64,
}

impl s3trail::ingest::Progress for StopAtTheEnd {
    fn add(&self, bytes: u64, _: u64, _: u64) {
        if self.left.fetch_sub(bytes, std::sync::atomic::Ordering::SeqCst) == bytes {
            self.stop.request();
        }
    }
    fn reject(&self, _: &str, _: u64, _: &str) {}
    fn skipped(&self, _: &s3trail::source::Skipped) {}
}

#[test]
fn a_stop_while_the_last_rows_are_encoded_commits_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    let text = some_lines(500);
    fs::write(&log, &text).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let progress = StopAtTheEnd { stop: Stop::new(), left: (text.len() as u64).into() };
        let sources = Sources::files(&words(&[&log]), &SourceOptions::default()).unwrap();
        let outcome =
            ingest(Some(&mut lake), sources, &IngestOptions::default(), &progress, &progress.stop).await;
        assert!(progress.stop.is_requested());
        let committed = outcome.map_or(0, |summary| summary.objects);
        assert_eq!((committed, count(&lake, Table::AccessLogs).await), (0, 0));
        let again = take_in(&mut lake, &[&log], &IngestOptions::default()).await;
        assert_eq!(again.records, 500);
        assert_eq!(count(&lake, Table::AccessLogs).await, 500);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn what_ends_one_object_makes_no_character_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let line = common::Spelled::new().line();
    // No LF behind the first half of a character, and an object that begins with the second half.
    fs::write(logs.join("a"), [&line[..], b"\xc3"].concat()).unwrap();
    fs::write(logs.join("b"), [b"\xa9", &line[..], b"\n"].concat()).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records), (2, 2));
        let quirks =
            "SELECT count(*) FROM access_logs WHERE quirks LIKE '%not_utf8%' AND raw_line IS NOT NULL";
        let batches = rows(&lake, Table::AccessLogs, quirks).await;
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 2);
        let texts = rows(&lake, Table::AccessLogs, "SELECT * FROM access_logs ORDER BY source_region").await;
        for column in texts[0].columns() {
            let text = cast(column, &DataType::Utf8).unwrap();
            assert!(text.as_string::<i32>().iter().flatten().all(|t| !t.is_empty()));
        }
        assert_sound(&mut lake).await;
    });
}

#[test]
fn years_of_days_in_one_run_open_few_files() {
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    let (log, lake) = (dir.path().join("a.log"), dir.path().join("lake"));
    let mut text = Vec::new();
    for day in 0..700 {
        let (year, month, day) = (2_000 + day / 336, day / 28 % 12, day % 28 + 1);
        let month =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
        let time = format!("[{day:02}/{month}/{year}:10:20:30 +0000]");
        text.extend(common::Spelled::new().with(s3trail::Field::Time, time).line());
        text.push(b'\n');
    }
    fs::write(&log, text).unwrap();
    let mut command = ingest_command(&log, &lake);
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 400, rlim_max: 400 };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    assert!(command.status().unwrap().success());
    runtime().block_on(async { assert_eq!(count(&open(&lake).await, Table::AccessLogs).await, 700) });
}

#[test]
fn small_objects_that_decode_to_much_are_taken_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    // More rejects than are held at a time, too.
    let text = [vec![b'x'; 999], b"\n".to_vec()].concat().repeat(2_500);
    for n in 0..8 {
        let text = [&text[..], format!("{n}\n").as_bytes()].concat();
        fs::write(logs.join(format!("{n}.zst")), zstd::encode_all(&text[..], 1).unwrap()).unwrap();
    }
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.rejects), (8, 8 * 2_501));
        assert_sound(&mut lake).await;
    });
}

#[test]
fn a_file_named_twice_and_what_a_glob_should_not_have_matched() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let mut text = some_lines(6_000);
    text.extend_from_slice(b"no record\n");
    assert!(text.len() > 3 << 20);
    let big = logs.join("big.log");
    fs::write(&big, &text).unwrap();
    std::os::unix::fs::symlink(logs.join("nowhere"), logs.join("dangling")).unwrap();
    let pipe = std::ffi::CString::new(logs.join("pipe").to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let glob = logs.join("*");
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&big, &glob], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.records, summary.rejects), (1, 6_000, 1));
        assert_eq!((summary.failed.len(), summary.skipped_files), (1, 1));
        assert_eq!(count(&lake, Table::LogObjects).await, 1);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn repeated_lines_are_removed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let text = generate::lines(&Options { amount: Amount::Records(100), ..Options::default() })
        .map_err(|e| e.report())
        .unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    fs::write(logs.join("a"), lines[..60].concat()).unwrap();
    // Delivered again in another object, with new lines around.
    fs::write(logs.join("b"), lines[40..100].concat()).unwrap();
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.lines, summary.records, summary.duplicates), (120, 100, 20));
        assert_eq!(count(&lake, Table::AccessLogs).await, 100);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn part_files_are_few_sorted_and_have_statistics() {
    let options = Options { days: 3, records_per_object: Some(2), ..small_options() };
    let dir = generated(&options);
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&dir.path().join("logs")], &IngestOptions::default()).await;
        assert!(summary.objects > 1_000);
        let status = lake.status().await.unwrap();
        let access_logs = &status.tables[Table::AccessLogs as usize];
        // Three days (and the edges of the deliveries), however many objects; two threads may share a day.
        assert!((3..=8).contains(&access_logs.content.files), "{access_logs:?}");
        assert_eq!(access_logs.rows, summary.records);
        assert!(status.first_time.is_some() && status.last_time.is_some());
        let batches = rows(
            &lake,
            Table::AccessLogs,
            "SELECT count(*) FROM access_logs WHERE CAST(time AS DATE) <> event_date",
        )
        .await;
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 0);
        for file in files(&lake.table_dir(Table::AccessLogs))
            .into_iter()
            .filter(|(name, _)| name.ends_with(".parquet"))
        {
            assert_sorted(file.1);
        }
    });
}

/// Rows of a part file are in the order of bucket and time.
fn assert_sorted(parquet: Vec<u8>) {
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet))
            .unwrap()
            .build()
            .unwrap();
    let mut last: Option<(String, i64)> = None;
    for batch in reader {
        let batch = batch.unwrap();
        let bucket = cast(batch.column_by_name("bucket").unwrap(), &DataType::Utf8).unwrap();
        let time = cast(batch.column_by_name("time").unwrap(), &DataType::Int64).unwrap();
        for row in 0..batch.num_rows() {
            let this = (
                bucket.as_string::<i32>().value(row).to_owned(),
                time.as_primitive::<Int64Type>().value(row),
            );
            assert!(last.as_ref().is_none_or(|last| *last <= this));
            last = Some(this);
        }
        assert!(bucket.null_count() == 0);
    }
}

#[test]
fn two_runs_at_once_take_each_object_once() {
    let dir = generated(&small_options());
    let logs = dir.path().join("logs");
    let lake_dir = dir.path().join("lake");
    runtime().block_on(async {
        open(&lake_dir).await;
    });
    let start = |_| {
        Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(["ingest", "--quiet", "--json", "--commit-bytes", "200kB", "--lake"])
            .args([&lake_dir, &logs])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let runs: Vec<_> = (0..2).map(start).collect();
    let mut objects = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success());
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        objects += summary["objects"].as_u64().unwrap();
    }
    assert_eq!(objects as usize, files(&logs).len());
    runtime().block_on(async {
        let mut lake = open(&lake_dir).await;
        assert_eq!(count(&lake, Table::AccessLogs).await, 3_000);
        assert_sound(&mut lake).await;
    });
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let dir = generated(&Options { amount: Amount::Records(6_000), ..small_options() });
    let logs = dir.path().join("logs");
    let (undisturbed, took) = {
        let lake_dir = dir.path().join("undisturbed");
        let started = std::time::Instant::now();
        run_to_the_end(&logs, &lake_dir);
        (tables(&lake_dir), started.elapsed())
    };
    for step in 1..=5u32 {
        let lake_dir = dir.path().join(format!("killed{step}"));
        let mut child = ingest_command(&logs, &lake_dir).spawn().unwrap();
        std::thread::sleep(took.mul_f64(f64::from(step) / 6.0).max(Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
        run_to_the_end(&logs, &lake_dir);
        assert!(tables(&lake_dir) == undisturbed, "killed after {step}/6 of {took:?}");
    }
}

fn ingest_command(logs: &Path, lake: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3trail"));
    command
        .args(["ingest", "--quiet", "--json", "--commit-bytes", "400kB", "--lake"])
        .args([lake, logs])
        .stdout(Stdio::null());
    command
}

fn run_to_the_end(logs: &Path, lake: &Path) {
    assert!(ingest_command(logs, lake).status().unwrap().success());
}

/// What must not depend on how often the run was killed.
fn tables(lake_dir: &Path) -> (Vec<PlacedLine>, Vec<String>) {
    runtime().block_on(async {
        let mut lake = open(lake_dir).await;
        assert_sound(&mut lake).await;
        let sql = "SELECT concat_ws('|', log_key, etag, size_bytes, layout, delivered_at, source_bucket, records, \
                   rejects, duplicates, lines, first_time, last_time) AS row FROM log_objects";
        let mut objects = Vec::new();
        for batch in rows(&lake, Table::LogObjects, sql).await {
            let text = cast(batch.column(0), &DataType::Utf8).unwrap();
            objects.extend(text.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        objects.sort();
        (lines_of(&lake).await, objects)
    })
}

/// A corpus source whose `.objects.tsv` maps lines to log objects, exploded into those objects.
pub fn explode(corpus: &Path, name: &str, into: &Path) -> usize {
    let text = fs::read(corpus.join(format!("{name}.log"))).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    let table = fs::read_to_string(corpus.join(format!("{name}.objects.tsv"))).unwrap();
    let mut objects = 0;
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let (first, count): (usize, usize) = (cells[1].parse().unwrap(), cells[2].parse().unwrap());
        fs::write(into.join(cells[0]), lines[first - 1..first - 1 + count].concat()).unwrap();
        objects += 1;
    }
    objects
}

#[test]
fn the_specimen_as_log_objects() {
    let Some(corpus) = common::corpus() else { return };
    let dir = tempfile::tempdir().unwrap();
    let logs: PathBuf = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    assert_eq!(explode(&corpus, "JSPirates__s3logs__selflogging2013", &logs), 1_868);
    runtime().block_on(async {
        let mut lake = open(&dir.path().join("lake")).await;
        let summary = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!((summary.objects, summary.lines, summary.rejects), (1_868, 6_574, 0));
        assert_eq!(summary.records + summary.duplicates, 6_574);
        assert_sound(&mut lake).await;
        let again = take_in(&mut lake, &[&logs], &IngestOptions::default()).await;
        assert_eq!(again.objects, 0);
        // Delay of a log object against its records, in minutes: at least 22, at most 8.8 hours.
        let batches = rows(
            &lake,
            Table::LogObjects,
            "SELECT CAST(min(date_part('epoch', delivered_at) - date_part('epoch', last_time)) / 60 AS BIGINT), \
                    CAST(max(date_part('epoch', delivered_at) - date_part('epoch', first_time)) / 60 AS BIGINT), \
                    count(DISTINCT layout) FROM log_objects",
        )
        .await;
        let value = |column: usize| batches[0].column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!(value(2), 1);
        assert!((20..=24).contains(&value(0)), "least delay {} min", value(0));
        assert!((500..=540).contains(&value(1)), "greatest delay {} min", value(1));
    });
}
