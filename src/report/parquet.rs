//! Parquet: the whole result as one file, zstd-compressed, with the types of the result.
//!
//! For a result a person keeps or feeds to another tool. How the lake's own files are encoded is not decided here.

use std::io::Write;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{BatchWriter, expect_columns, not_encoded};
use crate::error::{Error, ErrorKind, Result};

/// Keeps a row group in memory, writes it when it is full.
pub(super) struct ParquetWriter<W: Write + Send> {
    inner: ArrowWriter<W>,
    schema: SchemaRef,
    rows: u64,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// # Errors
    /// [`ErrorKind::Query`] when Parquet has no form for a column's type.
    pub(super) fn new(schema: SchemaRef, out: W) -> Result<Self> {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let inner = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(not_encoded)?;
        Ok(Self { inner, schema, rows: 0 })
    }
}

impl<W: Write + Send> BatchWriter for ParquetWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        expect_columns(self.schema.fields().len(), batch)?;
        // The encoder takes its types from the schema and trusts the batch.
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            if field.data_type() != column.data_type() {
                return Err(Error::new(ErrorKind::Internal, "a batch does not match its schema")
                    .with_context("column", field.name())
                    .with_context("expected", field.data_type().to_string())
                    .with_context("got", column.data_type().to_string()));
            }
        }
        self.inner.write(batch).map_err(not_encoded)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let Self { inner, rows, .. } = *self;
        inner.close().map_err(not_encoded)?;
        Ok(rows)
    }
}
