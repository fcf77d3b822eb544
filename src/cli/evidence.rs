//! `s3trail evidence`: the log lines behind a finding.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::Ui;
use super::args::EvidenceArgs;
use super::detect::job;
use super::output::write_to;
use super::settings::Settings;
use super::target::Opened;
use crate::batch::LineReader;
use crate::detect::{Selection, Suppressions, detect};
use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Evidence, Finding};
use crate::query::{Catalog, Engine, Params};
use crate::report::text::escape_for_terminal;

pub(super) async fn run(args: EvidenceArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let catalog = Catalog::load(args.values.queries.as_deref().or(settings.queries.as_deref()))?;
    let Some((id, _)) = args.fingerprint.split_once(':') else {
        return Err(Error::usage(format!("`{}` is no fingerprint", args.fingerprint)).with_hint(
            "it looks like recursion-self:3f2a9c0d1e5b7788 and stands beside every finding of s3trail detect",
        ));
    };
    let selection = Selection { only: vec![id.to_owned()], ..Selection::default() };
    let jobs = selection.choose(&catalog)?.into_iter().map(|query| job(query, &args.values, settings));
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    let opened = Opened::open(&args.target, settings, ui).await?;
    let engine = Arc::new(opened.engine(&catalog, settings, args.values.max_memory, None).await?);
    let found = detect(&engine, &jobs, &Suppressions::default(), 1, &|_, _, _| {}).await;
    if let Some(skipped) = found.skipped.first() {
        return Err(Error::new(ErrorKind::Query, format!("{id} could not be run: {}", skipped.reason)));
    }
    let finding = found.findings.iter().find(|finding| finding.fingerprint == args.fingerprint);
    let Some(finding) = finding else {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{id} has no finding {} here", args.fingerprint),
        )
        .with_hint("give the same lake or logs, --since, --until and parameters as to s3trail detect"));
    };
    print(&engine, finding, ui).await?;
    Ok(opened.exit_code())
}

/// Prints the lines in the order of the evidence, each once.
async fn print(engine: &Engine, finding: &Finding, ui: &Ui) -> Result<()> {
    ui.say(&format!(
        "{}: {} in {}, {} in all; the first {}:",
        finding.id,
        escape_for_terminal(&finding.subject),
        escape_for_terminal(&finding.bucket),
        finding.count,
        finding.evidence.len(),
    ));
    for evidence in &finding.evidence {
        let lines = lines(engine, evidence).await?;
        let key = evidence.log_key.as_deref().unwrap_or("an unknown log object");
        let place = escape_for_terminal(key).into_owned();
        match evidence.log_offset {
            Some(offset) => ui.say(&format!("# {place}, byte {offset}")),
            None => ui.say(&format!("# {place}, the whole log object")),
        }
        write_to(None, |out| lines.iter().try_for_each(|line| write_line(out, line)))?;
    }
    Ok(())
}

fn write_line(out: &mut dyn Write, line: &[u8]) -> Result<()> {
    let written = match std::io::stdout().is_terminal() {
        true => writeln!(out, "{}", escape_for_terminal(&String::from_utf8_lossy(line))),
        false => out.write_all(line).and_then(|()| out.write_all(b"\n")),
    };
    written.map_err(|e| Error::new(ErrorKind::Io, "cannot write the lines").with_source(e))
}

/// The lines at a place: one, or all of a log object.
async fn lines(engine: &Engine, evidence: &Evidence) -> Result<Vec<Vec<u8>>> {
    // Partition and bounds of the time keep this to a file or two.
    let mut sql = "SELECT * FROM access_logs WHERE log_key = $log_key".to_owned();
    let mut given = vec![("log_key".to_owned(), quoted(evidence.log_key.as_deref().unwrap_or_default()))];
    match &evidence.log_bucket {
        Some(bucket) => {
            sql.push_str(" AND log_bucket = $log_bucket");
            given.push(("log_bucket".to_owned(), quoted(bucket)));
        }
        None => sql.push_str(" AND log_bucket IS NULL"),
    }
    if let Some(offset) = evidence.log_offset {
        sql.push_str(" AND log_offset = $log_offset");
        given.push(("log_offset".to_owned(), offset.to_string()));
        if let Some(time) = &evidence.time {
            sql.push_str(" AND time = CAST($time AS TIMESTAMP WITH TIME ZONE) AND event_date = CAST(substr($time, 1, 10) AS DATE)");
            given.push(("time".to_owned(), quoted(time)));
        }
    }
    sql.push_str(" ORDER BY log_offset");
    let frame = engine.plan(&sql, &Params::free(&given)?).await?;
    let mut lines = Vec::new();
    for batch in engine.collect(frame).await? {
        let reader = LineReader::new(&batch)?;
        lines.extend((0..batch.num_rows()).filter_map(|row| reader.line(row)));
    }
    Ok(lines)
}

/// A text that is to stay a text, whatever it looks like.
fn quoted(text: &str) -> String {
    format!("'{text}'")
}
