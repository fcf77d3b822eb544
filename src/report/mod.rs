//! Results as text or as a file: record batches in, one of six formats out.
//!
//! One format is one file here, and all of them are fed the same way: [`writer`] makes a [`BatchWriter`], batches are
//! pushed into it as they come, [`BatchWriter::finish`] ends it. JSON, NDJSON, CSV and Markdown pass every batch on at
//! once; a table has to see all the rows it shows before it can align them; Parquet keeps a row group.
//!
//! It knows Arrow and what each format's reader must not be made to do. It refuses to know queries, lakes,
//! which file or terminal the bytes go to, and exit codes.
//!
//! Values look the same in every text format: times in UTC as `2026-03-01T12:00:00Z` (a fraction only where there is
//! one, in six digits, or nine), binary as lower-case hexadecimal, lists and structs as compact JSON.

mod cell;
mod csv;
pub mod findings;
pub mod graph;
mod json;
mod markdown;
mod parquet;
mod table;
pub mod text;

use std::error::Error as StdError;
use std::io::{self, Write};
use std::iter;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::{Error, ErrorKind, Result};

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for reading
    Table,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values with a header row
    Csv,
    /// A GitHub table, for issues and reports
    Markdown,
    /// A Parquet file, zstd-compressed
    Parquet,
}

/// How a result is shown. The default suits a file or a pipe: nothing cut, nothing left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Terminal columns, for [`Format::Table`]: cells are cut to fit. None: not a terminal, nothing is cut.
    pub width: Option<usize>,
    /// Rows shown by [`Format::Table`] and [`Format::Markdown`], which then say how many more there are.
    /// None: all of them. The other formats are always whole.
    pub max_rows: Option<usize>,
    /// Leaves CSV cells that a spreadsheet would run as formulas as they are.
    pub csv_raw: bool,
    /// The result goes straight to a terminal: CSV escapes control characters, Parquet is refused.
    pub is_terminal: bool,
}

/// Takes a result batch by batch.
pub trait BatchWriter: Send {
    /// Writes or keeps the rows of `batch`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the output cannot be written, [`ErrorKind::Query`] when the format cannot hold a
    /// column's type.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what is left, flushes, and returns the number of rows taken, shown or not.
    ///
    /// # Errors
    /// As [`BatchWriter::write`].
    fn finish(self: Box<Self>) -> Result<u64>;
}

/// A writer of `format` to `out` for batches of `schema`. Nothing is printed before the first batch or
/// [`BatchWriter::finish`], except by Parquet; a text format buffers `out` itself.
///
/// # Errors
/// [`ErrorKind::Usage`] for Parquet on a terminal, [`ErrorKind::Query`] for a schema that Parquet cannot hold,
/// [`ErrorKind::Io`].
pub fn writer<'a, W: Write + Send + 'a>(
    format: Format,
    schema: SchemaRef,
    out: W,
    options: WriteOptions,
) -> Result<Box<dyn BatchWriter + 'a>> {
    let writer: Box<dyn BatchWriter + 'a> = match format {
        Format::Table => Box::new(table::TableWriter::new(&schema, out, options)),
        Format::Json => Box::new(json::JsonWriter::<W, json::List>::new(out)),
        Format::Ndjson => Box::new(json::JsonWriter::<W, json::Lines>::new(out)),
        Format::Csv => Box::new(csv::CsvWriter::new(&schema, out, options)),
        Format::Markdown => Box::new(markdown::MarkdownWriter::new(&schema, out, options)),
        Format::Parquet if options.is_terminal => {
            return Err(Error::usage("Parquet is not text, a terminal cannot show it")
                .with_hint("write it to a file with -o FILE"));
        }
        Format::Parquet => Box::new(self::parquet::ParquetWriter::new(schema, out)?),
    };
    Ok(writer)
}

/// Whether the reader of the output went away (`| head`): for a program that prints, success.
pub fn is_broken_pipe(error: &Error) -> bool {
    io_errors(error).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Every IO error in the chain of causes.
fn io_errors<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e io::Error> {
    iter::successors(Some(error), |&e| match e.downcast_ref::<io::Error>() {
        // `source` of an IO error skips the error it wraps.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => e.source(),
    })
    .filter_map(|e| e.downcast_ref::<io::Error>())
}

/// The error for text that could not be written.
fn not_written(source: io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot write the result").with_source(source)
}

/// The error for a batch that could not be encoded, or written while encoding.
fn not_encoded(source: impl StdError + Send + Sync + 'static) -> Error {
    if io_errors(&source).next().is_some() {
        Error::new(ErrorKind::Io, "cannot write the result").with_source(source)
    } else {
        Error::new(ErrorKind::Query, "this format cannot hold the result")
            .with_source(source)
            .with_hint("cast the column to text, or choose another --format")
    }
}

/// Refuses a batch that does not have the columns its writer was made for.
fn expect_columns(expected: usize, batch: &RecordBatch) -> Result<()> {
    if batch.num_columns() == expected {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "a batch does not match its schema")
        .with_context("columns expected", expected.to_string())
        .with_context("got", batch.num_columns().to_string()))
}

/// The line below a table or Markdown table that does not show everything.
fn more_rows(hidden: u64) -> String {
    format!("({}; --limit N shows more)", text::counted(hidden, "more row"))
}

#[cfg(test)]
mod tests;
