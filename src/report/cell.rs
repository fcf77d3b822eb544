//! One cell of a batch as text, for the formats that are made of text cells.
//!
//! It knows Arrow's types and writes the plain value: escaping, cutting and quoting belong to the format.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, FieldRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;

use super::{json, not_encoded};
use crate::error::Result;

/// What a format may do to the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Aligned to the right; misleading when cut; no stranger wrote it.
    Number,
    /// Times and truth values: misleading when cut; no stranger wrote it.
    Fixed,
    /// Everything else. May be long, and anyone may have written it.
    Text,
}

impl Kind {
    /// The kind of a column of `data_type`, which may be a dictionary or run-end encoded.
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::RunEndEncoded(_, values) => Self::of(values.data_type()),
            DataType::Boolean => Self::Fixed,
            t if t.is_numeric() => Self::Number,
            t if t.is_temporal() => Self::Fixed,
            _ => Self::Text,
        }
    }
}

/// The columns of `batch`, ready to give their cells.
///
/// # Errors
/// [`crate::error::ErrorKind::Query`] for a type that cannot be shown.
pub(super) fn columns(batch: &RecordBatch) -> Result<Vec<Column<'_>>> {
    let fields = batch.schema_ref().fields().iter();
    fields.zip(batch.columns()).map(|(field, array)| Column::new(field, array.as_ref())).collect()
}

/// One column of one batch.
pub(super) struct Column<'a> {
    nulls: Option<NullBuffer>,
    form: Form<'a>,
}

enum Form<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    Times(Times<'a>),
    Json(NullableEncoder<'a>, Vec<u8>),
    Plain(ArrayFormatter<'a>),
}

impl<'a> Column<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self> {
        let form = match array.data_type() {
            DataType::Utf8 => Form::Utf8(array.as_string()),
            DataType::LargeUtf8 => Form::LargeUtf8(array.as_string()),
            DataType::Utf8View => Form::Utf8View(array.as_string_view()),
            DataType::Timestamp(unit, _) => Form::Times(Times::new(array, *unit)),
            t if t.is_nested() => match make_encoder(field, array, json::options()) {
                Ok(encoder) => Form::Json(encoder, Vec::new()),
                // JSON has no form for unions and some maps.
                Err(_) => Form::Plain(plain(array)?),
            },
            _ => Form::Plain(plain(array)?),
        };
        // Logical: a dictionary can have its nulls among the values.
        Ok(Self { nulls: array.logical_nulls(), form })
    }

    /// The text of the cell in `row`, None for null. `scratch` is overwritten.
    ///
    /// # Panics
    /// If `row` is not a row of the batch.
    pub(super) fn text<'s>(&'s mut self, row: usize, scratch: &'s mut String) -> Option<&'s str> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        scratch.clear();
        match &mut self.form {
            Form::Utf8(array) => return Some(array.value(row)),
            Form::LargeUtf8(array) => return Some(array.value(row)),
            Form::Utf8View(array) => return Some(array.value(row)),
            Form::Times(times) => times.push(row, scratch),
            Form::Json(encoder, bytes) => {
                bytes.clear();
                encoder.encode(row, bytes);
                scratch.push_str(&String::from_utf8_lossy(bytes));
            }
            Form::Plain(formatter) => {
                // A value without a text form, such as a date out of range, is shown as an error message by the
                // formatter itself; writing to a String does not fail.
                let _ = write!(scratch, "{}", formatter.value(row));
            }
        }
        Some(scratch.as_str())
    }
}

fn plain(array: &dyn Array) -> Result<ArrayFormatter<'_>> {
    ArrayFormatter::try_new(array, &FormatOptions::new()).map_err(not_encoded)
}

/// The instants of a timestamp column, whatever its unit. Without a time zone they count as UTC.
pub(super) struct Times<'a> {
    values: &'a [i64],
    unit: TimeUnit,
}

impl<'a> Times<'a> {
    /// The values of `array`.
    ///
    /// # Panics
    /// If `array` is not a timestamp array of `unit`.
    pub(super) fn new(array: &'a dyn Array, unit: TimeUnit) -> Self {
        let values: &'a [i64] = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        Self { values, unit }
    }

    /// Appends the instant in `row` as RFC 3339 in UTC, or its number and unit if no calendar reaches it.
    pub(super) fn push(&self, row: usize, out: &mut String) {
        let value = self.values[row];
        let instant = match self.unit {
            TimeUnit::Second => DateTime::from_timestamp(value, 0),
            TimeUnit::Millisecond => DateTime::from_timestamp_millis(value),
            TimeUnit::Microsecond => DateTime::from_timestamp_micros(value),
            TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(value)),
        };
        // Writing to a String does not fail, and the patterns below are valid.
        let _ = match instant {
            None => write!(out, "{value} {} since 1970", self.unit),
            Some(t) => {
                let nanos = t.timestamp_subsec_nanos();
                let pattern = if nanos == 0 {
                    "%Y-%m-%dT%H:%M:%SZ"
                } else if nanos.is_multiple_of(1000) {
                    "%Y-%m-%dT%H:%M:%S%.6fZ"
                } else {
                    "%Y-%m-%dT%H:%M:%S%.9fZ"
                };
                write!(out, "{}", t.format(pattern))
            }
        };
    }
}
