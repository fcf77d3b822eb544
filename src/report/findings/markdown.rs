//! GitHub-flavoured Markdown, for issues and reports: for each level a heading, a table of what was found, and what to do
//! first about each detection in it.
//!
//! Tables go through the writer of results, so cells are escaped the same way; every other text is escaped here.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::super::text::{counted, escape_for_markdown};
use super::super::{Format, WriteOptions, not_encoded, writer};
use super::{FindingOptions, level_counts, minute, shown, summary};
use crate::error::Result;
use crate::finding::{Finding, Findings};

/// The whole text.
pub(super) fn text(findings: &Findings, options: &FindingOptions) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let shown = shown(findings, options);
    for level in shown.chunk_by(|a, b| a.level == b.level) {
        push(&mut out, &format!("## {}: {}\n\n", capital(level[0].level.name()), level_counts(level)));
        push_table(&mut out, level, options.show_suppressed)?;
        push(&mut out, "\n");
        for detection in level.chunk_by(|a, b| a.id == b.id) {
            push(&mut out, &what_to_do(detection[0]));
        }
        push(&mut out, "\n");
    }
    if !findings.skipped.is_empty() {
        let count = counted(findings.skipped.len() as u64, "detection");
        push(&mut out, &format!("## Not run to the end: {count}\n\n"));
        for skipped in &findings.skipped {
            let (id, reason) = (escape_for_markdown(&skipped.id), escape_for_markdown(&skipped.reason));
            push(&mut out, &format!("- {id}: {reason}\n"));
        }
        push(&mut out, "\n");
    }
    let times = if shown.is_empty() { "" } else { "; times are UTC" };
    push(&mut out, &format!("{}{times}\n", capital(&summary(findings))));
    Ok(out)
}

fn push_table(out: &mut Vec<u8>, findings: &[&Finding], with_suppressed: bool) -> Result<()> {
    let text = |value: fn(&Finding) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(findings.iter().map(|f| value(f))))
    };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("finding", text(|f| f.fingerprint.clone())),
        ("bucket", text(|f| f.bucket.clone())),
        ("subject", text(|f| f.subject.clone())),
        ("count", Arc::new(Int64Array::from_iter_values(findings.iter().map(|f| f.count)))),
        ("first seen", text(|f| minute(&f.first_seen).into_owned())),
        ("last seen", text(|f| minute(&f.last_seen).into_owned())),
    ];
    if with_suppressed {
        let reason = |f: &Finding| {
            let why = f.suppressed.as_ref();
            why.map_or_else(String::new, |s| format!("until {} by {}: {}", s.expires, s.owner, s.reason))
        };
        columns.push(("suppressed", text(reason)));
    }
    let batch = RecordBatch::try_from_iter(columns).map_err(not_encoded)?;
    let mut writer = writer(Format::Markdown, batch.schema(), out, WriteOptions::default())?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(())
}

/// A list item: what the detection says, and the first step.
fn what_to_do(detection: &Finding) -> String {
    let (id, title) = (escape_for_markdown(&detection.id), escape_for_markdown(&detection.title));
    match detection.runbook.first() {
        Some(step) => format!("- {id}: {title}. First: {}\n", escape_for_markdown(step)),
        None => format!("- {id}: {title}\n"),
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// `text` with a capital letter in front.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
