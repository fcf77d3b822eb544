//! Rows of `log_objects` and `rejects`: what became of each log object, and each line that is no record.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int64Builder, RecordBatch, StringViewArray, StringViewBuilder,
    TimestampMicrosecondBuilder,
};

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Table;

/// A line refused.
#[derive(Debug)]
pub(super) struct RejectRow {
    /// Index of the object in the commit batch.
    pub object: usize,
    pub offset: u64,
    pub field: &'static str,
    pub reason: String,
    pub line: Vec<u8>,
}

impl RejectRow {
    /// What the row costs while it waits, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.line.len() + self.reason.len() + 128
    }
}

/// One row of the ledger.
#[derive(Debug, Default, Clone)]
pub(super) struct ObjectRow {
    pub key: String,
    pub etag: String,
    pub size_bytes: u64,
    pub last_modified_us: Option<i64>,
    pub layout: &'static str,
    pub delivered_at_us: Option<i64>,
    pub source_bucket: Option<String>,
    pub records: u64,
    pub rejects: u64,
    pub duplicates: u64,
    pub lines: u64,
    /// Seconds since the epoch.
    pub first_time: Option<i64>,
    /// Seconds since the epoch.
    pub last_time: Option<i64>,
}

/// What all rows of a commit batch share.
#[derive(Debug, Clone)]
pub(super) struct Common<'a> {
    pub log_bucket: Option<&'a str>,
    pub source_id: &'a str,
    pub commit_batch: &'a str,
    pub ingested_at_us: i64,
}

fn batch(table: Table, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(table.file_schema(), columns)
        .map_err(|e| Error::new(ErrorKind::Internal, "columns do not fit the schema").with_source(e))
}

fn text<'t>(values: impl Iterator<Item = Option<&'t str>>) -> ArrayRef {
    Arc::new(values.collect::<StringViewArray>())
}

/// The rows as a batch of `log_objects`.
pub(super) fn log_objects(rows: &[&ObjectRow], common: &Common<'_>) -> Result<RecordBatch> {
    let int = |get: &dyn Fn(&ObjectRow) -> u64| -> ArrayRef {
        let mut column = Int64Builder::with_capacity(rows.len());
        rows.iter().for_each(|row| column.append_value(get(row) as i64));
        Arc::new(column.finish())
    };
    let time = |get: &dyn Fn(&ObjectRow) -> Option<i64>| -> ArrayRef {
        let mut column = TimestampMicrosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
        rows.iter().for_each(|row| column.append_option(get(row)));
        Arc::new(column.finish())
    };
    let columns = vec![
        text(rows.iter().map(|_| common.log_bucket)),
        text(rows.iter().map(|row| Some(row.key.as_str()))),
        text(rows.iter().map(|row| Some(row.etag.as_str()))),
        int(&|row| row.size_bytes),
        time(&|row| row.last_modified_us),
        text(rows.iter().map(|row| Some(row.layout))),
        time(&|row| row.delivered_at_us),
        text(rows.iter().map(|row| row.source_bucket.as_deref())),
        int(&|row| row.records),
        int(&|row| row.rejects),
        int(&|row| row.duplicates),
        int(&|row| row.lines),
        time(&|row| row.first_time.map(|t| t * 1_000_000)),
        time(&|row| row.last_time.map(|t| t * 1_000_000)),
        text(rows.iter().map(|_| Some(common.source_id))),
        text(rows.iter().map(|_| Some(common.commit_batch))),
        time(&|_| Some(common.ingested_at_us)),
    ];
    batch(Table::LogObjects, columns)
}

/// The rows as a batch of `rejects`; `key` gives the log key of an object.
pub(super) fn rejects<'k>(
    rows: &[RejectRow],
    key: impl Fn(usize) -> &'k str,
    common: &Common<'_>,
) -> Result<RecordBatch> {
    let text = || StringViewBuilder::with_capacity(rows.len());
    let (mut bucket, mut keys, mut field, mut reason) = (text(), text(), text(), text());
    let (mut source_id, mut commit_batch) = (text(), text());
    let mut offset = Int64Builder::with_capacity(rows.len());
    let mut line = BinaryBuilder::with_capacity(rows.len(), rows.iter().map(|r| r.line.len()).sum());
    for row in rows {
        bucket.append_option(common.log_bucket);
        keys.append_value(key(row.object));
        offset.append_value(row.offset as i64);
        field.append_value(row.field);
        reason.append_value(&row.reason);
        line.append_value(&row.line);
        source_id.append_value(common.source_id);
        commit_batch.append_value(common.commit_batch);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(bucket.finish()),
        Arc::new(keys.finish()),
        Arc::new(offset.finish()),
        Arc::new(field.finish()),
        Arc::new(reason.finish()),
        Arc::new(line.finish()),
        Arc::new(source_id.finish()),
        Arc::new(commit_batch.finish()),
    ];
    batch(Table::Rejects, columns)
}
