//! Records to Arrow batches.
//!
//! [`Batcher`] takes the records of some chunks and gives a [`DateBatch`] for each event date and bucket, so that whoever
//! sorts them moves runs of rows and not rows. Text columns are dictionaries where texts repeat and plain where they do
//! not; UTF-8 is checked once for a whole chunk and line by line only when that fails.
//! It does not read lines (`parse`) and does not know files.

mod columns;
mod rows;
pub mod schema;
mod text;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use crate::error::{Error, ErrorKind, Result};
use crate::lines::Line;
use crate::record::value::{self, Decoded};
use crate::record::{Field, FieldType, Quirk, Record, Tail};
use columns::{ACL_REQUIRED, Columns, NUMBERS, Row, Size};
pub use rows::LineReader;
use schema::repeats;
use text::Words;

/// Text fields whose texts repeat, and those whose texts hardly do; each is the column of its kind with its number.
const WORD_FIELDS: [Field; count(true)] = text_fields(true);
const PLAIN_FIELDS: [Field; count(false)] = text_fields(false);

const fn is_text(field: Field, repeating: bool) -> bool {
    matches!(field.field_type(), FieldType::Text) && repeats(field) == repeating
}

const fn count(repeating: bool) -> usize {
    let (mut n, mut i) = (0, 0);
    while i < Field::COUNT {
        n += is_text(Field::ALL[i], repeating) as usize;
        i += 1;
    }
    n
}

const fn text_fields<const N: usize>(repeating: bool) -> [Field; N] {
    let mut fields = [Field::ALL[0]; N];
    let (mut n, mut i) = (0, 0);
    while i < Field::COUNT {
        if is_text(Field::ALL[i], repeating) {
            fields[n] = Field::ALL[i];
            n += 1;
        }
        i += 1;
    }
    fields
}

const fn column_of(field: Field, fields: &[Field]) -> usize {
    let mut i = 0;
    while fields[i] as usize != field as usize {
        i += 1;
    }
    i
}

/// Columns of repeating text: those of fields, then quirks, log bucket and log key. Of the fields, owner and bucket are
/// mostly those of the record before, those of the tail are looked up together, and those between them one by one.
const WORD_COLUMNS: usize = WORD_FIELDS.len() + 3;
const OWNER_WORDS: usize = column_of(Field::BucketOwner, &WORD_FIELDS);
const BUCKET_WORDS: usize = column_of(Field::Bucket, &WORD_FIELDS);
const MIDDLE_WORDS: Range<usize> = BUCKET_WORDS + 1..TAIL_WORDS.start;
const TAIL_WORDS: Range<usize> = column_of(Field::SignatureVersion, &WORD_FIELDS)..WORD_FIELDS.len();
const QUIRK_WORDS: usize = WORD_COLUMNS - 3;
const LOG_BUCKET_WORDS: usize = WORD_COLUMNS - 2;
const LOG_KEY_WORDS: usize = WORD_COLUMNS - 1;

/// Columns of other text: those of fields, then the logged key and unknown fields.
const PLAIN_COLUMNS: usize = PLAIN_FIELDS.len() + 2;
const KEY_TEXTS: usize = column_of(Field::Key, &PLAIN_FIELDS);
const KEY_LOGGED_TEXTS: usize = PLAIN_COLUMNS - 2;
const EXTRA_TEXTS: usize = PLAIN_COLUMNS - 1;

/// Groups of rows by date and bucket that a batcher may have. Beyond them a date's rows share one group: each costs some
/// kilobytes.
const GROUPS: usize = 8;

/// Stands for the number of a bucket that is not there.
const NO_BUCKET: u32 = u32::MAX;

/// Rows of one event date; mostly of one bucket.
#[derive(Debug, Clone)]
pub struct DateBatch {
    /// Days since the epoch, UTC; `None` for records without a time.
    pub event_date: Option<i32>,
    /// The rows, in the order of the lines, with the schema of [`schema::batch_schema`].
    pub batch: RecordBatch,
    /// Bytes of the lines of these rows.
    pub text_bytes: u64,
}

/// Where the lines that follow come from.
#[derive(Debug, Clone, Copy)]
pub struct Provenance {
    /// Numbers of their words.
    log_bucket: Option<u32>,
    log_key: u32,
    /// Offset in the log object of byte 0 of the chunk, modulo 2^64.
    base: u64,
}

/// Turns records into batches, chunk after chunk. Texts that repeat are kept once for all chunks.
#[derive(Debug)]
pub struct Batcher {
    /// Numbers of their words.
    quirk_names: HashMap<u32, u32>,
    words: Box<[Words; WORD_COLUMNS]>,
    /// What was met before, by number.
    tails: Vec<Option<(Tail, TailWords)>>,
    groups: Vec<Group>,
    current: usize,
    /// Bytes of the chunks.
    bytes: usize,
}

/// The rows of a chunk in the making.
#[derive(Debug)]
pub struct Rows<'b, 'c> {
    batcher: &'b mut Batcher,
    chunk: &'c [u8],
    chunk_is_utf8: bool,
    chunk_has_controls: bool,
    /// Lines expected.
    lines: usize,
}

/// The words of a tail.
#[derive(Debug, Clone, Copy)]
struct TailWords {
    /// Their numbers, in the order of the fields.
    numbers: [u32; TAIL_WORDS.end - TAIL_WORDS.start],
    /// Which of the fields are there.
    present: u64,
}

/// Rows of one date.
#[derive(Debug)]
struct Group {
    date: Option<i32>,
    /// Number of their bucket; `None` for rows of all buckets that have no group of their own.
    bucket: Option<u32>,
    columns: Columns,
}

impl Default for Batcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Batcher {
    /// Without rows yet.
    pub fn new() -> Self {
        let words =
            SIZES.with_borrow(|sizes| sizes.words.map(|(words, bytes)| Words::with_capacity(words, bytes)));
        Self {
            quirk_names: HashMap::new(),
            words: Box::new(words),
            tails: Vec::new(),
            groups: Vec::new(),
            current: 0,
            bytes: 0,
        }
    }

    /// Goes on with about so many `lines` of `chunk`. All chunks together must be smaller than 512 MiB.
    pub fn chunk<'b, 'c>(&'b mut self, chunk: &'c [u8], lines: usize) -> Result<Rows<'b, 'c>> {
        // Bytes that are not UTF-8 become up to three times as many, and columns end below 2 GiB.
        self.bytes += chunk.len();
        if self.bytes > i32::MAX as usize / 4 {
            return Err(Error::new(ErrorKind::Internal, "a chunk of 512 MiB or more"));
        }
        // Nearly all are: one pass tells.
        let is_plain = is_plain(chunk);
        Ok(Rows {
            chunk_has_controls: !is_plain && has_controls(chunk),
            chunk_is_utf8: is_plain || simdutf8::basic::from_utf8(chunk).is_ok(),
            batcher: self,
            chunk,
            lines,
        })
    }

    /// Bytes of the chunks so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batches, in the order their dates and buckets were met.
    pub fn finish(self) -> Result<Vec<DateBatch>> {
        SIZES.with_borrow_mut(|sizes| {
            sizes.words = self.words.each_ref().map(Words::size);
            sizes.groups.clear();
            let named = self.groups.iter().filter_map(|group| Some((group.bucket?, &group.columns)));
            sizes.groups.extend(
                named.map(|(bucket, columns)| (self.words[BUCKET_WORDS].text(bucket), columns.size())),
            );
        });
        let words: Vec<ArrayRef> =
            self.words.into_iter().map(|words| Arc::new(words.finish()) as ArrayRef).collect();
        self.groups.into_iter().map(|group| group.columns.finish(group.date, &words)).collect()
    }
}

impl Rows<'_, '_> {
    /// Declares the log object of the lines pushed next. `chunk_at` is where its bytes begin in the chunk,
    /// `offset` where those bytes begin in the decompressed object.
    pub fn provenance(
        &mut self,
        bucket: Option<&str>,
        key: &str,
        chunk_at: usize,
        offset: u64,
    ) -> Provenance {
        Provenance {
            log_bucket: bucket.map(|b| self.batcher.words[LOG_BUCKET_WORDS].add(b)),
            log_key: self.batcher.words[LOG_KEY_WORDS].add(key),
            base: offset.wrapping_sub(chunk_at as u64),
        }
    }

    /// Appends the record of `line`. `line.offset` counts from the start of the chunk, and the record's slices
    /// must be slices of the chunk. Quirks found here (bytes that are not UTF-8, control bytes) are added to it.
    #[inline]
    pub fn push(&mut self, record: &mut Record<'_>, line: &Line<'_>, from: &Provenance) {
        let utf8 = self.chunk_is_utf8 || simdutf8::basic::from_utf8(line.text).is_ok();
        if !utf8 {
            record.quirks.insert(Quirk::NotUtf8);
        }
        if self.chunk_has_controls && has_controls(line.text.strip_suffix(b"\r").unwrap_or(line.text)) {
            record.quirks.insert(Quirk::ControlBytes);
        }
        if !line.has_lf {
            record.quirks.insert(Quirk::NoFinalLf);
        }
        let date = record.time.map(|t| t.div_euclid(86_400) as i32);
        let Self { batcher, chunk, .. } = self;
        let bucket =
            record.get(Field::Bucket).map(|text| batcher.words[BUCKET_WORDS].of_lingering(chunk, text, utf8));
        let wanted = (date, Some(bucket.unwrap_or(NO_BUCKET)));
        if batcher.groups.get(batcher.current).is_none_or(|group| (group.date, group.bucket) != wanted) {
            batcher.switch_to(wanted, self.lines);
        }
        let tail = match record.tail.and_then(|tail| batcher.known(tail)) {
            Some(known) => known,
            None => batcher.tail_words(chunk, record, utf8),
        };
        let Batcher { words, quirk_names, groups, current, .. } = &mut **batcher;
        let quirks = (!record.quirks.is_empty()).then(|| {
            let words = &mut words[QUIRK_WORDS];
            *quirk_names.entry(record.quirks.bits()).or_insert_with(|| words.add(&record.quirks.names()))
        });
        let columns = &mut groups[*current].columns;
        let texts = &mut columns.texts;
        let mut present = tail.present;
        let mut has = |column: usize, is_there: bool| present |= u64::from(is_there) << column;
        let mut numbers = [0; WORD_COLUMNS];
        numbers[TAIL_WORDS].copy_from_slice(&tail.numbers);
        let owner = record.get(Field::BucketOwner);
        let owner = owner.map(|text| words[OWNER_WORDS].of_lingering(chunk, text, utf8));
        numbers[OWNER_WORDS] = owner.unwrap_or(0);
        numbers[BUCKET_WORDS] = bucket.unwrap_or(0);
        for column in MIDDLE_WORDS {
            let field = WORD_FIELDS[column];
            let text = record.get(field);
            has(field as usize, text.is_some());
            numbers[column] = text.map_or(0, |text| words[column].of(chunk, text, utf8));
        }
        numbers[QUIRK_WORDS] = quirks.unwrap_or(0);
        numbers[LOG_BUCKET_WORDS] = from.log_bucket.unwrap_or(0);
        numbers[LOG_KEY_WORDS] = from.log_key;
        let mut is_decoded = false;
        for (column, field) in PLAIN_FIELDS.into_iter().enumerate() {
            let text = record.get(field);
            has(field as usize, text.is_some());
            let Some(text) = text else { continue };
            if column == KEY_TEXTS {
                let operation = record.get(Field::Operation).unwrap_or(b"");
                is_decoded =
                    texts[column].push_with(|out| match value::decode_key_into(operation, text, out) {
                        Decoded::Same => None,
                        Decoded::Ascii => Some(utf8),
                        Decoded::Bytes => Some(false),
                    });
            }
            let column = if column == KEY_TEXTS && is_decoded { KEY_LOGGED_TEXTS } else { column };
            texts[column].push(text, utf8);
        }
        if let Some(extra) = record.extra {
            texts[EXTRA_TEXTS].push(extra, utf8);
        }
        let integers =
            [record.bytes_sent, record.object_size, record.total_time_ms, record.turn_around_time_ms];
        for (field, number) in NUMBERS.into_iter().zip(integers) {
            has(field as usize, number.is_some());
        }
        let acl_required = record.acl_required();
        let is_lossy = record.quirks.is_lossy();
        for (column, is_there) in [
            (Field::BucketOwner as usize, owner.is_some()),
            (Field::Bucket as usize, bucket.is_some()),
            (Field::Time as usize, record.time.is_some()),
            (Field::HttpStatus as usize, record.http_status.is_some()),
            (Field::AclRequired as usize, acl_required.is_some()),
            (schema::KEY_LOGGED, is_decoded),
            (schema::QUIRKS, quirks.is_some()),
            (schema::EXTRA, record.extra.is_some()),
            (schema::RAW_LINE, is_lossy),
            (schema::LOG_BUCKET, from.log_bucket.is_some()),
            (schema::LOG_KEY, true),
            (ACL_REQUIRED, acl_required == Some(true)),
        ] {
            has(column, is_there);
        }
        let row = Row {
            words: numbers,
            ends: texts.each_ref().map(|texts| texts.len() as i32),
            http_status: record.http_status.unwrap_or(0),
            time: record.time.unwrap_or(0) * 1_000_000,
            numbers: integers.map(Option::unwrap_or_default),
            log_offset: from.base.wrapping_add(line.offset as u64) as i64,
            record_bytes: line.len_with_lf() as i64,
            present,
        };
        columns.push(row, is_lossy.then_some(line.text));
    }
}

impl Batcher {
    #[inline]
    fn known(&self, tail: Tail) -> Option<TailWords> {
        let (known, words) = (*self.tails.get(tail.number as usize)?)?;
        (known == tail).then_some(words)
    }

    /// Looks up the words of a tail, and remembers them when it has a number.
    #[inline(never)]
    fn tail_words(&mut self, chunk: &[u8], record: &Record<'_>, utf8: bool) -> TailWords {
        let mut numbers = [0; TAIL_WORDS.end - TAIL_WORDS.start];
        let mut present = 0;
        for (column, number) in TAIL_WORDS.zip(&mut numbers) {
            let field = WORD_FIELDS[column];
            if let Some(text) = record.get(field) {
                present |= 1 << field as usize;
                *number = self.words[column].of(chunk, text, utf8);
            }
        }
        let words = TailWords { numbers, present };
        if let Some(tail) = record.tail {
            let place = tail.number as usize;
            if self.tails.len() <= place {
                self.tails.resize(place + 1, None);
            }
            self.tails[place] = Some((tail, words));
        }
        words
    }

    /// Goes on in the group of that date and bucket; a new one is of a chunk of so many `lines`.
    #[inline(never)]
    fn switch_to(&mut self, wanted: (Option<i32>, Option<u32>), lines: usize) {
        let find = |groups: &[Group], wanted| groups.iter().position(|g| (g.date, g.bucket) == wanted);
        self.current = find(&self.groups, wanted).unwrap_or_else(|| {
            let is_full = self.groups.len() >= GROUPS;
            let wanted = if is_full { (wanted.0, None) } else { wanted };
            find(&self.groups, wanted).unwrap_or_else(|| {
                let columns = Columns::with_room(&self.room(wanted.1, lines));
                self.groups.push(Group { date: wanted.0, bucket: wanted.1, columns });
                self.groups.len() - 1
            })
        });
    }

    /// What a group of that bucket will need: an eighth more than the last one, which was probably alike.
    fn room(&self, bucket: Option<u32>, lines: usize) -> Size {
        let Some(bucket) = bucket else { return Size { rows: 4, texts: [0; PLAIN_COLUMNS] } };
        let name = self.words[BUCKET_WORDS].text(bucket);
        let last =
            SIZES.with_borrow(|sizes| sizes.groups.iter().find(|(n, _)| *n == name).map(|(_, size)| *size));
        match last {
            Some(size) => size.and_an_eighth(),
            None if self.groups.is_empty() => Size { rows: lines, texts: [0; PLAIN_COLUMNS] },
            None => Size { rows: lines / 8, texts: [0; PLAIN_COLUMNS] },
        }
    }
}

thread_local! {
    /// Of this thread's last batches.
    static SIZES: RefCell<Sizes> = const {
        RefCell::new(Sizes { words: [(0, 0); WORD_COLUMNS], groups: Vec::new() })
    };
}

/// How much there was, so that room for as much is made at once.
struct Sizes {
    /// Of each column of words, their number and bytes.
    words: [(usize, usize); WORD_COLUMNS],
    /// Of each bucket.
    groups: Vec<(Vec<u8>, Size)>,
}

/// Whether `text` is nothing but LF and the ASCII characters that can be printed.
fn is_plain(text: &[u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has what the function is compiled for.
        return unsafe { is_plain_with_avx2(text) };
    }
    is_plain_on_any(text)
}

/// The same, twice as many bytes at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn is_plain_with_avx2(text: &[u8]) -> bool {
    is_plain_on_any(text)
}

#[inline(always)]
fn is_plain_on_any(text: &[u8]) -> bool {
    // How far behind a blank each is, those before it very far.
    let farther = |most: u8, b: &u8| {
        let distance = if *b == b'\n' { 0 } else { b.wrapping_sub(b' ') };
        if distance > most { distance } else { most }
    };
    // In blocks, so that the check is vectorised (`max` would not be) and still stops early.
    text.chunks(4096).all(|block| block.iter().fold(0, farther) <= b'~' - b' ')
}

/// Control bytes other than LF and tab.
fn has_controls(bytes: &[u8]) -> bool {
    let is_control = |b: u8| (b < 0x20 && b != b'\n' && b != b'\t') || b == 0x7f;
    bytes.chunks(4096).any(|block| block.iter().fold(false, |seen, b| seen | is_control(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_told_from_other() {
        let plain: Vec<u8> = (b' '..=b'~').chain([b'\n']).cycle().take(10_000).collect();
        assert!(is_plain(&plain) && is_plain_on_any(&plain) && is_plain(b""));
        for byte in (0..=u8::MAX).filter(|byte| !plain.contains(byte)) {
            for at in [0, 15, 4_095, 4_096, 9_999] {
                let mut text = plain.clone();
                text[at] = byte;
                assert!(!is_plain(&text) && !is_plain_on_any(&text), "{byte} at {at}");
            }
        }
    }
}
