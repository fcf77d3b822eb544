//! JSON and NDJSON.
//!
//! Every row has every column, null written as `null`. Times are RFC 3339 with `Z`, binary is lower-case hexadecimal,
//! numbers that JSON does not have (NaN, infinities) are `null`. Text goes through [`push_json_string`], so the
//! output is valid and harmless whatever a log record holds.

use std::io::{BufWriter, Write};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayAccessor, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonFormat, LineDelimited, NullableEncoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, Writer, WriterBuilder};

use super::cell::Times;
use super::text::push_json_string;
use super::{BatchWriter, not_encoded, not_written};
use crate::error::Result;

/// One object a line; nothing at all for an empty result.
pub(super) type Lines = LineDelimited;

/// One array, each object on a line of its own; `[]` for an empty result.
#[derive(Debug, Default)]
pub(super) struct List {}

impl JsonFormat for List {
    fn start_stream<W: Write>(&self, out: &mut W) -> Result<(), ArrowError> {
        out.write_all(b"[")?;
        Ok(())
    }

    fn start_row<W: Write>(&self, out: &mut W, is_first_row: bool) -> Result<(), ArrowError> {
        if !is_first_row {
            out.write_all(b",\n")?;
        }
        Ok(())
    }

    fn end_stream<W: Write>(&self, out: &mut W) -> Result<(), ArrowError> {
        out.write_all(b"]\n")?;
        Ok(())
    }
}

/// Writes rows as objects, laid out by `F`.
pub(super) struct JsonWriter<W: Write, F: JsonFormat> {
    inner: Writer<BufWriter<W>, F>,
    rows: u64,
}

impl<W: Write, F: JsonFormat> JsonWriter<W, F> {
    pub(super) fn new(out: W) -> Self {
        let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Spelling));
        Self { inner: builder.build(BufWriter::new(out)), rows: 0 }
    }
}

impl<W: Write + Send, F: JsonFormat + Send> BatchWriter for JsonWriter<W, F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.inner.write(batch).map_err(not_encoded)?;
        self.rows += batch.num_rows() as u64;
        self.inner.get_mut().flush().map_err(not_written)
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        self.inner.finish().map_err(not_encoded)?;
        self.inner.get_mut().flush().map_err(not_written)?;
        Ok(self.rows)
    }
}

/// The options that spell a nested value inside a text cell as this module spells it.
pub(super) fn options() -> &'static EncoderOptions {
    static OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(|| {
        EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Spelling))
    });
    &OPTIONS
}

/// Replaces Arrow's encoders where they let control characters pass or write times without `Z`.
#[derive(Debug)]
struct Spelling;

impl EncoderFactory for Spelling {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Utf8 => Box::new(TextEncoder(array.as_string::<i32>())),
            DataType::LargeUtf8 => Box::new(TextEncoder(array.as_string::<i64>())),
            DataType::Utf8View => Box::new(TextEncoder(array.as_string_view())),
            DataType::Timestamp(unit, _) => {
                Box::new(TimeEncoder { times: Times::new(array, *unit), text: String::new() })
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct TextEncoder<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a str>> Encoder for TextEncoder<A> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        push_json_string(out, self.0.value(row));
    }
}

struct TimeEncoder<'a> {
    times: Times<'a>,
    text: String,
}

impl Encoder for TimeEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.text.clear();
        self.times.push(row, &mut self.text);
        push_json_string(out, &self.text);
    }
}
