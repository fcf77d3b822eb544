//! Values of one column waiting to become a page: each as it is, or in a dictionary as long as that pays.
//!
//! A value equal to the one before costs a comparison, one seen before costs a look-up, and only what is new is copied.
//! What becomes of them is decided by `column`; this module knows neither pages nor compression.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use parquet::basic::Type;

/// A dictionary larger than this is none.
const DICTIONARY_BYTES: usize = 1 << 20;

/// Values after which it is asked whether a dictionary is worth it.
const PROBE: usize = 1 << 12;

/// Room before the text of a page for its levels and lengths.
pub(super) const HEAD: usize = 64 << 10;

/// Text bounds longer than this are left out.
const BOUND_BYTES: usize = 255;

pub(super) fn plain_integers(values: &[i64], physical_type: Type, out: &mut Vec<u8>) {
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
pub(super) struct TextValues {
    pub(super) dictionary: TextDictionary,
    pub(super) codes: Vec<u32>,
    pub(super) lengths: Vec<i64>,
    /// Behind [`HEAD`] bytes of room.
    pub(super) bytes: Vec<u8>,
    /// Whether each text stands behind its length; never where a dictionary is tried.
    pub(super) with_lengths: bool,
    /// By list and key, the number of what the key stands for, or [`UNKNOWN`].
    known: Vec<Vec<u32>>,
    unknown: Vec<Unknown>,
}

/// No number.
const UNKNOWN: u32 = u32::MAX;

/// A list of words that rows refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordList {
    pub(super) number: usize,
    /// Rows that refer to it, in all.
    pub(super) rows: usize,
}

/// A value whose number is being looked for.
#[derive(Clone, Copy)]
struct Unknown {
    /// Its place among the codes.
    place: u32,
    key: u32,
    /// The number it may have, or [`UNKNOWN`].
    guess: u32,
    hash: u64,
}

#[derive(Default)]
pub(super) struct TextDictionary {
    pub(super) is_used: bool,
    hasher: DefaultHashBuilder,
    numbers: Numbers,
    /// Where the bytes of each value are.
    pub(super) entries: Vec<(u32, u32)>,
    /// The values as a dictionary page has them: length and bytes of each.
    pub(super) bytes: Vec<u8>,
    last: usize,
}

impl TextDictionary {
    fn get(&self, number: usize) -> &[u8] {
        let (from, to) = self.entries[number];
        &self.bytes[from as usize..to as usize]
    }

    /// The distinct values.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.entries.len()).map(|number| self.get(number))
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
    pub(super) fn reset(&mut self, with_dictionary: bool) {
        self.dictionary.is_used = with_dictionary;
        self.dictionary.numbers.clear();
        self.dictionary.entries.clear();
        self.dictionary.bytes.clear();
        self.known.iter_mut().for_each(Vec::clear);
        self.codes.clear();
        self.lengths.clear();
        self.clear_bytes();
    }

    pub(super) fn clear_bytes(&mut self) {
        self.bytes.resize(HEAD, 0);
    }

    /// The bytes of the page with `head` before them: written into the room that is kept for it, so that the text is
    /// not moved again.
    pub(super) fn behind(&mut self, head: &[u8]) -> &[u8] {
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
    pub(super) fn push_code(&mut self, value: &[u8]) {
        let number = self.dictionary.number(value);
        self.codes.push(number);
    }

    /// Appends the numbers of what `keys` stand for: words of `list`, which has `count` of them. What is not known yet is
    /// looked for step by step, each done for all before the next: what a step needs is far apart in memory, and asked
    /// for at once it comes at once.
    #[inline]
    pub(super) fn push_words<'v>(
        &mut self,
        list: WordList,
        count: usize,
        keys: &[u32],
        word: impl Fn(u32) -> &'v [u8],
    ) {
        let Self { dictionary, codes, known, unknown, .. } = self;
        if known.len() <= list.number {
            known.resize_with(list.number + 1, Vec::new);
        }
        let known = &mut known[list.number];
        // Where words are more than rows (of many dates in one chunk), remembering would cost more than it saves.
        if known.is_empty() && count <= list.rows {
            known.resize(count, UNKNOWN);
        }
        let begin = codes.len();
        codes.extend(keys.iter().map(|key| known.get(*key as usize).copied().unwrap_or(UNKNOWN)));
        if !codes[begin..].contains(&UNKNOWN) {
            return;
        }
        let mut touched = 0;
        for (place, key) in (begin..).zip(keys).filter(|(place, _)| codes[*place] == UNKNOWN) {
            let hash = dictionary.hasher.hash_one(word(*key));
            touched ^= dictionary.numbers.touch(hash);
            unknown.push(Unknown { place: place as u32, key: *key, guess: UNKNOWN, hash });
        }
        for this in unknown.iter_mut() {
            this.guess = dictionary.numbers.find(this.hash, |_| true).unwrap_or(UNKNOWN);
            if let Some((from, _)) = dictionary.entries.get(this.guess as usize) {
                touched ^= u64::from(dictionary.bytes[*from as usize - 1]);
            }
        }
        std::hint::black_box(touched);
        for this in unknown.drain(..) {
            let text = word(this.key);
            let is_it = (this.guess as usize) < dictionary.entries.len()
                && dictionary.get(this.guess as usize) == text;
            let number = if is_it { this.guess } else { dictionary.number_of(this.hash, text) };
            if let Some(known) = known.get_mut(this.key as usize) {
                *known = number;
            }
            codes[this.place as usize] = number;
        }
    }

    /// Appends the texts whose lengths are there already, from number `first` on, and which stand one after the other.
    pub(super) fn append(&mut self, first: usize, mut texts: &[u8]) {
        if !self.with_lengths {
            return self.bytes.extend_from_slice(texts);
        }
        let lengths = &self.lengths[first..];
        self.bytes.reserve(texts.len() + lengths.len() * size_of::<u32>());
        for length in lengths {
            let (value, behind) = texts.split_at(*length as usize);
            self.bytes.extend_from_slice(&(*length as u32).to_le_bytes());
            self.bytes.extend_from_slice(value);
            texts = behind;
        }
    }

    #[inline]
    pub(super) fn push_plain(&mut self, value: &[u8]) {
        self.lengths.push(value.len() as i64);
        if self.with_lengths {
            self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(value);
    }

    /// The values that are not in the dictionary.
    pub(super) fn plain(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[HEAD..];
        let lead = if self.with_lengths { size_of::<u32>() } else { 0 };
        self.lengths.iter().map(move |length| {
            rest = &rest[lead..];
            let (value, behind) = rest.split_at(*length as usize);
            rest = behind;
            value
        })
    }

    /// Gives the dictionary up when it does not pay.
    pub(super) fn review(&mut self) {
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
    pub(super) fn bounds(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        if !self.dictionary.is_used {
            return (None, None);
        }
        let dictionary = &self.dictionary;
        let (Some(min), Some(max)) = (dictionary.values().min(), dictionary.values().max()) else {
            return (None, None);
        };
        if min.len() > BOUND_BYTES || max.len() > BOUND_BYTES {
            return (None, None);
        }
        (Some(min.to_vec()), Some(max.to_vec()))
    }
}

/// Integers of the page in the making.
#[derive(Default)]
pub(super) struct IntegerValues {
    pub(super) dictionary: IntegerDictionary,
    pub(super) codes: Vec<u32>,
    pub(super) values: Vec<i64>,
}

#[derive(Default)]
pub(super) struct IntegerDictionary {
    pub(super) is_used: bool,
    hasher: DefaultHashBuilder,
    numbers: Numbers,
    /// The number of each value below [`SMALL`], or [`UNKNOWN`]: most values are.
    small: Vec<u32>,
    pub(super) entries: Vec<i64>,
}

/// Values for which a dictionary has places of their own.
const SMALL: usize = 1 << 11;

impl IntegerDictionary {
    fn clear(&mut self) {
        self.numbers.clear();
        self.small.clear();
        self.small.resize(SMALL, UNKNOWN);
        self.entries.clear();
    }

    #[inline]
    fn number(&mut self, value: i64) -> u32 {
        match usize::try_from(value).ok().and_then(|value| self.small.get_mut(value)) {
            Some(number) if *number == UNKNOWN => {
                *number = self.entries.len() as u32;
                self.entries.push(value);
                *number
            }
            Some(number) => *number,
            None => self.large(value),
        }
    }

    fn large(&mut self, value: i64) -> u32 {
        let hash = self.hasher.hash_one(value);
        let Self { numbers, entries, .. } = self;
        numbers.find(hash, |number| entries[number as usize] == value).unwrap_or_else(|| {
            let number = entries.len() as u32;
            entries.push(value);
            numbers.insert(hash, number);
            number
        })
    }
}

impl IntegerValues {
    pub(super) fn reset(&mut self, with_dictionary: bool) {
        self.dictionary.is_used = with_dictionary;
        self.dictionary.clear();
        self.codes.clear();
        self.values.clear();
    }

    #[inline]
    pub(super) fn extend(&mut self, values: impl Iterator<Item = i64>) {
        match self.dictionary.is_used {
            true => self.codes.extend(values.map(|value| self.dictionary.number(value))),
            false => self.values.extend(values),
        }
    }

    pub(super) fn review(&mut self) {
        if !self.dictionary.is_used || !is_wasteful(self.dictionary.entries.len(), self.codes.len()) {
            return;
        }
        let entries = &self.dictionary.entries;
        self.values.extend(self.codes.drain(..).map(|code| entries[code as usize]));
        self.dictionary.is_used = false;
    }

    /// Least and greatest value, as the bytes of the physical type.
    pub(super) fn bounds(&self, physical_type: Type) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let values = if self.dictionary.is_used { &self.dictionary.entries } else { &self.values };
        let bytes = |value: Option<&i64>| {
            let mut bytes = Vec::new();
            plain_integers(&[*value?], physical_type, &mut bytes);
            Some(bytes)
        };
        (bytes(values.iter().min()), bytes(values.iter().max()))
    }
}
