//! The careful reading, for lines the plain grammar refuses.
//!
//! S3 escapes nothing inside the three quoted fields, so a client can put quotes and blanks there and forge what
//! follows. This module reads from both ends: fields 1 to 8 hold no client text, fields 18 and later hold none
//! with a quote in it, so the last quote of the line closes the User-Agent (or the Referer, before a bare agent),
//! and the request-URI closes at a quote that is followed by a status, an error code and four numbers. Where more
//! than one reading is possible the agent gets the most text and the record is marked `ambiguous_quote`.
//!
//! Cold code: it may scan the line several times and allocate a little. It refuses two records on one line.

use super::error::{Expected, Reject};
use super::grammar::{self, check_tail, dash, is_signature};
use crate::record::value as convert;
use crate::record::{Field, Quirk, Quirks, Record};

/// How many readings of a line, or records in it, are tried: a hostile line could offer one in every few bytes.
const MAX_TRIES: usize = 8;

/// Most words looked at behind a quote when asking whether a record could end there.
const TAIL_WORDS: usize = 7;

fn reject<T>(field: Field, offset: usize, expected: Expected) -> Result<T, Reject> {
    Err(Reject { field, offset, expected })
}

/// Reads `line` into `record`, tolerating the named quirks; `record` must be fresh.
#[cold]
#[inline(never)]
pub(super) fn record<'a>(line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
    let mut c = Cursor { line, at: 0, quirks: Quirks::NONE };
    head(&mut c, record)?;
    if let Some(offset) = second_record(line, record) {
        return reject(Field::BucketOwner, offset, Expected::EndOfRecord);
    }
    rest(c, record)
}

/// As [`record`], without looking for a second record on the line.
fn single<'a>(line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
    let mut c = Cursor { line, at: 0, quirks: Quirks::NONE };
    head(&mut c, record)?;
    rest(c, record)
}

fn rest<'a>(mut c: Cursor<'a>, record: &mut Record<'a>) -> Result<(), Reject> {
    let line = c.line;
    let start = c.at;
    let is_modern = record.time.is_some_and(|time| time >= super::TLS_VERSION_EVERYWHERE);
    let plain = plain_key(&mut c, record).and_then(|uri_at| best_reading(line, uri_at, is_modern));
    let reading = match plain {
        Ok(reading) => reading,
        Err(why) => {
            let uri_at = unencoded_key(line, start, record).ok_or(why)?;
            let reading = best_reading(line, uri_at, is_modern).map_err(|_| why)?;
            c.quirks.insert(Quirk::UnencodedKey);
            reading
        }
    };
    reading.store(line, record)?;
    for quirk in c.quirks.iter() {
        record.quirks.insert(quirk);
    }
    Ok(())
}

/// A position in the line; words are taken from it, superfluous blanks noted.
struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
    quirks: Quirks,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }

    fn skip_blanks(&mut self) {
        while self.line.get(self.at) == Some(&b' ') {
            self.at += 1;
            self.quirks.insert(Quirk::DoubleBlank);
        }
    }

    /// The next word and the one blank behind it.
    fn word(&mut self, field: Field) -> Result<&'a [u8], Reject> {
        self.skip_blanks();
        match memchr::memchr(b' ', self.rest()) {
            Some(len) => {
                let word = &self.line[self.at..self.at + len];
                self.at += len + 1;
                Ok(word)
            }
            None => reject(field, self.at, Expected::Word),
        }
    }

    fn status(&mut self) -> Result<Option<i16>, Reject> {
        self.skip_blanks();
        match grammar::status(self.rest()) {
            Ok((rest, status)) => {
                self.at = self.line.len() - rest.len();
                Ok(status)
            }
            Err(_) => reject(Field::HttpStatus, self.at, Expected::Status),
        }
    }

    fn number(&mut self, field: Field) -> Result<Option<i64>, Reject> {
        self.skip_blanks();
        let start = self.at;
        let mut text = self.word(field)?;
        if text == b"-" {
            return Ok(None);
        }
        if field == Field::TurnAroundTimeMs && text.ends_with(b"ms") {
            text = &text[..text.len() - 2];
            self.quirks.insert(Quirk::MsSuffix);
        }
        match convert::integer(text) {
            Some(n) => {
                if text.len() > 1 && text[0] == b'0' {
                    self.quirks.insert(Quirk::OddNumber);
                }
                Ok(Some(n))
            }
            None => reject(field, start, Expected::Digits),
        }
    }
}

/// Fields 1 to 7.
fn head<'a>(c: &mut Cursor<'a>, record: &mut Record<'a>) -> Result<(), Reject> {
    for field in [Field::BucketOwner, Field::Bucket] {
        record.text[field as usize] = dash(c.word(field)?);
    }
    c.skip_blanks();
    time(c, record)?;
    record.text[Field::RemoteIp as usize] = dash(c.word(Field::RemoteIp)?);
    c.skip_blanks();
    match grammar::requester(c.rest()) {
        Ok((rest, (name, has_blanks))) => {
            record.text[Field::Requester as usize] = dash(name);
            if has_blanks {
                c.quirks.insert(Quirk::BlankInRequester);
            }
            c.at = c.line.len() - rest.len();
        }
        Err(_) => return reject(Field::Requester, c.at, Expected::Word),
    }
    record.text[Field::RequestId as usize] = dash(c.word(Field::RequestId)?);
    c.skip_blanks();
    match grammar::operation(c.rest()) {
        Ok((rest, name)) => {
            record.text[Field::Operation as usize] = dash(name);
            c.at = c.line.len() - rest.len();
        }
        Err(_) => return reject(Field::Operation, c.at, Expected::Operation),
    }
    c.skip_blanks();
    Ok(())
}

fn time<'a>(c: &mut Cursor<'a>, record: &mut Record<'a>) -> Result<(), Reject> {
    let rest = c.rest();
    if rest.starts_with(b"- ") {
        c.quirks.insert(Quirk::NoTime);
        c.at += 2;
        return Ok(());
    }
    let logged = rest.get(..convert::TIME_LEN).and_then(convert::time);
    let (Some(logged), Some(b' ')) = (logged, rest.get(convert::TIME_LEN)) else {
        return reject(Field::Time, c.at, Expected::Time);
    };
    record.time = Some(logged.seconds);
    record.text[Field::Time as usize] = Some(&rest[1..convert::TIME_LEN - 1]);
    if !logged.is_utc {
        c.quirks.insert(Quirk::TimeOffset);
    }
    c.at += convert::TIME_LEN + 1;
    Ok(())
}

/// Field 8, a word; returns where the request-URI begins.
fn plain_key<'a>(c: &mut Cursor<'a>, record: &mut Record<'a>) -> Result<usize, Reject> {
    record.text[Field::Key as usize] = dash(c.word(Field::Key)?);
    let line = c.line;
    let blanks = c.rest().iter().take_while(|&&b| b == b' ').count();
    let at = c.at + blanks;
    if line.get(at) != Some(&b'"') && !line[at..].starts_with(b"- ") {
        return reject(Field::RequestUri, at, Expected::Quoted);
    }
    if blanks > 0 {
        c.quirks.insert(Quirk::DoubleBlank);
    }
    Ok(at)
}

/// A key that was logged without encoding (S3-compatible servers) ends where a quoted request line begins;
/// returns where that is.
fn unencoded_key<'a>(line: &'a [u8], start: usize, record: &mut Record<'a>) -> Option<usize> {
    let openings = memchr::memmem::find_iter(&line[start..], b" \"").map(|len| start + len);
    for opening in openings {
        if starts_with_method(&line[opening + 2..]) {
            let key = &line[start..opening];
            record.text[Field::Key as usize] = Some(key);
            return (!contains_time(key)).then_some(opening + 1);
        }
    }
    None
}

fn starts_with_method(text: &[u8]) -> bool {
    let letters = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
    (3..=7).contains(&letters) && text.get(letters) == Some(&b' ')
}

fn contains_time(text: &[u8]) -> bool {
    memchr::memchr_iter(b'[', text)
        .any(|at| text[at..].get(..convert::TIME_LEN).is_some_and(|t| convert::time(t).is_some()))
}

/// Fields 10 to 15 behind a closed request-URI.
struct Middle {
    status: Option<i16>,
    error: (usize, usize),
    numbers: [Option<i64>; 4],
    quirks: Quirks,
    /// Where the Referer begins.
    end: usize,
}

/// Reads fields 10 to 15 from `at`, which must be the blank before the status.
fn middle(line: &[u8], at: usize) -> Result<Middle, Reject> {
    if line.get(at) != Some(&b' ') {
        return reject(Field::RequestUri, at, Expected::ClosingQuote);
    }
    let mut c = Cursor { line, at: at + 1, quirks: Quirks::NONE };
    let status = c.status()?;
    c.skip_blanks();
    let error_at = c.at;
    let error = c.word(Field::ErrorCode)?;
    if memchr::memchr(b'"', error).is_some() {
        return reject(Field::ErrorCode, error_at, Expected::Word);
    }
    let mut numbers = [None; 4];
    let fields = [Field::BytesSent, Field::ObjectSize, Field::TotalTimeMs, Field::TurnAroundTimeMs];
    for (number, field) in numbers.iter_mut().zip(fields) {
        *number = c.number(field)?;
    }
    Ok(Middle { status, error: (error_at, error_at + error.len()), numbers, quirks: c.quirks, end: c.at })
}

/// Byte ranges of the Referer and the agent, and where the tail begins.
struct Ending {
    referer: (usize, usize),
    agent: (usize, usize),
    quirks: Quirks,
    tail: (usize, usize),
}

/// Reads fields 16 and 17 from `at`, the tail up to `end`.
fn ending(line: &[u8], at: usize, end: usize) -> Result<Ending, Reject> {
    let mut quirks = Quirks::NONE;
    let at = at.min(end);
    let last_quote = memchr::memrchr(b'"', &line[at..end]).map(|len| at + len);
    if line.get(at) == Some(&b' ') {
        // A superfluous blank, or an empty Referer without quotes: the former when two quoted texts follow.
        let blanks = line[at..end].iter().take_while(|b| **b == b' ').count();
        match ending(line, at + blanks, end) {
            Ok(mut found) if line[at + blanks] == b'"' && !found.quirks.contains(Quirk::BareUserAgent) => {
                found.quirks.insert(Quirk::DoubleBlank);
                return Ok(found);
            }
            _ => {}
        }
    }
    if line.get(at) != Some(&b'"') {
        return bare_referer(line, at, end, last_quote);
    }
    let Some(last_quote) = last_quote.filter(|q| *q > at) else {
        return reject(Field::Referer, at, Expected::ClosingQuote);
    };
    // The Referer closes and the agent opens at `" "`.
    let mut splits = memchr::memchr_iter(b'"', &line[at + 1..last_quote]).filter_map(|len| {
        let close = at + 1 + len;
        let blanks = line[close + 1..].iter().take_while(|b| **b == b' ').count();
        let open = close + 1 + blanks;
        (blanks > 0 && open < last_quote && line[open] == b'"').then_some((close, open))
    });
    if let Some((close, open)) = splits.next() {
        if splits.next().is_some() {
            quirks.insert(Quirk::AmbiguousQuote);
        }
        if open > close + 2 {
            quirks.insert(Quirk::DoubleBlank);
        }
        let (referer, agent) = ((at + 1, close), (open + 1, last_quote));
        return Ok(Ending { referer, agent, quirks, tail: (last_quote + 1, end) });
    }
    if line[..end].get(last_quote + 1) != Some(&b' ') {
        return reject(Field::UserAgent, last_quote + 1, Expected::Quoted);
    }
    bare_agent(line, (at + 1, last_quote), last_quote + 2, end, quirks)
}

/// A Referer without quotes: a dash, or (S3-compatible servers) any text or none, up to the agent's quote.
fn bare_referer(line: &[u8], at: usize, end: usize, last_quote: Option<usize>) -> Result<Ending, Reject> {
    let mut quirks = Quirks::NONE;
    quirks.insert(Quirk::BareReferer);
    let Some(last_quote) = last_quote else {
        let len = memchr::memchr(b' ', &line[at..end]).unwrap_or(end - at);
        return bare_agent(line, (at, at + len), (at + len + 1).min(end), end, quirks);
    };
    let openings = memchr::memmem::find_iter(&line[at..last_quote], b" \"").map(|len| at + len);
    let mut openings = openings.filter(|opening| opening + 1 < last_quote);
    let Some(opening) = openings.next() else {
        return reject(Field::UserAgent, at, Expected::Quoted);
    };
    if openings.next().is_some() {
        quirks.insert(Quirk::AmbiguousQuote);
    }
    let agent = (opening + 2, last_quote);
    Ok(Ending { referer: (at, opening), agent, quirks, tail: (last_quote + 1, end) })
}

fn bare_agent(
    line: &[u8],
    referer: (usize, usize),
    at: usize,
    end: usize,
    mut quirks: Quirks,
) -> Result<Ending, Reject> {
    let text = &line[at..end];
    if text != b"-" && !text.starts_with(b"- ") {
        return reject(Field::UserAgent, at, Expected::Quoted);
    }
    quirks.insert(Quirk::BareUserAgent);
    Ok(Ending { referer, agent: (at, at + 1), quirks, tail: (at + 1, end) })
}

/// One complete way to read the line from the request-URI on.
struct Reading {
    uri: (usize, usize),
    uri_is_bare: bool,
    middle: Middle,
    ending: Ending,
    quirks: Quirks,
}

fn reading(
    line: &[u8],
    uri: (usize, usize),
    uri_is_bare: bool,
    after: usize,
    is_modern: bool,
) -> Result<Reading, Reject> {
    let middle = middle(line, after)?;
    let mut quirks = Quirks::NONE;
    if let Some(ending) = is_modern.then(|| quoted_extra(line, middle.end)).flatten() {
        return Ok(Reading { uri, uri_is_bare, middle, ending, quirks });
    }
    let whole = ending(line, middle.end, line.len())
        .and_then(|ending| tail(line, ending.tail, &mut Record::default()).map(|()| ending));
    let ending = match whole {
        Ok(ending) => ending,
        Err(why) if line.ends_with(b"\";") => {
            let end = line.len() - 2;
            let ending = ending(line, middle.end.min(end), end).map_err(|_| why)?;
            tail(line, ending.tail, &mut Record::default()).map_err(|_| why)?;
            quirks.insert(Quirk::TrailingJunk);
            ending
        }
        Err(why) => return Err(why),
    };
    Ok(Reading { uri, uri_is_bare, middle, ending, quirks })
}

/// Fields 16 and 17 of a record with quoted fields behind those that are known: the agent closes before the last
/// quote of the line. Only where fewer than 7 fields follow the last quote, which no record of the time has: a
/// client cannot get there, since all of its text is before at least 7 fields.
fn quoted_extra(line: &[u8], at: usize) -> Option<Ending> {
    const KNOWN: usize = Field::COUNT - Field::VersionId as usize;
    let last = memchr::memrchr(b'"', &line[at..]).map(|len| at + len)?;
    if line[last..].iter().filter(|b| **b == b' ').count() >= TAIL_WORDS {
        return None;
    }
    memchr::memchr_iter(b'"', &line[at..last]).map(|len| at + len + 1).take(MAX_TRIES * MAX_TRIES).find_map(
        |end| {
            let known = line[end..].split(|b| *b == b' ').take(KNOWN + 1);
            if !is_forged_tail(&line[end..]) || known.filter(|word| !word.contains(&b'"')).count() <= KNOWN {
                return None;
            }
            let mut found = ending(line, at, end).ok()?;
            found.tail = (end, line.len());
            tail(line, found.tail, &mut Record::default()).is_ok().then_some(found)
        },
    )
}

/// The reading to believe: the first whose request-URI ends in a protocol, or else the first.
fn best_reading(line: &[u8], uri_at: usize, is_modern: bool) -> Result<Reading, Reject> {
    if line[uri_at] != b'"' {
        return reading(line, (uri_at, uri_at + 1), true, uri_at + 1, is_modern);
    }
    let open = uri_at + 1;
    let mut best: Option<Reading> = None;
    let mut best_has_protocol = false;
    let (mut readings, mut failures) = (0, 0);
    let mut why = Reject { field: Field::RequestUri, offset: uri_at, expected: Expected::ClosingQuote };
    for close in memchr::memchr_iter(b'"', &line[open..]).map(|len| open + len) {
        match reading(line, (open, close), false, close + 1, is_modern) {
            Ok(found) => {
                readings += 1;
                let has_protocol = ends_in_protocol(&line[open..close]);
                if best.is_none() || (has_protocol && !best_has_protocol) {
                    best_has_protocol = has_protocol;
                    best = Some(found);
                }
            }
            // The reading that got furthest says best what is wrong.
            Err(reject) => {
                // Only behind the numbers is a reading costly.
                failures += usize::from(reject.field >= Field::Referer);
                if reject.field > why.field {
                    why = reject;
                }
            }
        }
        if readings > MAX_TRIES || failures > 8 * MAX_TRIES {
            break;
        }
    }
    let mut best = best.ok_or(why)?;
    if readings > 1 || holds_forged_fields(line, &best) {
        best.quirks.insert(Quirk::AmbiguousQuote);
    }
    Ok(best)
}

fn ends_in_protocol(uri: &[u8]) -> bool {
    uri.len() > 9 && uri[..uri.len() - 3].ends_with(b" HTTP/")
}

/// Whether a quote inside client-controlled text is followed by what could be the next fields of a record.
fn holds_forged_fields(line: &[u8], reading: &Reading) -> bool {
    [reading.uri, reading.ending.referer, reading.ending.agent].into_iter().any(|(from, to)| {
        memchr::memchr_iter(b'"', &line[from..to])
            .map(|len| from + len + 1)
            .any(|after| middle(&line[..to], after).is_ok() || is_forged_tail(&line[after..to]))
    })
}

/// ` version host-id signature cipher authentication host tls`, or ` version` where that is all there is.
fn is_forged_tail(text: &[u8]) -> bool {
    let Some(text) = text.strip_prefix(b" ") else {
        return false;
    };
    let mut words = text.split(|b| *b == b' ').take(TAIL_WORDS + 1);
    let mut word = || words.next().unwrap_or(b"");
    let (version, _host_id, signature) = (word(), word(), word());
    let (_cipher, _authentication, host, tls) = (word(), word(), word(), word());
    let is_dash_or = |w: &[u8], check: fn(&[u8]) -> bool| w == b"-" || check(w);
    let long = !host.is_empty() && is_dash_or(signature, is_signature) && is_dash_or(tls, grammar::is_tls);
    let short = (version == b"-" || version == b"-\"") && text.len() <= 2;
    long || short
}

/// Fields 18 and later, superfluous blanks and a superfluous word tolerated.
fn tail<'a>(line: &'a [u8], (from, to): (usize, usize), record: &mut Record<'a>) -> Result<(), Reject> {
    let text = &line[from..to];
    if !text.is_empty() && text[0] != b' ' {
        return reject(Field::UserAgent, from, Expected::ClosingQuote);
    }
    let mut strict = record.clone();
    if grammar::tail(text, &mut strict, None).is_ok() {
        *record = strict;
        return Ok(());
    }
    let offset_of = |word: &[u8]| from + text.len() - grammar::from(text, word).len();
    let all_words = || text.split(|b| *b == b' ').filter(|w| !w.is_empty());
    // One superfluous word, and one that is the first of unknown fields.
    let mut words: Vec<&[u8]> = all_words().take(Field::COUNT - Field::VersionId as usize + 2).collect();
    let blanks = text.iter().filter(|b| **b == b' ').count();
    if blanks != all_words().count() {
        record.quirks.insert(Quirk::DoubleBlank);
    }
    let seems_signature = |w: Option<&&[u8]>| w.is_some_and(|w| *w == b"-" || is_signature(w));
    if words.len() > 7 && !seems_signature(words.get(2)) && seems_signature(words.get(3)) {
        words.remove(1);
        record.quirks.insert(Quirk::ExtraToken);
    }
    let first = Field::VersionId as usize;
    for (i, word) in words.iter().enumerate().take(Field::COUNT - first) {
        record.text[first + i] = dash(word);
    }
    record.width = (first + words.len()).min(Field::COUNT) as u8;
    if let Some(word) = words.get(Field::COUNT - first) {
        record.extra = Some(grammar::from(text, word));
        record.quirks.insert(Quirk::ExtraFields);
    }
    check_tail(text, record).map_err(|(field, fault)| {
        let (offset, expected) = match fault {
            nom::Err::Error(f) | nom::Err::Failure(f) => (offset_of(f.rest), f.expected),
            nom::Err::Incomplete(_) => (from, Expected::Word),
        };
        Reject { field, offset, expected }
    })
}

impl Reading {
    fn store<'a>(&self, line: &'a [u8], record: &mut Record<'a>) -> Result<(), Reject> {
        let slice = |(from, to): (usize, usize)| dash(&line[from..to]);
        let Reading { middle, ending, .. } = self;
        record.text[Field::RequestUri as usize] = slice(self.uri);
        record.text[Field::ErrorCode as usize] = slice(middle.error);
        record.text[Field::Referer as usize] = slice(ending.referer);
        record.text[Field::UserAgent as usize] = slice(ending.agent);
        record.http_status = middle.status;
        [record.bytes_sent, record.object_size, record.total_time_ms, record.turn_around_time_ms] =
            middle.numbers;
        tail(line, ending.tail, record)?;
        for quirk in [self.quirks, middle.quirks, ending.quirks].into_iter().flat_map(Quirks::iter) {
            record.quirks.insert(quirk);
        }
        if self.uri_is_bare {
            record.quirks.insert(Quirk::BareRequestUri);
        }
        for (field, quirk) in [
            (Field::RequestUri, Quirk::QuoteInRequestUri),
            (Field::Referer, Quirk::QuoteInReferer),
            (Field::UserAgent, Quirk::QuoteInUserAgent),
        ] {
            if record.get(field).is_some_and(|text| memchr::memchr(b'"', text).is_some()) {
                record.quirks.insert(quirk);
            }
        }
        Ok(())
    }
}

/// Where a second record begins on the line: another `owner bucket [time]` of the same owner and bucket (a log
/// object has only one of each), before which or from which the line is a record of its own.
///
/// A client would have to know the owner's canonical id to make its record look like two; the line is then kept
/// as a reject.
fn second_record(line: &[u8], first: &Record<'_>) -> Option<usize> {
    let (owner, bucket) = (first.get(Field::BucketOwner)?, first.get(Field::Bucket)?);
    let begin = first.get(Field::Time).map_or(0, |t| line.len() - grammar::from(line, t).len() + t.len());
    let mut tried = 0;
    for bracket in memchr::memchr_iter(b'[', &line[begin..]).map(|len| begin + len) {
        let is_time = line[bracket..].get(..convert::TIME_LEN).and_then(convert::time).is_some();
        // The blank first: between it and the next, the bucket is compared once, however long it is.
        let before_bucket = bracket.checked_sub(bucket.len() + 2).and_then(|at| line.get(at));
        if !is_time || before_bucket != Some(&b' ') {
            continue;
        }
        // The owner may be glued to what came before: no LF, no blank.
        let start = line[..bracket]
            .strip_suffix(b" ")
            .and_then(|text| text.strip_suffix(bucket))
            .and_then(|text| text.strip_suffix(b" "))
            .and_then(|text| text.strip_suffix(owner))
            .map(<[u8]>::len);
        let Some(start) = start else { continue };
        tried += 1;
        if tried > MAX_TRIES {
            break;
        }
        let right = single(&line[start..], &mut Record::default());
        let left = &line[..start];
        let left = left.strip_suffix(b" ").unwrap_or(left);
        if right.is_ok() || single(left, &mut Record::default()).is_ok() {
            return Some(start);
        }
    }
    None
}
