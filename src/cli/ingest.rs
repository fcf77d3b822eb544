//! `s3trail ingest`: log objects into a lake, and the summary.

use std::process::ExitCode;
use std::time::Duration;

use super::args::{IngestArgs, Intake};
use super::notes::Note;
use super::progress::Bar;
use super::settings::Settings;
use super::{TROUBLE, Ui};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{IngestOptions, Summary, ingest};
use crate::lake::Lake;
use crate::report::text;
use crate::source::Sources;

/// The lake when none is named.
pub(super) const DEFAULT_LAKE: &str = "./lake";
const DEFAULT_MAX_REJECT_RATIO: f64 = 0.01;

pub(super) async fn run(args: IngestArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let (summary, is_trouble) = take_in(&args.intake, args.dry_run, settings, ui).await?;
    if args.json {
        println!("{}", json(&summary)?);
    } else {
        print_summary(&summary, args.dry_run, ui);
    }
    Ok(if is_trouble { ExitCode::from(TROUBLE) } else { ExitCode::SUCCESS })
}

/// Takes in what is new and says what went wrong; and whether that was enough to call it trouble.
pub(super) async fn take_in(
    intake: &Intake,
    dry_run: bool,
    settings: &Settings,
    ui: &Ui,
) -> Result<(Summary, bool)> {
    let limit = intake.max_reject_ratio.or(settings.max_reject_ratio).unwrap_or(DEFAULT_MAX_REJECT_RATIO);
    let options = IngestOptions {
        log_bucket: intake.log_bucket.clone().or_else(|| settings.log_bucket.clone()),
        commit_bytes: intake.commit_bytes,
        ..IngestOptions::default()
    };
    let bar = Bar::new(&intake.sources, ui.quiet);
    let sources = open_sources(&intake.sources, ui)?;
    let mut lake = match dry_run {
        true => None,
        false => Some(Lake::open_or_create(&lake_location(intake.lake.as_deref(), settings, ui)).await?),
    };
    let summary = ingest(lake.as_mut(), sources, &options, &bar).await?;
    let first_reject = bar.finish();
    if summary.objects + summary.known_objects + summary.failed_objects == 0 {
        return Err(Error::new(ErrorKind::NotFound, "there is no log object in the source")
            .with_context("source", intake.sources.join(" "))
            .with_context("files skipped", summary.skipped_files.to_string()));
    }
    report_trouble(&summary, first_reject, ui);
    if summary.objects == 0 && summary.failed_objects == 0 {
        ui.note(&Note::NothingNew);
    }
    let ratio = summary.reject_ratio();
    if ratio > limit {
        ui.note(&Note::RejectRatioExceeded { ratio, limit });
    }
    let is_trouble = ratio > limit || summary.failed_objects > 0;
    Ok((summary, is_trouble))
}

/// Opens the sources, and says so when standard input has to be copied first.
pub(super) fn open_sources(words: &[String], ui: &Ui) -> Result<Sources> {
    if words.iter().any(|word| word == "-") {
        ui.note(&Note::StdinSpooled);
    }
    Sources::open(words)
}

/// The lake that was named, or the default one, which is said.
pub(super) fn lake_location(named: Option<&str>, settings: &Settings, ui: &Ui) -> String {
    match named.or(settings.lake.as_deref()) {
        Some(lake) => lake.to_owned(),
        None => {
            ui.note(&Note::LakeDefaultUsed);
            DEFAULT_LAKE.to_owned()
        }
    }
}

/// Says which objects failed and that lines were rejected.
pub(super) fn report_trouble(summary: &Summary, first_reject: Option<(String, String)>, ui: &Ui) {
    for failure in &summary.failures {
        let place = failure.place.clone();
        ui.note(&Note::ObjectFailed { place, reason: failure.error.report() });
    }
    if summary.recovered_commits > 0 {
        ui.note(&Note::RecoveredCommit { count: summary.recovered_commits });
    }
    if let Some((first_place, reason)) = first_reject {
        ui.note(&Note::RejectsKept { count: summary.rejects, first_place, reason });
    }
}

fn json(summary: &Summary) -> Result<String> {
    serde_json::to_string(summary)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot write the summary").with_source(e))
}

/// The summary on standard error.
pub(super) fn print_summary(summary: &Summary, dry_run: bool, ui: &Ui) {
    let elapsed = Duration::from_secs_f64(summary.seconds);
    ui.say(&format!(
        "{} {} log objects, {} in {} ({})",
        if dry_run { "read" } else { "took in" },
        text::count(summary.objects),
        text::bytes(summary.bytes_in),
        text::seconds(elapsed),
        text::rate(summary.bytes_in, elapsed),
    ));
    ui.say(&format!(
        "  {} lines = {} records + {} rejects + {} duplicates",
        text::count(summary.lines),
        text::count(summary.records),
        text::count(summary.rejects),
        text::count(summary.duplicates),
    ));
    if summary.known_objects + summary.skipped_files + summary.failed_objects > 0 {
        ui.say(&format!(
            "  {} log objects known already, {} unreadable, {} other files skipped",
            text::count(summary.known_objects),
            text::count(summary.failed_objects),
            text::count(summary.skipped_files),
        ));
    }
    if !dry_run {
        ui.say(&format!(
            "  {} of Parquet in {} commits",
            text::bytes(summary.bytes_out),
            summary.commit_batches
        ));
    }
    if !summary.quirks.is_empty() {
        let quirks: Vec<_> =
            summary.quirks.iter().map(|(name, n)| format!("{name} {}", text::count(*n))).collect();
        ui.say(&format!("  quirks: {}", quirks.join(", ")));
    }
}
