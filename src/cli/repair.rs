//! `s3trail lake repair`: what damage has taken is read again from its source.

use std::collections::HashMap;
use std::process::ExitCode;

use chrono::Utc;

use super::args::{IngestArgs, Intake, RepairArgs};
use super::ingest::lake_location;
use super::settings::Settings;
use super::shared::{Reach, bucket_of, open_lake, open_sources};
use super::{TROUBLE, Ui, ingest};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::source_id;
use crate::lake::repair::{DamagedFile, Unfinished};
use crate::lake::{Incomplete, Lake, Table};
use crate::report::text;
use crate::source::{Failure, Found};
use crate::stop::Stop;

/// Log objects listed one by one.
const LISTED: usize = 20;

pub(super) async fn run(mut args: RepairArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let intake = &mut args.intake;
    if intake.sources.iter().any(|word| word == "-") {
        return Err(Error::usage("standard input (-) cannot be read twice, as a repair has to")
            .with_hint("name the folder or the bucket that the log objects are in"));
    }
    // Whatever the cursor knows to be taken in is asked for again.
    intake.source.full_scan = bucket_of(&intake.sources)?.is_some();
    let reach = intake.cloud.reach(&settings.source);
    let location = lake_location(intake.lake.as_deref(), settings, ui);
    let mut lake = open_lake(&location, &reach).await?;

    let bucket = bucket_of(&intake.sources)?.map(|(bucket, _)| bucket);
    let bucket = bucket.or_else(|| intake.log_bucket.clone()).or_else(|| settings.log_bucket.clone());
    let shard = intake.source.shard.map(|shard| (shard.part, shard.of));
    let unfinished = lake.unfinished(&source_id(bucket.as_deref(), shard), args.dry_run).await?;
    // Nothing goes before it is certain that all that is missing can be had again.
    let damaged = lake.drop_damaged(args.dry_run || !unfinished.is_empty()).await?;
    for file in &damaged {
        println!("{}", file.problem);
    }
    if unfinished.iter().any(|source| !source.can_be_closed) || !unfinished.is_empty() && !damaged.is_empty()
    {
        return Err(disagreement(&unfinished));
    }
    for source in &unfinished {
        println!("{}", source.problem);
    }
    if args.dry_run && !damaged.is_empty() {
        println!("would take {} out of the lake, and read their log objects again", files_and_rows(&damaged));
        return Ok(ExitCode::SUCCESS);
    }
    let incomplete = lake.incomplete(&damaged).await?;
    let is_cut_short = lake.is_repair_cut_short().await?;
    if incomplete.is_empty() && damaged.is_empty() && unfinished.is_empty() && !is_cut_short {
        println!("nothing to repair");
        return Ok(ExitCode::SUCCESS);
    }
    if is_cut_short {
        println!("a repair was cut short: what it had forgotten is looked for in all of the source");
    }
    let Sorted { there, lost, unread } = match incomplete.is_empty() {
        true => Sorted::default(),
        false => sort_out(incomplete, intake, settings, &reach, ui).await?,
    };
    for failure in unread.iter().take(LISTED) {
        println!("{}", failure.error.report());
    }
    let is_gone = match unread.is_empty() {
        true => "no longer in the source",
        false => "not in what can be read of the source",
    };
    for object in lost.iter().take(LISTED) {
        println!("{} is {is_gone}; what the lake has of it stays", name(object));
    }
    if lost.len() > LISTED {
        println!("and {} more are {is_gone}", text::count((lost.len() - LISTED) as u64));
    }
    if !lost.is_empty() && !unfinished.is_empty() {
        return Err(disagreement(&unfinished));
    }
    let ledger_file = damaged.iter().find(|file| file.table == Table::LogObjects);
    if let Some(file) = ledger_file
        && lost.iter().any(|object| object.missing <= 0)
    {
        return Err(Error::new(
            ErrorKind::Lake,
            "the ledger is damaged, and the source lacks some of its objects",
        )
        .with_context("file", format!("{}/{}", file.table, file.path))
        .with_hint("restore the file from a backup, or name a source that has the log objects"));
    }
    let objects = text::counted(there.len() as u64, "log object");
    let is_nothing_to_read =
        there.is_empty() && ledger_file.is_none() && unfinished.is_empty() && !is_cut_short;
    if args.dry_run || is_nothing_to_read {
        println!("{} {objects} again", if args.dry_run { "would read" } else { "read" });
        return Ok(if lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(TROUBLE) });
    }
    // Behind the next two steps nothing in the tables tells any longer what is missing.
    lake.note_repair(true).await?;
    if !unfinished.is_empty() {
        lake.close(&unfinished).await?;
        ui.say(&format!(
            "closed {} that some tables had lost",
            text::counted(unfinished.len() as u64, "commit")
        ));
    }
    if !there.is_empty() || ledger_file.is_some() {
        forget(&mut lake, &there, &damaged, ui).await?;
    }
    println!("reading {objects} again");
    drop(lake);
    let again = IngestArgs { intake: args.intake, dry_run: false, max_memory: None, json: false };
    // A signal ends it at once, as it would any repair: the note makes the next one read the source again.
    let exit_code = ingest::run(again, settings, ui, &Stop::new()).await?;
    if exit_code == ExitCode::SUCCESS {
        open_lake(&location, &reach).await?.note_repair(false).await?;
    }
    Ok(if lost.is_empty() { exit_code } else { ExitCode::from(TROUBLE) })
}

/// The refusal to touch a lake whose tables have lost commits that cannot be brought back from the source.
fn disagreement(unfinished: &[Unfinished]) -> Error {
    let problems: Vec<&str> = unfinished.iter().map(|source| source.problem.as_str()).collect();
    Error::new(ErrorKind::Lake, "the tables disagree about the last commit, so nothing was changed")
        .with_context("problem", problems.join(" "))
        .with_hint(
            "an entry of a Delta log is lost: restore the newest entries of _delta_log from a backup, in the table \
             that is behind, or name a source that has all log objects",
        )
}

/// `2 files with 160 records`
fn files_and_rows(damaged: &[DamagedFile]) -> String {
    let is_logs = damaged.iter().all(|file| file.table == Table::AccessLogs);
    let noun = if is_logs { "record" } else { "row" };
    let rows: Option<u64> = damaged.iter().map(|file| file.rows).sum();
    let rows = rows.map_or(format!("unknown {noun}s"), |rows| text::counted(rows, noun));
    format!("{} with {rows}", text::counted(damaged.len() as u64, "file"))
}

async fn forget(lake: &mut Lake, objects: &[Incomplete], damaged: &[DamagedFile], ui: &Ui) -> Result<()> {
    let forgotten = lake.forget(objects, damaged).await?;
    ui.say(&format!(
        "forgot {} with {} that were still there",
        text::counted(forgotten.objects, "log object"),
        text::counted(forgotten.records, "record"),
    ));
    Ok(())
}

/// Log objects that are to be read again.
#[derive(Default)]
struct Sorted {
    /// The source has them.
    there: Vec<Incomplete>,
    /// It has not.
    lost: Vec<Incomplete>,
    /// Parts of the source that cannot be seen: what is lost may be in them.
    unread: Vec<Failure>,
}

/// Looks for these log objects in the source.
async fn sort_out(
    incomplete: Vec<Incomplete>,
    intake: &Intake,
    settings: &Settings,
    reach: &Reach,
    ui: &Ui,
) -> Result<Sorted> {
    let options = intake.source.options(&intake.cloud, &settings.source, Utc::now());
    let mut sources = open_sources(&intake.sources, &options, reach, None, *ui).await?;
    let bucket = bucket_of(&intake.sources)?.map(|(bucket, _)| bucket);
    // Keys may be from another root than before; their last part is the same.
    let last = |key: &str| key.rsplit('/').next().unwrap_or(key).to_owned();
    let mut wanted: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, object) in incomplete.iter().enumerate() {
        wanted.entry(last(&object.log_key)).or_default().push(at);
    }
    let mut is_there = vec![false; incomplete.len()];
    let mut unread = Vec::new();
    while let Some(found) = sources.next().await {
        let found = match found {
            Found::Object(found) => found,
            Found::Skipped(_) => continue,
            Found::Unreadable(failure) => {
                unread.push(failure);
                continue;
            }
        };
        for at in wanted.get(&last(&found.key)).into_iter().flatten() {
            let object = &incomplete[*at];
            is_there[*at] |= match (&bucket, &object.log_bucket) {
                (Some(ours), Some(theirs)) => ours == theirs && found.key == object.log_key,
                _ => ends_with(&found.key, &object.log_key) || ends_with(&object.log_key, &found.key),
            };
        }
    }
    let (there, lost): (Vec<_>, Vec<_>) =
        incomplete.into_iter().zip(is_there).partition(|(_, is_there)| *is_there);
    let objects = |sorted: Vec<(Incomplete, bool)>| sorted.into_iter().map(|(object, _)| object).collect();
    Ok(Sorted { there: objects(there), lost: objects(lost), unread })
}

/// Whether `key` is `end`, or ends in it at a `/`.
fn ends_with(key: &str, end: &str) -> bool {
    key.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

fn name(object: &Incomplete) -> String {
    let key = text::escape_for_terminal(&object.log_key);
    match &object.log_bucket {
        Some(bucket) => format!("{}/{key}", text::escape_for_terminal(bucket)),
        None => key.into_owned(),
    }
}
