//! The program as people meet it: answers, formats, refusals, exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_logs")
}

/// Runs the program away from the project, so that no file there is read by chance.
fn s3trail(args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_s3trail"))
        .args(args)
        .current_dir(dir.path())
        .env_remove("S3TRAIL_LAKE")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The answer on standard output of a run that must succeed.
fn answer(args: &[&str]) -> String {
    let output = s3trail(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

/// The one line on standard error of a run that must end with exit code 2.
fn refusal(args: &[&str]) -> String {
    let output = s3trail(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stdout(&output));
    let lines: Vec<&str> = stderr(&output).lines().filter(|l| !l.contains(": note: ")).collect();
    assert_eq!(lines.len(), 1, "{args:?}: {}", stderr(&output));
    assert!(lines[0].starts_with("s3trail: "), "{}", lines[0]);
    lines[0].to_owned()
}

/// A lake of the sample day, made once.
fn lake() -> &'static str {
    static LAKE: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (_, path) = LAKE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lake").to_str().unwrap().to_owned();
        let day = samples().join("2026-03-01");
        answer(&["ingest", day.to_str().unwrap(), "--lake", &path]);
        (dir, path)
    });
    path
}

fn query(sql: &str, rest: &[&str]) -> String {
    let mut args = vec!["query", sql, "--lake", lake()];
    args.extend(rest);
    answer(&args)
}

#[test]
fn ingest_prints_one_json_object_of_the_stable_shape() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    let day = samples().join("2026-03-01");
    let text = answer(&["ingest", day.to_str().unwrap(), "--lake", lake.to_str().unwrap(), "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in [
        "objects",
        "lines",
        "records",
        "rejects",
        "duplicates",
        "bytes_in",
        "bytes_out",
        "seconds",
        "quirks",
        "commit_batches",
    ] {
        assert!(summary.get(key).is_some(), "{key} in {summary}");
    }
    assert_eq!((summary["objects"].as_u64(), summary["records"].as_u64()), (Some(45), Some(587)));
    assert_eq!(summary["rejects"].as_u64(), Some(0));
    assert_eq!(summary["quirks"]["blank_in_requester"].as_u64(), Some(14));
}

#[test]
fn a_dry_run_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    let day = samples().join("2026-03-01");
    let text =
        answer(&["ingest", day.to_str().unwrap(), "--lake", lake.to_str().unwrap(), "--dry-run", "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((summary["records"].as_u64(), summary["bytes_out"].as_u64()), (Some(587), Some(0)));
    assert!(!lake.exists());
}

#[test]
fn too_many_rejects_end_with_2_and_keep_everything() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    let malformed = samples().join("malformed");
    let args = ["ingest", malformed.to_str().unwrap(), "--lake", lake.to_str().unwrap()];
    let output = s3trail(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("max-reject-ratio"), "{}", stderr(&output));
    let count = answer(&[
        "query",
        "SELECT count(*) AS n FROM rejects",
        "--lake",
        lake.to_str().unwrap(),
        "--format",
        "csv",
    ]);
    assert_eq!(count, "n\n25\n");
    let allowed = [&args[..], &["--max-reject-ratio", "1"]].concat();
    assert!(s3trail(&allowed).status.success());
}

#[test]
fn logs_are_asked_without_a_lake() {
    let day = samples().join("2026-03-01");
    let text = answer(&[
        "query",
        "operations-summary",
        "-p",
        "limit=1000",
        "--format",
        "ndjson",
        "--logs",
        day.to_str().unwrap(),
    ]);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["operation"], "REST.GET.OBJECT");
    let total: u64 = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["records"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 587);
}

#[test]
fn every_saved_report_runs_and_views_answer() {
    let list = answer(&["queries", "list"]);
    let reports: Vec<&str> = list
        .lines()
        .filter(|l| l.contains(" report "))
        .map(|l| l.split_whitespace().next().unwrap())
        .collect();
    assert!(reports.len() >= 10, "{list}");
    for report in reports {
        let shown = answer(&["queries", "show", report]);
        let required: Vec<String> = shown
            .lines()
            .filter(|l| l.contains("[required]"))
            .map(|l| format!("{}=x", l.split_whitespace().next().unwrap()))
            .collect();
        let mut args = vec!["query", report, "--lake", lake(), "--format", "ndjson"];
        for param in &required {
            args.extend(["-p", param]);
        }
        for line in answer(&args).lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
    assert_eq!(query("SELECT count(*) AS n FROM requests", &["--format", "csv"]), "n\n587\n");
    assert!(query("log_deliveries", &["--format", "ndjson"]).contains("\"observed\""));
}

#[test]
fn who_deleted_an_object_is_answered() {
    let key = query(
        "SELECT key FROM requests WHERE operation = 'REST.DELETE.OBJECT' AND http_status = 204 ORDER BY time LIMIT 1",
        &["--format", "ndjson"],
    );
    let key: serde_json::Value = serde_json::from_str(key.trim()).unwrap();
    let param = format!("key={}", key["key"].as_str().unwrap());
    let text = query("who-deleted", &["-p", &param, "--format", "ndjson"]);
    assert!(text.contains("REST.DELETE.OBJECT"), "{text}");
}

#[test]
fn parameters_are_bound_and_never_pasted() {
    let hostile = "key=x' OR 1=1 --";
    let text =
        query("SELECT count(*) AS n FROM requests WHERE key = $key", &["-p", hostile, "--format", "csv"]);
    assert_eq!(text, "n\n0\n");
}

#[test]
fn time_predicates_prune_partitions_and_files() {
    let plan = |predicate: &str| {
        query(
            &format!("EXPLAIN SELECT request_uri FROM access_logs WHERE {predicate}"),
            &["--format", "ndjson"],
        )
    };
    let files = |plan: &str| plan.matches(".parquet").count();
    let all = files(&plan("bucket <> 'no such bucket'"));
    // A plan lists five files of a group and then dots.
    assert!(all >= 5, "{}", plan("bucket <> 'no such bucket'"));
    for predicate in [
        "event_date = DATE '2026-03-01'",
        "time >= TIMESTAMP '2026-03-01T12:00:00Z'",
        "time >= TIMESTAMP '2026-03-01T00:00:00Z' AND time < TIMESTAMP '2026-03-01T01:00:00Z'",
    ] {
        let plan = plan(predicate);
        assert!((1..=2).contains(&files(&plan)), "{predicate}: {plan}");
    }
    assert_eq!(files(&plan("time < TIMESTAMP '2009-01-01T00:00:00Z'")), 0);
}

#[test]
fn only_questions_are_allowed() {
    for (sql, word) in [
        ("DROP TABLE access_logs", "DROP"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("INSERT INTO rejects SELECT * FROM rejects", "INSERT"),
        ("COPY access_logs TO '/tmp/x.parquet'", "COPY"),
        ("SELECT 1; SELECT 2", "one"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
    ] {
        let line = refusal(&["query", sql, "--lake", lake()]);
        assert!(line.contains(word), "{sql}: {line}");
    }
}

#[test]
fn unknown_names_come_with_near_ones() {
    for (args, near) in [
        (["query", "SELECT * FROM acces_logs"], "access_logs"),
        (["query", "SELECT buckt FROM access_logs"], "bucket"),
        (["query", "top-talker"], "top-talkers"),
        (["queries show", ""], "top-talkers"),
    ] {
        let line = match args[0] {
            "query" => refusal(&[args[0], args[1], "--lake", lake()]),
            _ => refusal(&["queries", "show", "top-talkrs"]),
        };
        assert!(line.contains(near), "{args:?}: {line}");
    }
    let line = refusal(&["query", "top-talkers", "-p", "limt=3", "--lake", lake()]);
    assert!(line.contains("limit"), "{line}");
    let line = refusal(&["query", "top-talkers", "-p", "limit=many", "--lake", lake()]);
    assert!(line.contains("limit") && line.contains("many"), "{line}");
}

#[test]
fn log_text_cannot_drive_a_terminal_or_a_spreadsheet() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("hostile.log");
    fs::write(
        &log,
        "o b [06/Feb/2019:00:00:38 +0000] 192.0.2.3 - ID REST.GET.OBJECT k \"GET /k HTTP/1.1\" 200 - 1 1 1 1 \
         \"=HYPERLINK(1)\" \"\u{1b}[31mred\u{202e}\" -\n",
    )
    .unwrap();
    let logs = log.to_str().unwrap();
    let sql = "SELECT referer, user_agent FROM access_logs";
    for format in ["table", "markdown"] {
        let text = answer(&["query", sql, "--format", format, "--logs", logs]);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
    let csv = answer(&["query", sql, "--format", "csv", "--logs", logs]);
    assert!(csv.contains("'=HYPERLINK"), "{csv}");
    let raw = answer(&["query", sql, "--format", "csv", "--csv-raw", "--logs", logs]);
    assert!(raw.contains("=HYPERLINK") && !raw.contains("'="), "{raw}");
}

#[test]
fn answers_go_to_files_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.parquet");
    query("SELECT * FROM requests", &["--format", "parquet", "-o", file.to_str().unwrap()]);
    let bytes = bytes::Bytes::from(fs::read(&file).unwrap());
    let rows: usize = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes)
        .unwrap()
        .build()
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, 587);
    let old = dir.path().join("old.json");
    fs::write(&old, "old").unwrap();
    let output =
        s3trail(&["query", "SELECT 1/0 FROM access_logs", "--lake", lake(), "-o", old.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&old).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// `-o /dev/null` of a privileged user must not make a file of it; a stand-in for it here.
#[test]
fn what_is_no_file_is_written_to_and_stays_what_it_is() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::FileTypeExt;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let name = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a C string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    answer(&["query", "SELECT 1 AS one", "--format", "csv", "--lake", lake(), "-o", pipe.to_str().unwrap()]);
    assert_eq!(reader.join().unwrap(), "one\n1\n");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());

    // Behind a link, it is the file that is replaced.
    let (file, link) = (dir.path().join("file.csv"), dir.path().join("link.csv"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    answer(&["query", "SELECT 2 AS two", "--format", "csv", "--lake", lake(), "-o", link.to_str().unwrap()]);
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "two\n2\n");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_s3trail"))
        .args([
            "query",
            "SELECT a.request_uri FROM requests a CROSS JOIN requests b",
            "--format",
            "ndjson",
            "--lake",
            lake(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let sql = "SELECT sum(length(a.request_uri || b.request_uri || c.request_uri)) FROM requests a, requests b, requests c";
    let line = refusal(&["query", sql, "--timeout", "1s", "--lake", lake()]);
    assert!(line.contains("longer than its limit of 1 s"), "{line}");
}

#[test]
fn bad_usage_is_one_line_that_names_the_thing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let lake_path = path("lake");
    let into = |source: &str| refusal(&["ingest", source, "--lake", &lake_path]);

    let missing = path("missing.log");
    assert!(into(&missing).contains("missing.log"));
    fs::create_dir(path("empty")).unwrap();
    assert!(into(&path("empty")).contains("empty"));
    fs::create_dir(path("docs")).unwrap();
    fs::write(path("docs/README.md"), "x").unwrap();
    assert!(into(&path("docs")).contains("docs"));
    assert!(into("s3://amzn-s3-demo-logs/web/").contains("s3://"));

    fs::create_dir(path("no-lake")).unwrap();
    fs::write(path("no-lake/mine.txt"), "x").unwrap();
    let log = samples().join("malformed");
    let line = refusal(&["ingest", log.to_str().unwrap(), "--lake", &path("no-lake")]);
    assert!(line.contains("no-lake"), "{line}");
    assert_eq!(fs::read_dir(path("no-lake")).unwrap().count(), 1);
    for command in [&["query", "SELECT 1"][..], &["lake", "status"], &["lake", "verify"], &["lake", "vacuum"]]
    {
        for place in ["nowhere", "no-lake", "docs/README.md"] {
            let line = refusal(&[command, &["--lake", &path(place)]].concat());
            assert!(line.contains(place), "{line}");
        }
    }
    let settings = path("s3trail.toml");
    fs::write(&settings, "lake = 'x'\nlakes = 'y'\n").unwrap();
    let line = refusal(&["queries", "list", "--config", &settings]);
    assert!(line.contains("s3trail.toml") && line.contains("line: 2"), "{line}");
}

#[test]
fn damage_is_named_by_verify() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("lake");
    let lake = place.to_str().unwrap();
    answer(&["ingest", samples().join("2026-03-01").to_str().unwrap(), "--lake", lake]);
    assert!(answer(&["lake", "verify", "--lake", lake]).starts_with("sound"));
    let folder = place.join("access_logs/event_date=2026-03-01");
    let victim = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&victim).unwrap();
    let third = bytes.len() / 3;
    bytes[third..2 * third].fill(0xff);
    fs::write(&victim, bytes).unwrap();
    let output = s3trail(&["lake", "verify", "--lake", lake]);
    assert_eq!(output.status.code(), Some(2));
    let name = victim.file_name().unwrap().to_str().unwrap();
    assert!(stdout(&output).contains(name), "{}", stdout(&output));
}

/// Bits that still decode too: in text, in numbers, in what the footer says.
#[test]
fn a_flipped_bit_is_named_by_verify() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("lake");
    let lake = place.to_str().unwrap();
    answer(&["ingest", samples().join("2026-03-01").to_str().unwrap(), "--lake", lake]);
    let folder = place.join("access_logs/event_date=2026-03-01");
    let victim = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&victim).unwrap();
    let name = victim.file_name().unwrap().to_str().unwrap();
    for step in 0..12 {
        let mut flipped = bytes.clone();
        let at = bytes.len() * step / 12 + step;
        flipped[at] ^= 1 << (step % 8);
        fs::write(&victim, flipped).unwrap();
        let output = s3trail(&["lake", "verify", "--lake", lake]);
        assert_eq!(output.status.code(), Some(2), "byte {at}");
        assert!(stdout(&output).contains(name), "byte {at}: {}", stdout(&output));
    }
    fs::write(&victim, bytes).unwrap();
    assert!(answer(&["lake", "verify", "--lake", lake]).starts_with("sound"));
}

#[test]
fn vacuum_takes_remains_only() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("lake");
    let lake = place.to_str().unwrap();
    answer(&["ingest", samples().join("2026-03-01").to_str().unwrap(), "--lake", lake]);
    let remains = place.join("rejects/part-00000000-0000-4000-8000-000000000000.parquet");
    fs::write(&remains, "left behind").unwrap();
    let young = answer(&["lake", "vacuum", "--lake", lake]);
    assert!(young.starts_with("removed 0 files"), "{young}");
    let dry = answer(&["lake", "vacuum", "--lake", lake, "--older-than", "0s", "--dry-run"]);
    assert!(dry.starts_with("would remove 1 file (11 B)"), "{dry}");
    assert!(remains.exists());
    answer(&["lake", "vacuum", "--lake", lake, "--older-than", "0s"]);
    assert!(!remains.exists());
    assert!(answer(&["lake", "verify", "--lake", lake]).starts_with("sound"));
}

#[test]
fn every_subcommand_has_help_with_examples_where_it_needs_them() {
    for args in [&["--help"][..], &["ingest", "--help"], &["query", "--help"], &["generate", "--help"]] {
        assert!(answer(args).contains("Examples:"), "{args:?}");
    }
    for args in [&["lake", "--help"][..], &["lake", "vacuum", "--help"], &["queries", "--help"]] {
        assert!(answer(args).contains("Usage:"), "{args:?}");
    }
}
