//! One column of one row group: values to Parquet pages.
//!
//! Log records are runs: one owner, few buckets, few requesters, dashes. So a value equal to the one before costs a
//! comparison, one seen before costs a look-up, and only what is new is copied into the dictionary. Columns that do
//! not repeat are written as their lengths and then their bytes, which compresses better than both in turn. Buffers
//! are used again for every row group. How a column is laid out is decided by `encode`, and so is where its bytes
//! go; this module knows neither files nor names of columns.

use std::hash::BuildHasher;

use arrow::array::{Array, StringViewArray};
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bits::{Bits, pack_codes, pack_deltas};

/// Level of zstd: higher ones cost more time than the bytes are worth.
pub(super) const ZSTD_LEVEL: i32 = 1;

/// Text of a page takes at most about this many bytes, so that a reader can skip some and hold one.
const PAGE_BYTES: usize = 1 << 20;

/// A dictionary larger than this is none.
const DICTIONARY_BYTES: usize = 1 << 20;

/// Values after which it is asked whether a dictionary is worth it.
const PROBE: usize = 1 << 12;

/// Room before the text of a page for its levels and lengths.
const HEAD: usize = 64 << 10;

/// Text up to this length stands in its view.
const INLINE: u32 = 12;

/// Text bounds longer than this are left out.
const BOUND_BYTES: usize = 255;

/// How the values of a column are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each distinct value once, and their numbers; given up for the row group when values hardly repeat.
    Dictionary,
    /// Text: all lengths, then all bytes. Others: as they are.
    Plain,
    /// Integers: differences to the value before.
    Delta,
}

/// Buffers that the columns of a thread use in turn.
pub(super) struct Scratch {
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let compressor =
            zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|e| ParquetError::External(e.into()))?;
        Ok(Self { compressor, raw: Vec::new(), packed: Vec::new() })
    }
}

/// Encodes one column, row group after row group.
pub(super) struct ColumnEncoder {
    column: ColumnDescPtr,
    layout: Layout,
    with_statistics: bool,
    is_optional: bool,
    /// Which rows of the page in the making have a value.
    present: Bits,
    values: Values,
    pages: Pages,
}

enum Values {
    Text(TextValues),
    Integer(IntegerValues),
    Boolean(Bits),
}

impl ColumnEncoder {
    pub(super) fn new(column: ColumnDescPtr, layout: Layout, with_statistics: bool) -> Self {
        let values = match column.physical_type() {
            Type::BYTE_ARRAY => Values::Text(TextValues::default()),
            Type::BOOLEAN => Values::Boolean(Bits::default()),
            _ => Values::Integer(IntegerValues::default()),
        };
        let is_optional = column.max_def_level() > 0;
        let mut this = Self {
            column,
            layout,
            with_statistics,
            is_optional,
            present: Bits::default(),
            values,
            pages: Pages::new(),
        };
        this.reset();
        this
    }

    /// Begins a row group; what came before is gone.
    pub(super) fn reset(&mut self) {
        let with_dictionary = self.layout == Layout::Dictionary;
        self.present.clear();
        match &mut self.values {
            Values::Text(text) => text.reset(with_dictionary),
            Values::Integer(integers) => integers.reset(with_dictionary),
            Values::Boolean(bits) => bits.clear(),
        }
        self.pages = Pages::new();
    }

    /// Appends rows without a value.
    pub(super) fn push_nulls(&mut self, rows: usize) {
        self.present.extend(false, rows);
    }

    /// Appends rows of a text column, each named by its array and its place there.
    pub(super) fn push_views(
        &mut self,
        arrays: &[&StringViewArray],
        rows: &[(u32, u32)],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Values::Text(text) = &mut self.values else { return Err(wrong_type(&self.column)) };
        if !text.dictionary.is_used {
            let value = |(array, row): &(u32, u32)| {
                let (array, row) = (arrays[*array as usize], *row as usize);
                array.is_valid(row).then(|| array.value(row).as_bytes())
            };
            return self.push_text(rows.iter().map(value), scratch);
        }
        for (number, row) in rows {
            let array = arrays[*number as usize];
            let is_valid = array.is_valid(*row as usize);
            self.present.push(is_valid);
            if is_valid {
                text.push_view(array.views()[*row as usize], *number, *row);
            }
        }
        text.resolve(
            |array, row| arrays[array as usize].value(row as usize).as_bytes(),
            |array, row| arrays[array as usize].views()[row as usize],
        );
        text.review();
        Ok(())
    }

    /// Appends rows of a text or binary column.
    pub(super) fn push_text<'v>(
        &mut self,
        rows: impl Iterator<Item = Option<&'v [u8]>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Values::Text(text) = &mut self.values else { return Err(wrong_type(&self.column)) };
        match text.dictionary.is_used {
            true => rows.for_each(|value| {
                self.present.push(value.is_some());
                if let Some(value) = value {
                    text.push_code(value);
                }
            }),
            false => rows.for_each(|value| {
                self.present.push(value.is_some());
                if let Some(value) = value {
                    text.push_plain(value);
                }
            }),
        }
        text.review();
        if text.bytes.len() >= HEAD + PAGE_BYTES {
            self.end_page(scratch)?;
        }
        Ok(())
    }

    /// Appends rows of an integer column.
    pub(super) fn push_integers(&mut self, rows: impl Iterator<Item = Option<i64>>) -> Result<()> {
        let Values::Integer(integers) = &mut self.values else { return Err(wrong_type(&self.column)) };
        match integers.dictionary.is_used {
            true => rows.for_each(|value| {
                self.present.push(value.is_some());
                if let Some(value) = value {
                    integers.push_code(value);
                }
            }),
            false => rows.for_each(|value| {
                self.present.push(value.is_some());
                if let Some(value) = value {
                    integers.values.push(value);
                }
            }),
        }
        integers.review();
        Ok(())
    }

    /// Appends rows of a boolean column.
    pub(super) fn push_booleans(&mut self, rows: impl Iterator<Item = Option<bool>>) -> Result<()> {
        let Values::Boolean(bits) = &mut self.values else { return Err(wrong_type(&self.column)) };
        for value in rows {
            self.present.push(value.is_some());
            if let Some(value) = value {
                bits.push(value);
            }
        }
        Ok(())
    }

    /// Writes the rows that are not in a page yet as one.
    fn end_page(&mut self, scratch: &mut Scratch) -> Result<()> {
        let rows = self.present.len();
        if rows == 0 {
            return Ok(());
        }
        let raw = &mut scratch.raw;
        raw.clear();
        if self.is_optional {
            // Their length stands before the levels.
            raw.extend_from_slice(&[0; 4]);
            self.present.pack_runs(raw);
            let len = (raw.len() - 4) as u32;
            raw[..4].copy_from_slice(&len.to_le_bytes());
        }
        let encoding = match &mut self.values {
            Values::Text(text) if text.dictionary.is_used => {
                let dictionary = std::mem::take(&mut text.dictionary.bytes);
                self.pages.dictionary(&dictionary, text.dictionary.entries.len(), scratch)?;
                text.dictionary.bytes = dictionary;
                pack_codes(&text.codes, text.dictionary.entries.len(), &mut scratch.raw);
                Encoding::RLE_DICTIONARY
            }
            Values::Text(text) => {
                pack_deltas(&text.lengths, raw);
                let (encoding, page) = (Encoding::DELTA_LENGTH_BYTE_ARRAY, text.behind(raw));
                self.pages.data(rows, encoding, page, &mut scratch.compressor, &mut scratch.packed)?;
                text.lengths.clear();
                text.clear_bytes();
                self.end_rows();
                return Ok(());
            }
            Values::Integer(integers) if integers.dictionary.is_used => {
                let mut dictionary = Vec::with_capacity(integers.dictionary.entries.len() * 8);
                plain_integers(&integers.dictionary.entries, self.column.physical_type(), &mut dictionary);
                self.pages.dictionary(&dictionary, integers.dictionary.entries.len(), scratch)?;
                pack_codes(&integers.codes, integers.dictionary.entries.len(), &mut scratch.raw);
                Encoding::RLE_DICTIONARY
            }
            Values::Integer(integers) if self.layout == Layout::Delta => {
                pack_deltas(&integers.values, raw);
                Encoding::DELTA_BINARY_PACKED
            }
            Values::Integer(integers) => {
                plain_integers(&integers.values, self.column.physical_type(), raw);
                Encoding::PLAIN
            }
            Values::Boolean(bits) => {
                raw.extend_from_slice(bits.bytes());
                Encoding::PLAIN
            }
        };
        self.pages.data(rows, encoding, &scratch.raw, &mut scratch.compressor, &mut scratch.packed)?;
        self.end_rows();
        Ok(())
    }

    fn end_rows(&mut self) {
        self.pages.nulls += (self.present.len() - self.present.ones()) as u64;
        self.present.clear();
    }

    /// Ends the row group: the bytes of its pages, and what the file's footer says of them.
    pub(super) fn finish(&mut self, scratch: &mut Scratch) -> Result<(Bytes, ColumnCloseResult)> {
        let (min, max) = match &self.values {
            _ if !self.with_statistics => (None, None),
            Values::Text(text) => text.bounds(),
            Values::Integer(integers) => integers.bounds(self.column.physical_type()),
            Values::Boolean(_) => (None, None),
        };
        self.end_page(scratch)?;
        let pages = std::mem::replace(&mut self.pages, Pages::new());
        let nulls = Some(pages.nulls);
        let statistics = match self.column.physical_type() {
            _ if !self.with_statistics => None,
            Type::BYTE_ARRAY => {
                let bound = |bytes: Option<Vec<u8>>| bytes.map(ByteArray::from);
                Some(Statistics::byte_array(bound(min), bound(max), None, nulls, false))
            }
            Type::INT32 => {
                let bound = |b: Option<Vec<u8>>| Some(i32::from_le_bytes(b?.try_into().ok()?));
                Some(Statistics::int32(bound(min), bound(max), None, nulls, false))
            }
            Type::INT64 => {
                let bound = |b: Option<Vec<u8>>| Some(i64::from_le_bytes(b?.try_into().ok()?));
                Some(Statistics::int64(bound(min), bound(max), None, nulls, false))
            }
            _ => None,
        };
        pages.finish(&self.column, statistics)
    }
}

fn wrong_type(column: &ColumnDescPtr) -> ParquetError {
    ParquetError::General(format!("column {} is not of that type", column.name()))
}

fn plain_integers(values: &[i64], physical_type: Type, out: &mut Vec<u8>) {
    if physical_type == Type::INT32 {
        // What is stored in 32 bits came from 16.
        values.iter().for_each(|v| out.extend_from_slice(&(*v as i32).to_le_bytes()));
    } else {
        values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
}

/// Whether so many distinct values among so many are too many for a dictionary: their numbers then take more than
/// they save.
fn is_wasteful(distinct: usize, values: usize) -> bool {
    values >= PROBE && distinct > values / 4
}

/// Texts of the page in the making.
#[derive(Default)]
struct TextValues {
    dictionary: TextDictionary,
    codes: Vec<u32>,
    lengths: Vec<i64>,
    /// Behind [`HEAD`] bytes of room.
    bytes: Vec<u8>,
    unknown: Vec<Unknown>,
}

/// A value whose number is being looked for.
#[derive(Clone, Copy)]
struct Unknown {
    /// Its place among the codes.
    place: u32,
    array: u32,
    row: u32,
    /// The number it may have, or `u32::MAX`.
    guess: u32,
    hash: u64,
}

#[derive(Default)]
struct TextDictionary {
    is_used: bool,
    hasher: DefaultHashBuilder,
    numbers: Numbers,
    /// Where the bytes of each value are.
    entries: Vec<(u32, u32)>,
    /// The values as a dictionary page has them: length and bytes of each.
    bytes: Vec<u8>,
    last: usize,
    views: Views,
}

/// Views met lately and the numbers of their values. Views that are equal in one array are equal texts, and `batch`
/// makes equal views of log lines that repeat: so most values are told without their bytes being read.
struct Views(Box<[Seen; VIEWS]>);

/// How many views are remembered.
const VIEWS: usize = 128;

/// A view, the array it is of, and its number; an array number of `u32::MAX` for text that stands in its view.
type Seen = (u128, u32, u32);

/// What no view is: longer than any text.
const NOTHING: Seen = (u128::MAX, 0, 0);

impl Default for Views {
    fn default() -> Self {
        Self(Box::new([NOTHING; VIEWS]))
    }
}

impl Views {
    #[inline]
    fn place(view: u128, array: u32) -> usize {
        let mixed =
            (view as u64 ^ (view >> 64) as u64 ^ u64::from(array)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - VIEWS.ilog2())) as usize
    }
}

impl TextDictionary {
    fn get(&self, number: usize) -> &[u8] {
        let (from, to) = self.entries[number];
        &self.bytes[from as usize..to as usize]
    }

    #[inline]
    fn number(&mut self, value: &[u8]) -> u32 {
        if self.last < self.entries.len() && self.get(self.last) == value {
            return self.last as u32;
        }
        let hash = self.hasher.hash_one(value);
        self.number_of(hash, value)
    }

    /// The number of a value with that hash; a new one when it is not known.
    fn number_of(&mut self, hash: u64, value: &[u8]) -> u32 {
        let Self { numbers, entries, bytes, .. } = self;
        let is_it = |number: u32| {
            let (from, to) = entries[number as usize];
            &bytes[from as usize..to as usize] == value
        };
        let number = numbers.find(hash, is_it).unwrap_or_else(|| {
            let number = entries.len() as u32;
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            let from = bytes.len() as u32;
            bytes.extend_from_slice(value);
            entries.push((from, bytes.len() as u32));
            numbers.insert(hash, number);
            number
        });
        self.last = number as usize;
        number
    }
}

/// Numbers by the hash of what they stand for: open addressing, half of the hash beside each number. That half says
/// where a number belongs too, so the table grows without the values, and is seldom wrong about one.
#[derive(Default)]
struct Numbers {
    /// High half of the hash, and the number plus one; zero where nothing is.
    places: Vec<u64>,
    used: usize,
}

impl Numbers {
    const LEAST: usize = 1 << 8;

    fn clear(&mut self) {
        self.places.clear();
        self.places.resize(Self::LEAST, 0);
        self.used = 0;
    }

    #[inline]
    fn first(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.places.len() - 1)
    }

    /// What is at the first place of the hash: asked for early, it has come when it is needed.
    #[inline]
    fn touch(&self, hash: u64) -> u64 {
        self.places[self.first(hash)]
    }

    /// The first number with that hash which `is_it`.
    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.first(hash);
        loop {
            match self.places[at] {
                0 => return None,
                found if found >> 32 == hash >> 32 && is_it(found as u32 - 1) => {
                    return Some(found as u32 - 1);
                }
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    fn insert(&mut self, hash: u64, number: u32) {
        // At most half full.
        if self.used * 2 >= self.places.len() {
            self.grow();
        }
        self.put(hash & 0xffff_ffff_0000_0000 | u64::from(number + 1));
        self.used += 1;
    }

    fn put(&mut self, entry: u64) {
        let mut at = self.first(entry);
        while self.places[at] != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![0; self.places.len() * 2];
        for entry in std::mem::replace(&mut self.places, larger) {
            if entry != 0 {
                self.put(entry);
            }
        }
    }
}

impl TextValues {
    fn reset(&mut self, with_dictionary: bool) {
        self.dictionary.is_used = with_dictionary;
        self.dictionary.numbers.clear();
        self.dictionary.entries.clear();
        self.dictionary.bytes.clear();
        self.dictionary.views.0.fill(NOTHING);
        self.codes.clear();
        self.lengths.clear();
        self.clear_bytes();
    }

    fn clear_bytes(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEAD, 0);
    }

    /// The bytes of the page with `head` before them: written into the room that is kept for it, so that the text is
    /// not moved again.
    fn behind(&mut self, head: &[u8]) -> &[u8] {
        let from = match HEAD.checked_sub(head.len()) {
            Some(from) => from,
            None => {
                self.bytes.splice(..HEAD, std::iter::repeat_n(0, head.len()));
                0
            }
        };
        self.bytes[from..from + head.len()].copy_from_slice(head);
        &self.bytes[from..]
    }

    #[inline]
    fn push_code(&mut self, value: &[u8]) {
        let number = self.dictionary.number(value);
        self.codes.push(number);
    }

    #[inline]
    fn push_view(&mut self, view: u128, array: u32, row: u32) {
        let owner = if view as u32 <= INLINE { u32::MAX } else { array };
        let (seen, of, number) = self.dictionary.views.0[Views::place(view, owner)];
        if seen != view || of != owner {
            let place = self.codes.len() as u32;
            self.unknown.push(Unknown { place, array, row, guess: u32::MAX, hash: 0 });
        }
        self.codes.push(number);
    }

    /// Finds the numbers of what [`TextValues::push_view`] did not know. Each step is done for all of them before the
    /// next: what they need is far apart in memory, and asked for at once it comes at once.
    #[inline]
    fn resolve<'v>(&mut self, value: impl Fn(u32, u32) -> &'v [u8], view: impl Fn(u32, u32) -> u128) {
        let Self { dictionary, codes, unknown, .. } = self;
        let mut touched = 0;
        for this in unknown.iter_mut() {
            this.hash = dictionary.hasher.hash_one(value(this.array, this.row));
            touched ^= dictionary.numbers.touch(this.hash);
        }
        for this in unknown.iter_mut() {
            this.guess = dictionary.numbers.find(this.hash, |_| true).unwrap_or(u32::MAX);
            if let Some((from, _)) = dictionary.entries.get(this.guess as usize) {
                touched ^= u64::from(dictionary.bytes[*from as usize - 1]);
            }
        }
        std::hint::black_box(touched);
        for this in unknown.drain(..) {
            let text = value(this.array, this.row);
            let is_it = (this.guess as usize) < dictionary.entries.len()
                && dictionary.get(this.guess as usize) == text;
            let number = if is_it { this.guess } else { dictionary.number_of(this.hash, text) };
            let view = view(this.array, this.row);
            let owner = if view as u32 <= INLINE { u32::MAX } else { this.array };
            dictionary.views.0[Views::place(view, owner)] = (view, owner, number);
            codes[this.place as usize] = number;
        }
    }

    #[inline]
    fn push_plain(&mut self, value: &[u8]) {
        self.lengths.push(value.len() as i64);
        self.bytes.extend_from_slice(value);
    }

    /// Gives the dictionary up when it does not pay.
    fn review(&mut self) {
        let dictionary = &self.dictionary;
        let is_large = dictionary.bytes.len() > DICTIONARY_BYTES;
        if !dictionary.is_used || !(is_large || is_wasteful(dictionary.entries.len(), self.codes.len())) {
            return;
        }
        for code in &self.codes {
            let value = self.dictionary.get(*code as usize);
            self.lengths.push(value.len() as i64);
            self.bytes.extend_from_slice(value);
        }
        self.codes.clear();
        self.dictionary.is_used = false;
    }

    /// Least and greatest value; only while there is a dictionary, which columns with statistics are to have.
    fn bounds(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        if !self.dictionary.is_used {
            return (None, None);
        }
        let values = || (0..self.dictionary.entries.len()).map(|number| self.dictionary.get(number));
        let (Some(min), Some(max)) = (values().min(), values().max()) else { return (None, None) };
        if min.len() > BOUND_BYTES || max.len() > BOUND_BYTES {
            return (None, None);
        }
        (Some(min.to_vec()), Some(max.to_vec()))
    }
}

/// Integers of the page in the making.
#[derive(Default)]
struct IntegerValues {
    dictionary: IntegerDictionary,
    codes: Vec<u32>,
    values: Vec<i64>,
}

#[derive(Default)]
struct IntegerDictionary {
    is_used: bool,
    hasher: DefaultHashBuilder,
    numbers: HashTable<u32>,
    entries: Vec<i64>,
    last: usize,
}

impl IntegerDictionary {
    #[inline]
    fn number(&mut self, value: i64) -> u32 {
        if self.entries.get(self.last) == Some(&value) {
            return self.last as u32;
        }
        let hash = self.hasher.hash_one(value);
        let Self { numbers, entries, hasher, .. } = self;
        let number = match numbers.find(hash, |number| entries[*number as usize] == value) {
            Some(number) => *number,
            None => {
                let number = entries.len() as u32;
                entries.push(value);
                numbers.insert_unique(hash, number, |number| hasher.hash_one(entries[*number as usize]));
                number
            }
        };
        self.last = number as usize;
        number
    }
}

impl IntegerValues {
    fn reset(&mut self, with_dictionary: bool) {
        self.dictionary.is_used = with_dictionary;
        self.dictionary.numbers.clear();
        self.dictionary.entries.clear();
        self.codes.clear();
        self.values.clear();
    }

    #[inline]
    fn push_code(&mut self, value: i64) {
        let number = self.dictionary.number(value);
        self.codes.push(number);
    }

    fn review(&mut self) {
        if !self.dictionary.is_used || !is_wasteful(self.dictionary.entries.len(), self.codes.len()) {
            return;
        }
        let entries = &self.dictionary.entries;
        self.values.extend(self.codes.drain(..).map(|code| entries[code as usize]));
        self.dictionary.is_used = false;
    }

    /// Least and greatest value, as the bytes of the physical type.
    fn bounds(&self, physical_type: Type) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let values = if self.dictionary.is_used { &self.dictionary.entries } else { &self.values };
        let bytes = |value: Option<&i64>| {
            let mut bytes = Vec::new();
            plain_integers(&[*value?], physical_type, &mut bytes);
            Some(bytes)
        };
        (bytes(values.iter().min()), bytes(values.iter().max()))
    }
}

/// The finished pages of the row group in the making.
struct Pages {
    out: TrackedWrite<Vec<u8>>,
    uncompressed: usize,
    rows: u64,
    nulls: u64,
    dictionary: bool,
    data_at: Option<usize>,
    encoding: Encoding,
}

impl Pages {
    fn new() -> Self {
        Self {
            out: TrackedWrite::new(Vec::new()),
            uncompressed: 0,
            rows: 0,
            nulls: 0,
            dictionary: false,
            data_at: None,
            encoding: Encoding::PLAIN,
        }
    }

    fn dictionary(&mut self, values: &[u8], count: usize, scratch: &mut Scratch) -> Result<()> {
        compress(&mut scratch.compressor, values, &mut scratch.packed)?;
        let page = Page::DictionaryPage {
            buf: Bytes::copy_from_slice(&scratch.packed),
            num_values: count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary = true;
        self.write(page, values.len())
    }

    /// Writes `raw` as a data page.
    fn data(
        &mut self,
        rows: usize,
        encoding: Encoding,
        raw: &[u8],
        compressor: &mut zstd::bulk::Compressor<'static>,
        packed: &mut Vec<u8>,
    ) -> Result<()> {
        compress(compressor, raw, packed)?;
        let page = Page::DataPage {
            buf: Bytes::copy_from_slice(packed),
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.data_at.get_or_insert(self.out.bytes_written());
        self.rows += rows as u64;
        self.encoding = encoding;
        self.write(page, raw.len())
    }

    fn write(&mut self, page: Page, uncompressed: usize) -> Result<()> {
        let written =
            SerializedPageWriter::new(&mut self.out).write_page(CompressedPage::new(page, uncompressed))?;
        self.uncompressed += written.uncompressed_size;
        Ok(())
    }

    fn finish(
        self,
        column: &ColumnDescPtr,
        statistics: Option<Statistics>,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut encodings = vec![Encoding::RLE, self.encoding];
        if self.dictionary {
            encodings.push(Encoding::PLAIN);
        }
        let level = ZstdLevel::try_new(ZSTD_LEVEL)?;
        let bytes = self.out.into_inner()?;
        let mut metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(Compression::ZSTD(level))
            .set_encodings(encodings)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_data_page_offset(self.data_at.unwrap_or(0) as i64)
            .set_dictionary_page_offset(self.dictionary.then_some(0));
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((Bytes::from(bytes), close))
    }
}

fn compress(compressor: &mut zstd::bulk::Compressor<'static>, from: &[u8], to: &mut Vec<u8>) -> Result<()> {
    to.clear();
    to.reserve(zstd::zstd_safe::compress_bound(from.len()));
    compressor.compress_to_buffer(from, to).map_err(|e| ParquetError::External(e.into()))?;
    Ok(())
}
