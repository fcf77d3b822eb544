//! CSV as RFC 4180 describes it, with a header row; rows end with a bare newline, as other command-line tools write.
//!
//! Null is an empty cell, empty text is `""`. A text cell (or column name) that a spreadsheet would run as a formula
//! gets a leading apostrophe, unless the caller asks for raw cells: see [`neutralise_csv`]. Numbers, times and truth
//! values are never touched. On a terminal control characters are escaped too; in a file they are kept, since there
//! they are data.

use std::borrow::Cow;
use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::cell::{self, Kind};
use super::text::{escape_for_terminal, neutralise_csv};
use super::{BatchWriter, WriteOptions, expect_columns, not_written};
use crate::error::Result;

/// Writes rows as they come.
pub(super) struct CsvWriter<W: Write> {
    out: BufWriter<W>,
    columns: Vec<Kind>,
    /// The header row, until it is written.
    header: Option<String>,
    rows: u64,
    raw: bool,
    is_terminal: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(schema: &Schema, out: W, options: WriteOptions) -> Self {
        let mut writer = Self {
            out: BufWriter::new(out),
            columns: schema.fields().iter().map(|f| Kind::of(f.data_type())).collect(),
            header: None,
            rows: 0,
            raw: options.csv_raw,
            is_terminal: options.is_terminal,
        };
        let mut header = String::new();
        for (at, field) in schema.fields().iter().enumerate() {
            if at > 0 {
                header.push(',');
            }
            writer.push_cell(&mut header, Some(field.name()), Kind::Text);
        }
        header.push('\n');
        writer.header = (!writer.columns.is_empty()).then_some(header);
        writer
    }

    fn write_header(&mut self) -> Result<()> {
        match self.header.take() {
            Some(header) => self.out.write_all(header.as_bytes()).map_err(not_written),
            None => Ok(()),
        }
    }

    fn push_cell(&self, line: &mut String, text: Option<&str>, kind: Kind) {
        let Some(text) = text else {
            // A line with nothing on it would be skipped by most readers.
            if self.columns.len() == 1 {
                line.push_str("\"\"");
            }
            return;
        };
        if kind != Kind::Text {
            line.push_str(text);
            return;
        }
        let safe = if self.raw { Cow::Borrowed(text) } else { neutralise_csv(text) };
        let shown = if self.is_terminal { escape_for_terminal(&safe) } else { Cow::Borrowed(safe.as_ref()) };
        push_quoted(line, &shown);
    }
}

impl<W: Write + Send> BatchWriter for CsvWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        expect_columns(self.columns.len(), batch)?;
        self.write_header()?;
        let mut columns = cell::columns(batch)?;
        let mut line = String::new();
        let mut scratch = String::new();
        // A result without columns has no lines.
        let lines = if columns.is_empty() { 0 } else { batch.num_rows() };
        for row in 0..lines {
            line.clear();
            for (at, column) in columns.iter_mut().enumerate() {
                if at > 0 {
                    line.push(',');
                }
                self.push_cell(&mut line, column.text(row, &mut scratch), self.columns[at]);
            }
            line.push('\n');
            self.out.write_all(line.as_bytes()).map_err(not_written)?;
        }
        self.rows += batch.num_rows() as u64;
        self.out.flush().map_err(not_written)
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        self.write_header()?;
        self.out.flush().map_err(not_written)?;
        Ok(self.rows)
    }
}

/// Appends a cell, quoted where RFC 4180 asks for it, and also around the separators of other dialects and around
/// blanks at the ends, so that no reader splits or trims it.
fn push_quoted(line: &mut String, cell: &str) {
    let is_plain = !cell.is_empty()
        && !cell.contains([',', '"', '\r', '\n', ';', '\t'])
        && !cell.starts_with(' ')
        && !cell.ends_with(' ');
    if is_plain {
        line.push_str(cell);
        return;
    }
    line.push('"');
    for (at, part) in cell.split('"').enumerate() {
        if at > 0 {
            line.push_str("\"\"");
        }
        line.push_str(part);
    }
    line.push('"');
}
