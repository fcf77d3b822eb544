//! `s3trail lake`: status, verify, compact, expire, repair, vacuum.

use std::process::ExitCode;

use super::args::{CompactArgs, LakeArgs, LakeCommand, LakeTarget};
use super::ingest::lake_location;
use super::settings::Settings;
use super::shared::open_lake;
use super::{TROUBLE, Ui, repair};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::compact::LEAST_MEMORY;
use crate::lake::{CompactOptions, Lake};
use crate::report::text;

pub(super) async fn run(args: LakeArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    match args.command {
        LakeCommand::Status(target) => status(&target, settings, ui).await,
        LakeCommand::Verify(target) => verify(&target, settings, ui).await,
        LakeCommand::Compact(args) => compact(&args, settings, ui).await,
        LakeCommand::Expire { target, older_than, dry_run } => {
            let mut lake = open(&target, settings, ui).await?;
            let expired = lake.expire(older_than, dry_run).await?;
            if target.json {
                return print_json(&expired);
            }
            println!(
                "{} {} of {} before {} ({}, {})",
                if dry_run { "would remove" } else { "removed" },
                expired.records.map_or("records".to_owned(), |records| text::counted(records, "record")),
                text::counted(expired.days, "day"),
                expired.before,
                text::counted(expired.removed.files, "part file"),
                text::bytes(expired.removed.bytes),
            );
            Ok(ExitCode::SUCCESS)
        }
        LakeCommand::Repair(args) => repair::run(*args, settings, ui).await,
        LakeCommand::Vacuum { target, older_than, dry_run } => {
            let mut lake = open(&target, settings, ui).await?;
            let vacuumed = lake.vacuum(older_than, dry_run).await?;
            if target.json {
                return print_json(&vacuumed);
            }
            println!(
                "{} {} ({}) that no table refers to, and {} of dead runs",
                if dry_run { "would remove" } else { "removed" },
                text::counted(vacuumed.removed.files, "file"),
                text::bytes(vacuumed.removed.bytes),
                text::counted(vacuumed.intents as u64, "intent"),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn compact(args: &CompactArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let options = CompactOptions {
        target_bytes: args.target_size,
        min_files: args.min_files as usize,
        open_days: args.open_days,
        memory_bytes: usize::try_from(args.max_memory).unwrap_or(usize::MAX),
        dry_run: args.dry_run,
    };
    if options.memory_bytes < LEAST_MEMORY {
        return Err(Error::usage("sorting needs more memory than that")
            .with_context("--max-memory", text::bytes(args.max_memory))
            .with_hint(format!("give at least {}", text::bytes(LEAST_MEMORY as u64))));
    }
    let mut lake = open(&args.target, settings, ui).await?;
    let ui = *ui;
    let told = move |day: &str, files: u64, bytes: u64| {
        ui.say(&format!("{day}: {} of {}", text::counted(files, "part file"), text::bytes(bytes)));
    };
    let done = lake.compact(&options, &told).await?;
    if args.target.json {
        return print_json(&done);
    }
    let (replaced, written) = (done.replaced, done.written);
    let (days, files) = (text::counted(done.days, "day"), text::counted(replaced.files, "file"));
    let duplicates = text::counted(done.duplicates, "duplicate record");
    match args.dry_run {
        true => println!(
            "would rewrite {days}: {files} ({}); would remove {duplicates}",
            text::bytes(replaced.bytes)
        ),
        false => println!(
            "rewrote {days}: {files} ({}) are now {} ({}); removed {duplicates}",
            text::bytes(replaced.bytes),
            text::count(written.files),
            text::bytes(written.bytes),
        ),
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(target: &LakeTarget, settings: &Settings, ui: &Ui) -> Result<Lake> {
    let location = lake_location(target.lake.as_deref(), settings, ui);
    open_lake(&location, &target.cloud.reach(&settings.source)).await
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot print as JSON").with_source(e))?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

async fn status(target: &LakeTarget, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let status = open(target, settings, ui).await?.status().await?;
    if target.json {
        return print_json(&status);
    }
    println!("lake {}", text::escape_for_terminal(&status.location));
    for table in &status.tables {
        println!(
            "  {:<12} {:>14} rows {:>8} files {:>10}   version {}, last commit {}",
            table.table.name(),
            text::count(table.rows),
            text::count(table.content.files),
            text::bytes(table.content.bytes),
            table.version,
            table.last_commit.as_deref().unwrap_or("unknown"),
        );
    }
    if let (Some(first), Some(last)) = (&status.first_time, &status.last_time) {
        println!("  records from {first} to {last}");
    }
    println!(
        "  uncommitted remains: {} ({}), pending intents: {}, replaced files kept: {}",
        text::counted(status.remains.files, "file"),
        text::bytes(status.remains.bytes),
        status.pending_intents,
        text::count(status.replaced.files),
    );
    Ok(ExitCode::SUCCESS)
}

async fn verify(target: &LakeTarget, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let verification = open(target, settings, ui).await?.verify().await?;
    let sound = verification.problems.is_empty();
    if target.json {
        print_json(&verification)?;
    } else {
        for problem in &verification.problems {
            println!("{problem}");
        }
        println!(
            "{}: {} log objects, {} rows in {} ({}) read",
            if sound {
                "sound".to_owned()
            } else {
                text::counted(verification.problems.len() as u64, "problem")
            },
            text::count(verification.log_objects),
            text::count(verification.rows),
            text::counted(verification.read.files, "file"),
            text::bytes(verification.read.bytes),
        );
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(TROUBLE) })
}
