//! `detect`, `evidence`, `recursion` and `run` as people and jobs meet them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::root;

/// A folder of its own with a copy of some log lines, and the program run in it.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("S3TRAIL_LAKE")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Exit code, standard output, standard error.
    fn text(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.run(args);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn findings(&self, args: &[&str]) -> Value {
        let mut all = vec!["-q", "detect", "--format", "json"];
        all.extend(args);
        let (_, out, err) = self.text(&all);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
    }
}

fn sample(name: &str) -> String {
    root().join("sample_logs").join(name).to_str().unwrap().to_owned()
}

/// What a finding of `plaintext-http` comes from.
fn http() -> String {
    sample("detections/plaintext-http/fires.log")
}

#[test]
fn the_exit_code_is_what_fail_on_asks_for() {
    let desk = Desk::new();
    let logs = http();
    let code = |args: &[&str]| {
        let mut all = vec!["-q", "detect", "--only", "plaintext-http", "--logs", &logs];
        all.extend(args);
        desk.text(&all).0
    };
    let level = desk.findings(&["--only", "plaintext-http", "--logs", &logs])["findings"][0]["level"].clone();
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&["--fail-on", level.as_str().unwrap()]), 1);
    assert_eq!(code(&["--fail-on", "informational"]), 1);
    assert_eq!(code(&["--fail-on", "critical"]), 0);
    assert_eq!(code(&["--fail-on", "awful"]), 2);
}

#[test]
fn suppressions_hold_until_their_day() {
    let desk = Desk::new();
    let logs = http();
    let settings = |expires: &str, bucket: &str| {
        format!(
            "[[suppressions]]\nid = \"plaintext-http\"\nmatch = {{ bucket = \"{bucket}\" }}\n\
             reason = \"an old camera\"\nowner = \"Mei\"\nexpires = {expires}\n"
        )
    };
    let args = ["detect", "--only", "plaintext-http", "--fail-on", "informational", "--logs", &logs];

    desk.write("s3trail.toml", &settings("9999-12-31", "amzn-s3-demo-*"));
    let (code, out, _) = desk.text(&args);
    assert_eq!(code, 0, "{out}");
    let found = desk.findings(&["--only", "plaintext-http", "--logs", &logs]);
    assert_eq!(found["findings"][0]["suppressed"]["owner"], "Mei");

    desk.write("s3trail.toml", &settings("2020-01-31", "*"));
    let (code, _, err) = desk.text(&args);
    assert_eq!(code, 1);
    assert!(err.contains("a suppression of plaintext-http expired on 2020-01-31; ask Mei"), "{err}");

    desk.write("s3trail.toml", &settings("9999-12-31", "another-bucket"));
    assert_eq!(desk.text(&args).0, 1);

    desk.write("s3trail.toml", &settings("9999-12-31", "*").replace("plaintext-http", "plaintext-htp"));
    let (code, _, err) = desk.text(&args);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean plaintext-http?"), "{err}");

    desk.write("s3trail.toml", &settings("\"soon\"", "*"));
    assert_eq!(desk.text(&args).0, 2);
}

#[test]
fn evidence_is_the_line_byte_for_byte() {
    let desk = Desk::new();
    let logs = http();
    let found = desk.findings(&["--only", "plaintext-http", "--logs", &logs]);
    let finding = &found["findings"][0];
    let fingerprint = finding["fingerprint"].as_str().unwrap();
    let (code, out, err) = desk.text(&["-q", "evidence", fingerprint, "--logs", &logs]);
    assert_eq!(code, 0, "{err}");
    let text = fs::read_to_string(&logs).unwrap();
    let places = finding["evidence"].as_array().unwrap();
    let expected: String = places
        .iter()
        .map(|place| {
            let offset = usize::try_from(place["log_offset"].as_i64().unwrap()).unwrap();
            text[offset..].split_inclusive('\n').next().unwrap()
        })
        .collect();
    assert_eq!(out, expected);

    let named = ["-q", "evidence", fingerprint, "--logs", &logs, "--log-bucket", "amzn-s3-demo-logs"];
    assert_eq!(desk.text(&named).1, expected);

    let (code, _, err) = desk.text(&["evidence", "plaintext-http:0000000000000000", "--logs", &logs]);
    assert_eq!(code, 2);
    assert!(err.contains("has no finding"), "{err}");
    let (code, _, err) = desk.text(&["evidence", "nonsense", "--logs", &logs]);
    assert_eq!(code, 2);
    assert!(err.contains("is no fingerprint"), "{err}");
}

#[test]
fn a_detection_that_cannot_run_is_named_and_the_others_run() {
    let desk = Desk::new();
    let logs = http();
    let broken = |select: &str| {
        format!(
            "--! id = \"broken\"\n--! kind = \"detection\"\n--! title = \"t\"\n--! level = \"low\"\n\
             --! description = \"d\"\nSELECT {select} FROM requests\n"
        )
    };
    let reason = |select: &str| {
        desk.write("mine/broken.sql", &broken(select));
        let args = [
            "detect",
            "--only",
            "broken,plaintext-http",
            "--queries",
            "mine",
            "--format",
            "json",
            "--logs",
            &logs,
        ];
        let (code, out, err) = desk.text(&args);
        assert_eq!(code, 2, "{err}");
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["findings"][0]["id"], "plaintext-http");
        assert_eq!(found["skipped"][0]["id"], "broken");
        assert!(err.contains("the detection broken could not be run"), "{err}");
        found["skipped"][0]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        reason("time AS first_seen, time AS last_seen, bucket, key AS subject, 1 AS n"),
        "the column count is missing; a detection returns first_seen, last_seen, bucket, subject, count, evidence; \
         this one returns first_seen, last_seen, bucket, subject, n"
    );
    assert!(reason("no_such_column").contains("there is no column no_such_column"));
    let wrong_type =
        "time AS first_seen, time AS last_seen, bucket, key AS subject, 'x' AS count, 1 AS evidence";
    assert!(reason(wrong_type).contains("the column count is of type"));
}

#[test]
fn words_that_are_wrong_are_refused_with_near_ones() {
    let desk = Desk::new();
    let logs = http();
    let refused = |args: &[&str]| {
        let mut all = vec!["detect", "--logs", &logs];
        all.extend(args);
        let (code, _, err) = desk.text(&all);
        assert_eq!(code, 2, "{args:?}");
        err
    };
    assert!(refused(&["--only", "plaintext-htpp"]).contains("did you mean plaintext-http?"));
    assert!(refused(&["--tag", "no-such-tag"]).contains("no detection has the tag no-such-tag"));
    assert!(refused(&["--since", "yesterday"]).contains("`yesterday` is no timestamp"));
    assert!(refused(&["-p", "mass-deletion"]).contains("ID.NAME=VALUE"));
    assert!(refused(&["-p", "mass-deletion.no=1"]).contains("has no parameter no"));
    assert!(
        refused(&["--only", "old-tls", "-p", "mass-deletion.min_keys=1"])
            .contains("not among the detections")
    );
}

#[test]
fn since_and_until_bound_the_findings() {
    let desk = Desk::new();
    let logs = http();
    let count = |args: &[&str]| {
        let mut all = vec!["--only", "plaintext-http", "--logs", &logs];
        all.extend(args);
        desk.findings(&all)["findings"].as_array().unwrap().len()
    };
    assert!(count(&[]) > 0);
    assert_eq!(count(&["--since", "2090-01-01"]), 0);
    assert_eq!(count(&["--until", "1990-01-01"]), 0);
}

#[test]
fn the_sample_day_shows_its_loop() {
    let desk = Desk::new();
    let day = sample("2026-03-01");
    let args = ["-q", "recursion", "--logs", &day, "--log-bucket", "amzn-s3-demo-logs"];
    let (code, out, err) = desk.text(&args);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 loop"), "{out}");
    assert!(out.contains("amzn-s3-demo-logs  LOOP  certain: 11 log objects"), "{out}");
    assert!(out.contains("aws s3api put-bucket-logging --bucket amzn-s3-demo-logs"), "{out}");
    for (format, part) in [("mermaid", "flowchart LR"), ("dot", "digraph"), ("json", "\"loops\"")] {
        let mut args = args.to_vec();
        args.extend(["--format", format]);
        assert!(desk.text(&args).1.contains(part), "{format}");
    }
}

#[test]
fn run_is_ingest_and_detect_with_one_answer() {
    let desk = Desk::new();
    let logs = http();
    let args = [
        "-q",
        "run",
        &logs,
        "--lake",
        "lake",
        "--only",
        "plaintext-http",
        "--json",
        "--fail-on",
        "informational",
    ];
    let (code, out, err) = desk.text(&args);
    assert_eq!(code, 1, "{err}");
    let both: Value = serde_json::from_str(&out).unwrap();
    let lines = fs::read_to_string(&logs).unwrap().lines().count();
    assert_eq!(both["records"].as_u64(), Some(lines as u64));
    assert_eq!(both["findings"][0]["id"], "plaintext-http");
    assert!(both["seconds"].is_number());
    assert!(Path::new(&desk.path("lake/access_logs/_delta_log")).is_dir());
    // Again: nothing new, and what is in the lake is found again.
    let (code, out, _) = desk.text(&args);
    assert_eq!(code, 1);
    let again: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(again["records"], 0);
    assert_eq!(again["findings"], both["findings"]);
}

/// Source that cannot be read, or is no access log: the exit code says so, whatever was found in the rest.
#[test]
fn an_answer_about_part_of_the_logs_ends_with_2() {
    let desk = Desk::new();
    let plain = String::from_utf8(crate::common::Spelled::new().line()).unwrap() + "\n";
    desk.write("logs/good.log", &plain);
    assert_eq!(desk.text(&["detect", "--logs", "logs"]).0, 0);
    fs::write(desk.path("logs/bad.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3, 4]).unwrap();
    for command in [&["detect"][..], &["query", "SELECT 1"], &["recursion"]] {
        let (code, out, err) = desk.text(&[command, &["--logs", "logs"]].concat());
        assert_eq!(code, 2, "{command:?}: {out}{err}");
        assert!(!out.is_empty() && err.contains("bad.gz"), "{command:?}: {out}{err}");
    }
    desk.write("other/refused.log", &format!("{plain}no record\n"));
    assert_eq!(desk.text(&["query", "SELECT 1", "--logs", "other"]).0, 0);
    let (code, _, err) = desk.text(&["detect", "--logs", "other"]);
    assert_eq!(code, 2);
    assert!(err.contains("refused"), "{err}");
}

/// A bucket that logged into itself until its owner changed that, in real records.
#[test]
fn the_specimen_is_recognised_and_has_ended() {
    let Some(corpus) = crate::common::corpus() else { return };
    let desk = Desk::new();
    fs::create_dir(desk.path("logs")).unwrap();
    crate::ingest::explode(&corpus, "JSPirates__s3logs__selflogging2013", &desk.path("logs"));
    let only = ["--only", "recursion-self,recursion-growth", "--logs", "logs"];
    let of = |found: &Value, id: &str| -> Value {
        let all = found["findings"].as_array().unwrap().iter();
        let mine: Vec<&Value> = all.filter(|finding| finding["id"] == id).collect();
        assert_eq!(mine.len(), 1, "{found:#}");
        assert_eq!(mine[0]["bucket"], "jspirates");
        mine[0].clone()
    };
    let end = "2013-09-04T21:07:03Z";

    let untold = desk.findings(&only);
    let found = of(&untold, "recursion-self");
    assert_eq!((&found["count"], &found["details"]["evidence_kind"]), (&25.into(), &"observed".into()));
    assert_eq!((&found["details"]["state"], &found["details"]["ended_at"]), (&"ended".into(), &end.into()));
    assert!(found["last_seen"].as_str().unwrap() < end, "{found:#}");
    assert_eq!(of(&untold, "recursion-growth")["details"]["verdict"], "steady");
    let after = desk.findings(&[&only[..], &["--since", end]].concat());
    assert_eq!(after["findings"], Value::Array(Vec::new()));

    let told = desk.findings(&[&only[..], &["--log-bucket", "jspirates"]].concat());
    let found = of(&told, "recursion-self");
    assert_eq!(found["details"]["evidence_kind"], "certain");
    assert_eq!((&found["details"]["state"], &found["details"]["ended_at"]), (&"ended".into(), &end.into()));

    let (_, out, _) = desk.text(&["-q", "recursion", "--logs", "logs"]);
    assert!(out.contains(&format!("ended: the logging was changed at {end}")), "{out}");
}
