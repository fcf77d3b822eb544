//! `s3trail lake`: status, verify, vacuum.

use std::process::ExitCode;

use super::args::{LakeArgs, LakeCommand, LakeTarget};
use super::ingest::lake_location;
use super::settings::Settings;
use super::{TROUBLE, Ui};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::report::text;

pub(super) async fn run(args: LakeArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    match args.command {
        LakeCommand::Status(target) => status(&target, settings, ui).await,
        LakeCommand::Verify(target) => verify(&target, settings, ui).await,
        LakeCommand::Vacuum { target, older_than, dry_run } => {
            let lake = open(&target, settings, ui).await?;
            let vacuumed = lake.vacuum(older_than, dry_run).await?;
            if target.json {
                return print_json(&vacuumed);
            }
            println!(
                "{} {} of {} and {} of dead runs",
                if dry_run { "would remove" } else { "removed" },
                text::counted(vacuumed.files, "file"),
                text::bytes(vacuumed.bytes),
                text::counted(vacuumed.intents, "intent"),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn open(target: &LakeTarget, settings: &Settings, ui: &Ui) -> Result<Lake> {
    Lake::open(&lake_location(target.lake.as_deref(), settings, ui)).await
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot print as JSON").with_source(e))?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
