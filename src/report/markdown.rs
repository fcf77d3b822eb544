//! A GitHub-flavoured Markdown table, for issues and reports.
//!
//! Every cell is escaped by [`escape_for_markdown`], so a log record is shown and not rendered. Columns are not
//! padded: rows pass on as they come. Null is an empty cell. A result without columns is nothing at all.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cell::{self, Kind};
use super::text::escape_for_markdown;
use super::{BatchWriter, WriteOptions, expect_columns, more_rows, not_written};
use crate::error::Result;

/// Writes rows as they come, as many as are to be shown.
pub(super) struct MarkdownWriter<W: Write> {
    out: BufWriter<W>,
    schema: SchemaRef,
    header_written: bool,
    rows: u64,
    max_rows: u64,
}

impl<W: Write> MarkdownWriter<W> {
    pub(super) fn new(schema: &SchemaRef, out: W, options: WriteOptions) -> Self {
        Self {
            out: BufWriter::new(out),
            schema: schema.clone(),
            header_written: false,
            rows: 0,
            max_rows: options.max_rows.map_or(u64::MAX, |n| n as u64),
        }
    }

    fn write_header(&mut self) -> Result<()> {
        if self.header_written || self.schema.fields().is_empty() {
            return Ok(());
        }
        self.header_written = true;
        let mut lines = String::from("|");
        for field in self.schema.fields() {
            push_cell(&mut lines, field.name());
        }
        lines.push_str("\n|");
        for field in self.schema.fields() {
            lines.push_str(match Kind::of(field.data_type()) {
                Kind::Number => " ---: |",
                Kind::Fixed | Kind::Text => " --- |",
            });
        }
        lines.push('\n');
        self.out.write_all(lines.as_bytes()).map_err(not_written)
    }
}

impl<W: Write + Send> BatchWriter for MarkdownWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        expect_columns(self.schema.fields().len(), batch)?;
        self.write_header()?;
        let mut columns = cell::columns(batch)?;
        let mut line = String::new();
        let mut scratch = String::new();
        for row in 0..batch.num_rows() {
            if self.rows < self.max_rows && !columns.is_empty() {
                line.clear();
                line.push('|');
                for column in &mut columns {
                    push_cell(&mut line, column.text(row, &mut scratch).unwrap_or_default());
                }
                line.push('\n');
                self.out.write_all(line.as_bytes()).map_err(not_written)?;
            }
            self.rows += 1;
        }
        self.out.flush().map_err(not_written)
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        self.write_header()?;
        let hidden = self.rows.saturating_sub(self.max_rows);
        if hidden > 0 {
            // The empty line ends the table.
            writeln!(self.out, "\n{}", more_rows(hidden)).map_err(not_written)?;
        }
        self.out.flush().map_err(not_written)?;
        Ok(self.rows)
    }
}

fn push_cell(line: &mut String, text: &str) {
    line.push(' ');
    line.push_str(&escape_for_markdown(text));
    line.push_str(" |");
}
