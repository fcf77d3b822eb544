//! The program as people meet it: answers, formats, refusals, exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::watch::{Running, end_of};

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
fn a_source_without_log_objects_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let [source, lake] = ["logs", "lake"].map(|name| dir.path().join(name));
    fs::create_dir(&source).unwrap();
    let text = refusal(&["ingest", source.to_str().unwrap(), "--lake", lake.to_str().unwrap()]);
    assert!(text.contains("there is no log object in the source") && text.contains(source.to_str().unwrap()));
    assert!(text.contains("name the folder or prefix"), "{text}");
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
fn parameters_are_values_of_their_type_whatever_they_spell() {
    let dir = tempfile::tempdir().unwrap();
    let param = |name: &str, kind: &str, default: &str| {
        format!("--! [params.{name}]\n--! type = \"{kind}\"\n--! default = {default}\n--! help = \"h\"\n")
    };
    let text = [
        "--! id = \"typed\"\n--! kind = \"report\"\n--! title = \"t\"\n--! description = \"d\"\n",
        &param("word", "text", "\"x\""),
        &param("number", "int", "1"),
        &param("since", "timestamp", "\"2026-03-01\""),
        &param("span", "duration", "\"1h\""),
        &param("nets", "cidr_list", "[\"10.0.0.0/8\"]"),
        &param("flag", "bool", "true"),
        "SELECT $word AS word, $number AS number, $since AS since, $span AS span, $nets AS nets, $flag AS flag,\n",
        "count(*) AS n FROM access_logs WHERE key = $word\n",
    ];
    fs::write(dir.path().join("typed.sql"), text.concat()).unwrap();
    let queries = dir.path().to_str().unwrap();
    let typed = |param: &str| {
        let args =
            ["query", "typed", "-p", param, "--queries", queries, "--lake", lake(), "--format", "ndjson"];
        s3trail(&args)
    };
    for word in [
        "x' OR 1=1 --",
        "'; DROP TABLE access_logs; --",
        "$number",
        "*/ OR 1=1 /*",
        "\\' OR 1=1 --",
        "ʼ OR ʼ1ʼ=ʼ1",
        "''",
        "\"; SELECT 1",
        "\u{1b}[31m\n",
    ] {
        let output = typed(&format!("word={word}"));
        assert!(output.status.success(), "{word}: {}", stderr(&output));
        let row: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!((row["word"].as_str(), row["n"].as_u64()), (Some(word), Some(0)));
    }
    for (param, value) in [
        ("number", "1 OR 1=1"),
        ("number", "1; SELECT 2"),
        ("since", "2026-03-01' OR '1'='1"),
        ("since", "now()"),
        ("span", "1h' OR '1'='1"),
        ("span", "1 day"),
        ("nets", "0.0.0.0/0' OR 1=1"),
        ("flag", "true OR true"),
    ] {
        let output = typed(&format!("{param}={value}"));
        assert_eq!(output.status.code(), Some(2), "{param}={value}");
        assert!(stderr(&output).contains(&format!("`{value}`")), "{}", stderr(&output));
    }
    // Names and clauses are no values.
    for (sql, param) in [
        ("SELECT * FROM $a", "a=access_logs"),
        ("SELECT key FROM access_logs LIMIT $a", "a=1 UNION SELECT request_uri FROM access_logs"),
    ] {
        refusal(&["query", sql, "-p", param, "--lake", lake()]);
    }
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
fn a_condition_is_looked_at_once_or_not_at_all() {
    let plan = |sql: &str| query(&format!("EXPLAIN {sql}"), &["--format", "ndjson"]);
    let predicate = |plan: String| {
        let (_, predicate) = plan.split_once(", predicate=").unwrap_or_else(|| panic!("{plan}"));
        predicate.split(", pruning_predicate").next().unwrap_or_default().to_owned()
    };
    let once =
        predicate(plan("SELECT request_id FROM access_logs WHERE http_status = 404 AND key LIKE '%a%'"));
    assert_eq!(once.matches("http_status").count(), 1, "{once}");
    assert_eq!(once.matches("LIKE").count(), 1, "{once}");
    // Every record is younger: no time is read.
    let always = plan("SELECT request_id FROM access_logs WHERE time >= TIMESTAMP '1999-01-01T00:00:00Z'");
    assert!(always.contains(".parquet") && !always.contains("predicate="), "{always}");
    // And what the log of the table tells is not counted again.
    let counted = plan(
        "SELECT count(*) AS n, max(time) AS last FROM access_logs WHERE event_date >= DATE '2026-03-01'",
    );
    assert!(!counted.contains(".parquet"), "{counted}");
}

#[test]
fn what_is_looked_up_is_looked_for_in_few_row_groups() {
    for column in ["request_id", "key", "requester", "remote_ip", "operation", "error_code"] {
        let sql = format!("EXPLAIN ANALYZE SELECT request_id FROM access_logs WHERE {column} = 'nowhere'");
        let plan = query(&sql, &["--format", "ndjson"]);
        let (_, pruned) =
            plan.split_once("row_groups_pruned_bloom_filter=").unwrap_or_else(|| panic!("{plan}"));
        let pruned = pruned.split(',').next().unwrap_or_default();
        let (all, left) = pruned.split_once(" total \u{2192} ").unwrap_or_else(|| panic!("{pruned}"));
        let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<u32>().ok()).unwrap();
        assert!(number(all) >= 5 && number(left) <= 1, "{column}: {pruned}");
        let greatest = query(&format!("SELECT max({column}) AS v FROM access_logs"), &["--format", "ndjson"]);
        let greatest: serde_json::Value = serde_json::from_str(&greatest).unwrap();
        let greatest = greatest["v"].as_str().unwrap().replace('\'', "''");
        let there = format!("SELECT count(*) AS n FROM access_logs WHERE {column} = '{greatest}'");
        let there: serde_json::Value = serde_json::from_str(&query(&there, &["--format", "ndjson"])).unwrap();
        assert!(there["n"].as_i64().unwrap() > 0, "{column}");
    }
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

/// Every file below `folder`.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    paths.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_question_reads_its_lake_only_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, out) = (dir.path().join("secret.csv"), dir.path().join("out"));
    fs::write(&secret, "word\ns3cret\n").unwrap();
    let (file, out) = (secret.to_str().unwrap(), out.to_str().unwrap());
    let before = contents(Path::new(lake()));
    for sql in [
        format!("SELECT * FROM \"file://{file}\""),
        format!("FROM '{file}' SELECT *"),
        format!("SELECT (SELECT word FROM '{file}')"),
        format!("SELECT * FROM access_logs, LATERAL (SELECT * FROM '{file}') AS x"),
        format!("SELECT * FROM read_csv('{file}')"),
        format!("SELECT * FROM LATERAL read_csv('{file}')"),
        format!("SELECT * FROM TABLE(read_csv('{file}'))"),
        format!("DESCRIBE '{file}'"),
        format!("CREATE UNBOUNDED EXTERNAL TABLE t (word varchar) STORED AS CSV LOCATION '{file}'"),
        format!("CREATE VIEW v AS SELECT * FROM '{file}'"),
        format!("SET datafusion.catalog.location = '{file}'"),
        format!("COPY (SELECT 1) TO '{out}' STORED AS CSV"),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}' STORED AS CSV"),
        format!("INSERT INTO \"{out}\" SELECT 1"),
        "INSERT OVERWRITE access_logs SELECT * FROM access_logs".to_owned(),
        "WITH x AS (DELETE FROM access_logs RETURNING *) SELECT * FROM x".to_owned(),
        "EXPLAIN ANALYZE DELETE FROM access_logs".to_owned(),
        "MERGE INTO access_logs USING rejects ON true WHEN MATCHED THEN DELETE".to_owned(),
        "PREPARE p AS DELETE FROM access_logs".to_owned(),
        "SELECT 1; DROP TABLE access_logs".to_owned(),
    ] {
        let line = refusal(&["query", &sql, "--lake", lake()]);
        assert!(!line.contains("s3cret"), "{sql}: {line}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(contents(Path::new(lake())) == before);
}

/// A folder of saved queries may be somebody else's.
#[test]
fn saved_queries_of_a_folder_are_held_to_reading() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.csv");
    let sql = dir.path().join("mine.sql");
    let front = "--! id = \"mine\"\n--! kind = \"report\"\n--! title = \"t\"\n--! description = \"d\"\n";
    for (statement, word) in [
        (format!("COPY (SELECT 1) TO '{}'", out.display()), "COPY is not allowed"),
        (format!("SELECT * FROM '{}'", sql.display()), "looks like a file"),
        ("SELECT 1; DROP TABLE access_logs".to_owned(), "several statements"),
        ("DELETE FROM access_logs".to_owned(), "DELETE is not allowed"),
    ] {
        fs::write(&sql, format!("{front}{statement}\n")).unwrap();
        let line = refusal(&["query", "mine", "--queries", dir.path().to_str().unwrap(), "--lake", lake()]);
        assert!(line.contains(word), "{statement}: {line}");
        assert!(!out.exists());
    }
    let view = front.replace("report", "view");
    fs::write(&sql, format!("{view}SELECT * FROM '{}'\n", sql.display())).unwrap();
    let line = refusal(&[
        "query",
        "SELECT count(*) FROM rejects",
        "--queries",
        dir.path().to_str().unwrap(),
        "--lake",
        lake(),
    ]);
    assert!(line.contains("mine.sql"), "{line}");
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

/// What a terminal would obey: an escape sequence, a link, a change of direction, a line break, and the same with C1.
const HOSTILE: &str = "\u{1b}[31m\u{1b}]8;;x\u{7}\u{202e}\n\u{9b}2J";

/// Whether a terminal shows `text` as it is.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| !matches!(c, '\n' | '\r') && (c.is_control() || c == '\u{202e}'))
}

/// A folder of log objects with hostile names, and records that strangers and a hostile delivery wrote.
fn hostile_logs(folder: &Path) -> String {
    let logs = folder.join("logs");
    fs::create_dir(&logs).unwrap();
    let write = |name: &str, text: &[u8]| fs::write(logs.join(format!("{name}{HOSTILE}")), text).unwrap();
    let on_a_line = HOSTILE.replace('\n', "");
    let sample = samples().join("detections/plaintext-http/fires.log");
    let text = fs::read_to_string(sample).unwrap();
    let text =
        text.replace("user/", &format!("user/{on_a_line}")).replace("-demo-", &format!("-demo-{on_a_line}"));
    write("good", text.replace("aws-cli/", &on_a_line).as_bytes());
    write("refused", b"no\x1b[31m record\n");
    write("damaged", b"\x1f\x8bno gzip");
    write(".hidden", b"x");
    logs.to_str().unwrap().to_owned()
}

/// What a run prints to a wide terminal that is both its outputs, and its exit code.
fn on_terminal(args: &[&str]) -> (Option<i32>, String) {
    use std::io::Read;
    use std::os::fd::FromRawFd;
    use std::ptr::null_mut;
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: both numbers are there to be written to; nothing else has to be given.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, null_mut(), null_mut(), null_mut()) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    for descriptor in [ours, theirs] {
        // SAFETY: it only keeps the program that another test starts from inheriting the terminal.
        assert_eq!(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }, 0);
    }
    // SAFETY: the descriptors are new, and nobody else's.
    let (mut ours, theirs) = unsafe { (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs)) };
    let mut child = Command::new(env!("CARGO_BIN_EXE_s3trail"))
        .args(args)
        .current_dir(std::env::temp_dir())
        .env("COLUMNS", "2000")
        .env_remove("S3TRAIL_LAKE")
        .stdin(Stdio::null())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    // A terminal that nobody has open any more ends with an error.
    let _ = ours.read_to_end(&mut printed);
    (child.wait().unwrap().code(), String::from_utf8(printed).unwrap())
}

#[test]
fn nothing_in_logs_or_their_names_drives_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let logs = hostile_logs(dir.path());
    let place = dir.path().join("lake");
    let lake = place.to_str().unwrap();
    // The progress bar moves the cursor itself; nothing else of this is its own.
    let (code, text) = on_terminal(&["ingest", &logs, "--lake", lake, "--log-bucket", HOSTILE]);
    assert_eq!(code, Some(2), "{text}");
    for hostile in ["\u{1b}[31m", "\u{1b}]8", "\u{202e}", "\u{9b}"] {
        assert!(!text.contains(hostile), "{text:?}");
    }
    for shown in ["damaged\\x1b[31m", "refused\\x1b[31m", ".hidden\\x1b[31m"] {
        assert!(text.contains(shown), "{shown}: {text:?}");
    }
    let shown = |args: &[&str]| {
        let (code, text) = on_terminal(&[args, &["-q", "--lake", lake]].concat());
        assert_eq!(code, Some(0), "{args:?}: {text}");
        assert!(is_harmless(&text), "{args:?}: {text:?}");
        assert!(text.contains("202e"), "{args:?}: {text:?}");
        text
    };
    let sql = "SELECT bucket, requester, user_agent, log_key FROM access_logs";
    for format in ["table", "csv", "json", "ndjson", "markdown"] {
        shown(&["query", sql, "--format", format]);
    }
    for format in ["table", "csv", "ndjson", "markdown", "sarif", "ocsf"] {
        shown(&["detect", "--only", "plaintext-http", "--format", format]);
    }
    shown(&["recursion"]);
    let found = shown(&["detect", "--only", "plaintext-http", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    shown(&["evidence", found["findings"][0]["fingerprint"].as_str().unwrap()]);
}

/// Where there is no terminal: these lines are shown by one later.
#[test]
fn what_is_said_of_hostile_names_is_harmless_in_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let logs = hostile_logs(dir.path());
    for format in ["text", "json"] {
        let place = dir.path().join(format);
        let args = ["ingest", &logs, "--lake", place.to_str().unwrap(), "--json", "--log-format", format];
        let output = s3trail(&args);
        assert_eq!(output.status.code(), Some(2));
        assert!(is_harmless(stdout(&output)) && is_harmless(stderr(&output)), "{}", stderr(&output));
        assert!(stderr(&output).contains("damaged") && stderr(&output).contains("refused"));
        assert!(format == "text" || stderr(&output).lines().all(|line| line.starts_with('{')));
    }
}

#[test]
fn hidden_characters_are_shown_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let logs = hostile_logs(dir.path());
    let place = dir.path().join("lake");
    let lake = place.to_str().unwrap();
    s3trail(&["ingest", &logs, "--lake", lake, "--log-bucket", HOSTILE]);
    let queries = dir.path().join("queries");
    fs::create_dir(&queries).unwrap();
    fs::write(
        queries.join("mine.sql"),
        "--! id = \"mine\"\n--! kind = \"report\"\n--! title = \"\\u001b[31m\\u202e\"\n\
         --! description = \"\\u001b[31m\\u202e\"\n--! tags = [\"\\u001b[31m\\u202e\"]\nSELECT 1 -- \u{1b}[31m\u{202e}\n",
    )
    .unwrap();
    let queries = queries.to_str().unwrap();
    let check = |args: &[&str]| {
        let output = s3trail(args);
        let said = [stdout(&output), stderr(&output)].concat();
        assert!(said.contains("202e") && is_harmless(&said), "{args:?}: {said:?}");
    };
    check(&["recursion", "--format", "json", "--lake", lake]);
    let cast = "SELECT CAST(requester AS int) FROM access_logs WHERE requester LIKE '%\u{202e}%'";
    // The ledger has forgotten everything: verify names every log object.
    let entry = place.join("log_objects/_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&entry).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"add\"")).collect();
    fs::write(&entry, kept.join("\n") + "\n").unwrap();
    for args in [
        &["query", "SELECT \"x\u{202e}\" FROM rejects", "--lake", lake][..],
        &["query", cast, "--lake", lake],
        &["lake", "verify", "--lake", lake],
        &["lake", "verify", "--json", "--lake", lake],
        &["queries", "list", "--queries", queries],
        &["queries", "show", "mine", "--queries", queries],
    ] {
        check(args);
    }
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
fn questions_without_end_are_stopped() {
    for sql in [
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8",
        "SELECT value FROM generate_series(1, 1000000000000) ORDER BY value % 7 LIMIT 1",
    ] {
        let line = refusal(&["query", sql, "--timeout", "1s", "--lake", lake()]);
        assert!(line.contains("longer than its limit of 1 s"), "{sql}: {line}");
    }
}

#[test]
fn a_question_of_one_long_step_is_stopped() {
    let sql = "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))";
    // No thread is left for the clock of the runtime with one.
    for threads in ["4", "1"] {
        let words = ["query", sql, "--threads", threads, "--timeout", "1s", "--lake", lake()];
        assert_eq!(end_of(Running::start(&words, Path::new("."))).code(), Some(2));
    }
}

/// What has no end, or no beginning until somebody writes, is not read as SQL.
#[test]
fn sql_is_read_from_files_that_end() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let line = refusal(&["query", "-f", "/dev/zero", "--lake", lake()]);
    assert!(line.contains("/dev/zero") && line.contains("more than 1 MiB"), "{line}");
    let pipe = dir.path().join("pipe.sql");
    let name = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a C string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let line = refusal(&["queries", "list", "--queries", dir.path().to_str().unwrap()]);
    assert!(line.contains("pipe.sql") && line.contains("regular file"), "{line}");
}

#[test]
fn parameters_have_names() {
    let line = refusal(&["query", "SELECT $1", "--lake", lake()]);
    assert!(line.contains("$1 is none") && !line.contains("-p 1="), "{line}");
}

#[test]
fn what_needs_more_memory_spills_to_disk_or_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = |sql: &str, temporary: &Path, rest: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(["query", sql, "--threads", "1", "--format", "csv", "--lake", lake()])
            .args(rest)
            .current_dir(dir.path())
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let little = ["--max-memory", "20MB"];
    let nowhere = dir.path().join("nowhere");
    let sql =
        "SELECT value, md5(CAST(value AS varchar)) AS hash FROM generate_series(1, 100000) ORDER BY hash";
    let whole = run(sql, &nowhere, &[]);
    assert_eq!(stdout(&whole).lines().count(), 100_001, "{}", stderr(&whole));
    let spilled = run(sql, dir.path(), &little);
    assert!(spilled.stdout == whole.stdout, "{}", stderr(&spilled));
    let plan = run(&format!("EXPLAIN ANALYZE {sql}"), dir.path(), &little);
    let plan = stdout(&plan);
    assert!(plan.contains("spill_count=") && !plan.contains("spill_count=0"), "{plan}");
    // It was there, and nothing is left of it.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let failed = run(sql, &nowhere, &little);
    assert_eq!(failed.status.code(), Some(2));
    assert!(stderr(&failed).contains("nowhere"), "{}", stderr(&failed));
    let grouped = "SELECT hash, count(*) AS n FROM \
                   (SELECT md5(CAST(value % 150000 AS varchar)) AS hash FROM generate_series(1, 200000)) GROUP BY hash";
    let counted = format!("SELECT count(*) AS rows, sum(n) AS n FROM ({grouped})");
    let counted = run(&counted, dir.path(), &little);
    assert_eq!(stdout(&counted), "rows,n\n150000,200000\n", "{}", stderr(&counted));
    // What cannot be put on a disk is refused.
    let distinct = "SELECT count(DISTINCT md5(CAST(value AS varchar))), count(DISTINCT value) \
                    FROM generate_series(1, 500000)";
    let refused = run(distinct, dir.path(), &little);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("needs more memory"), "{}", stderr(&refused));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn sorts_spill_with_two_threads_too() {
    let sql = "SELECT a.request_uri || b.request_id AS x FROM requests a CROSS JOIN requests b ORDER BY x";
    let args = ["query", sql, "--max-memory", "40MB", "--threads", "2", "--format", "csv", "--lake", lake()];
    assert_eq!(answer(&args).lines().count(), 587 * 587 + 1);
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
