//! From a row back to its line: the proof that nothing was lost.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int16Type, Int64Type, TimestampMicrosecondType};

use super::schema::{EXTRA, KEY_LOGGED, QUIRKS, RAW_LINE, RECORD_BYTES};
use super::schema::{access_logs_schema, timestamp_type};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Field, FieldType, Quirk, Quirks, Record};

/// Widths a record can have, by its age.
const WIDTHS: [u8; 6] = [17, 18, 24, 25, 26, 27];

/// Prints the rows of a batch of `access_logs` as the lines they came from.
#[derive(Debug)]
pub struct LineReader {
    columns: Vec<ArrayRef>,
}

impl LineReader {
    /// Takes the columns it needs from `batch` by name, whatever string type they have.
    ///
    /// Errors when a column of `access_logs` is missing.
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        let schema = access_logs_schema();
        let columns = schema.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(|| {
                Error::new(ErrorKind::Query, "a column is missing to print the line")
                    .with_context("column", field.name().clone())
            })?;
            let wanted = match field.data_type() {
                DataType::Utf8View => DataType::Utf8View,
                DataType::Timestamp(..) => timestamp_type(),
                other => other.clone(),
            };
            cast(column, &wanted).map_err(|e| {
                Error::new(ErrorKind::Query, "a column has an unexpected type")
                    .with_context("column", field.name().clone())
                    .with_source(e)
            })
        });
        Ok(Self { columns: columns.collect::<Result<_>>()? })
    }

    fn text(&self, column: usize, row: usize) -> Option<&[u8]> {
        let column = self.columns[column].as_string_view();
        column.is_valid(row).then(|| column.value(row).as_bytes())
    }

    fn int(&self, column: usize, row: usize) -> Option<i64> {
        let column = self.columns[column].as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    }

    /// The line of `row` without its LF, byte for byte; `None` only for a row that no record made.
    pub fn line(&self, row: usize) -> Option<Vec<u8>> {
        let raw = self.columns[RAW_LINE].as_binary::<i32>();
        if raw.is_valid(row) {
            return Some(raw.value(row).to_vec());
        }
        let names = self.text(QUIRKS, row).unwrap_or(b"");
        let mut record = Record {
            quirks: Quirks::from_names(std::str::from_utf8(names).ok()?),
            extra: self.text(EXTRA, row),
            ..Record::default()
        };
        let time = self.columns[Field::Time as usize].as_primitive::<TimestampMicrosecondType>();
        record.time = time.is_valid(row).then(|| time.value(row).div_euclid(1_000_000));
        let status = self.columns[Field::HttpStatus as usize].as_primitive::<Int16Type>();
        record.http_status = status.is_valid(row).then(|| status.value(row));
        record.bytes_sent = self.int(Field::BytesSent as usize, row);
        record.object_size = self.int(Field::ObjectSize as usize, row);
        record.total_time_ms = self.int(Field::TotalTimeMs as usize, row);
        record.turn_around_time_ms = self.int(Field::TurnAroundTimeMs as usize, row);
        let acl = self.columns[Field::AclRequired as usize].as_boolean();
        let mut least = if acl.is_valid(row) { Field::AclRequired as u8 + 1 } else { WIDTHS[0] };
        if acl.is_valid(row) && acl.value(row) {
            record.text[Field::AclRequired as usize] = Some(b"Yes");
        }
        for field in Field::ALL.into_iter().filter(|f| f.field_type() == FieldType::Text) {
            let text = self.text(field as usize, row);
            record.text[field as usize] = text;
            if text.is_some() {
                least = least.max(field as u8 + 1);
            }
        }
        record.text[Field::Key as usize] = self.text(KEY_LOGGED, row).or(record.get(Field::Key));
        if record.extra.is_some() {
            least = Field::COUNT as u8;
        }
        // Fields at the end that are null were dashes, or not there yet: the length of the line tells.
        let lf = usize::from(!record.quirks.contains(Quirk::NoFinalLf));
        let wanted = usize::try_from(self.int(RECORD_BYTES, row)?).ok()?.checked_sub(lf)?;
        WIDTHS.into_iter().filter(|width| *width >= least).find_map(|width| {
            record.width = width;
            let mut line = Vec::with_capacity(wanted);
            record.write_line(&mut line);
            (line.len() == wanted).then_some(line)
        })
    }
}
