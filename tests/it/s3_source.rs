//! Log objects in a bucket: what a scheduled ingest takes, lists, survives, deletes and refuses.
//!
//! Through the program, against the server of [`crate::s3`]. Everything is dated back from today, since what a run
//! lists depends on how old things are.

use std::cell::Cell;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use s3trail::record::Field;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{BUCKET as SOURCE, Spelled};
use crate::s3::{FaultProxy, Faults, KeyFormat, S3Server};
use crate::watch::wait_for;

const LOGS: &str = "amzn-s3-demo-logs";
const LAKE: &str = "amzn-s3-demo-lake";
const AGENT: &str = concat!("s3trail/", env!("CARGO_PKG_VERSION"));

/// The classes of what can go wrong with a log object, as the summary names them.
mod class {
    pub const VANISHED: &str = "vanished";
    pub const DENIED: &str = "access-denied";
    pub const TRUNCATED: &str = "truncated";
    pub const CHECKSUM: &str = "checksum";
    pub const CREDENTIALS: &str = "credentials";
    pub const CHANGED: &str = "changed";
}

/// A server with a bucket of log objects, and a folder for lakes.
struct World {
    server: S3Server,
    dir: TempDir,
    /// Lines made so far, each with a request id of its own.
    made: Cell<u64>,
}

/// What a run of `ingest` came to.
#[derive(Debug)]
struct Took {
    code: Option<i32>,
    summary: Value,
    stderr: String,
}

impl Took {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            summary: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    /// Log objects taken in, by a run that must have had no trouble.
    #[track_caller]
    fn objects(&self) -> u64 {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.count("objects")
    }

    /// Failures of `class`.
    fn failures(&self, class: &str) -> u64 {
        self.summary["failures"][class].as_u64().unwrap_or_default()
    }
}

fn date(days_ago: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(days_ago)
}

/// A key with the simple prefix, delivered at this hour.
fn simple(days_ago: u64, hour: u32, n: u64) -> String {
    format!("logs/{}-{hour:02}-00-00-{n:016X}", date(days_ago))
}

/// A key partitioned by event time.
fn event(days_ago: u64, source: &str, n: u64) -> String {
    let date = date(days_ago);
    format!("logs/111122223333/us-east-1/{source}/{}/{date}-00-00-00-{n:016X}", date.format("%Y/%m/%d"))
}

fn noon(days_ago: u64) -> DateTime<Utc> {
    date(days_ago).and_hms_opt(12, 0, 0).unwrap().and_utc()
}

fn wait(child: Child) -> Took {
    Took::of(&child.wait_with_output().unwrap())
}

impl World {
    fn new() -> Self {
        let server = S3Server::start();
        server.create_bucket(LOGS);
        Self { server, dir: tempfile::tempdir().unwrap(), made: Cell::new(0) }
    }

    /// So many lines of a day, none like any made before.
    fn lines(&self, days_ago: u64, count: u64) -> Vec<u8> {
        let time = date(days_ago).format("[%d/%b/%Y:10:20:30 +0000]").to_string();
        let mut text = Vec::new();
        for _ in 0..count {
            self.made.set(self.made.get() + 1);
            let id = format!("{:016X}", self.made.get());
            let line = Spelled::new().with(Field::Time, &time).with(Field::RequestId, id).line();
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        text
    }

    /// Delivers a log object of so many new lines, and returns its key.
    fn deliver(&self, key: String, days_ago: u64, lines: u64) -> String {
        let delivered = SystemTime::from(noon(days_ago)).min(SystemTime::now());
        self.server.put_at(LOGS, &key, self.lines(days_ago, lines), delivered);
        key
    }

    /// `count` log objects of one line, one for each of the last days, yesterday first.
    fn deliver_daily(&self, count: u64) -> Vec<String> {
        (1..=count).map(|ago| self.deliver(simple(ago, 12, ago), ago, 1)).collect()
    }

    fn lake(&self) -> String {
        self.dir.path().join("lake").to_str().unwrap().to_owned()
    }

    /// The program, away from every configuration but the server's; `endpoint` is the server or a proxy before it.
    fn command(&self, endpoint: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3trail"));
        command.args(args);
        if args.iter().any(|arg| arg.starts_with("s3://")) {
            command.args(["--endpoint-url", endpoint, "--path-style"]);
        }
        command
            .envs(self.server.env())
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("S3TRAIL_LAKE")
            .env_remove("S3TRAIL_CONFIG")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn ingest_command(&self, endpoint: &str, source: &str, lake: &str, rest: &[&str]) -> Command {
        self.command(endpoint, &[&["ingest", source, "--lake", lake, "--json"][..], rest].concat())
    }

    /// Takes `s3://amzn-s3-demo-logs/logs/` into the local lake.
    fn ingest(&self, rest: &[&str]) -> Took {
        self.ingest_into(&self.lake(), rest)
    }

    fn ingest_into(&self, lake: &str, rest: &[&str]) -> Took {
        self.ingest_from("logs/", lake, rest)
    }

    fn ingest_from(&self, prefix: &str, lake: &str, rest: &[&str]) -> Took {
        let source = format!("s3://{LOGS}/{prefix}");
        let mut command = self.ingest_command(&self.server.endpoint(), &source, lake, rest);
        Took::of(&command.output().unwrap())
    }

    /// The rows that answer `sql`, one a line.
    fn query(&self, lake: &str, sql: &str) -> String {
        let args = ["query", sql, "--lake", lake, "--format", "ndjson"];
        let output = self.command(&self.server.endpoint(), &args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that the lake is sound and holds so many lines, no two of them the same.
    #[track_caller]
    fn assert_holds(&self, lake: &str, lines: u64) {
        let verify =
            self.command(&self.server.endpoint(), &["lake", "verify", "--lake", lake]).output().unwrap();
        assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
        let sql = "SELECT count(*) AS rows, count(DISTINCT request_id) AS ids FROM access_logs";
        let row: Value = serde_json::from_str(&self.query(lake, sql)).unwrap();
        assert_eq!((row["rows"].as_u64(), row["ids"].as_u64()), (Some(lines), Some(lines)));
    }
}

#[test]
fn a_run_takes_what_is_new_and_lists_only_the_window() {
    let world = World::new();
    let server = &world.server;
    server.set_page_limit(100);
    for ago in 1..=40 {
        for n in 0..4 {
            world.deliver(simple(ago, n * 6, ago * 10 + u64::from(n)), ago, 1);
        }
        for n in 0..3 {
            world.deliver(event(ago, SOURCE, ago * 10 + n), ago, 1);
            world.deliver(event(ago, "amzn-s3-demo-other", ago * 10 + n), ago, 1);
        }
    }
    let foreign = [
        "logs/",
        "logs/AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/x_20260301T0000Z_abc.json.gz",
        "logs/table/part-0.parquet",
    ];
    foreign.iter().for_each(|key| server.put(LOGS, key, ""));

    // As a first try that was meant to be careful: what it left out must not be taken for known later.
    let since = format!("{}", date(2));
    let some = world.ingest(&["--since", &since, "--exclude", "**/amzn-s3-demo-other/**"]).objects();
    assert!((1..=40).contains(&some), "{some}");
    let first = world.ingest(&[]);
    assert_eq!(first.objects() + some, 400, "{first:#?}");
    assert_eq!(first.count("skipped_files"), 3);
    assert!(first.stderr.contains("part-0.parquet") && first.stderr.contains("AWSLogs/"), "{}", first.stderr);
    let log = server.log();
    assert_eq!(log.iter().filter(|r| r.api == "GetObject").count(), 400, "no object is read twice");
    assert!(log.iter().all(|r| r.bucket != LOGS || r.user_agent.contains(AGENT)), "{log:#?}");

    server.reset_counts();
    assert_eq!(world.ingest(&[]).objects(), 0);
    let counts = server.requests();
    assert_eq!((counts.get, counts.put), (0, 0));
    // Two days and the newest of one layout, ten days of the other, and the partitions on the way there.
    assert!(counts.listed < 200, "{counts:?}");
    let log = server.log();
    let resumed = log.iter().any(|r| r.start_after.as_deref().is_some_and(|key| key >= &*simple(4, 0, 0)));
    assert!(resumed, "{log:#?}");

    // Late: before what was taken already, within the window and far outside.
    for n in 100..103 {
        world.deliver(event(5, SOURCE, n), 0, 1);
    }
    world.deliver(simple(1, 3, 100), 0, 1);
    world.deliver(event(30, SOURCE, 100), 0, 1);
    world.deliver(event(39, "amzn-s3-demo-third", 100), 0, 1);
    world.deliver(simple(30, 3, 100), 0, 1);
    let late = world.ingest(&["--lookback", "48h", "--event-days", "10"]).objects();
    // A source bucket that was not there before has no window yet, and the first page of simple keys is old ones.
    assert!((4..=6).contains(&late), "{late}");
    assert_eq!(late + world.ingest(&["--full-scan"]).objects(), 7);
    world.assert_holds(&world.lake(), 407);
}

#[test]
fn filters_choose_by_key_and_time_of_delivery() {
    let world = World::new();
    world.server.set_short_pages();
    world.deliver_daily(20);
    for ago in 1..=10 {
        world.deliver(event(ago, SOURCE, ago), ago, 1);
    }
    let chosen = |rest: &[&str]| world.ingest(&[rest, &["--dry-run"]].concat()).objects();
    assert_eq!(chosen(&[]), 30);
    assert_eq!(chosen(&["--include", "**/us-east-1/**"]), 10);
    assert_eq!(chosen(&["--exclude", "**/us-east-1/**"]), 20);
    let (from, to) = (date(15).to_string(), date(11).to_string());
    // Noon of the days 15 to 12 ago; the other layout was not there so early.
    assert_eq!(chosen(&["--since", &from, "--until", &to]), 4);
    let now = Utc::now();
    let older = (1..=20).filter(|ago| now - noon(*ago) > TimeDelta::days(12)).count();
    assert_eq!(chosen(&["--older-than", "12d", "--exclude", "**/us-east-1/**"]), older as u64);
}

#[test]
fn repeated_and_changed_objects_are_counted_once() {
    let world = World::new();
    let server = &world.server;
    let bodies: Vec<Vec<u8>> = (0..20).map(|_| world.lines(2, 5)).collect();
    for (n, body) in (0..).zip(&bodies) {
        server.put(LOGS, &simple(2, 5, n), body.clone());
        // The same, delivered again: S3 gives no guarantee of once.
        server.put(LOGS, &simple(1, 5, 100 + n), body.clone());
    }
    let took = world.ingest(&[]);
    assert_eq!((took.objects(), took.count("lines"), took.count("duplicates")), (40, 200, 100));
    world.assert_holds(&world.lake(), 100);

    let key = simple(2, 5, 7);
    server.put(LOGS, &key, [bodies[7].clone(), world.lines(2, 2)].concat());
    let changed = world.ingest(&[]);
    assert_eq!((changed.objects(), changed.count("lines")), (1, 7));
    assert!(changed.stderr.contains(&key) || changed.summary.to_string().contains(&key), "{changed:#?}");
    // Lines of it that the lake has from its twin are found by compaction.
    let lake = world.lake();
    let compact = ["lake", "compact", "--open-days", "--lake", &lake];
    assert!(world.command(&server.endpoint(), &compact).output().unwrap().status.success());
    world.assert_holds(&lake, 102);
    assert_eq!(world.ingest(&[]).objects(), 0);
}

/// Who began with a copy of the bucket and goes on with the bucket gets nothing twice.
#[test]
fn objects_that_were_taken_in_from_a_copy_are_known() {
    let world = World::new();
    let keys = world.deliver_daily(5);
    let copy = world.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for key in &keys[..3] {
        let name = key.strip_prefix("logs/").unwrap();
        std::fs::write(copy.join(name), world.server.get(LOGS, key).unwrap()).unwrap();
    }
    let lake = world.lake();
    let local = ["ingest", copy.to_str().unwrap(), "--lake", &lake, "--json", "--log-bucket", LOGS];
    let took = Took::of(&world.command(&world.server.endpoint(), &local).output().unwrap());
    assert_eq!((took.objects(), took.count("records")), (3, 3));
    let bucket = world.ingest(&[]);
    assert_eq!((bucket.objects(), bucket.count("records"), bucket.count("duplicates")), (5, 2, 3));
    // Nothing had to be asked for again.
    assert_eq!(bucket.count("retries"), 0);
    world.assert_holds(&lake, 5);
    assert_eq!(world.ingest(&[]).objects(), 0);
}

#[test]
fn what_cannot_be_read_is_classed_and_taken_later() {
    let world = World::new();
    let server = &world.server;
    // Old and young ones, so that a window alone would forget the old.
    let keys = world.deliver_daily(30);
    for damaged in [&keys[1], &keys[28]] {
        server.deny(LOGS, damaged);
    }
    server.truncate(LOGS, &keys[29]);
    server.corrupt(LOGS, &keys[27]);
    server.vanish_on_get(LOGS, &keys[3]);
    server.slow_down(2);
    let first = world.ingest(&[]);
    assert_eq!(first.code, Some(2), "{first:#?}");
    assert_eq!(first.count("objects"), 25);
    let expected = [(class::DENIED, 2), (class::VANISHED, 1), (class::TRUNCATED, 1), (class::CHECKSUM, 1)];
    for (class, count) in expected {
        assert_eq!(first.failures(class), count, "{class}: {first:#?}");
    }
    world.assert_holds(&world.lake(), 25);

    // Without a checksum only the ETag tells that a byte is wrong.
    server.without_checksums(LOGS);
    let second = world.ingest(&[]);
    assert_eq!((second.code, second.count("objects")), (Some(2), 0), "{second:#?}");
    assert_eq!((second.failures(class::CHECKSUM), second.failures(class::VANISHED)), (1, 0), "{second:#?}");
    server.heal(LOGS);
    assert_eq!(world.ingest(&[]).objects(), 4);
    assert_eq!(world.ingest(&[]).objects(), 0);
    world.assert_holds(&world.lake(), 29);
}

#[test]
fn credentials_that_expire_cost_nothing_that_was_read() {
    let world = World::new();
    world.deliver_daily(60);
    world.server.expire_credentials_after(40);
    let cut_short = world.ingest(&["--commit-bytes", "2kB"]);
    assert_eq!(cut_short.code, Some(2), "{cut_short:#?}");
    assert!(cut_short.stderr.to_lowercase().contains("expired"), "{}", cut_short.stderr);
    assert!(cut_short.failures(class::CREDENTIALS) > 0, "{cut_short:#?}");
    let before = cut_short.count("objects");
    assert!((1..60).contains(&before), "{cut_short:#?}");
    world.server.renew();
    assert_eq!(before + world.ingest(&[]).objects(), 60);
    world.assert_holds(&world.lake(), 60);
}

#[test]
fn buckets_elsewhere_and_buckets_that_cost() {
    let world = World::new();
    world.server.create_bucket_in("amzn-s3-demo-far", "eu-west-1");
    world.server.put("amzn-s3-demo-far", &simple(1, 1, 1), world.lines(1, 3));
    let mut command =
        world.ingest_command(&world.server.endpoint(), "s3://amzn-s3-demo-far", &world.lake(), &[]);
    assert_eq!(Took::of(&command.output().unwrap()).objects(), 1);

    world.deliver_daily(3);
    world.server.set_requester_pays(LOGS);
    let refused = world.ingest(&[]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert_eq!(world.ingest(&["--requester-pays"]).objects(), 3);
    world.assert_holds(&world.lake(), 6);
}

#[test]
fn only_what_is_committed_is_deleted_or_moved() {
    let world = World::new();
    let server = &world.server;
    let mut keys = world.deliver_daily(10);
    server.put(LOGS, "logs/README", "not a log");
    server.deny(LOGS, &keys[4]);
    keys.push("logs/README".to_owned());
    keys.sort();
    // Nobody is there to be asked; and a lake that cannot be.
    assert_eq!(world.ingest(&["--delete-after-commit"]).code, Some(2));
    std::fs::write(world.dir.path().join("file"), "").unwrap();
    let nowhere = world.dir.path().join("file").join("lake");
    let failed = world.ingest_into(nowhere.to_str().unwrap(), &["--delete-after-commit", "--yes"]);
    assert_eq!(failed.code, Some(2), "{failed:#?}");
    assert_eq!(server.keys(LOGS), keys);
    assert_eq!(server.requests().delete, 0);

    let deleting = world.ingest(&["--delete-after-commit", "--yes"]);
    assert_eq!((deleting.code, deleting.count("objects")), (Some(2), 9), "{deleting:#?}");
    assert_eq!(server.keys(LOGS), [simple(5, 12, 5), "logs/README".to_owned()]);

    server.heal(LOGS);
    for n in 0..5 {
        world.deliver(simple(1, 13, n), 1, 1);
    }
    assert_eq!(world.ingest(&["--move-to", "done/", "--yes"]).objects(), 6);
    let (moved, left): (Vec<_>, Vec<_>) =
        server.keys(LOGS).into_iter().partition(|key| key.starts_with("done/"));
    assert_eq!((moved.len(), left), (6, vec!["logs/README".to_owned()]));
    assert!(moved.iter().all(|key| !server.get(LOGS, key).unwrap().is_empty()));
    world.assert_holds(&world.lake(), 15);
}

#[test]
fn shards_make_one_whole() {
    let world = World::new();
    world.deliver_daily(60);
    let (source, lake) = (format!("s3://{LOGS}/logs/"), world.lake());
    let start = |shard: &str| {
        let args = ["--shard", shard, "--commit-bytes", "5kB"];
        world.ingest_command(&world.server.endpoint(), &source, &lake, &args).spawn().unwrap()
    };
    // The first makes the lake; the others run side by side.
    let mut shares = vec![wait(start("1/3")).objects()];
    let others = ["2/3", "3/3"].map(start);
    shares.extend(others.map(|child| wait(child).objects()));
    assert_eq!(shares.iter().sum::<u64>(), 60, "{shares:?}");
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    // By another number everything could be taken a second time.
    for rest in [vec![], vec!["--shard", "1/2"]] {
        let refused = world.ingest(&rest);
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        assert!(refused.stderr.contains("3 shards") && refused.stderr.contains("--reshard"), "{refused:#?}");
    }
    assert_eq!(world.ingest(&["--reshard"]).objects(), 0, "the shards left nothing");
    assert_eq!(world.ingest(&["--shard", "1/1"]).objects(), 0, "the only shard is the whole");
    assert_eq!(world.ingest(&["--shard", "1/3"]).code, Some(2), "it is taken in as a whole now");
    world.assert_holds(&lake, 60);
}

#[test]
fn a_run_that_fails_in_between_tells_what_it_committed() {
    let world = World::new();
    world.deliver_daily(200);
    let lake = world.lake();
    let source = format!("s3://{LOGS}/logs/");
    let args = ["--commit-bytes", "3kB"];
    let mut run = world.ingest_command(&world.server.endpoint(), &source, &lake, &args);
    let child = run.spawn().unwrap();
    let lake = std::path::Path::new(&lake);
    let first = lake.join("access_logs/_delta_log/00000000000000000001.json");
    wait_for("commit", || first.exists().then_some(()));
    // Somebody goes over to two shards although this one still runs.
    let folder = lake.join("_s3trail/shards");
    let note = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(world.dir.path().join("note"), r#"{"shards":2}"#).unwrap();
    std::fs::rename(world.dir.path().join("note"), note).unwrap();
    let took = wait(child);
    assert_eq!(took.code, Some(2), "{took:#?}");
    assert!(took.stderr.contains("by 2 shards, and not by 1"), "{}", took.stderr);
    let objects = took.count("objects");
    assert!((1..200).contains(&objects) && took.count("commit_batches") > 0, "{took:#?}");
    assert_eq!(objects + world.ingest(&["--reshard"]).objects(), 200);
    world.assert_holds(&world.lake(), 200);
}

#[test]
fn what_another_prefix_left_over_is_neither_read_nor_deleted() {
    let world = World::new();
    let server = &world.server;
    let key = |prefix: &str| format!("{prefix}/{}-12-00-00-{:016X}", date(1), 1);
    let (ours, theirs) = (world.deliver(key("x"), 1, 1), world.deliver(key("y"), 1, 1));
    server.deny(LOGS, &theirs);
    let lake = world.lake();
    assert_eq!(world.ingest_from("y/", &lake, &[]).failures(class::DENIED), 1);
    server.heal(LOGS);
    let deleting = world.ingest_from("x/", &lake, &["--delete-after-commit", "--yes"]);
    assert_eq!((deleting.objects(), deleting.count("disposed_objects")), (1, 1));
    assert_eq!(server.keys(LOGS), [theirs], "{ours} is all that was asked for");
    // Nor is it forgotten.
    assert_eq!(world.ingest_from("y/", &lake, &[]).objects(), 1);
    world.assert_holds(&lake, 2);
}

#[test]
fn only_the_content_that_was_taken_in_is_deleted_or_moved() {
    let world = World::new();
    let server = &world.server;
    let keys = world.deliver_daily(5);
    for (n, how) in
        [&["--delete-after-commit", "--yes"][..], &["--move-to", "done/", "--yes"]].iter().enumerate()
    {
        for (at, key) in keys.iter().enumerate() {
            server.put(LOGS, key, world.lines(1 + at as u64, 1));
        }
        server.overwrite_after_get(LOGS, &keys[1], world.lines(2, 1));
        let took = world.ingest(how);
        assert_eq!((took.code, took.count("objects")), (Some(2), 5), "{took:#?}");
        assert_eq!((took.count("disposed_objects"), took.count("undisposed_objects")), (4, 1), "{took:#?}");
        assert_eq!(took.count("failed_objects"), 0, "{took:#?}");
        assert!(took.stderr.contains(&keys[1]) && !took.stderr.contains("cannot read"), "{}", took.stderr);
        let left: Vec<_> = server.keys(LOGS).into_iter().filter(|key| key.starts_with("logs/")).collect();
        assert_eq!(left, [keys[1].clone()]);
        // What was put over it is taken in like anything new.
        let next = world.ingest(how);
        assert_eq!((next.objects(), next.count("disposed_objects")), (1, 1));
        world.assert_holds(&world.lake(), 6 * (n as u64 + 1));
    }
}

#[test]
fn what_cannot_be_deleted_is_counted_and_tried_again() {
    let world = World::new();
    let server = &world.server;
    world.deliver_daily(10);
    server.deny_action(LOGS, "DeleteObjects");
    let delete = ["--delete-after-commit", "--yes"];
    let refused = world.ingest(&delete);
    assert_eq!((refused.code, refused.count("objects")), (Some(2), 10), "{refused:#?}");
    assert_eq!((refused.count("disposed_objects"), refused.count("undisposed_objects")), (0, 10));
    assert!(refused.stderr.contains("could not be deleted or moved"), "{}", refused.stderr);
    server.allow_action(LOGS, "DeleteObjects");
    let again = world.ingest(&[&delete[..], &["--full-scan"]].concat());
    assert_eq!((again.objects(), again.count("disposed_objects")), (0, 10));
    assert!(server.keys(LOGS).is_empty());
}

#[test]
fn an_object_that_changes_while_it_is_read_is_taken_later() {
    let world = World::new();
    world.server.set_page_limit(5);
    let keys = world.deliver_daily(30);
    // Behind the first page of old ones, and long before the window of the second run.
    world.server.overwrite_before_get(LOGS, &keys[14], world.lines(15, 2));
    let first = world.ingest(&[]);
    assert_eq!((first.code, first.count("objects")), (Some(2), 29), "{first:#?}");
    assert_eq!(first.failures(class::CHANGED), 1);
    let second = world.ingest(&[]);
    assert_eq!((second.objects(), second.count("lines")), (1, 2));
    assert_eq!(world.ingest(&[]).objects(), 0);
    world.assert_holds(&world.lake(), 31);
}

#[test]
fn a_busy_server_is_waited_for() {
    let world = World::new();
    world.deliver_daily(1);
    // More often than the SDK asks.
    world.server.slow_down_action(LOGS, "GetObject", 10);
    let took = world.ingest(&[]);
    assert_eq!(took.objects(), 1);
    assert!(took.count("retries") >= 10, "{took:#?}");
}

#[test]
fn a_source_that_cannot_be_seen_is_no_success() {
    let world = World::new();
    world.deliver_daily(3);
    let page = || std::fs::read_to_string(world.dir.path().join("s3trail.prom")).unwrap();
    world.server.expire_credentials_after(0);
    let blind = world.ingest(&["--metrics", "s3trail.prom"]);
    assert_eq!((blind.code, blind.summary["incomplete"].as_bool()), (Some(2), Some(true)), "{blind:#?}");
    assert!(page().contains("s3trail_rounds_total{outcome=\"failed\"} 1\n"), "{}", page());
    assert!(!page().contains("last_success"), "{}", page());
    world.server.renew();
    assert_eq!(world.ingest(&["--metrics", "s3trail.prom"]).objects(), 3);
    assert!(page().contains("last_success"), "{}", page());
}

#[test]
fn a_server_that_does_not_answer_does_not_keep_a_run_from_ending() {
    let world = World::new();
    let server = &world.server;
    server.create_bucket(LAKE);
    world.deliver_daily(5);
    server.hang_on_action(LOGS, "GetObject");
    let temporary = world.dir.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let (source, lake) = (format!("s3://{LOGS}/logs/"), format!("s3://{LAKE}/lake"));
    let mut run = world.ingest_command(&server.endpoint(), &source, &lake, &[]);
    let child = run.env("TMPDIR", &temporary).spawn().unwrap();
    let is_read = |request: &crate::s3::Request| request.bucket == LOGS && request.api == "GetObject";
    wait_for("request", || server.log().iter().any(is_read).then_some(()));
    let left = || std::fs::read_dir(&temporary).unwrap().count();
    assert!(left() > 0, "files to upload wait somewhere");
    // SAFETY: the process is our child and not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let took = wait(child);
    assert_eq!((took.code, took.summary["interrupted"].as_bool()), (Some(2), Some(true)), "{took:#?}");
    assert!(!took.stderr.contains("did not end in time"), "{}", took.stderr);
    assert_eq!(left(), 0);
}

#[test]
fn a_lake_that_feeds_its_own_source_is_refused() {
    let world = World::new();
    let server = &world.server;
    let between = "amzn-s3-demo-between";
    [SOURCE, LAKE, between].iter().for_each(|bucket| server.create_bucket(bucket));
    world.deliver_daily(3);
    let before = server.keys(LOGS);
    let lake = format!("s3://{LAKE}/lake");
    let refused = |lake: &str, path: &[&str]| {
        let took = world.ingest_into(lake, &[]);
        assert_eq!(took.code, Some(2), "{took:#?}");
        assert!(took.stderr.contains(&path.join(" -> ")), "{path:?}: {}", took.stderr);
        assert!(took.stderr.contains("--i-know-this-loops"), "{}", took.stderr);
    };
    refused(&format!("s3://{LOGS}/lake"), &[LOGS]);
    server.set_logging(LAKE, LOGS, "logs/", KeyFormat::Simple);
    refused(&lake, &[LAKE, LOGS]);
    // The other way round as well: a circle.
    server.set_logging(LOGS, LAKE, "", KeyFormat::EventTime);
    refused(&lake, &[LAKE, LOGS]);
    server.set_logging(LAKE, between, "logs/", KeyFormat::DeliveryTime);
    server.set_logging(between, LOGS, "logs/", KeyFormat::Simple);
    refused(&lake, &[LAKE, between, LOGS]);
    assert_eq!(server.keys(LOGS), before);
    assert!(server.keys(LAKE).is_empty(), "nothing is written before the guard has looked");

    let deliberate = world.ingest_into(&lake, &["--i-know-this-loops"]);
    assert_eq!(deliberate.objects(), 3, "{deliberate:#?}");
    // The source may be logged, and into a third bucket too: only what is written counts.
    server.create_bucket("amzn-s3-demo-second-lake");
    server.set_logging("amzn-s3-demo-second-lake", SOURCE, "", KeyFormat::Simple);
    let second = "s3://amzn-s3-demo-second-lake";
    assert_eq!(world.ingest_into(second, &[]).objects(), 3);
    // Who may not look is told once, and goes on.
    server.deny_action("amzn-s3-demo-second-lake", "GetBucketLogging");
    let blind = world.ingest_into(second, &[]);
    assert_eq!(blind.objects(), 0);
    let told = blind.stderr.lines().filter(|line| line.contains("amzn-s3-demo-second-lake")).count();
    assert_eq!(told, 1, "{}", blind.stderr);
    world.assert_holds(second, 3);
}

#[test]
fn two_runs_into_a_lake_in_a_bucket_take_each_record_once() {
    let world = World::new();
    world.server.create_bucket(LAKE);
    world.deliver_daily(40);
    for ago in 1..=20 {
        world.deliver(event(ago, SOURCE, ago), ago, 1);
    }
    let lake = format!("s3://{LAKE}/audit/lake");
    let start = |source: String| {
        let args = ["--commit-bytes", "10kB"];
        world.ingest_command(&world.server.endpoint(), &source, &lake, &args).spawn().unwrap()
    };
    let runs =
        [format!("s3://{LOGS}/logs/"), format!("s3://{LOGS}/logs/{}", date(1).format("%Y"))].map(start);
    let taken: u64 = runs.into_iter().map(|child| wait(child).objects()).sum();
    assert_eq!(taken, 60);
    assert_eq!(world.ingest_into(&lake, &[]).objects(), 0);
    world.assert_holds(&lake, 60);
    let keys = world.server.keys(LAKE);
    assert!(keys.iter().all(|key| key.starts_with("audit/lake/")), "{keys:#?}");
    assert!(keys.iter().all(|key| !key.contains("/intents/")), "{keys:#?}");
}

/// Log objects of `generate` in two layouts over two months, in one bucket; so many records of each layout.
fn load_generated(world: &World, records: u64, records_per_object: u64) -> u64 {
    let start = date(60).to_string();
    let (records, each) = (records.to_string(), records_per_object.to_string());
    let mut objects = 0;
    for (layout, seed) in [("simple", "1"), ("event-time", "2")] {
        let out = world.dir.path().join(layout);
        let args =
            ["generate", "--records", &records, "--records-per-object", &each, "--days", "59", "--quiet"];
        let generated = Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(args)
            .args(["--layout", layout, "--seed", seed, "--start", &start, "-o"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
        objects += world.server.load_tree(LOGS, "", &out);
    }
    objects as u64
}

/// What must not depend on how often a run was disturbed.
fn tables(world: &World, lake: &str) -> [String; 2] {
    [
        "SELECT log_key, log_offset, record_bytes, request_id, event_date FROM access_logs ORDER BY 1, 2",
        "SELECT log_key, etag, size_bytes, layout, lines, records, rejects, duplicates FROM log_objects ORDER BY 1",
    ]
    .map(|sql| world.query(lake, sql))
}

#[test]
fn killed_runs_through_a_bad_network_come_to_the_same_tables() {
    let world = World::new();
    world.server.create_bucket(LAKE);
    let objects = load_generated(&world, 400, 3);
    let rest = ["--commit-bytes", "20kB"];
    let undisturbed = world.lake();
    assert_eq!(world.ingest_into(&undisturbed, &rest).objects(), objects);
    let expected = tables(&world, &undisturbed);
    let source = format!("s3://{LOGS}/logs/");
    for step in 1..=4u64 {
        let lake = match step % 2 {
            0 => format!("s3://{LAKE}/{step}"),
            _ => world.dir.path().join(format!("lake{step}")).to_str().unwrap().to_owned(),
        };
        let proxy = FaultProxy::start(&world.server.endpoint(), step, Faults::each(0.02));
        world.server.reset_counts();
        let mut run = world.ingest_command(&proxy.endpoint(), &source, &lake, &rest);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let reads = (objects * step / 5) as usize;
        // By how far it has come, not by the clock.
        while world.server.requests().get < reads && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(proxy.counts().values().sum::<u64>() > 0, "no fault in {reads} reads");
        let clean = world.ingest_into(&lake, &rest);
        assert_eq!(clean.code, Some(0), "after {reads} reads: {clean:#?}");
        assert!(tables(&world, &lake) == expected, "after {reads} of {objects} reads");
    }
}

/// A small logging bucket at its real size. `cargo test -- --ignored twenty_thousand`
#[test]
#[ignore = "takes minutes"]
fn twenty_thousand_objects_with_late_and_repeated_ones() {
    let world = World::new();
    let server = &world.server;
    let mut objects = load_generated(&world, 10_000, 1);
    // Delivered again: the same bytes under other names.
    let keys = server.keys(LOGS);
    let again: Vec<&String> = keys.iter().step_by(keys.len() / 100).take(100).collect();
    for (n, key) in again.iter().enumerate() {
        let body = server.get(LOGS, key).unwrap();
        server.put(LOGS, &simple(30, 1, 0xD000_0000 + n as u64), body);
    }
    objects += 100;
    let first = world.ingest(&[]);
    println!("{objects} objects: {:#}", first.summary);
    assert_eq!(first.objects(), objects);
    assert!(first.count("duplicates") >= 100, "{first:#?}");
    let records = first.count("records");
    assert_eq!(records + first.count("duplicates") + first.count("rejects"), first.count("lines"));
    let verified = || {
        let output =
            world.command(&server.endpoint(), &["lake", "verify", "--lake", &world.lake()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    verified();

    server.reset_counts();
    let second = world.ingest(&[]);
    assert_eq!((second.objects(), server.requests().get), (0, 0));
    println!("second run: {:?} in {} s", server.requests(), second.summary["seconds"]);
    // Of 59 days the newest two of one layout, eleven of the other, and a first page.
    assert!((server.requests().listed as u64) < objects / 3, "{:?}", server.requests());
    verified();

    for n in 0..500 {
        world.deliver(event(2 + n % 8, "amzn-s3-demo-bucket", 0xE000_0000 + n), 0, 1);
    }
    let late = world.ingest(&["--full-scan-every", "365d"]);
    assert_eq!((late.objects(), late.count("records")), (500, 500));
    verified();
    let rows: Value =
        serde_json::from_str(&world.query(&world.lake(), "SELECT count(*) AS rows FROM access_logs"))
            .unwrap();
    assert_eq!(rows["rows"].as_u64(), Some(records + 500));
}

/// `cargo test -- --ignored ten_thousand`
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_objects_through_faults_and_kills() {
    let world = World::new();
    let objects = load_generated(&world, 10_000, 2);
    assert!(objects >= 9_000, "{objects}");
    let rest = ["--commit-bytes", "300kB"];
    let undisturbed = world.lake();
    assert_eq!(world.ingest_into(&undisturbed, &rest).objects(), objects);
    let expected = tables(&world, &undisturbed);
    let source = format!("s3://{LOGS}/logs/");
    let lake = world.dir.path().join("disturbed").to_str().unwrap().to_owned();
    let mut faults = 0;
    for step in 1..=20u64 {
        let proxy = FaultProxy::start(&world.server.endpoint(), step, Faults::each(0.05));
        world.server.reset_counts();
        let mut run = world.ingest_command(&proxy.endpoint(), &source, &lake, &rest);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // By how far it has come: a twentieth more or less of all that there is to read.
        let reads = (objects / 40 + step * 7_919 % (objects / 20)) as usize;
        while world.server.requests().get < reads && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        faults += proxy.counts().values().sum::<u64>();
    }
    let clean = world.ingest_into(&lake, &rest);
    println!("{objects} objects, {faults} faults, 20 kills; the clean run took {}", clean.count("objects"));
    assert_eq!(clean.code, Some(0), "{clean:#?}");
    assert!(tables(&world, &lake) == expected);
    assert!(faults > 100, "{faults}");
}

/// `cargo test -- --ignored watched_for_two_minutes`
#[test]
#[ignore = "takes minutes"]
fn a_bucket_watched_for_two_minutes() {
    use std::io::{Read, Write};
    let world = World::new();
    world.deliver_daily(3);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let source = format!("s3://{LOGS}/logs/");
    let rest = ["--watch", "2s", "--metrics", &address];
    let mut run = world.ingest_command(&world.server.endpoint(), &source, &world.lake(), &rest);
    let child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let metric = |name: &str| -> Option<f64> {
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let resident = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    };
    let begun = std::time::Instant::now();
    let (mut delivered, mut lags, mut early, mut late) = (3u64, Vec::new(), Vec::new(), Vec::new());
    while begun.elapsed() < Duration::from_secs(120) {
        let key = format!("logs/{}-{:016X}", Utc::now().format("%Y-%m-%d-%H-%M-%S"), 0xA000_0000 + delivered);
        world.server.put(LOGS, &key, world.lines(0, 2));
        delivered += 1;
        if delivered.is_multiple_of(10) && begun.elapsed() > Duration::from_secs(10) {
            lags.extend(metric("s3trail_lag_seconds "));
            let half = if begun.elapsed() < Duration::from_secs(60) { &mut early } else { &mut late };
            half.push(resident());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // SAFETY: the process is our child and not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    world.ingest(&[]);
    world.assert_holds(&world.lake(), 3 + (delivered - 3) * 2);
    lags.sort_by(f64::total_cmp);
    let (median, worst) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    println!(
        "{delivered} objects; lag median {median} s, worst {worst} s; resident {:?} kB, then {:?} kB",
        early.iter().max(),
        late.iter().max()
    );
    assert!(median < 4.0, "{lags:?}");
    assert!(late.iter().max().unwrap() * 10 < early.iter().max().unwrap() * 12, "{early:?} {late:?}");
}
