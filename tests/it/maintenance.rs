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

/// The tables whose rows are what a log object came to.
const TABLES: [&str; 3] = ["access_logs", "log_objects", "rejects"];

impl Ground {
    /// Three log objects in commits of their own, the versions 1 to 3 of every table; each has a line that is none.
    fn of_three() -> Self {
        let mut ground = Self::new();
        for part in 0..3 {
            ground
                .take_in(&[lines(1, part * 10, 10), vec![format!("no record {part}").into_bytes()]].concat());
        }
        ground
    }

    /// The Parquet files of a table, sorted.
    fn part_files(&self, table: &str) -> Vec<PathBuf> {
        let entries = walkdir::WalkDir::new(Path::new(&self.lake()).join(table)).sort_by_file_name();
        let paths = entries.into_iter().map(|entry| entry.unwrap().into_path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect()
    }

    /// The entry of the Delta log that made a version of a table.
    fn entry(&self, table: &str, version: u64) -> PathBuf {
        Path::new(&self.lake()).join(format!("{table}/_delta_log/{version:020}.json"))
    }

    /// Takes the files that a commit added out of its entry: their rows are gone.
    fn drop_additions(&self, table: &str, version: u64) {
        let entry = self.entry(table, version);
        let text = fs::read_to_string(&entry).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"add\"")).collect();
        assert!(kept.len() < text.lines().count(), "{text}");
        fs::write(entry, kept.join("\n") + "\n").unwrap();
    }

    /// Exit code and all that is said of a verification.
    fn verified(&self) -> (Option<i32>, String) {
        said(&run(&["lake", "verify", "--lake", &self.lake()]))
    }

    /// The same of a repair from the folder of log objects.
    fn repaired(&self) -> (Option<i32>, String) {
        let rest = ["--log-bucket", "b", "--max-reject-ratio", "1"];
        said(&run(&[&["lake", "repair", &self.path("logs"), "--lake", &self.lake()], &rest[..]].concat()))
    }

    /// Rows of the three tables.
    fn counts(&self) -> String {
        self.query(
            "SELECT (SELECT count(*) FROM access_logs) AS logs, (SELECT count(*) FROM log_objects) AS objects, \
             (SELECT count(*) FROM rejects) AS rejects",
        )
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn damaged_files_of_any_table_are_named() {
    let mut ground = Ground::new();
    ground.take_in(&[lines(1, 0, 10), vec![b"no record".to_vec()]].concat());
    for table in TABLES {
        let file = ground.part_files(table).pop().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&file).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        let half = &bytes[..bytes.len() / 2];
        let lengths = format!("has {} bytes and should have {}", half.len(), bytes.len());
        let damages: [(Option<&[u8]>, &str); 3] = [
            (None, "is missing"),
            (Some(&flipped[..]), "its bytes are not those that were written"),
            (Some(half), lengths.as_str()),
        ];
        for (damage, word) in damages {
            match damage {
                Some(damage) => fs::write(&file, damage).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let (code, text) = ground.verified();
            assert_eq!(code, Some(2), "{text}");
            let sentence = text.lines().find(|line| line.starts_with("File ") && line.contains(name));
            assert!(sentence.is_some_and(|line| line.contains(word)), "{word}: {text}");
        }
        fs::write(&file, bytes).unwrap();
        ground.verify();
    }
}

/// Of the ledger, of the records or of the rejects: the log object is named, and it alone is read again.
#[test]
fn rows_that_are_gone_are_named_and_read_again() {
    let ground = Ground::of_three();
    let (records, counts) = (ground.records(), ground.counts());
    for (table, version) in [("access_logs", 2), ("log_objects", 1), ("rejects", 3)] {
        ground.drop_additions(table, version);
        let (code, text) = ground.verified();
        assert_eq!(code, Some(2), "{text}");
        let named: Vec<&str> = text.lines().filter(|line| line.starts_with("Log object ")).collect();
        assert_eq!(named.len(), 1, "{table}: {text}");
        let object = format!("b/2026-03-04-10-20-30-{version:016X}: the ledger has ");
        assert!(named[0].contains(&object), "{table}: {text}");
        let (code, text) = ground.repaired();
        assert_eq!(code, Some(0), "{text}");
        for words in ["reading 1 log object again", "took in 1 log objects", "2 log objects known already"] {
            assert!(text.contains(words), "{table}: {text}");
        }
        ground.verify();
        assert!(ground.records() == records, "{table}");
        assert_eq!(ground.counts(), counts, "{table}");
    }
    assert_eq!(ground.repaired(), (Some(0), "nothing to repair\n".to_owned()));
}

#[test]
fn a_torn_delta_log_is_refused_and_nothing_is_changed() {
    let ground = Ground::of_three();
    let (records, logs, lake) = (ground.records(), ground.path("logs"), ground.lake());
    for (table, version) in [("access_logs", 3), ("access_logs", 1), ("log_objects", 3), ("rejects", 3)] {
        let entry = ground.entry(table, version);
        let whole = fs::read(&entry).unwrap();
        let torn = &whole[..whole.len() * 3 / 5];
        fs::write(&entry, torn).unwrap();
        for args in
            [&["lake", "verify"][..], &["lake", "repair", &logs], &["ingest", &logs, "--log-bucket", "b"]]
        {
            let (code, text) = said(&run(&[args, &["--lake", &lake]].concat()));
            assert_eq!(code, Some(2), "{args:?}: {text}");
            assert!(text.contains(&format!("{table}/_delta_log")) && text.contains("backup"), "{text}");
        }
        assert!(fs::read(&entry).unwrap() == torn, "{table} {version}");
        fs::write(&entry, whole).unwrap();
    }
    ground.verify();
    assert!(ground.records() == records);
}

/// A lake that somebody else has written to.
#[test]
fn a_file_outside_the_lake_is_no_part_of_it() {
    for path in ["../../secret.parquet", "/secret.parquet"] {
        let (ground, secret) = outside(path);
        let (code, text) = ground.verified();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("secret.parquet") && text.contains("leads nowhere"), "{text}");
        ground.compact(&[]);
        json(&["lake", "vacuum", "--older-than", "0s", "--json", "--lake", &ground.lake()]);
        let (code, text) = ground.repaired();
        assert_eq!(code, Some(0), "{text}");
        json(&["lake", "vacuum", "--older-than", "0s", "--json", "--lake", &ground.lake()]);
        ground.verify();
        assert!(secret.exists());
    }
}

/// A lake whose Delta log names its only file of records at `path`, and that file where the path leads to.
fn outside(path: &str) -> (Ground, PathBuf) {
    let mut ground = Ground::new();
    ground.take_in(&lines(1, 0, 10));
    let secret = PathBuf::from(ground.path("secret.parquet"));
    let file = ground.part_files("access_logs").pop().unwrap();
    fs::rename(&file, &secret).unwrap();
    let path = if path.starts_with('/') { secret.to_str().unwrap() } else { path };
    let folder = Path::new(&ground.lake()).join("access_logs");
    let inside = file.strip_prefix(folder).unwrap().to_str().unwrap();
    let entry = ground.entry("access_logs", 1);
    let text = fs::read_to_string(&entry).unwrap();
    assert!(text.contains(inside), "{text}");
    fs::write(entry, text.replace(inside, path)).unwrap();
    (ground, secret)
}

#[test]
fn a_file_outside_the_lake_is_not_read() {
    let paths = [
        "../../secret.parquet",
        "event_date=2026-03-01/../../../secret.parquet",
        "/secret.parquet",
        " ../../secret.parquet",
        "..\\\\..\\\\secret.parquet",
        "file:secret.parquet",
    ];
    for (path, reader) in paths.into_iter().flat_map(|path| [(path, 1), (path, 2)]) {
        let (ground, secret) = outside(path);
        let lake = ground.lake();
        for version in [0, 1] {
            let entry = ground.entry("access_logs", version);
            let text = fs::read_to_string(&entry).unwrap();
            let text = text.replace("\"minReaderVersion\":1", &format!("\"minReaderVersion\":{reader}"));
            fs::write(entry, text.replace("file:secret.parquet", &format!("file:{}", secret.display())))
                .unwrap();
        }
        let (code, text) = said(&run(&["query", "SELECT request_uri FROM access_logs", "--lake", &lake]));
        assert_eq!(code, Some(2), "{path}: {text}");
        assert!(text.contains("leads out of the lake"), "{path}: {text}");
    }
}

#[test]
fn a_torn_entry_of_the_delta_log_is_named() {
    for (table, version) in [("access_logs", 3), ("log_objects", 1), ("rejects", 2)] {
        let ground = Ground::of_three();
        let entry = ground.entry(table, version);
        let whole = fs::read(&entry).unwrap();
        fs::write(&entry, &whole[..whole.len() * 3 / 5]).unwrap();
        let (code, text) = ground.verified();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(&format!("{table}/_delta_log/{version:020}.json")), "{text}");
    }
}

#[test]
fn what_a_damaged_file_had_is_told() {
    for is_missing in [true, false] {
        let mut ground = Ground::new();
        ground.take_in(&lines(1, 0, 10));
        let file = ground.part_files("access_logs").pop().unwrap();
        let bytes = fs::read(&file).unwrap();
        match is_missing {
            true => fs::remove_file(&file).unwrap(),
            false => fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
        }
        let (code, text) = ground.verified();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("2026-03-04-10-20-30-0000000000000001"), "{text}");
    }
}

#[test]
fn damaged_files_of_any_table_are_read_again() {
    for table in TABLES {
        for is_missing in [true, false] {
            let ground = Ground::of_three();
            let (records, counts) = (ground.records(), ground.counts());
            let file = ground.part_files(table).pop().unwrap();
            match is_missing {
                true => fs::remove_file(&file).unwrap(),
                false => {
                    let mut bytes = fs::read(&file).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    fs::write(&file, bytes).unwrap();
                }
            }
            let (code, text) = ground.repaired();
            assert_eq!(code, Some(0), "{table}: {text}");
            assert!(text.contains("reading 1 log object again"), "{table}: {text}");
            ground.verify();
            assert!(ground.records() == records, "{table}");
            assert_eq!(ground.counts(), counts, "{table}");
        }
    }
}

/// The last entry of a Delta log is gone, or empty as after a power failure.
#[test]
fn a_repair_takes_nothing_away_that_it_cannot_bring_back() {
    for table in TABLES {
        for is_empty in [true, false] {
            let ground = Ground::of_three();
            let records = ground.records();
            let entry = ground.entry(table, 3);
            match is_empty {
                true => fs::write(&entry, "").unwrap(),
                false => fs::remove_file(&entry).unwrap(),
            }
            assert_eq!(ground.verified().0, Some(2));
            let before = ground.counts();
            match ground.repaired() {
                (Some(0), _) => {
                    ground.verify();
                    assert!(ground.records() == records, "{table}");
                }
                (_, text) => assert_eq!(ground.counts(), before, "{table}: {text}"),
            }
        }
    }
}

/// A disk or a network that fails for a while takes nothing out of the lake: what cannot be read may be whole.
#[test]
fn a_repair_drops_no_file_that_it_could_not_read() {
    for table in TABLES {
        let ground = Ground::of_three();
        let (before, counts) = (ground.records(), ground.counts());
        // The source could not make up for it.
        fs::remove_dir_all(ground.path("logs")).unwrap();
        fs::create_dir(ground.path("logs")).unwrap();
        let file = ground.part_files(table).remove(0);
        let whole = fs::read(&file).unwrap();
        // Whoever follows this link is told that there are too many of them.
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&file, &file).unwrap();
        assert_eq!(ground.verified().0, Some(2));
        let (code, text) = ground.repaired();
        assert_eq!(code, Some(2), "{table}: {text}");
        assert!(text.contains("cannot be read: ") && text.contains("nothing was changed"), "{table}: {text}");
        fs::remove_file(&file).unwrap();
        fs::write(&file, whole).unwrap();
        ground.verify();
        assert_eq!(ground.repaired(), (Some(0), "nothing to repair\n".to_owned()), "{table}");
        assert_eq!(ground.counts(), counts, "{table}");
        assert!(ground.records() == before, "{table}");
    }
}

/// What may be in a part of the source that cannot be listed is not called gone.
#[test]
fn a_repair_says_which_part_of_the_source_it_cannot_see() {
    let ground = Ground::of_three();
    let file = ground.part_files("access_logs").remove(0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let logs = PathBuf::from(ground.path("logs"));
    fs::remove_dir_all(&logs).unwrap();
    fs::create_dir(&logs).unwrap();
    std::os::unix::fs::symlink(logs.join("loop"), logs.join("loop")).unwrap();
    let (code, text) = ground.repaired();
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("levels of symbolic links"), "{text}");
    assert!(text.contains("is not in what can be read of the source"), "{text}");
    assert!(!text.contains("no longer"), "{text}");
    let (code, text) =
        said(&run(&["ingest", logs.join("loop/x").to_str().unwrap(), "--lake", &ground.lake()]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("levels of symbolic links") && !text.contains("no such file"), "{text}");
}

/// Where the source cannot give back what is lost, a backup still can: the lake stays as it is.
#[test]
fn what_the_source_lacks_is_left_for_a_backup() {
    for table in TABLES {
        let ground = Ground::of_three();
        let (before, entry) = (ground.records(), ground.entry(table, 3));
        fs::remove_file(Path::new(&ground.path("logs")).join("2026-03-04-10-20-30-0000000000000003"))
            .unwrap();
        let whole = fs::read(&entry).unwrap();
        fs::write(&entry, "").unwrap();
        let (code, text) = ground.repaired();
        assert_eq!(code, Some(2), "{table}: {text}");
        assert!(text.contains("0000000000000003 is no longer in the source"), "{table}: {text}");
        assert!(text.contains("the tables disagree") && text.contains("backup"), "{table}: {text}");
        fs::write(&entry, whole).unwrap();
        ground.verify();
        assert!(ground.records() == before, "{table}");
    }
    let ground = Ground::of_three();
    let before = ground.records();
    let logs = PathBuf::from(ground.path("logs"));
    for object in 1..3 {
        fs::remove_file(logs.join(format!("2026-03-04-10-20-30-{object:016X}"))).unwrap();
    }
    for file in ground.part_files("log_objects") {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let (code, text) = ground.repaired();
        if code == Some(0) {
            // That of the log object that is there.
            continue;
        }
        assert!(text.contains("the ledger is damaged") && text.contains("backup"), "{text}");
        fs::write(&file, whole).unwrap();
    }
    ground.verify();
    assert!(ground.records() == before);
}

/// Of a commit without rejects, the last entry of `rejects` has nothing but its number.
#[test]
fn a_lost_number_is_written_again() {
    let mut ground = Ground::new();
    ground.take_in(&lines(1, 0, 10));
    ground.take_in(&lines(1, 10, 10));
    let records = ground.records();
    fs::remove_file(ground.entry("rejects", 2)).unwrap();
    assert_eq!(ground.verified().0, Some(2));
    let (code, text) = ground.repaired();
    assert_eq!(code, Some(0), "{text}");
    ground.verify();
    ground.deliver(&lines(1, 20, 10));
    assert_eq!(ground.repaired(), (Some(0), "nothing to repair\n".to_owned()));
    ground.take_in(&lines(1, 30, 10));
    ground.verify();
    assert!(ground.records().len() > records.len());
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

/// Between forgetting and reading again nothing in the tables tells what is missing.
#[test]
fn a_repair_that_was_cut_short_is_taken_up() {
    let mut ground = Ground::new();
    ground.take_in(&lines(1, 0, 10));
    // The other log object stands for one that was forgotten.
    ground.deliver(&lines(1, 10, 10));
    let (code, text) = ground.repaired();
    assert!(code == Some(0) && text.contains("nothing to repair"), "{text}");
    let notes = Path::new(&ground.lake()).join("_s3trail/repairs");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("last.json"), "{\"is_pending\":true}").unwrap();
    let (code, text) = ground.verified();
    assert!(code == Some(2) && text.contains("cut short"), "{text}");
    let (code, text) = ground.repaired();
    assert_eq!(code, Some(0), "{text}");
    ground.verify();
    assert_eq!(ground.query("SELECT count(*) AS n FROM access_logs").trim_end(), "n\n20");
    let (code, text) = ground.repaired();
    assert!(code == Some(0) && text.contains("nothing to repair"), "{text}");
}
