//! `s3trail audit`: the configuration of buckets into the lake, and what of it could not be read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use clap::Args;

use super::Ui;
use super::args::CloudArgs;
use super::ingest::lake_location;
use super::output::{terminal_width, write_to};
use super::settings::Settings;
use super::shared::{Reach, open_or_create_lake};
use crate::audit::{self, Answers, BucketConfig, Kind, Snapshot, Unanswered};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{self, Format, WriteOptions, text};

/// Names that a line about calls without an answer shows.
const NAMES_SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  s3trail audit --lake ./lake                                  every bucket of the account
  s3trail audit amzn-s3-demo-web amzn-s3-demo-data             these, and the buckets their logs go to
  s3trail audit --print-script > audit.sh                      for people who may not give credentials:
  sh audit.sh > config.json; s3trail audit --config-file config.json
  s3trail detect --tag audit                                   then: what the configuration and the logs say

It only reads: logging, versioning, encryption, public access block, policy, ACL, ownership, CORS, Object Lock, requester
pays, lifecycle, replication, and the access points of the account. Every audit is kept, in the table `bucket_config`;
the view `bucket_configuration` has the newest. A call that is not allowed leaves its facts unknown and is listed.

Exit codes: 0 done, also when calls were denied; 2 trouble, among it that nothing but the names and Regions of buckets
could be read: then nothing is written, and the audit before this one stays the newest.")]
pub(super) struct AuditArgs {
    /// Buckets to audit [default: every bucket of the account]
    #[arg(value_name = "BUCKET")]
    pub buckets: Vec<String>,
    /// The lake: a folder or s3://bucket/prefix, created when missing [default: ./lake]
    #[arg(long, value_name = "LAKE", env = "S3TRAIL_LAKE")]
    pub lake: Option<String>,
    /// Read the configuration from a file made with the AWS CLI, and ask nobody
    #[arg(long, value_name = "FILE", conflicts_with = "buckets")]
    pub config_file: Option<PathBuf>,
    /// Print a shell script that writes such a file, and do nothing else
    #[arg(long, conflicts_with_all = ["buckets", "config_file", "json"])]
    pub print_script: bool,
    #[command(flatten)]
    pub cloud: CloudArgs,
    /// Print what was read as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: AuditArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    if args.print_script {
        write_to(None, |out| out.write_all(audit::file::SCRIPT.as_bytes()).map_err(not_printed))?;
        return Ok(ExitCode::SUCCESS);
    }
    let reach = args.cloud.reach(&settings.source);
    let (answers, audited_at) = match &args.config_file {
        Some(path) => audit::file::read(path)?,
        None => (ask(&args, &reach, ui).await?, chrono::Utc::now()),
    };
    let snapshot = Snapshot::of(&answers, audited_at);
    let is_blind = answers.is_blind();
    // The newest audit counts: one that learned nothing would put an end to all that the one before found.
    if !is_blind {
        let location = lake_location(args.lake.as_deref(), settings, ui);
        let mut lake = open_or_create_lake(&location, &reach).await?;
        lake.append(&audit::side_table(), snapshot.batch()?).await?;
    }
    if args.json {
        let json = serde_json::to_string(&snapshot)
            .map_err(|e| Error::new(ErrorKind::Internal, "cannot print as JSON").with_source(e))?;
        write_to(None, |out| writeln!(out, "{json}").map_err(not_printed))?;
    } else {
        write_to(None, |out| print(&snapshot, out))?;
    }
    if is_blind {
        return Err(blind());
    }
    let buckets = of_kind(&snapshot, Kind::Bucket).count();
    ui.say(&format!(
        "audited {}, {}; {} without an answer",
        text::counted(buckets as u64, "bucket"),
        text::counted(points(&snapshot).count() as u64, "access point"),
        text::counted(snapshot.unanswered.len() as u64, "call"),
    ));
    ui.say("what it comes to: s3trail detect --tag audit; s3trail query bucket-posture");
    Ok(ExitCode::SUCCESS)
}

#[cold]
fn blind() -> Error {
    Error::new(
        ErrorKind::Io,
        "no configuration of any bucket could be read, and nothing is written to the lake",
    )
    .with_hint(
        "what was refused is in the output; deploy/iam/audit.json has the permissions that an audit needs",
    )
}

/// Asks AWS, or a server that speaks like it.
#[cfg(feature = "s3")]
async fn ask(args: &AuditArgs, reach: &Reach, ui: &Ui) -> Result<Answers> {
    let cloud = reach.cloud().await?;
    let bar = ui.counter(args.buckets.len() as u64);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} buckets  {elapsed}") {
        bar.set_style(style);
    }
    let on_bucket = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let answers = audit::read::read(cloud, &args.buckets, &on_bucket).await;
    bar.finish_and_clear();
    answers
}

#[cfg(not(feature = "s3"))]
async fn ask(args: &AuditArgs, _: &Reach, _: &Ui) -> Result<Answers> {
    let asked = if args.buckets.is_empty() { "all".to_owned() } else { args.buckets.join(", ") };
    let error = Error::usage("this s3trail was built without the feature s3 and cannot ask AWS");
    Err(error.with_context("buckets", asked).with_hint(
        "s3trail audit --print-script prints a script that asks with the AWS CLI; then give its output with --config-file",
    ))
}

#[cold]
fn not_printed(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot write the result").with_source(source)
}

fn of_kind(snapshot: &Snapshot, kind: Kind) -> impl Iterator<Item = &BucketConfig> {
    snapshot.rows.iter().filter(move |row| row.kind == kind)
}

/// Access points of both kinds.
fn points(snapshot: &Snapshot) -> impl Iterator<Item = &BucketConfig> {
    of_kind(snapshot, Kind::AccessPoint).chain(of_kind(snapshot, Kind::ObjectLambdaAccessPoint))
}

/// A table of the buckets, one of the access points, and the calls without an answer.
fn print(snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    let buckets: Vec<&BucketConfig> = of_kind(snapshot, Kind::Bucket).collect();
    table(
        &buckets,
        &[
            ("bucket", |row| row.name.clone()),
            ("region", |row| known(row.region.as_deref())),
            ("logs to", |row| match (&row.logging_target_bucket, row.logging_known) {
                (Some(target), _) => {
                    format!("{target}/{}", row.logging_target_prefix.as_deref().unwrap_or_default())
                }
                (None, Some(true)) => "-".to_owned(),
                (None, _) => known(None),
            }),
            ("versioning", |row| known(row.versioning.as_deref())),
            ("encryption", |row| known(row.encryption_algorithm.as_deref())),
            ("public access block", |row| yes(block(row))),
            ("HTTP denied", |row| yes(row.policy_denies_insecure_transport)),
            ("not read", |row| {
                let calls = [&row.denied, &row.failed].into_iter().flatten();
                calls.map(|calls| calls.split(',').count()).sum::<usize>().to_string()
            }),
        ],
        out,
    )?;
    let points: Vec<&BucketConfig> = points(snapshot).collect();
    if !points.is_empty() {
        writeln!(out).map_err(not_printed)?;
        table(
            &points,
            &[
                ("access point", |row| row.name.clone()),
                ("kind", |row| row.kind.name().to_owned()),
                ("bucket", |row| known(row.bucket.as_deref())),
                ("region", |row| known(row.region.as_deref())),
                ("origin", |row| match &row.vpc_id {
                    Some(vpc) => vpc.clone(),
                    None => row.network_origin.clone().unwrap_or_default(),
                }),
            ],
            out,
        )?;
    }
    if !snapshot.unanswered.is_empty() {
        writeln!(out, "\ncould not be read:").map_err(not_printed)?;
        for line in unanswered(&snapshot.unanswered) {
            writeln!(out, "  {line}").map_err(not_printed)?;
        }
    }
    Ok(())
}

fn known(value: Option<&str>) -> String {
    value.unwrap_or("not known").to_owned()
}

fn yes(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => known(None),
    }
}

/// Whether all four of the bucket's own blocks are on.
fn block(row: &BucketConfig) -> Option<bool> {
    Some(
        row.block_public_acls?
            && row.ignore_public_acls?
            && row.block_public_policy?
            && row.restrict_public_buckets?,
    )
}

/// A heading, and what stands below it for a row.
type Column = (&'static str, fn(&BucketConfig) -> String);

fn table(rows: &[&BucketConfig], columns: &[Column], out: &mut dyn Write) -> Result<()> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
    let array = |(_, cell): &Column| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<StringArray>())
    };
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.iter().map(array).collect())
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot make the table").with_source(e))?;
    let mut written = Vec::new();
    let options = WriteOptions { width: terminal_width(), ..WriteOptions::default() };
    let mut writer = report::writer(Format::Table, schema, &mut written, options)?;
    writer.write(&batch)?;
    writer.finish()?;
    out.write_all(&written).map_err(not_printed)
}

/// One line for each call and reason, with the names it was about.
fn unanswered(calls: &[Unanswered]) -> Vec<String> {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for call in calls {
        by_reason.entry((&call.api, &call.reason)).or_default().push(&call.name);
    }
    let line = |((api, reason), names): ((&str, &str), Vec<&str>)| {
        let shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
        let more = match names.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {} more", text::count(more as u64)),
        };
        // Reasons come from the server.
        text::escape_for_terminal(&format!("{api}: {reason}: {shown}{more}")).into_owned()
    };
    by_reason.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let call = |name: &str| Unanswered {
            name: name.to_owned(),
            api: "get-bucket-policy".to_owned(),
            reason: "Access\u{1b}[31mDenied".to_owned(),
            is_denied: true,
        };
        Snapshot {
            audit_id: "1".to_owned(),
            audited_at: chrono::DateTime::UNIX_EPOCH,
            source: "111122223333".to_owned(),
            is_complete: true,
            rows: vec![
                BucketConfig {
                    name: "amzn-s3-demo-web".to_owned(),
                    logging_known: Some(true),
                    logging_target_bucket: Some("amzn-s3-demo-logs".to_owned()),
                    logging_target_prefix: Some("web/".to_owned()),
                    denied: Some("get-bucket-policy,get-bucket-acl".to_owned()),
                    ..BucketConfig::default()
                },
                BucketConfig { kind: Kind::AccessPoint, name: "ap".to_owned(), ..BucketConfig::default() },
            ],
            unanswered: (0..7).map(|n| call(&format!("b{n}"))).collect(),
        }
    }

    #[test]
    fn what_was_read_and_what_was_not() {
        let mut out = Vec::new();
        print(&snapshot(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("amzn-s3-demo-logs/web/"), "{out}");
        assert!(out.contains("not known"), "{out}");
        assert!(out.contains("access_point"), "{out}");
        let last = out.lines().last().unwrap();
        assert!(last.starts_with("  get-bucket-policy: Access"), "{last}");
        assert!(last.ends_with(": b0, b1, b2, b3, b4 and 2 more"), "{last}");
        assert!(!out.contains('\u{1b}'), "{out}");
    }
}
