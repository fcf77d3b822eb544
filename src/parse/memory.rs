//! What a parser remembers of the lines before, so that what repeats is not read again.
//!
//! Fields 20 and later say how a request was made, not what was asked for: a bucket's records end in few different
//! ways, however many they are. It knows where these fields end, and not what they mean.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::DefaultHashBuilder;

use crate::record::value::Day;
use crate::record::{Field, Record, Tail};

/// Index of the first field of a tail.
pub(super) const FIRST: usize = Field::SignatureVersion as usize;

/// Fields of a tail.
const FIELDS: usize = Field::COUNT - FIRST;

/// Tails that are remembered, some hundred kilobytes of them at most. When they are this many, all are forgotten.
const MOST: usize = 1 << 10;

/// A longer tail is not remembered.
const LONGEST: usize = 512;

/// Places by hash, of which at most half are taken.
const PLACES: usize = 2 * MOST;

/// What a parser remembers.
#[derive(Debug)]
pub(super) struct Memory {
    pub day: Day,
    /// Of this parser alone, and until it forgets.
    parser: u32,
    /// With a seed of its own, so that nobody can write tails that are in each other's way.
    hasher: DefaultHashBuilder,
    /// Number of a tail plus one; zero where nothing is.
    places: Box<[u16; PLACES]>,
    tails: Vec<Known>,
    bytes: Vec<u8>,
}

/// A tail that was read.
#[derive(Debug)]
struct Known {
    /// Its place among the bytes.
    from: u32,
    len: u16,
    /// Fields of the whole record.
    width: u8,
    /// From where to where each field is in the tail; of one that is not there, from 1 to 0.
    fields: [(u16, u16); FIELDS],
}

/// A tail that is not remembered, and its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct New(u64);

impl Memory {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self {
            day: Day::default(),
            parser: next_parser(),
            hasher: DefaultHashBuilder::default(),
            places: Box::new([0; PLACES]),
            tails: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Stores the fields of `tail`, which begins with the blank before the first of them, when it was met before.
    #[inline]
    pub fn recall<'a>(&self, tail: &'a [u8], record: &mut Record<'a>) -> Result<(), New> {
        let hash = self.hasher.hash_one(tail);
        let mut place = hash as usize % PLACES;
        loop {
            let number = self.places[place].checked_sub(1).ok_or(New(hash))?;
            let known = &self.tails[number as usize];
            let from = known.from as usize;
            if self.bytes.get(from..from + known.len as usize) == Some(tail) {
                for (text, (from, to)) in record.text[FIRST..].iter_mut().zip(known.fields) {
                    *text = tail.get(from as usize..to as usize);
                }
                record.width = known.width;
                record.tail = Some(Tail { parser: self.parser, number });
                return Ok(());
            }
            place = (place + 1) % PLACES;
        }
    }

    /// Remembers the tail of `record`, which is in order and has no quirk.
    #[cold]
    #[inline(never)]
    pub fn remember<'a>(&mut self, tail: &'a [u8], New(hash): New, record: &mut Record<'a>) {
        if tail.len() > LONGEST {
            return;
        }
        if self.tails.len() == MOST {
            self.parser = next_parser();
            self.places.fill(0);
            self.tails.clear();
            self.bytes.clear();
        }
        let part = |text: &Option<&[u8]>| {
            let Some(text) = text else { return (1, 0) };
            let from = text.as_ptr() as usize - tail.as_ptr() as usize;
            (from as u16, (from + text.len()) as u16)
        };
        let mut fields = [(1, 0); FIELDS];
        for (field, text) in fields.iter_mut().zip(&record.text[FIRST..record.width as usize]) {
            *field = part(text);
        }
        let mut place = hash as usize % PLACES;
        while self.places[place] != 0 {
            place = (place + 1) % PLACES;
        }
        let number = self.tails.len() as u16;
        self.places[place] = number + 1;
        let from = self.bytes.len() as u32;
        self.tails.push(Known { from, len: tail.len() as u16, width: record.width, fields });
        self.bytes.extend_from_slice(tail);
        record.tail = Some(Tail { parser: self.parser, number });
    }
}

/// Never the same twice.
fn next_parser() -> u32 {
    static PARSERS: AtomicU32 = AtomicU32::new(0);
    PARSERS.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::parse::{Parser, parse_line};
    use crate::record::Record;

    fn line(host: &str) -> String {
        "owner amzn-s3-demo-bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 - ID REST.GET.OBJECT key \"GET /key HTTP/1.1\" \
         200 - 1 1 1 1 \"-\" \"agent\" - host+id= SigV4 - AuthHeader "
            .to_owned()
            + host
            + " TLSv1.3 - Yes -"
    }

    #[test]
    fn more_tails_than_are_remembered() {
        let hosts =
            (0..3 * super::MOST).map(|number| format!("host{}.example.com", number % (2 * super::MOST)));
        let hosts = hosts.flat_map(|host| [host.clone(), host, "near.example.com".to_owned()]);
        let lines: Vec<String> =
            hosts.chain(["long".repeat(super::LONGEST)]).map(|host| line(&host)).collect();
        let mut parser = Parser::new();
        let mut known = HashMap::new();
        let (mut record, mut alone) = (Record::default(), Record::default());
        let mut before = None;
        for text in &lines {
            parser.parse(text.as_bytes(), &mut record).unwrap();
            parse_line(text.as_bytes(), &mut alone).unwrap();
            let tail = record.tail;
            assert_eq!(format!("{alone:?}"), format!("{:?}", Record { tail: None, ..record.clone() }));
            assert_eq!(tail.is_some(), text.len() < super::LONGEST);
            let Some(tail) = tail else { continue };
            // One tail is never given for two texts, and the line before is remembered.
            assert_eq!(*known.entry((tail.parser, tail.number)).or_insert(text), text);
            assert!(before.is_none_or(|(line, last)| line != text || last == tail));
            before = Some((text, tail));
        }
    }

    #[test]
    fn quotes_before_a_tail_that_is_known_are_not_overlooked() {
        let mut parser = Parser::new();
        let plain = line("example.com");
        let quoted = plain.replace(" host+id= ", " host\"id= ");
        for text in [&plain, &quoted, &plain] {
            let (mut record, mut alone) = (Record::default(), Record::default());
            let (read, wanted) =
                (parser.parse(text.as_bytes(), &mut record), parse_line(text.as_bytes(), &mut alone));
            assert_eq!(read, wanted, "{text}");
            assert_eq!(record.text, alone.text, "{text}");
        }
    }
}
