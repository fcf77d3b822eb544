//! The Arrow schemas of `access_logs`, derived from the field registry: that of the table, and that of a batch, whose
//! columns of repeating text are dictionaries and whose other text is plain.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};

use crate::record::{Field, FieldType};

/// Columns behind the 27 fields, in order: name, type, meaning.
pub const EXTRA_COLUMNS: [(&str, FieldKind, &str); 8] = [
    ("key_logged", FieldKind::Text, "The key as logged, only where it differs from `key`"),
    ("quirks", FieldKind::Text, "Comma-separated names of the deviations accepted; null for none"),
    ("extra", FieldKind::Text, "Unknown trailing fields, verbatim"),
    ("raw_line", FieldKind::Binary, "The whole line, only where the columns cannot reproduce it"),
    ("log_bucket", FieldKind::Text, "Destination bucket the record was read from; null when unknown"),
    ("log_key", FieldKind::Text, "Key (or path below the given root) of the log object"),
    ("log_offset", FieldKind::Int64, "Byte offset of the line in the decompressed log object"),
    ("record_bytes", FieldKind::Int64, "Length of the line with its LF"),
];

/// Indices of the columns behind the fields, in the order of [`EXTRA_COLUMNS`].
pub(super) const KEY_LOGGED: usize = Field::COUNT;
pub(super) const QUIRKS: usize = Field::COUNT + 1;
pub(super) const EXTRA: usize = Field::COUNT + 2;
pub(super) const RAW_LINE: usize = Field::COUNT + 3;
pub(super) const LOG_BUCKET: usize = Field::COUNT + 4;
pub(super) const LOG_KEY: usize = Field::COUNT + 5;
pub(super) const RECORD_BYTES: usize = Field::COUNT + 7;

/// Name of the partition column of `access_logs`: the date of `time`, UTC. It is not in the Parquet files.
pub const PARTITION_COLUMN: &str = "event_date";

/// Type of a column that is no log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// 64-bit signed integer.
    Int64,
}

/// Microseconds since the epoch, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// Type of a batch's columns of repeating text: each value once for a chunk.
fn words_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8View))
}

/// Whether texts of `field` repeat from record to record: names and versions do, ids, keys and paths do not.
pub(super) const fn repeats(field: Field) -> bool {
    matches!(field.field_type(), FieldType::Text)
        && !matches!(
            field,
            Field::RequestId | Field::Key | Field::RequestUri | Field::VersionId | Field::HostId
        )
}

/// The schema of a batch: [`access_logs_schema`] with dictionaries where texts repeat, and plain text elsewhere.
pub fn batch_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = access_logs_schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(column, field)| {
                let is_words = match Field::ALL.get(column) {
                    Some(field) => repeats(*field),
                    None => matches!(column, QUIRKS | LOG_BUCKET | LOG_KEY),
                };
                let data_type = match field.data_type() {
                    DataType::Utf8View if is_words => words_type(),
                    DataType::Utf8View => DataType::Utf8,
                    other => other.clone(),
                };
                field.as_ref().clone().with_data_type(data_type)
            })
            .collect::<Vec<_>>();
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Every column of `access_logs` but the partition column; all nullable.
pub fn access_logs_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = Field::ALL.into_iter().map(|field| {
            let data_type = match field.field_type() {
                FieldType::Text => DataType::Utf8View,
                FieldType::Timestamp => timestamp_type(),
                FieldType::Int16 => DataType::Int16,
                FieldType::Int64 => DataType::Int64,
                FieldType::Bool => DataType::Boolean,
            };
            ArrowField::new(field.name(), data_type, true)
        });
        let extra = EXTRA_COLUMNS.into_iter().map(|(name, kind, _)| {
            let data_type = match kind {
                FieldKind::Text => DataType::Utf8View,
                FieldKind::Binary => DataType::Binary,
                FieldKind::Int64 => DataType::Int64,
            };
            ArrowField::new(name, data_type, true)
        });
        Arc::new(Schema::new(fields.chain(extra).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}
