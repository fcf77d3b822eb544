//! One column of one row group: values to Parquet pages.
//!
//! Log records are runs: one owner, few buckets, few requesters, dashes. So a value equal to the one before costs a
//! comparison, one seen before costs a look-up, and only what is new is copied into the dictionary. Columns that do
//! not repeat are written as their lengths and then their bytes, or both in turn, whichever compresses better. Buffers
//! are used again for every row group. How a column is laid out is decided by `encode`, and so is where its bytes
//! go; this module knows neither files nor names of columns.

use std::ops::Range;

use arrow::array::{Array, BooleanArray, StringViewArray, UInt32Array};
use arrow::buffer::NullBuffer;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bits::{Bits, pack_codes, pack_deltas};
pub(super) use super::values::WordList;
use super::values::{HEAD, IntegerValues, TextValues, plain_integers};

/// Level of zstd: higher ones cost more time than the bytes are worth.
pub(super) const ZSTD_LEVEL: i32 = 1;

/// Places in which zstd remembers what it has seen, a power of two: half as many as the level would have. They fit in the
/// nearest cache, which saves 6 % of its time for 1 % of the bytes.
const ZSTD_HASH_LOG: u32 = 13;

/// Text of a page takes at most about this many bytes, so that a reader can skip some and hold one.
const PAGE_BYTES: usize = 1 << 20;

/// How often a Bloom filter says of a value that is not there that it may be: a byte a value.
const FILTER_WRONG: f64 = 0.03;

/// Bytes of a Bloom filter before it is known how many values there are: enough for a row group.
const FILTER_BYTES: usize = 64 << 10;

/// How the values of a column are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each distinct value once, and their numbers; given up for the row group when values hardly repeat.
    Dictionary,
    /// Text: all lengths, then all bytes. Others: as they are.
    Plain,
    /// Text: each behind its length.
    Interleaved,
    /// Integers: differences to the value before.
    Delta,
}

/// Buffers that the columns of a thread use in turn.
pub(super) struct Scratch {
    compressor: zstd::bulk::Compressor<'static>,
    keys: Vec<u32>,
    raw: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let failed = |e: std::io::Error| ParquetError::External(e.into());
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::HashLog(ZSTD_HASH_LOG)).map_err(failed)?;
        Ok(Self { compressor, keys: Vec::new(), raw: Vec::new() })
    }
}

/// Encodes one column, row group after row group.
pub(super) struct ColumnEncoder {
    column: ColumnDescPtr,
    layout: Layout,
    with_statistics: bool,
    /// What tells that a value is not in the row group; of text columns that are to have it.
    filter: Option<Filter>,
    is_optional: bool,
    /// Which rows of the page in the making have a value.
    present: Bits,
    values: Values,
    pages: Pages,
    /// Bytes of the pages of the last row group: the next one will be like it.
    last_bytes: usize,
}

enum Values {
    Text(TextValues),
    Integer(IntegerValues),
    Boolean(Bits),
}

impl ColumnEncoder {
    pub(super) fn new(
        column: ColumnDescPtr,
        layout: Layout,
        with_statistics: bool,
        with_filter: bool,
    ) -> Self {
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
            filter: with_filter.then(Filter::default),
            is_optional,
            present: Bits::default(),
            values,
            pages: Pages::new(0),
            last_bytes: 0,
        };
        this.reset();
        this
    }

    /// Begins a row group; what came before is gone.
    pub(super) fn reset(&mut self) {
        let with_dictionary = self.layout == Layout::Dictionary;
        self.present.clear();
        match &mut self.values {
            Values::Text(text) => {
                text.with_lengths = self.layout == Layout::Interleaved;
                text.reset(with_dictionary);
            }
            Values::Integer(integers) => integers.reset(with_dictionary),
            Values::Boolean(bits) => bits.clear(),
        }
        self.pages = Pages::new(self.last_bytes + self.last_bytes / 8);
    }

    /// Appends rows without a value.
    pub(super) fn push_nulls(&mut self, rows: usize) {
        self.present.extend(false, rows);
    }

    /// Appends rows of a text column whose values are numbers of words. The words of a list stay the same within a row
    /// group.
    pub(super) fn push_words(
        &mut self,
        list: WordList,
        keys: &UInt32Array,
        words: &StringViewArray,
        rows: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Values::Text(text) = &mut self.values else { return Err(wrong_type(&self.column)) };
        let word = |key: u32| words.value(key as usize).as_bytes();
        if !text.dictionary.is_used {
            let value = |row: usize| keys.is_valid(row).then(|| word(keys.value(row)));
            return self.push_texts(rows.map(value), scratch);
        }
        let keys = match self.present.extend_from(keys.nulls(), rows.clone()) {
            None => &keys.values()[rows],
            Some(valid) => {
                scratch.keys.clear();
                valid.extend(&mut scratch.keys, |row| keys.values()[row]);
                &scratch.keys
            }
        };
        text.push_words(list, words.len(), keys, word);
        text.review();
        Ok(())
    }

    /// Appends rows of a text or binary column: row n is the bytes from end n to the next.
    pub(super) fn push_text(
        &mut self,
        bytes: &[u8],
        ends: &[i32],
        nulls: Option<&NullBuffer>,
        rows: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Values::Text(text) = &mut self.values else { return Err(wrong_type(&self.column)) };
        let at = |row: usize| ends[row] as usize;
        if text.dictionary.is_used {
            let value =
                |row| nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| &bytes[at(row)..at(row + 1)]);
            return self.push_texts(rows.map(value), scratch);
        }
        let mut texts = &bytes[at(rows.start)..at(rows.end)];
        let first = text.lengths.len();
        match self.present.extend_from(nulls, rows.clone()) {
            None => {
                let ends = &ends[rows.start..=rows.end];
                text.lengths.extend(ends[1..].iter().zip(ends).map(|(to, from)| i64::from(to - from)));
            }
            Some(valid) => {
                valid.extend(&mut text.lengths, |row| i64::from(ends[row + 1] - ends[row]));
                // Rows without a value have no bytes, or else the others are taken one by one.
                if text.lengths[first..].iter().sum::<i64>() != texts.len() as i64 {
                    scratch.raw.clear();
                    valid.iter().for_each(|row| scratch.raw.extend_from_slice(&bytes[at(row)..at(row + 1)]));
                    texts = &scratch.raw;
                }
            }
        }
        text.append(first, texts);
        self.end_full_page(scratch)
    }

    /// Appends rows of a text or binary column.
    pub(super) fn push_texts<'v>(
        &mut self,
        rows: impl Iterator<Item = Option<&'v [u8]>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Values::Text(text) = &mut self.values else { return Err(wrong_type(&self.column)) };
        let present = &mut self.present;
        let values = rows.inspect(|value| present.push(value.is_some())).flatten();
        match text.dictionary.is_used {
            true => values.for_each(|value| text.push_code(value)),
            false => values.for_each(|value| text.push_plain(value)),
        }
        text.review();
        self.end_full_page(scratch)
    }

    /// Appends rows of an integer column.
    pub(super) fn push_integers<T: Copy + Into<i64>>(
        &mut self,
        values: &[T],
        nulls: Option<&NullBuffer>,
        rows: Range<usize>,
    ) -> Result<()> {
        let Values::Integer(integers) = &mut self.values else { return Err(wrong_type(&self.column)) };
        match self.present.extend_from(nulls, rows.clone()) {
            None => integers.extend(values[rows].iter().map(|value| (*value).into())),
            Some(valid) if integers.dictionary.is_used => {
                integers.extend(valid.iter().map(|row| values[row].into()));
            }
            Some(valid) => valid.extend(&mut integers.values, |row| values[row].into()),
        }
        integers.review();
        Ok(())
    }

    /// Appends rows of a boolean column.
    pub(super) fn push_booleans(&mut self, values: &BooleanArray, rows: Range<usize>) -> Result<()> {
        let Values::Boolean(bits) = &mut self.values else { return Err(wrong_type(&self.column)) };
        match self.present.extend_from(values.nulls(), rows.clone()) {
            None => bits.extend_bits(values.values(), rows),
            Some(valid) => valid.iter().for_each(|row| bits.push(values.value(row))),
        }
        Ok(())
    }

    fn end_full_page(&mut self, scratch: &mut Scratch) -> Result<()> {
        match &self.values {
            Values::Text(text) if text.bytes.len() >= HEAD + PAGE_BYTES => self.end_page(scratch),
            _ => Ok(()),
        }
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
                if let Some(filter) = &mut self.filter {
                    filter.add(text.plain());
                }
                let encoding = match text.with_lengths {
                    true => Encoding::PLAIN,
                    false => {
                        pack_deltas(&text.lengths, raw);
                        Encoding::DELTA_LENGTH_BYTE_ARRAY
                    }
                };
                let page = text.behind(raw);
                self.pages.data(rows, encoding, page, &mut scratch.compressor)?;
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
        self.pages.data(rows, encoding, &scratch.raw, &mut scratch.compressor)?;
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
        let filter = self.filter.as_mut().map(|filter| match &self.values {
            Values::Text(text) if text.dictionary.is_used => filter.of(text.dictionary.values()),
            _ => filter.take(),
        });
        let pages = std::mem::replace(&mut self.pages, Pages::new(0));
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
        let (bytes, close) = pages.finish(&self.column, statistics, filter.transpose()?)?;
        self.last_bytes = bytes.len();
        Ok((bytes, close))
    }
}

/// The Bloom filter of a column in the making.
#[derive(Default)]
struct Filter(Option<Sbbf>);

impl Filter {
    /// Adds values of which it is not known how many there will be.
    fn add<'v>(&mut self, values: impl Iterator<Item = &'v [u8]>) {
        let filter = self.0.get_or_insert_with(|| Sbbf::new_with_num_of_bytes(FILTER_BYTES));
        values.for_each(|value| filter.insert(value));
    }

    /// What was added, as small as it may be.
    fn take(&mut self) -> Result<Sbbf> {
        let Some(mut filter) = self.0.take() else { return self.of(std::iter::empty()) };
        filter.fold_to_target_fpp(FILTER_WRONG);
        Ok(filter)
    }

    /// The filter of these values alone; of none too, for then there is nothing to be found.
    fn of<'v>(&mut self, values: impl ExactSizeIterator<Item = &'v [u8]>) -> Result<Sbbf> {
        self.0 = None;
        let mut filter = Sbbf::new_with_ndv_fpp(values.len() as u64, FILTER_WRONG)?;
        values.for_each(|value| filter.insert(value));
        Ok(filter)
    }
}

fn wrong_type(column: &ColumnDescPtr) -> ParquetError {
    ParquetError::General(format!("column {} is not of that type", column.name()))
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
    /// Room for so many bytes.
    fn new(room: usize) -> Self {
        Self {
            out: TrackedWrite::new(Vec::with_capacity(room)),
            uncompressed: 0,
            rows: 0,
            nulls: 0,
            dictionary: false,
            data_at: None,
            encoding: Encoding::PLAIN,
        }
    }

    fn dictionary(&mut self, values: &[u8], count: usize, scratch: &mut Scratch) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: compress(&mut scratch.compressor, values)?,
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
    ) -> Result<()> {
        let page = Page::DataPage {
            buf: compress(compressor, raw)?,
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
        filter: Option<Sbbf>,
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
            bloom_filter: filter,
            column_index: None,
            offset_index: None,
        };
        Ok((Bytes::from(bytes), close))
    }
}

fn compress(compressor: &mut zstd::bulk::Compressor<'static>, raw: &[u8]) -> Result<Bytes> {
    let mut packed = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
    compressor.compress_to_buffer(raw, &mut packed).map_err(|e| ParquetError::External(e.into()))?;
    Ok(packed.into())
}
