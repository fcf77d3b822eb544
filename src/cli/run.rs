//! `s3trail run`: ingest, then detect; one summary, one exit code. With `--watch` again and again.

use std::process::ExitCode;

use serde::Serialize;

use super::TROUBLE;
use super::Ui;
use super::args::{RunArgs, Target};
use super::detect::{Plan, exit_code, show};
use super::ingest::{Job, Taken, write_line};
use super::notes::Note;
use super::settings::Settings;
use super::target::Opened;
use super::watch::{Board, Round, State, rounds};
use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Findings, Level};
use crate::ingest::Summary;
use crate::stop::Stop;

/// The output of `run --json`: that of `ingest --json` and that of `detect --format json` in one object.
#[derive(Serialize)]
struct Both<'a> {
    #[serde(flatten)]
    ingest: &'a Summary,
    #[serde(flatten)]
    detect: &'a Findings,
    /// Of both together.
    seconds: f64,
}

pub(super) async fn run(mut args: RunArgs, settings: &Settings, ui: &Ui, stop: &Stop) -> Result<ExitCode> {
    args.output.or_region_of(&args.intake.cloud);
    // What is wrong with the detections is said before hours of ingest, not after.
    let plan = Plan::new(&args.detections, settings)?;
    let job = Job::new(&args.intake, false, None, settings, *ui, stop).await?;
    let target = Target {
        lake: job.lake().map(str::to_owned),
        logs: Vec::new(),
        log_bucket: None,
        cloud: args.intake.cloud.clone(),
    };
    rounds(&args.intake.schedule, *ui, stop, async |board: &Board| {
        let mut taken = job.take_in(board, stop).await?;
        if taken.summary.interrupted || taken.error.is_some() {
            return Ok(cut_short(&job, taken));
        }
        board.enter(State::Detecting);
        let look = async {
            let opened = Opened::open(&target, settings, &Ui { quiet: true }).await?;
            plan.run(&opened, &args.detections.values, settings, ui).await
        };
        let findings = tokio::select! {
            found = look => found?,
            () = stop.requested() => {
                taken.summary.interrupted = true;
                job.note_interruption(&taken.summary);
                return Ok(cut_short(&job, taken));
            }
        };
        if args.json {
            write_line(args.output.output.as_deref(), &both(&taken.summary, &findings)?)?;
        } else {
            job.print(&taken.summary);
            show(&findings, &args.output)?;
        }
        if let Some(level) = args.output.fail_on.filter(|_| job.is_watching()) {
            note_findings(&findings, level, ui);
        }
        Ok(round(taken, &findings, args.output.fail_on))
    })
    .await
}

/// A round that a signal or an error ended: without findings there is nothing to say about them.
fn cut_short(job: &Job<'_>, taken: Taken) -> Round {
    job.print(&taken.summary);
    taken.into_round(ExitCode::from(TROUBLE))
}

fn round(taken: Taken, findings: &Findings, fail_on: Option<Level>) -> Round {
    // Trouble in ingest means that findings may be missing, which is worse than any that are there.
    let exit_code = if taken.is_trouble { ExitCode::from(TROUBLE) } else { exit_code(findings, fail_on) };
    let by_level =
        Level::ALL.map(|level| findings.active().filter(|finding| finding.level == level).count() as u64);
    let mut round = taken.into_round(exit_code);
    round.is_trouble |= !findings.skipped.is_empty();
    round.findings = Some(by_level);
    round
}

/// With `--watch` there is no exit code to tell of findings.
fn note_findings(findings: &Findings, least: Level, ui: &Ui) {
    let count = findings.active().filter(|finding| finding.level >= least).count() as u64;
    if count > 0 {
        ui.note(&Note::FindingsFound { count, level: least.name() });
    }
}

fn both(ingest: &Summary, detect: &Findings) -> Result<String> {
    let failed = |e| Error::new(ErrorKind::Internal, "cannot write the result").with_source(e);
    let seconds = ingest.seconds + detect.seconds;
    // By way of a map: each part has seconds of its own, and a key may be there once.
    let object = serde_json::to_value(Both { ingest, detect, seconds }).map_err(failed)?;
    serde_json::to_string(&object).map_err(failed)
}
