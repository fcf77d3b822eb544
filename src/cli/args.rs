//! Arguments as typed: clap definitions and nothing else.

mod findings;
mod schedule;
mod source;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(super) use self::findings::{DetectionValues, Detections, FindingsOutput};
pub(super) use self::schedule::ScheduleArgs;
pub(super) use self::source::{CloudArgs, Moment, SourceArgs};
use super::audit::AuditArgs;
use super::generate::{GenerateArgs, size};
use super::logging::{LogFormat, LogLevel};
use crate::finding::Level;
use crate::ingest::memory::LEAST_MEMORY;
use crate::query::Params;
use crate::query::params::parse_duration;
use crate::report::Format;
use crate::report::graph::GraphFormat;

/// Amazon S3 server access logs into a lake that SQL can ask: nothing lost, nothing twice.
#[derive(Debug, Parser)]
#[command(name = "s3trail", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  s3trail query operations-summary --logs ./logs     ask a folder of log objects, no set-up
  s3trail ingest ./logs --lake ./lake                take a folder into a lake; again adds only what is new
  s3trail query who-deleted -p key=reports/q1.csv    who deleted an object, from the lake ./lake
  s3trail queries list                               what can be asked by name
  s3trail run ./logs --lake ./lake --fail-on high    take in what is new and look for trouble, for a job

Exit codes: 0 done, 1 findings at or above --fail-on, 2 trouble (bad usage, unreadable source, too many rejects,
failed commit, a detection that could not be run).";

/// Options of every subcommand.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Settings file [default: ./s3trail.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE", env = "S3TRAIL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Threads to use [default: one for each core]
    #[arg(long, global = true, value_name = "N", env = "S3TRAIL_THREADS")]
    pub threads: Option<NonZeroUsize>,
    /// Say nothing beside results and warnings
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Form of what is said on standard error [default: text]
    #[arg(long, global = true, value_enum, env = "S3TRAIL_LOG_FORMAT", hide_short_help = true)]
    pub log_format: Option<LogFormat>,
    /// How much is said on standard error; debug adds what the S3 and Delta libraries say [default: info]
    #[arg(long, global = true, value_enum, env = "S3TRAIL_LOG_LEVEL", hide_short_help = true)]
    pub log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take log objects into a lake
    Ingest(Box<IngestArgs>),
    /// Take log objects into a lake, then look for trouble in it: the one line for a job
    Run(Box<RunArgs>),
    /// Look for trouble: recursion, changed controls, exposed or stolen data
    Detect(DetectArgs),
    /// Show which bucket's log goes where, the loops, and how to break them
    Recursion(RecursionArgs),
    /// Print the log lines that prove a finding
    Evidence(EvidenceArgs),
    /// Ask a lake, or log objects directly, in SQL or by the name of a saved query
    Query(QueryArgs),
    /// List the saved queries, or show one
    Queries(QueriesArgs),
    /// Read how buckets are configured: where they log to, what protects them
    Audit(Box<AuditArgs>),
    /// Look after a lake
    Lake(LakeArgs),
    /// Write synthetic logs, for trying things out and for benchmarks
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
#[command(mut_arg("delivered_since", |arg| arg.visible_alias("since")))]
#[command(mut_arg("delivered_until", |arg| arg.visible_alias("until")))]
#[command(after_help = "\
Examples:
  s3trail ingest s3://amzn-s3-demo-logs/web/ --lake ./lake
  s3trail ingest s3://amzn-s3-demo-logs/ --lake s3://amzn-s3-demo-lake/s3trail --watch 5m
  s3trail ingest ./mirror-of-log-bucket --lake ./lake --log-bucket amzn-s3-demo-logs
  s3trail ingest 'logs/2026-03-*' one-more.log.gz
  aws s3 cp s3://amzn-s3-demo-logs/web/2026-03-01-10-15-22-0123456789ABCDEF - | s3trail ingest -

Log objects are recognised by content: text, gzip, zstd. Lines that are no log records are kept in
the table `rejects` with the reason and the place. Running again takes in only what is new; a run
that was cut short is finished by the next one. SIGINT and SIGTERM end a run within 10 s: what is
committed stays, what is not is given up; a second one ends it at once.

Exit codes: 0 done, also when --watch was ended by a signal; 2 trouble, or interrupted.")]
pub(super) struct IngestArgs {
    #[command(flatten)]
    pub intake: Intake,
    /// Read and count everything, write nothing
    #[arg(long, conflicts_with_all = ["watch", "delete_after_commit", "move_to"])]
    pub dry_run: bool,
    /// Memory to keep to, at least 256MiB: with less, row groups are smaller and fewer threads work [default: 600MiB]
    #[arg(long, value_name = "SIZE", value_parser = ingest_memory, hide_short_help = true)]
    pub max_memory: Option<u64>,
    /// Print the summary as one JSON object on standard output; with --watch a line for each round
    #[arg(long)]
    pub json: bool,
}

/// A size that an ingest can keep to.
fn ingest_memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < LEAST_MEMORY => Err("an ingest takes up to 256MiB".to_owned()),
        bytes => Ok(bytes),
    }
}

/// What is taken in, and where to.
#[derive(Debug, Args)]
pub(super) struct Intake {
    /// s3://bucket/prefix, files, folders (read recursively), globs, or - for standard input
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// The lake: a folder or s3://bucket/prefix, created when missing [default: ./lake]
    #[arg(long, value_name = "LAKE", env = "S3TRAIL_LAKE")]
    pub lake: Option<String>,
    /// Destination bucket the log objects were delivered to; finds self-logging for certain [default: that of
    /// an s3:// source]
    #[arg(long, value_name = "BUCKET", env = "S3TRAIL_LOG_BUCKET")]
    pub log_bucket: Option<String>,
    /// Rejected lines for each line, 0 to 1, above which the exit code is 2 [default: 0.01]
    #[arg(long, value_name = "RATIO", env = "S3TRAIL_MAX_REJECT_RATIO", value_parser = ratio)]
    pub max_reject_ratio: Option<f64>,
    /// Log objects that become visible in one commit, in bytes
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size, hide_short_help = true)]
    pub commit_bytes: u64,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub cloud: CloudArgs,
    #[command(flatten)]
    pub schedule: ScheduleArgs,
}

/// Where a question is put.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The lake to ask [default: ./lake]
    #[arg(long, value_name = "LAKE", env = "S3TRAIL_LAKE")]
    pub lake: Option<String>,
    /// Ask these log objects instead: s3://bucket/prefix, files, folders, globs, or - (through a temporary lake)
    #[arg(long, value_name = "SOURCE", num_args = 1.., conflicts_with = "lake")]
    pub logs: Vec<String>,
    /// Destination bucket the log objects of --logs were delivered to
    #[arg(long, value_name = "BUCKET", requires = "logs")]
    pub log_bucket: Option<String>,
    #[command(flatten)]
    pub cloud: CloudArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail query top-talkers -p limit=5 -p since=-7d
  s3trail query \"SELECT operation, count(*) AS n FROM requests GROUP BY 1 ORDER BY n DESC\"
  s3trail query \"SELECT * FROM requests WHERE key = \\$key\" -p key='a key.txt' --format ndjson
  s3trail query -f question.sql --logs ./logs -o answer.parquet --format parquet

Tables: access_logs (one row a record), log_objects (one row a log object), rejects (one row a refused line);
views: requests (access_logs with derived columns), log_deliveries. Only questions are allowed, no changes.")]
pub(super) struct QueryArgs {
    /// The name of a saved query, or SQL
    #[arg(value_name = "NAME|SQL", required_unless_present = "file", conflicts_with = "file")]
    pub query: Option<String>,
    /// Read the SQL from a file (- for standard input)
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A parameter, $name in the SQL; may be repeated
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = param)]
    pub params: Vec<(String, String)>,
    #[command(flatten)]
    pub target: Target,
    /// Form of the answer [default: table]
    #[arg(long, value_enum, default_value = "table", hide_default_value = true)]
    pub format: Format,
    /// Write the answer to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Rows that a table on a terminal shows
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: usize,
    /// Leave CSV cells that a spreadsheet would execute as they are
    #[arg(long)]
    pub csv_raw: bool,
    /// Give up after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Memory for sorting and grouping before it spills to disk, such as 2GB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
    /// A folder of saved queries laid over the built-in ones
    #[arg(long, value_name = "DIR", env = "S3TRAIL_QUERIES")]
    pub queries: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail detect --logs ./logs --log-bucket amzn-s3-demo-logs
  s3trail detect --lake ./lake --since -1d --fail-on high
  s3trail detect --tag recursion,exfiltration --format sarif -o findings.sarif
  s3trail detect --only mass-deletion -p mass-deletion.min_keys=50

Detections are saved queries: s3trail queries list names them, s3trail queries show ID explains one. Findings that
are known and no trouble are suppressed in s3trail.toml:

  [[suppressions]]
  id = \"plaintext-http\"
  match = { bucket = \"amzn-s3-demo-web\", subject = \"*\" }
  reason = \"a public web site\"
  owner = \"web team\"
  expires = 2027-01-31

Exit codes: 0 done, 1 findings at or above --fail-on, 2 trouble (a detection that could not be run among it).")]
pub(super) struct DetectArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub detections: Detections,
    #[command(flatten)]
    pub output: FindingsOutput,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail run s3://amzn-s3-demo-logs/ --lake ./lake --fail-on high
  s3trail run ./logs --since -1d --format json > findings.json
  s3trail run s3://amzn-s3-demo-logs/ --lake ./lake --watch 15m --format json -o findings.json

--since and --until choose findings; --delivered-since and --delivered-until choose log objects.

Exit codes: 0 done, also when --watch was ended by a signal; 1 findings at or above --fail-on;
2 trouble in ingest or detection, or interrupted.")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub intake: Intake,
    #[command(flatten)]
    pub detections: Detections,
    #[command(flatten)]
    pub output: FindingsOutput,
    /// Print summary and findings as one JSON object on standard output; with --watch a line for each round
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail recursion --logs ./logs --log-bucket amzn-s3-demo-logs
  s3trail recursion --lake ./lake --format mermaid -o deliveries.mmd

A bucket that receives its own access log feeds on itself: every delivery makes a record, which is delivered in turn.
`certain` edges come from log objects whose bucket is known (--log-bucket, or the partitioned key); `observed` ones
from records of deliveries in the log of the receiving bucket.")]
pub(super) struct RecursionArgs {
    #[command(flatten)]
    pub target: Target,
    /// Deliveries from this time on: 2026-03-01, 2026-03-01T12:00:00Z, or -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Deliveries before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Form of the graph [default: text]
    #[arg(long, value_enum, default_value = "text", hide_default_value = true)]
    pub format: GraphFormat,
    /// Write the graph to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A folder of saved queries laid over the built-in ones
    #[arg(long, value_name = "DIR", env = "S3TRAIL_QUERIES")]
    pub queries: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail evidence recursion-self:3f2a9c0d1e5b7788 --lake ./lake
  s3trail evidence recursion-self:3f2a9c0d1e5b7788 --logs ./logs --log-bucket amzn-s3-demo-logs

A fingerprint stands beside every finding. The detection it names is run again, with the same --since, --until and
parameters if they were given; the lines are printed byte for byte as S3 wrote them, escaped on a terminal.")]
pub(super) struct EvidenceArgs {
    /// Fingerprint of the finding
    pub fingerprint: String,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub values: DetectionValues,
}

#[derive(Debug, Args)]
pub(super) struct QueriesArgs {
    #[command(subcommand)]
    pub command: Option<QueriesCommand>,
    /// A folder of saved queries laid over the built-in ones
    #[arg(long, value_name = "DIR", env = "S3TRAIL_QUERIES", global = true)]
    pub queries: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum QueriesCommand {
    /// One line for each saved query, topic by topic
    List(QueriesFilter),
    /// What a saved query means, its parameters and its SQL
    Show {
        /// Name of the query
        name: String,
    },
    /// Print the Markdown page of all topics and saved queries
    Index,
}

/// Which saved queries are listed.
#[derive(Debug, Default, Args)]
pub(super) struct QueriesFilter {
    /// Only these topics
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Only this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<QueryKind>,
    /// Only detections of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub min_level: Option<Level>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum QueryKind {
    /// Looks for trouble
    Detection,
    /// Answers a question
    Report,
    /// A table for other queries
    View,
}

impl QueryKind {
    pub fn name(self) -> &'static str {
        match self {
            QueryKind::Detection => "detection",
            QueryKind::Report => "report",
            QueryKind::View => "view",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct LakeArgs {
    #[command(subcommand)]
    pub command: LakeCommand,
}

#[derive(Debug, Args)]
pub(super) struct LakeTarget {
    /// The lake [default: ./lake]
    #[arg(long, value_name = "LAKE", env = "S3TRAIL_LAKE")]
    pub lake: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub cloud: CloudArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum LakeCommand {
    /// Tables, rows, files, bytes, time range, last commit, uncommitted remains
    Status(LakeTarget),
    /// Check that nothing is lost: every log object's lines are accounted for, every file present and readable
    #[command(after_help = "Exit code 2 when anything is wrong; each problem is one line.")]
    Verify(LakeTarget),
    /// Make few sorted part files of a day's many small ones, and remove records that were delivered twice
    #[command(after_help = COMPACT_HELP)]
    Compact(CompactArgs),
    /// Remove the records of days long gone; their log objects stay known, and are not taken in again
    #[command(after_help = EXPIRE_HELP)]
    Expire {
        #[command(flatten)]
        target: LakeTarget,
        /// Days that ended at least so long ago (UTC), in whole days
        #[arg(long, value_name = "TIME", value_parser = whole_days)]
        older_than: u32,
        /// Say what would be removed, remove nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Read the log objects again whose records were lost with a damaged or missing part file
    #[command(after_help = REPAIR_HELP)]
    Repair(Box<RepairArgs>),
    /// Remove files that no table refers to: remains of runs that were cut short
    Vacuum {
        #[command(flatten)]
        target: LakeTarget,
        /// Only files at least this old; a run in progress writes files that nothing refers to yet
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
        older_than: Duration,
        /// Say what would be removed, remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    #[command(flatten)]
    pub target: LakeTarget,
    /// A part file ends when it has so many bytes of Parquet
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub target_size: u64,
    /// Leave days with fewer part files alone
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub min_files: u32,
    /// Also the day that is not over yet (UTC), and records without a time
    #[arg(long)]
    pub open_days: bool,
    /// Memory for sorting a day; what needs more is spilled to TMPDIR
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub max_memory: u64,
    /// Say what would be rewritten and how many duplicates there are, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    #[command(flatten)]
    pub intake: Intake,
    /// Say what is damaged and could be read again, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

const REPAIR_HELP: &str = "\
Examples:
  s3trail lake repair s3://amzn-s3-demo-logs/ --lake lake --dry-run
  s3trail lake repair ./logs --lake lake

Part files that are missing or damaged leave the lake. Log objects that it then has less of than its ledger says are
forgotten, if SOURCE still has them, and taken in again; a commit that is in some tables only is brought to its end in the
same way. What SOURCE has no longer is left as it is, with exit code 2: a backup is the place to look for it.";

const COMPACT_HELP: &str = "\
Examples:
  s3trail lake compact --lake lake --dry-run
  s3trail lake compact --lake lake && s3trail lake vacuum --lake lake --older-than 7d

Only days that got new part files since the last time are rewritten. Queries and ingests may run beside it; the files
that were replaced serve older readers until `lake vacuum` removes them. A run that was cut short has done whole days:
run it again to go on.";

const EXPIRE_HELP: &str = "\
Examples:
  s3trail lake expire --lake lake --older-than 400d --dry-run
  s3trail lake expire --lake lake --older-than 400d && s3trail lake vacuum --lake lake

The files are removed by the next `lake vacuum`. Rejects and records without a time do not expire.";

/// `400d` or another time of whole days.
fn whole_days(text: &str) -> Result<u32, String> {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = duration(text)?.as_secs();
    match u32::try_from(seconds / DAY) {
        Ok(days) if days > 0 && seconds % DAY == 0 => Ok(days),
        _ => Err("write whole days, such as 400d".to_owned()),
    }
}

fn param(text: &str) -> Result<(String, String), String> {
    Params::parse_assignment(text).map_err(|e| e.report())
}

pub(super) fn level(text: &str) -> Result<Level, String> {
    let names: Vec<&str> = Level::ALL.into_iter().map(Level::name).collect();
    let found = Level::ALL.into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| format!("one of {}", names.join(", ")))
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

/// `90` (seconds), or with units as the parameters of queries have them: `90s`, `15m`, `12h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    match parse_duration(text).map(u64::try_from) {
        Some(Ok(nanos)) => Ok(Duration::from_nanos(nanos)),
        _ => Err("write a time such as 30s, 15m, 12h or 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Command, String> {
        let words = ["s3trail"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command).map_err(|e| e.to_string())
    }

    #[test]
    fn since_is_about_delivery_in_ingest_and_about_findings_in_run() {
        let line = "ingest s3://b/p --since -7d --until 2026-03-01";
        let Ok(Command::Ingest(args)) = parse(line) else { panic!("{line}") };
        assert!(args.intake.source.delivered_since.is_some() && args.intake.source.delivered_until.is_some());
        let line = "run s3://b/p --since -7d --delivered-since -1d";
        let Ok(Command::Run(args)) = parse(line) else { panic!("{line}") };
        assert_eq!(args.detections.values.since.as_deref(), Some("-7d"));
        assert!(args.intake.source.delivered_since.is_some());
    }

    #[test]
    fn regions_of_buckets_and_of_findings_are_two() {
        let line = "run s3://b/p --region eu-west-1 --asff-region us-east-1 --account 111122223333";
        let Ok(Command::Run(args)) = parse(line) else { panic!("{line}") };
        assert_eq!(args.intake.cloud.region.as_deref(), Some("eu-west-1"));
        assert_eq!(args.output.region.as_deref(), Some("us-east-1"));
    }

    #[test]
    fn what_cannot_be_meant_together_is_refused() {
        for (line, word) in [
            ("ingest s3://b/p --delete-after-commit --move-to done/", "--move-to"),
            ("ingest s3://b/p --dry-run --watch 5m", "--watch"),
            ("ingest s3://b/p --dry-run --delete-after-commit", "--delete-after-commit"),
            ("ingest s3://b/p --full-scan --lookback 1d", "--lookback"),
            ("ingest s3://b/p --shard 5/4", "1/4 to 4/4"),
            ("ingest s3://b/p --watch 0s", "at least 1s"),
            ("ingest s3://b/p --metrics logs.example.com:9464", "IP address"),
            ("ingest s3://b/p --include a***", "no glob"),
            ("ingest s3://b/p --concurrency 0", "concurrency"),
        ] {
            let refused = parse(line).unwrap_err();
            assert!(refused.contains(word), "{line}: {refused}");
        }
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(size("1.5GB"), Ok(1_500_000_000));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("500"), Ok(500));
        assert!(size("GB").is_err() && size("-1").is_err() && size("1 parsec").is_err());
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert!(duration("d").is_err() && duration("99999999999999999999d").is_err());
        assert_eq!(whole_days("400d"), Ok(400));
        assert!(whole_days("36h").is_err() && whole_days("0d").is_err());
    }
}
