//! What the rows of a detection must be: the columns every finding has, and how they become findings.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, SecondsFormat};
use datafusion::common::DFSchema;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Evidence, Finding};
use crate::query::{Engine, SavedQuery};

/// The columns of every detection.
const COLUMNS: [&str; 6] = ["first_seen", "last_seen", "bucket", "subject", "count", "evidence"];

/// Refuses a plan that does not return the columns of findings.
///
/// # Errors
///
/// [`ErrorKind::Query`] naming the first column that is missing or of another type, and what there is.
pub(super) fn check(schema: &DFSchema) -> Result<()> {
    let there = || {
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        format!("a detection returns {}; this one returns {}", COLUMNS.join(", "), columns.join(", "))
    };
    for name in COLUMNS {
        let Some(field) = schema.fields().iter().find(|field| field.name() == name) else {
            return Err(
                Error::new(ErrorKind::Query, format!("the column {name} is missing")).with_hint(there())
            );
        };
        let data_type = field.data_type();
        let fits = match name {
            "first_seen" | "last_seen" => matches!(data_type, DataType::Timestamp(..)),
            "bucket" | "subject" => data_type.is_string(),
            "count" => data_type.is_integer(),
            _ => is_evidence(data_type),
        };
        if !fits {
            let message = format!("the column {name} is of type {data_type}");
            let hint = match name {
                "evidence" => "it must be evidence(log_bucket, log_key, log_offset, time)",
                "count" => "it must be an integer",
                "first_seen" | "last_seen" => "it must be a timestamp",
                _ => "it must be text",
            };
            return Err(Error::new(ErrorKind::Query, message).with_hint(hint));
        }
    }
    Ok(())
}

/// Whether values of this type are what the function `evidence` returns.
fn is_evidence(data_type: &DataType) -> bool {
    let (DataType::List(item) | DataType::LargeList(item)) = data_type else { return false };
    let DataType::Struct(fields) = item.data_type() else { return false };
    ["log_bucket", "log_key", "log_offset", "time"].iter().all(|name| fields.find(name).is_some())
}

/// The rows as findings of `query`; and, where some rows are no findings, why.
pub(super) fn findings(
    query: &SavedQuery,
    batches: &[RecordBatch],
) -> Result<(Vec<Finding>, Option<String>)> {
    let Some(first) = batches.first() else { return Ok((Vec::new(), None)) };
    let internal = |error| Error::new(ErrorKind::Internal, "rows cannot be read").with_source(error);
    let batch = concat_batches(&first.schema(), batches).map_err(internal)?;
    let column = |name: &str, data_type: &DataType| -> Result<ArrayRef> {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| Error::new(ErrorKind::Internal, format!("no column {name}")))?;
        cast(column, data_type).map_err(internal)
    };
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let (first_seen, last_seen) = (column("first_seen", &micros)?, column("last_seen", &micros)?);
    let (buckets, subjects) = (column("bucket", &DataType::Utf8)?, column("subject", &DataType::Utf8)?);
    let counts = column("count", &DataType::Int64)?;
    let (buckets, subjects) = (buckets.as_string::<i32>(), subjects.as_string::<i32>());
    let counts = counts.as_primitive::<Int64Type>();
    let mut rest: Vec<Map<String, Value>> = Engine::rows(std::slice::from_ref(&batch))?;
    let mut findings = Vec::with_capacity(batch.num_rows());
    let mut incomplete = None;
    for (row, details) in rest.iter_mut().enumerate() {
        let evidence = details.remove("evidence").unwrap_or_default();
        COLUMNS.iter().for_each(|name| drop(details.remove(*name)));
        let (Some(first_seen), Some(last_seen)) = (time(&first_seen, row), time(&last_seen, row)) else {
            incomplete = Some(format!("row {} has no time", row + 1));
            continue;
        };
        if buckets.is_null(row) || subjects.is_null(row) || counts.is_null(row) {
            incomplete = Some(format!("row {} has no bucket, subject or count", row + 1));
            continue;
        }
        let (bucket, subject) = (buckets.value(row).to_owned(), subjects.value(row).to_owned());
        findings.push(Finding {
            id: query.id.clone(),
            title: query.title.clone(),
            level: query.level.unwrap_or(crate::finding::Level::Informational),
            fingerprint: fingerprint(&query.id, &bucket, &subject),
            bucket,
            subject,
            count: counts.value(row),
            first_seen,
            last_seen,
            evidence: serde_json::from_value::<Option<Vec<Evidence>>>(evidence)
                .map_err(|e| Error::new(ErrorKind::Internal, "evidence cannot be read").with_source(e))?
                .unwrap_or_default(),
            details: std::mem::take(details),
            tags: query.tags.clone(),
            suppressed: None,
            runbook: query.runbook.clone(),
            description: query.description.clone(),
        });
    }
    Ok((findings, incomplete))
}

/// RFC 3339 in UTC.
fn time(times: &ArrayRef, row: usize) -> Option<String> {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let time = times.is_valid(row).then(|| DateTime::from_timestamp_micros(times.value(row)))??;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The same for the same detection, bucket and subject in every run and every version: saved suppressions and
/// tickets depend on it.
fn fingerprint(id: &str, bucket: &str, subject: &str) -> String {
    // Lengths keep ("a", "bc") and ("ab", "c") apart.
    let text = format!("{}:{bucket}{subject}", bucket.len());
    format!("{id}:{:016x}", XxHash3_128::oneshot(text.as_bytes()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_stay_and_differ() {
        assert_eq!(fingerprint("a", "b", "c"), fingerprint("a", "b", "c"));
        assert_ne!(fingerprint("a", "b", "cd"), fingerprint("a", "bc", "d"));
        assert_ne!(fingerprint("a", "b", "c"), fingerprint("x", "b", "c"));
        // What was printed once must be found again.
        assert_eq!(fingerprint("recursion-self", "amzn-s3-demo-logs", "amzn-s3-demo-logs"), PRINTED);
    }

    const PRINTED: &str = "recursion-self:cc9ed79e3a1f4f5b";
}
