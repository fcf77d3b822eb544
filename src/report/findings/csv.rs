//! CSV, one row a finding, through the writer of results: so formulas are neutralised and cells are quoted the same way.
//!
//! `tags` are separated by blanks, `suppressed` is the reason, `details` and `evidence` are compact JSON. Skipped
//! detections have no row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::super::{Format, WriteOptions, not_encoded, writer};
use super::json::compact;
use super::{FindingOptions, shown};
use crate::error::Result;
use crate::finding::{Finding, Findings};

/// The header row and the rows.
pub(super) fn text(findings: &Findings, options: &FindingOptions) -> Result<Vec<u8>> {
    let batch = rows(&shown(findings, options))?;
    let options = WriteOptions {
        csv_raw: options.csv_raw,
        is_terminal: options.width.is_some(),
        ..WriteOptions::default()
    };
    let mut out = Vec::new();
    let mut writer = writer(Format::Csv, batch.schema(), &mut out, options)?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(out)
}

fn rows(findings: &[&Finding]) -> Result<RecordBatch> {
    let text = |value: fn(&Finding) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(findings.iter().map(|f| value(f))))
    };
    let mut details = Vec::with_capacity(findings.len());
    let mut evidence = Vec::with_capacity(findings.len());
    for finding in findings {
        details.push(String::from_utf8_lossy(&compact(&finding.details)?).into_owned());
        evidence.push(String::from_utf8_lossy(&compact(&finding.evidence)?).into_owned());
    }
    let reasons = findings.iter().map(|f| f.suppressed.as_ref().map(|s| s.reason.as_str()));
    let columns: [(&str, ArrayRef); 13] = [
        ("id", text(|f| &f.id)),
        ("level", text(|f| f.level.name())),
        ("bucket", text(|f| &f.bucket)),
        ("subject", text(|f| &f.subject)),
        ("count", Arc::new(Int64Array::from_iter_values(findings.iter().map(|f| f.count)))),
        ("first_seen", text(|f| &f.first_seen)),
        ("last_seen", text(|f| &f.last_seen)),
        ("title", text(|f| &f.title)),
        ("fingerprint", text(|f| &f.fingerprint)),
        ("tags", Arc::new(StringArray::from_iter_values(findings.iter().map(|f| f.tags.join(" "))))),
        ("suppressed", Arc::new(StringArray::from_iter(reasons))),
        ("details", Arc::new(StringArray::from(details))),
        ("evidence", Arc::new(StringArray::from(evidence))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .map_err(not_encoded)
}
