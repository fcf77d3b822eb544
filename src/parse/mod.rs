//! Text to [`Record`]: the only place that knows nom and the grammar of a line.
//!
//! [`parse_line`] takes one line and fills a [`Record`] that borrows from it; a [`Parser`] does the same line after line.
//! No Arrow, no input or output, no allocation when a line is plain and nothing new is to be remembered; nom's types do
//! not leave this module. Two layers: `grammar` reads lines in which every quote is a delimiter (nearly all), `tolerant`
//! reads what clients and old servers made of the rest.

mod error;
mod grammar;
mod memory;
mod scan;
mod tolerant;

pub use error::{Expected, Reject};

use crate::record::{Field, Quirk, Quirks, Record};
use memory::Memory;

/// 2011-01-01: by then every record had a version id.
const VERSION_ID_EVERYWHERE: i64 = 1_293_840_000;
/// 2019-07-01: by then every record had the fields up to the TLS version.
const TLS_VERSION_EVERYWHERE: i64 = 1_561_939_200;

/// Reads lines one after the other, and remembers what repeats: for many lines of one bucket it is faster than
/// [`parse_line`], and gives the same.
#[derive(Debug)]
pub struct Parser(Memory);

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self(Memory::new())
    }

    /// As [`parse_line`]; the record's `tail` is set besides where it can be.
    #[inline]
    pub fn parse<'a>(&mut self, line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
        read(line, record, Some(&mut self.0))
    }
}

/// Reads one line, without its LF, into `record`, which is overwritten.
///
/// On `Err` the content of `record` means nothing; the line is to be kept whole with the reason.
#[inline]
pub fn parse_line<'a>(line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
    read(line, record, None)
}

#[inline(always)]
fn read<'a>(line: &'a [u8], record: &mut Record<'a>, memory: Option<&mut Memory>) -> Result<(), Reject> {
    let mut text = line;
    let is_crlf = text.last() == Some(&b'\r');
    if is_crlf {
        text = &text[..text.len() - 1];
    }
    record.extra = None;
    record.quirks = Quirks::NONE;
    record.tail = None;
    if grammar::record(text, record, memory).is_err() || record.extra.is_some() {
        tolerate(text, record)?;
    }
    // Fields the line is too old to have may still hold those of the line before.
    for text in &mut record.text[record.width as usize..] {
        *text = None;
    }
    if record.width < 24 {
        mark_short(record);
    }
    if is_crlf {
        record.quirks.insert(Quirk::Crlf);
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn tolerate<'a>(line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
    if line.iter().all(|b| *b == b' ') {
        return Err(Reject { field: Field::BucketOwner, offset: 0, expected: Expected::Something });
    }
    *record = Record::default();
    tolerant::record(line, record)
}

fn mark_short(record: &mut Record<'_>) {
    let everywhere = if record.width < 18 { VERSION_ID_EVERYWHERE } else { TLS_VERSION_EVERYWHERE };
    if record.time.is_some_and(|t| t >= everywhere) {
        record.quirks.insert(Quirk::ShortForAge);
    }
}
