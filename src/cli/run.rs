//! `s3trail run`: ingest, then detect; one summary, one exit code.

use std::process::ExitCode;

use serde::Serialize;

use super::args::{RunArgs, Target};
use super::detect::{Plan, exit_code, show};
use super::ingest::{print_summary, take_in};
use super::output::write_to;
use super::settings::Settings;
use super::target::Opened;
use super::{TROUBLE, Ui};
use crate::error::{Error, ErrorKind, Result};
use crate::finding::Findings;
use crate::ingest::Summary;

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

pub(super) async fn run(args: RunArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    // What is wrong with the detections is said before hours of ingest, not after.
    let plan = Plan::new(&args.detections, settings)?;
    let (summary, is_trouble) = take_in(&args.intake, false, settings, ui).await?;
    let target = Target { lake: args.intake.lake.clone(), logs: Vec::new(), log_bucket: None };
    let opened = Opened::open(&target, settings, &Ui { quiet: true }).await?;
    let findings = plan.run(&opened, &args.detections.values, settings, ui).await?;
    if args.json {
        let both = both(&summary, &findings)?;
        write_to(args.output.output.as_deref(), |out| {
            writeln!(out, "{both}")
                .map_err(|e| Error::new(ErrorKind::Io, "cannot write the result").with_source(e))
        })?;
    } else {
        print_summary(&summary, false, ui);
        show(&findings, &args.output)?;
    }
    // Trouble in ingest means that findings may be missing, which is worse than any that are there.
    Ok(if is_trouble { ExitCode::from(TROUBLE) } else { exit_code(&findings, args.output.fail_on) })
}

fn both(ingest: &Summary, detect: &Findings) -> Result<String> {
    let failed = |e| Error::new(ErrorKind::Internal, "cannot write the result").with_source(e);
    let seconds = ingest.seconds + detect.seconds;
    // By way of a map: each part has seconds of its own, and a key may be there once.
    let object = serde_json::to_value(Both { ingest, detect, seconds }).map_err(failed)?;
    serde_json::to_string(&object).map_err(failed)
}
