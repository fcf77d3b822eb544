//! Aligned columns for reading, on a terminal or in a mail.
//!
//! The rows to be shown are kept until the end, since a column's width is that of its widest cell. On a terminal the
//! table is fitted to its width: the widest text columns are cut first, numbers and times never, because half a number
//! is a wrong number. Where even that does not fit, every row is shown as a block of `name  value` lines.
//!
//! Everything is escaped by [`escape_for_terminal`], whether a terminal is there or not: such output is pasted into one
//! sooner or later.

use std::borrow::Cow;
use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cell::{self, Kind};
use super::text::{count, counted, escape_for_terminal};
use super::{BatchWriter, WriteOptions, expect_columns, more_rows, not_written};
use crate::error::Result;

/// Blanks between two columns.
const GAP: usize = 2;
/// A text column is cut to no less than this.
const NARROWEST_TEXT: usize = 8;
/// The name of a column of numbers or times is cut to no less than this.
const NARROWEST_NAME: usize = 4;

/// Keeps the rows to be shown, counts the others.
pub(super) struct TableWriter<W: Write> {
    out: BufWriter<W>,
    columns: Vec<Heading>,
    /// The cells to be shown, row by row, escaped.
    cells: Vec<String>,
    rows: u64,
    max_rows: u64,
    width: Option<usize>,
}

struct Heading {
    name: String,
    kind: Kind,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn new(schema: &Schema, out: W, options: WriteOptions) -> Self {
        let columns = schema.fields().iter().map(|field| Heading {
            name: escape_for_terminal(field.name()).into_owned(),
            kind: Kind::of(field.data_type()),
        });
        Self {
            out: BufWriter::new(out),
            columns: columns.collect(),
            cells: Vec::new(),
            rows: 0,
            max_rows: options.max_rows.map_or(u64::MAX, |n| n as u64),
            width: options.width,
        }
    }

    fn shown_rows(&self) -> impl Iterator<Item = &[String]> {
        // A chunk of no columns is not a chunk; there are no cells then either.
        self.cells.chunks(self.columns.len().max(1))
    }

    /// For every column the width it wants, and the least it can do with.
    fn widths(&self) -> (Vec<usize>, Vec<usize>) {
        let mut values = vec![0; self.columns.len()];
        for row in self.shown_rows() {
            for (widest, cell) in values.iter_mut().zip(row) {
                *widest = cell.width().max(*widest);
            }
        }
        let both = self.columns.iter().zip(values).map(|(column, value)| {
            let natural = value.max(column.name.width());
            let least = match column.kind {
                Kind::Text => natural.min(NARROWEST_TEXT),
                Kind::Number | Kind::Fixed => value.max(natural.min(NARROWEST_NAME)),
            };
            (natural, least)
        });
        both.unzip()
    }

    fn push_columns(&self, out: &mut String, widths: &[usize]) {
        let kinds = || self.columns.iter().map(|c| c.kind);
        let names = self.columns.iter().map(|c| c.name.as_str());
        push_line(out, names.zip(kinds()), widths);
        let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        push_line(out, rules.iter().map(String::as_str).zip(kinds()), widths);
        for row in self.shown_rows() {
            push_line(out, row.iter().map(String::as_str).zip(kinds()), widths);
        }
    }

    fn push_blocks(&self, out: &mut String, width: usize) {
        let widest = self.columns.iter().map(|c| c.name.width()).max().unwrap_or(0);
        let name_width = widest.min(width / 2);
        let room = width.saturating_sub(name_width + GAP).max(1);
        for (at, row) in self.shown_rows().enumerate() {
            out.push_str(&format!("row {}\n", count(at as u64 + 1)));
            for (column, value) in self.columns.iter().zip(row) {
                let value_width = if column.kind == Kind::Text { room } else { value.width() };
                let cells = [(column.name.as_str(), Kind::Text), (value.as_str(), Kind::Text)];
                push_line(out, cells.into_iter(), &[name_width, value_width]);
            }
        }
    }
}

impl<W: Write + Send> BatchWriter for TableWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        expect_columns(self.columns.len(), batch)?;
        let mut columns = cell::columns(batch)?;
        let mut scratch = String::new();
        for row in 0..batch.num_rows() {
            if self.rows < self.max_rows {
                for (column, heading) in columns.iter_mut().zip(&self.columns) {
                    let text = column.text(row, &mut scratch).unwrap_or_default();
                    let escaped = escape_for_terminal(text);
                    let kept = match self.width {
                        // What is wider than the terminal is never shown, so it is not kept.
                        Some(width) if heading.kind == Kind::Text => cut(&escaped, width).into_owned(),
                        _ => escaped.into_owned(),
                    };
                    self.cells.push(kept);
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        let mut text = String::new();
        if !self.columns.is_empty() {
            let (natural, least) = self.widths();
            match self.width {
                None => self.push_columns(&mut text, &natural),
                Some(width) => match fit(&natural, &least, width) {
                    Some(widths) => self.push_columns(&mut text, &widths),
                    None => self.push_blocks(&mut text, width),
                },
            }
        }
        let hidden = self.rows.saturating_sub(self.max_rows);
        if hidden > 0 {
            text.push_str(&more_rows(hidden));
            text.push('\n');
        }
        text.push_str(&format!("({})\n", counted(self.rows, "row")));
        self.out.write_all(text.as_bytes()).map_err(not_written)?;
        self.out.flush().map_err(not_written)?;
        Ok(self.rows)
    }
}

/// Widths of at least `least` and at most `natural` that fill `width` columns with their gaps, the widest shrunk
/// first; None when even `least` does not fit. `least` is nowhere above `natural`.
fn fit(natural: &[usize], least: &[usize], width: usize) -> Option<Vec<usize>> {
    let room = width.checked_sub(GAP * natural.len().saturating_sub(1))?;
    let capped = |cap: usize| -> Vec<usize> {
        natural.iter().zip(least).map(|(&natural, &least)| natural.min(cap).max(least)).collect()
    };
    let total = |widths: &[usize]| widths.iter().sum::<usize>();
    if total(natural) <= room {
        return Some(natural.to_vec());
    }
    if total(least) > room {
        return None;
    }
    // The highest cap that fits. A cap of 0 gives `least`, which does.
    let (mut low, mut high) = (0, natural.iter().copied().max().unwrap_or(0));
    while low < high {
        let cap = low + (high - low).div_ceil(2);
        if total(&capped(cap)) <= room {
            low = cap;
        } else {
            high = cap - 1;
        }
    }
    let mut widths = capped(low);
    // What the next cap would overdraw goes to the first columns that can use it.
    let mut spare = room - total(&widths);
    for (width, &natural) in widths.iter_mut().zip(natural) {
        if spare > 0 && *width < natural {
            *width += 1;
            spare -= 1;
        }
    }
    Some(widths)
}

/// Appends one line of cells, each cut and padded to its width, without blanks at the end.
fn push_line<'c>(out: &mut String, cells: impl Iterator<Item = (&'c str, Kind)>, widths: &[usize]) {
    let start = out.len();
    for (at, ((cell, kind), &width)) in cells.zip(widths).enumerate() {
        if at > 0 {
            out.push_str(&" ".repeat(GAP));
        }
        let cell = cut(cell, width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        if kind == Kind::Number {
            out.push_str(&padding);
            out.push_str(&cell);
        } else {
            out.push_str(&cell);
            out.push_str(&padding);
        }
    }
    let end = out.trim_end_matches(' ').len().max(start);
    out.truncate(end);
    out.push('\n');
}

/// `text` in at most `width` terminal columns, with `…` for what was cut off.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    // No character is wider in columns than in bytes.
    if text.len() <= width || text.width() <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    // Some sequences are wider than their characters taken one by one.
    while text[..end].width() > room {
        end = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    }
    Cow::Owned(format!("{}…", &text[..end]))
}
