//! Scheduled ingestion as it is met from outside: rounds, signals, metrics, heartbeat, logs.
//!
//! Every wait is for a condition; the limit only keeps a broken program from hanging the tests.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::root;

/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(180);

/// Waits until `condition` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "still no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The program, running. It is killed when the test is done with it.
pub struct Running {
    child: Child,
    printed: Lines,
    said: Lines,
}

/// What a stream brought so far.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                theirs.lock().unwrap().push(line.expect("the program speaks UTF-8"));
            }
        });
        Lines { lines, reader: Some(reader) }
    }

    fn now(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All there is, once the program has ended.
    fn all(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.now()
    }
}

impl Running {
    /// Starts the program in `folder`.
    pub fn start(words: &[impl AsRef<OsStr>], folder: &Path) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let printed = Lines::of(child.stdout.take().expect("piped"));
        let said = Lines::of(child.stderr.take().expect("piped"));
        Running { child, printed, said }
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: it only sends a signal; the process is ours and not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    fn status(&mut self) -> ExitStatus {
        wait_for("end of the program", || self.child.try_wait().expect("it can be waited for"))
    }

    /// Waits until the program has said `word`; the line that has it.
    fn line_with(&self, word: &str) -> String {
        let found = || self.said.now().into_iter().find(|line| line.contains(word));
        wait_for(word, found)
    }

    /// Standard output and standard error, once it has ended.
    fn texts(&mut self) -> (Vec<String>, Vec<String>) {
        (self.printed.all(), self.said.all())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of `running`.
#[track_caller]
pub fn end_of(mut running: Running) -> ExitStatus {
    running.status()
}

fn s3trail(words: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3trail"));
    command.args(words).current_dir(folder).stdin(Stdio::null()).output().expect("the program starts")
}

/// What a run prints that must succeed.
#[track_caller]
fn answer(words: &[&str], folder: &Path) -> String {
    let output = s3trail(words, folder);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The only value of a query over the lake `lake` in `folder`.
#[track_caller]
fn number(sql: &str, folder: &Path) -> u64 {
    let csv = answer(&["query", sql, "--lake", "lake", "--format", "csv", "--quiet"], folder);
    csv.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{sql}: {csv}"))
}

/// Puts the first `count` log objects of the sample day that are not there yet into the folder `in`, each at once.
fn drop_in(count: usize, folder: &Path) {
    let mut samples: Vec<PathBuf> = fs::read_dir(root().join("sample_logs/2026-03-01/self"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    samples.sort();
    let source = folder.join("in");
    fs::create_dir_all(&source).unwrap();
    let is_new = |sample: &&PathBuf| !source.join(sample.file_name().unwrap()).exists();
    for sample in samples.iter().filter(is_new).take(count) {
        let name = sample.file_name().unwrap();
        fs::copy(sample, folder.join(name)).unwrap();
        fs::rename(folder.join(name), source.join(name)).unwrap();
    }
}

/// The values of a page of metrics by name and labels, each with its HELP and TYPE before it.
fn metrics(page: &str) -> BTreeMap<String, f64> {
    let mut described = Vec::new();
    let mut values = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kind == "counter" || kind == "gauge", "{line}");
            described.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            assert!(described.contains(&family), "{line} has no TYPE");
            values.insert(name.to_owned(), value.parse().unwrap());
        }
    }
    values
}

fn metrics_of(file: &Path) -> Option<BTreeMap<String, f64>> {
    fs::read_to_string(file).ok().map(|page| metrics(&page))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The lines as events of a JSON log.
fn events(lines: &[String]) -> Vec<Value> {
    let events: Vec<Value> = lines.iter().map(|line| json(line)).collect();
    for event in &events {
        let has_text = |key: &str| event[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(has_text("timestamp") && has_text("level") && has_text("message"), "{event}");
    }
    events
}

#[track_caller]
fn assert_sound(folder: &Path) {
    let text = answer(&["lake", "verify", "--lake", "lake"], folder);
    assert!(text.starts_with("sound"), "{text}");
}

#[test]
fn what_is_dropped_in_is_taken_in_until_a_signal_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let page = folder.join("s3trail.prom");
    drop_in(2, folder);
    let mut running = Running::start(
        &[
            "ingest",
            "in",
            "--lake",
            "lake",
            "--watch",
            "1s",
            "--metrics",
            "s3trail.prom",
            "--heartbeat",
            "heartbeat.json",
            "--log-format",
            "json",
            "--json",
        ],
        folder,
    );
    let taken_in = |count: f64| {
        wait_for("log objects in the metrics", || {
            (metrics_of(&page)?["s3trail_objects_total"] == count).then_some(())
        });
    };
    taken_in(2.0);
    drop_in(3, folder);
    taken_in(5.0);
    // A round without anything new is a round too.
    let rounds = |values: &BTreeMap<String, f64>| values["s3trail_rounds_total{outcome=\"success\"}"];
    let now = rounds(&metrics_of(&page).unwrap());
    wait_for("another round", || (rounds(&metrics_of(&page)?) > now).then_some(()));
    let beat = json(&fs::read_to_string(folder.join("heartbeat.json")).unwrap());
    assert_eq!(beat["pid"], running.child.id());
    assert_eq!(beat["version"], env!("CARGO_PKG_VERSION"));
    assert!(["idle", "ingesting"].contains(&beat["state"].as_str().unwrap()), "{beat}");
    assert!(beat["last_success"].is_string() && beat["last_error"].is_null(), "{beat}");

    running.signal(libc::SIGTERM);
    assert_eq!(running.status().code(), Some(0));
    let (printed, said) = running.texts();
    let objects: u64 = printed.iter().map(|line| json(line)["objects"].as_u64().unwrap()).sum();
    assert_eq!(objects, 5);
    let events = events(&said);
    assert!(events.iter().any(|event| event["note"] == "stopping"), "{events:?}");
    assert!(events.iter().all(|event| event["level"] == "INFO"), "{events:?}");

    assert_sound(folder);
    let values = metrics_of(&page).unwrap();
    let rows = number("SELECT count(*) FROM access_logs", folder) as f64;
    assert!(rows > 0.0);
    for (name, expected) in [
        ("s3trail_records_total", rows),
        ("s3trail_lake_rows{table=\"access_logs\"}", rows),
        ("s3trail_lake_rows{table=\"log_objects\"}", 5.0),
        ("s3trail_rejects_total", number("SELECT count(*) FROM rejects", folder) as f64),
        ("s3trail_bytes_in_total", number("SELECT sum(size_bytes) FROM log_objects", folder) as f64),
        ("s3trail_rounds_total{outcome=\"failed\"}", 0.0),
    ] {
        assert_eq!(values.get(name), Some(&expected), "{name}");
    }
    let delivered = "SELECT CAST(date_part('epoch', max(delivered_at)) AS BIGINT) FROM log_objects";
    let newest = values["s3trail_newest_delivery_timestamp_seconds"];
    assert_eq!(newest, number(delivered, folder) as f64);
    assert!(values["s3trail_last_success_timestamp_seconds"] > newest);
    let leftovers: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(leftovers.len(), 4, "in, lake, metrics and heartbeat: {leftovers:?}");
}

#[test]
fn counters_go_on_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ingest = ["ingest", "in", "--lake", "lake", "--metrics", "s3trail.prom", "--quiet"];
    for objects in 1..=3 {
        drop_in(1, folder);
        answer(&ingest, folder);
        let values = metrics_of(&folder.join("s3trail.prom")).unwrap();
        assert_eq!(values["s3trail_objects_total"], f64::from(objects));
        assert_eq!(values["s3trail_rounds_total{outcome=\"success\"}"], f64::from(objects));
    }
}

#[test]
fn a_source_that_is_not_there_yet_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = ["ingest", "in", "--lake", "lake", "--watch", "1s", "--metrics", "127.0.0.1:0"];
    let mut running = Running::start(&words, folder);
    let line = running.line_with("metrics are at");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    running.line_with("this round failed");
    drop_in(2, folder);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    };
    let values = wait_for("log objects in the metrics", || {
        let values = metrics(&ask("/metrics").1);
        (values["s3trail_objects_total"] == 2.0).then_some(values)
    });
    assert!(values["s3trail_rounds_total{outcome=\"failed\"}"] >= 1.0, "{values:?}");
    let (head, health) = ask("/healthz");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let health = json(&health);
    assert!(health["last_error"].as_str().unwrap().contains("in"), "{health}");
    assert!(ask("/").0.starts_with("HTTP/1.1 404"));
    running.signal(libc::SIGINT);
    assert_eq!(running.status().code(), Some(0));
    assert_sound(folder);
}

#[test]
fn rounds_of_run_look_for_trouble_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop_in(2, folder);
    let words = [
        "run",
        "in",
        "--lake",
        "lake",
        "--watch",
        "1s",
        "--only",
        "recursion-self",
        "--json",
        "--metrics",
        "m.prom",
    ];
    let mut running = Running::start(&words, folder);
    let printed = wait_for("second round", || Some(running.printed.now()).filter(|lines| lines.len() >= 2));
    running.signal(libc::SIGTERM);
    assert_eq!(running.status().code(), Some(0), "{:?}", running.texts());
    let rounds: Vec<Value> = printed.iter().map(|line| json(line)).collect();
    assert_eq!((rounds[0]["objects"].as_u64(), rounds[1]["objects"].as_u64()), (Some(2), Some(0)));
    assert!(rounds.iter().all(|round| round["findings"].is_array()), "{rounds:?}");
    let found = rounds[0]["findings"].as_array().unwrap().iter();
    let high = found.filter(|finding| finding["level"] == "high" && finding["suppressed"].is_null()).count();
    let values = metrics_of(&folder.join("m.prom")).unwrap();
    assert_eq!(values["s3trail_findings{level=\"high\"}"], high as f64);
}

/// A named pipe that nobody writes to: reading from it never ends.
fn endless(folder: &Path) {
    let path = folder.join("pipe");
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with a zero and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until the program reads the pipe, which then goes on for as long as what is returned.
fn wait_for_reader(folder: &Path) -> fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    let open =
        || fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(folder.join("pipe")).ok();
    wait_for("a reader of the pipe", open)
}

/// Waits until the heartbeat says so.
fn wait_for_state(state: &str, folder: &Path) {
    wait_for(state, || {
        let beat: Value = serde_json::from_slice(&fs::read(folder.join("heartbeat.json")).ok()?).ok()?;
        (beat["state"] == state).then_some(())
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let folder = tempfile::tempdir().unwrap();
        endless(folder.path());
        let words = ["ingest", "pipe", "--lake", "lake", "--heartbeat", "heartbeat.json"];
        let mut running = Running::start(&words, folder.path());
        wait_for_state("ingesting", folder.path());
        let _pipe = wait_for_reader(folder.path());
        running.signal(signal);
        running.line_with("stopping");
        running.signal(signal);
        assert_eq!(running.status().code(), Some(code), "{:?}", running.texts());
    }
}

#[test]
fn what_hangs_does_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    endless(folder.path());
    let words = ["ingest", "pipe", "--lake", "lake", "--watch", "1h", "--heartbeat", "heartbeat.json"];
    let mut running = Running::start(&words, folder.path());
    wait_for_state("ingesting", folder.path());
    let _pipe = wait_for_reader(folder.path());
    running.signal(libc::SIGTERM);
    assert_eq!(running.status().code(), Some(0), "{:?}", running.texts());
    let (_, said) = running.texts();
    assert!(said.iter().any(|line| line.contains("did not end in time")), "{said:?}");
}

#[cfg(feature = "s3")]
#[test]
fn a_question_that_nobody_answers_does_not_keep_it_from_ending() {
    use std::os::fd::FromRawFd;
    use std::ptr::null_mut;
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: both numbers are there to be written to; nothing else has to be given.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, null_mut(), null_mut(), null_mut()) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptors are new, and nobody else's.
    let (mut ours, theirs) = unsafe { (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs)) };
    let mut child = Command::new(env!("CARGO_BIN_EXE_s3trail"))
        .args(["ingest", "s3://amzn-s3-demo-logs/", "--lake", "lake", "--delete-after-commit"])
        .current_dir(folder.path())
        .stdin(theirs.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(theirs)
        .spawn()
        .expect("the program starts");
    let (mut said, mut piece) = (Vec::new(), [0; 256]);
    while !String::from_utf8_lossy(&said).contains("[y/N]") {
        let read = ours.read(&mut piece).unwrap();
        said.extend_from_slice(&piece[..read]);
    }
    let asked = Instant::now();
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: it only sends a signal; the process is ours and not yet waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let status = wait_for("end of the program", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(2));
    // Otherwise it would have been left behind after nine seconds.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

#[test]
fn an_interrupted_run_leaves_nothing_behind_and_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records = "20000";
    answer(&["generate", "--records", records, "--seed", "4", "-o", "in", "--quiet"], folder);
    let words =
        ["ingest", "in", "--lake", "lake", "--commit-bytes", "500kB", "--heartbeat", "heartbeat.json"];
    let mut running = Running::start(&words, folder);
    wait_for_state("ingesting", folder);
    wait_for("lake", || folder.join("lake/access_logs/_delta_log").is_dir().then_some(()));
    running.signal(libc::SIGINT);
    let status = running.status();
    let (_, said) = running.texts();
    match status.code() {
        // The signal came too late.
        Some(0) => {}
        Some(2)
            if said
                .iter()
                .any(|line| line.contains("commits are in the lake") || line.contains("1 commit is")) =>
        {
            assert_sound(folder);
            let remains =
                answer(&["lake", "vacuum", "--lake", "lake", "--older-than", "0s", "--dry-run"], folder);
            assert!(remains.starts_with("would remove 0 files"), "{remains}");
        }
        // The machine is so slow that the program gave up waiting.
        Some(2) if said.iter().any(|line| line.contains("did not end in time")) => {}
        other => panic!("exit code {other:?}: {said:?}"),
    }
    answer(&words, folder);
    assert_sound(folder);
    answer(&["ingest", "in", "--lake", "undisturbed", "--quiet"], folder);
    let rows = |lake: &str| {
        let sql =
            "SELECT count(*), count(DISTINCT log_key), sum(record_bytes), sum(log_offset) FROM access_logs";
        answer(&["query", sql, "--lake", lake, "--format", "csv", "--quiet"], folder)
    };
    assert_eq!(rows("lake"), rows("undisturbed"));
}

#[test]
fn json_logs_are_json_lines_with_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let malformed = root().join("sample_logs/malformed");
    let words = ["ingest", malformed.to_str().unwrap(), "--lake", "lake", "--log-format", "json"];
    let output = s3trail(&words, folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let lines: Vec<String> = String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect();
    let events = events(&lines);
    let note = |name: &str| {
        let found = events.iter().find(|event| event["note"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {events:?}"))
    };
    let rejects = note("rejects_kept");
    assert_eq!((rejects["level"].as_str(), rejects["count"].as_u64()), (Some("WARN"), Some(25)));
    assert!(rejects["place"].is_string() && rejects["reason"].is_string(), "{rejects}");
    assert!(note("reject_ratio_exceeded")["ratio"].as_f64().unwrap() > 0.01);
    let summary = events.iter().find(|event| event["objects"].is_u64()).expect("a summary");
    assert_eq!((summary["level"].as_str(), summary["rejects"].as_u64()), (Some("INFO"), Some(25)));

    let quiet = [&words[..], &["--quiet"]].concat();
    let output = s3trail(&quiet, folder.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().all(|line| json(line)["level"] == "WARN"), "{said}");
}

#[test]
fn errors_are_json_too_when_json_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (words, word) in [
        (&["ingest", "missing", "--log-format", "json"][..], "missing"),
        (&["ingest", "--log-format=json", "--nonsense"], "--nonsense"),
        (&["--log-format", "json", "ingest", "in", "--shard", "5/4"], "4/4"),
    ] {
        let output = s3trail(words, folder.path());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<Value> = said.lines().map(json).filter(|event| event["level"] == "ERROR").collect();
        let [error] = &errors[..] else { panic!("{words:?}: {said}") };
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    let text = s3trail(&["ingest", "missing"], folder.path());
    assert!(String::from_utf8(text.stderr).unwrap().contains("s3trail: no such file or folder"));
}

#[test]
fn words_that_make_no_sense_are_refused_before_anything_begins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop_in(1, folder);
    for (words, word) in [
        (&["ingest", "-", "--watch", "1s"][..], "standard input"),
        (&["ingest", "in", "--metrics", "127.0.0.1:0"], "--watch"),
        (&["ingest", "in", "--full-scan"], "--full-scan"),
        (&["ingest", "in", "--delete-after-commit", "--yes"], "--delete-after-commit"),
        (&["ingest", "s3://amzn-s3-demo-logs/", "--delete-after-commit"], "--yes"),
        (&["ingest", "in", "--heartbeat", "missing/heartbeat.json"], "missing"),
        (&["ingest", "in", "--watch", "1s", "--dry-run"], "--dry-run"),
    ] {
        let output = s3trail(&[words, &["--lake", "lake"]].concat(), folder);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(word), "{words:?}: {said}");
    }
    assert!(!folder.join("lake").exists());
}
