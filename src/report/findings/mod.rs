//! Findings as text: what a run of detections came to in, one of eight formats out.
//!
//! One format is one file here. Findings are few and already in memory, so each format makes the whole text at once.
//! Table, Markdown and CSV, which people read, leave suppressed findings out unless asked for them; the others always
//! have every finding and mark the suppressed ones, since what reads them has its own idea of suppression.
//!
//! It knows the vocabulary of findings and what the reader of each format must not be made to do. It refuses to know
//! how findings come about, lakes, which file or terminal the text goes to, exit codes, and the clock: every time and
//! every id is taken from the findings, so the same findings always give the same bytes.

mod asff;
mod csv;
mod json;
mod markdown;
mod ocsf;
mod sarif;
mod table;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::not_written;
use super::text::{count, counted, escape_for_terminal, seconds};
use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Evidence, Finding, Findings, Level};

/// The format of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FindingFormat {
    /// Worst first, for reading
    Table,
    /// One JSON object with everything
    Json,
    /// One finding a line, as a JSON object
    Ndjson,
    /// Comma-separated values with a header row
    Csv,
    /// A table for each level, for issues and reports
    Markdown,
    /// SARIF 2.1.0, for code scanning and its viewers
    Sarif,
    /// OCSF 1.1.0 Detection Findings, one a line, for data lakes and SIEMs
    Ocsf,
    /// AWS Security Finding Format, a BatchImportFindings request a line
    Asff,
}

/// How findings are shown. The default suits a file or a pipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingOptions {
    /// Terminal columns: a table is fitted to them, and CSV escapes control characters. None: not a terminal, a
    /// table is neither wrapped nor cut.
    pub width: Option<usize>,
    /// Shows suppressed findings in [`FindingFormat::Table`], [`FindingFormat::Markdown`] and [`FindingFormat::Csv`],
    /// with the reason; otherwise the first two count them. The other formats always have them.
    pub show_suppressed: bool,
    /// Leaves CSV cells that a spreadsheet would run as formulas as they are.
    pub csv_raw: bool,
    /// The AWS region that findings are reported in, for [`FindingFormat::Asff`] and [`FindingFormat::Ocsf`]; it
    /// decides the partition of ARNs too. None: ASFF, which cannot do without, says `us-east-1`; OCSF says nothing.
    pub region: Option<String>,
    /// The AWS account, twelve digits, that findings are reported in. None: ASFF, which cannot do without, says
    /// `000000000000`. That is nobody's account: Security Hub refuses it rather than file findings where they do
    /// not belong. OCSF says nothing.
    pub account: Option<String>,
}

/// Writes `findings` to `out` as `format` and flushes.
///
/// # Errors
/// [`ErrorKind::Io`] when the output cannot be written, [`ErrorKind::Internal`] for a finding whose times are not
/// RFC 3339, in a format that needs them as numbers.
pub fn write(
    findings: &Findings,
    format: FindingFormat,
    mut out: impl Write,
    options: &FindingOptions,
) -> Result<()> {
    let text = match format {
        FindingFormat::Table => table::text(findings, options).into_bytes(),
        FindingFormat::Json => json::document(findings)?,
        FindingFormat::Ndjson => json::lines(&findings.findings)?,
        FindingFormat::Csv => csv::text(findings, options)?,
        FindingFormat::Markdown => markdown::text(findings, options)?,
        FindingFormat::Sarif => sarif::document(findings)?,
        FindingFormat::Ocsf => ocsf::lines(findings, options)?,
        FindingFormat::Asff => asff::requests(findings, options)?,
    };
    out.write_all(&text).map_err(not_written)?;
    out.flush().map_err(not_written)
}

/// The findings that a text for people has.
fn shown<'f>(findings: &'f Findings, options: &FindingOptions) -> Vec<&'f Finding> {
    let is_shown = |f: &&Finding| options.show_suppressed || f.suppressed.is_none();
    findings.findings.iter().filter(is_shown).collect()
}

/// What a level's heading says of its findings: `3 findings, 1 of them suppressed`.
fn level_counts(findings: &[&Finding]) -> String {
    let mut text = counted(findings.len() as u64, "finding");
    let suppressed = findings.iter().filter(|f| f.suppressed.is_some()).count();
    if suppressed > 0 {
        let _ = write!(text, ", {suppressed} of them suppressed");
    }
    text
}

/// The last line of a text for people: `3 high, 2 medium, 1 low; 4 suppressed; 1.20 s`.
fn summary(findings: &Findings) -> String {
    let of = |level| findings.active().filter(|f| f.level == level).count() as u64;
    let levels = Level::ALL.iter().rev().map(|&level| (of(level), level)).filter(|(n, _)| *n > 0);
    let levels: Vec<String> = levels.map(|(n, level)| format!("{} {level}", count(n))).collect();
    let mut parts = vec![if levels.is_empty() { "no findings".to_owned() } else { levels.join(", ") }];
    let suppressed = findings.findings.len() - findings.active().count();
    if suppressed > 0 {
        parts.push(format!("{} suppressed", count(suppressed as u64)));
    }
    if !findings.skipped.is_empty() {
        parts.push(format!("{} not run to the end", counted(findings.skipped.len() as u64, "detection")));
    }
    parts.push(seconds(Duration::try_from_secs_f64(findings.seconds).unwrap_or_default()));
    parts.join("; ")
}

/// What is the case in one sentence, harmless to show: who, where, how many, since when.
fn sentence(finding: &Finding) -> String {
    let text = format!(
        "{} in bucket {}: count {}, first seen {}, last seen {}",
        finding.subject,
        finding.bucket,
        number(finding.count),
        finding.first_seen,
        finding.last_seen
    );
    escape_for_terminal(&text).into_owned()
}

/// The steps of a runbook, numbered, with `separator` between them; None where there are none.
fn steps(runbook: &[String], separator: &str) -> Option<String> {
    let steps = runbook.iter().enumerate().map(|(at, step)| format!("{}. {step}", at + 1));
    (!runbook.is_empty()).then(|| steps.collect::<Vec<_>>().join(separator))
}

/// A number with a comma between groups of three digits.
fn number(n: i64) -> String {
    let digits = count(n.unsigned_abs());
    if n < 0 { format!("-{digits}") } else { digits }
}

/// A time cut to the minute, `2026-03-01 12:00`. What is no time stays as it is, escaped.
fn minute(time: &str) -> Cow<'_, str> {
    match DateTime::parse_from_rfc3339(time) {
        Ok(time) => Cow::Owned(time.to_utc().format("%Y-%m-%d %H:%M").to_string()),
        Err(_) => escape_for_terminal(time),
    }
}

/// The instant that a finding says.
fn instant(time: &str) -> Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(time).map(|time| time.to_utc()).map_err(|e| {
        Error::new(ErrorKind::Internal, "a finding has a time that is not RFC 3339")
            .with_context("time", time)
            .with_source(e)
    })
}

/// The instant that a finding says, spelled as every reader of RFC 3339 takes it.
fn rfc3339(time: &str) -> Result<String> {
    Ok(instant(time)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The partition of ARNs in `region`.
fn partition(region: Option<&str>) -> &'static str {
    match region {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Where the log object of `evidence` is: `s3://bucket/key`, or the key alone where the bucket is not known, as a URI
/// reference. None without a key.
fn object_uri(evidence: &Evidence) -> Option<String> {
    let key = evidence.log_key.as_deref()?;
    let mut uri = String::new();
    match &evidence.log_bucket {
        Some(bucket) => {
            uri.push_str("s3://");
            push_encoded(&mut uri, bucket, false);
            uri.push('/');
            push_encoded(&mut uri, key, true);
        }
        // A slash in front would make it a path from the root, two of them the name of a host.
        None => {
            let path = key.trim_start_matches('/');
            push_encoded(&mut uri, &key[..key.len() - path.len()], false);
            push_encoded(&mut uri, path, true);
        }
    }
    Some(uri)
}

/// Appends `text`, everything percent-encoded but what a URI gives no meaning to and, if asked, slashes.
fn push_encoded(uri: &mut String, text: &str, keep_slashes: bool) {
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain || (keep_slashes && byte == b'/') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests;
