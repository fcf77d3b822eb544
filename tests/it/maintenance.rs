//! Compaction and retention: what is in the lake afterwards, beside readers and writers, and after a kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use s3trail::Field;
use serde_json::Value;

use crate::common::Spelled;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3trail"));
    command.args(args).env_remove("S3TRAIL_LAKE").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// A lake and a folder of log objects.
struct Ground {
    dir: tempfile::TempDir,
    objects: u64,
}

impl Ground {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), objects: 0 }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn lake(&self) -> String {
        self.path("lake")
    }

    /// Delivers a log object and takes it in, in a commit of its own.
    fn take_in(&mut self, lines: &[Vec<u8>]) {
        self.deliver(lines);
        let rest = ["--json", "--quiet", "--log-bucket", "b", "--max-reject-ratio", "1"];
        json(&[&["ingest", &self.path("logs"), "--lake", &self.lake()], &rest[..]].concat());
    }

    fn deliver(&mut self, lines: &[Vec<u8>]) {
        self.objects += 1;
        let folder = PathBuf::from(self.path("logs"));
        fs::create_dir_all(&folder).unwrap();
        let name = format!("2026-03-04-10-20-30-{:016X}", self.objects);
        fs::write(folder.join(name), [&lines.join(&b'\n')[..], b"\n"].concat()).unwrap();
    }

    #[track_caller]
    fn verify(&self) {
        let output = run(&["lake", "verify", "--lake", &self.lake()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    fn compact(&self, rest: &[&str]) -> Value {
        json(&[&["lake", "compact", "--json", "--lake", &self.lake()], rest].concat())
    }

    fn query(&self, sql: &str) -> String {
        let output = run(&["query", sql, "--lake", &self.lake(), "--format", "csv"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything in `access_logs` but where each record was read from, in order.
    fn records(&self) -> String {
        self.query(
            "SELECT * EXCEPT (log_bucket, log_key, log_offset) FROM access_logs \
             ORDER BY event_date, bucket, time, request_id, record_bytes, key, source_region",
        )
    }
}

/// Lines of a day of March 2026, told apart by `from`.
fn lines(day: u32, from: u32, count: u32) -> Vec<Vec<u8>> {
    let line = |n: u32| {
        let time = format!("[{day:02}/Mar/2026:10:{:02}:{:02} +0000]", n / 60 % 60, n % 60);
        Spelled::new()
            .with(Field::Time, time)
            .with(Field::RequestId, format!("{n:016X}"))
            .with(Field::Key, format!("photos/{n}"))
            .line()
    };
    (from..from + count).map(line).collect()
}

#[test]
fn a_day_becomes_one_sorted_file_without_what_came_twice() {
    let mut ground = Ground::new();
    ground.take_in(&lines(1, 100, 50));
    ground.take_in(&lines(1, 0, 50));
    // Ten that are there already, from another commit, and one that differs in its last field only.
    let mut third = lines(1, 140, 10);
    third.extend(lines(1, 200, 5));
    third.push(Spelled::new().with(Field::SourceRegion, "eu-west-1").line());
    third.push(Spelled::new().line());
    ground.take_in(&third);
    ground.take_in(&lines(2, 0, 3));
    let unique = {
        let rows = ground.records();
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.dedup();
        rows.join("\n") + "\n"
    };
    let before = ground.query("SELECT count(*) FROM access_logs");
    assert_eq!(before, "count(*)\n120\n");

    let dry = ground.compact(&["--dry-run"]);
    assert_eq!((&dry["days"], &dry["duplicates"]), (&1.into(), &10.into()), "{dry}");
    assert_eq!((&dry["replaced"]["files"], &dry["written"]["files"]), (&3.into(), &0.into()), "{dry}");
    assert_eq!(ground.query("SELECT count(*) FROM access_logs"), before);

    let done = ground.compact(&[]);
    assert_eq!((&done["days"], &done["duplicates"]), (&1.into(), &10.into()), "{done}");
    assert_eq!(ground.records(), unique);
    ground.verify();
    assert_eq!(
        ground.query("SELECT sum(records), sum(duplicates), sum(lines) FROM log_objects"),
        "sum(log_objects.records),sum(log_objects.duplicates),sum(log_objects.lines)\n110,10,120\n"
    );
    let status = json(&["lake", "status", "--json", "--lake", &ground.lake()]);
    assert_eq!(status["tables"][0]["files"], 2, "{status}");

    // Nothing to do, until something late comes; and what was taken in stays known.
    assert_eq!(ground.compact(&[])["days"], 0);
    let again =
        json(&["ingest", &ground.path("logs"), "--lake", &ground.lake(), "--json", "--log-bucket", "b"]);
    assert_eq!(again["objects"], 0);
    ground.take_in(&[lines(1, 120, 1), lines(1, 900, 1)].concat());
    let late = ground.compact(&[]);
    assert_eq!((&late["days"], &late["duplicates"]), (&1.into(), &1.into()), "{late}");
    assert_eq!(ground.query("SELECT count(*) FROM access_logs"), "count(*)\n111\n");
    ground.verify();
    // The files that were replaced go with the vacuum, and nothing else does.
    json(&["lake", "vacuum", "--older-than", "0s", "--json", "--lake", &ground.lake()]);
    assert_eq!(ground.query("SELECT count(*) FROM access_logs"), "count(*)\n111\n");
    ground.verify();
}

#[test]
fn part_files_end_at_their_target_and_sorting_spills() {
    let ground = Ground::new();
    let generated = ground.path("generated");
    let made = ["generate", "--records", "150000", "--days", "1", "--start", "2026-03-01", "--quiet", "-o"];
    assert!(run(&[&made[..], &[&generated]].concat()).status.success());
    json(&["ingest", &generated, "--lake", &ground.lake(), "--json", "--quiet", "--commit-bytes", "20MB"]);
    let before = ground.records();
    let done = ground.compact(&["--target-size", "2MB", "--max-memory", "64MiB"]);
    assert!(done["written"]["files"].as_u64().unwrap() > 3, "{done}");
    assert!(ground.records() == before);
    ground.verify();
    let little = run(&["lake", "compact", "--max-memory", "1MB", "--lake", &ground.lake()]);
    assert_eq!(little.status.code(), Some(2));
}

#[test]
fn old_days_expire_and_their_log_objects_stay_known() {
    let mut ground = Ground::new();
    let today = chrono::Utc::now().date_naive();
    let at = |days_ago: u64, id: &str| {
        let date = today - chrono::Days::new(days_ago);
        Spelled::new()
            .with(Field::Time, format!("[{} +0000]", date.format("%d/%b/%Y:00:00:00")))
            .with(Field::RequestId, id)
            .line()
    };
    ground.take_in(&[at(30, "OLD1"), at(11, "OLD2"), at(10, "KEPT1")]);
    ground.take_in(&[at(0, "KEPT2")]);
    ground.take_in(&[at(50, "OLD3")]);
    let expire = |rest: &[&str]| {
        json(&[&["lake", "expire", "--older-than", "10d", "--json", "--lake", &ground.lake()], rest].concat())
    };
    let dry = expire(&["--dry-run"]);
    assert_eq!((&dry["records"], &dry["days"], &dry["files"]), (&3.into(), &3.into(), &3.into()), "{dry}");
    ground.verify();
    let done = expire(&[]);
    assert_eq!((&done["records"], &done["days"]), (&3.into(), &3.into()), "{done}");
    assert_eq!(ground.query("SELECT request_id FROM access_logs ORDER BY 1"), "request_id\nKEPT1\nKEPT2\n");
    ground.verify();
    assert_eq!(expire(&[])["records"], 0);
    // Still in the folder, and not taken in again.
    let again =
        json(&["ingest", &ground.path("logs"), "--lake", &ground.lake(), "--json", "--log-bucket", "b"]);
    assert_eq!(again["objects"], 0);
    ground.verify();
    for days in ["0d", "36h"] {
        let output = run(&["lake", "expire", "--older-than", days, "--lake", &ground.lake()]);
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Damage that retention does not explain is still seen.
#[test]
fn expiry_hides_no_loss() {
    let mut ground = Ground::new();
    ground.take_in(&lines(1, 0, 3));
    let yesterday = chrono::Utc::now().date_naive() - chrono::Days::new(1);
    let time = format!("[{} +0000]", yesterday.format("%d/%b/%Y:00:00:00"));
    ground.take_in(&[Spelled::new().with(Field::Time, time).line()]);
    json(&["lake", "expire", "--older-than", "2d", "--json", "--lake", &ground.lake()]);
    ground.verify();
    let folder = Path::new(&ground.lake()).join(format!("access_logs/event_date={yesterday}"));
    for file in fs::read_dir(folder).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let output = run(&["lake", "verify", "--lake", &ground.lake()]);
    assert_eq!(output.status.code(), Some(2));
}

/// Files that are gone and bits that flipped: exactly what was lost comes back, and nothing comes twice.
#[test]
fn what_damage_took_is_read_again() {
    let mut ground = Ground::new();
    ground.take_in(&[lines(1, 0, 40), vec![b"no record".to_vec()]].concat());
    ground.take_in(&[lines(1, 40, 40), lines(2, 0, 40)].concat());
    ground.take_in(&lines(2, 100, 40));
    ground.compact(&[]);
    // Beside the compacted files, so that objects have rows in several.
    ground.take_in(&[lines(1, 200, 5), lines(2, 200, 5), lines(3, 0, 5)].concat());
    let expected = ground.records();
    let repair = |rest: &[&str]| {
        let logs = ground.path("logs");
        let lake = ground.lake();
        let args = ["lake", "repair", &logs, "--lake", &lake, "--log-bucket", "b", "--max-reject-ratio", "1"];
        let output = run(&[&args, rest].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(repair(&[]), (Some(0), "nothing to repair\n".to_owned()));

    let files = |day: u32| -> Vec<PathBuf> {
        let folder = Path::new(&ground.lake()).join(format!("access_logs/event_date=2026-03-0{day}"));
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let is_compacted = |file: &Path| file.file_name().unwrap().to_str().unwrap().starts_with("compact-");
    let compacted = |day: u32| files(day).into_iter().find(|file| is_compacted(file)).unwrap();
    fs::remove_file(compacted(1)).unwrap();
    let mut bytes = fs::read(compacted(2)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(compacted(2), bytes).unwrap();
    assert_eq!(run(&["lake", "verify", "--lake", &ground.lake()]).status.code(), Some(2));

    let (code, said) = repair(&["--dry-run"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("would take 2 files with 160 records out"), "{said}");
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("reading 3 log objects again"), "{said}");
    ground.verify();
    assert!(ground.records() == expected);
    assert_eq!(repair(&[]), (Some(0), "nothing to repair\n".to_owned()));

    // A log object that is gone keeps what the lake has of it.
    fs::remove_file(Path::new(&ground.path("logs")).join("2026-03-04-10-20-30-0000000000000004")).unwrap();
    let young = files(3).pop().unwrap();
    fs::remove_file(young).unwrap();
    let (code, said) = repair(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("0000000000000004 is no longer in the source"), "{said}");
    let left = ground.query("SELECT count(*) AS n FROM access_logs WHERE log_key LIKE '%4'");
    assert_eq!(left, "n\n10\n");
}

fn stop_at(child: &mut Child, after: Duration) {
    let end = std::time::Instant::now() + after;
    while std::time::Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_killed_compaction_is_finished_by_the_next() {
    let mut ground = Ground::new();
    for part in 0..4 {
        for day in 1..4 {
            ground.take_in(&lines(day, part * 40, 50));
        }
    }
    let whole = ground.path("whole");
    copy(Path::new(&ground.lake()), Path::new(&whole));
    ground.compact(&[]);
    ground.verify();
    let expected = ground.records();
    for step in 0..8 {
        fs::remove_dir_all(ground.lake()).unwrap();
        copy(Path::new(&whole), Path::new(&ground.lake()));
        let mut child = command(&["lake", "compact", "--quiet", "--lake", &ground.lake()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        stop_at(&mut child, Duration::from_millis(step * 130));
        ground.compact(&[]);
        ground.verify();
        assert!(ground.records() == expected, "step {step}");
        // What the killed one left behind goes with the next recovery.
        json(&["lake", "vacuum", "--older-than", "0s", "--json", "--lake", &ground.lake()]);
        let status = json(&["lake", "status", "--json", "--lake", &ground.lake()]);
        assert_eq!(
            (&status["pending_intents"], &status["remains"]["files"]),
            (&0.into(), &0.into()),
            "{status}"
        );
        assert!(ground.records() == expected, "step {step}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => fs::create_dir_all(target).unwrap(),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn compactions_ingests_and_queries_at_once_see_each_record_once() {
    let mut ground = Ground::new();
    for part in 0..4 {
        ground.take_in(&lines(1, part * 50, 50));
    }
    let mut total = 200;
    for round in 0..3u32 {
        let compact = |ground: &Ground| {
            command(&["lake", "compact", "--lake", &ground.lake()])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children = [compact(&ground), compact(&ground)];
        ground.take_in(&lines(1, 1_000 + round * 50, 50));
        total += 50;
        let count = ground.query("SELECT count(*) AS n, count(DISTINCT request_id) AS ids FROM access_logs");
        assert_eq!(count, format!("n,ids\n{total},{total}\n"));
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // One of two may find that the other was faster, and says so.
            assert!(output.status.success() || said.contains("run again when it is done"), "{said}");
        }
        ground.verify();
    }
    ground.compact(&[]);
    ground.verify();
    let count = ground.query("SELECT count(*) AS n, count(DISTINCT request_id) AS ids FROM access_logs");
    assert_eq!(count, format!("n,ids\n{total},{total}\n"));
}
