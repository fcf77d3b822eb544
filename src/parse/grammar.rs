//! The plain grammar: a record as S3 writes it when no client meddled with quotes.
//!
//! ```text
//! record = owner SP bucket SP time SP ip SP requester SP id SP operation SP key SP uri SP status SP error
//!          SP bytes SP size SP total SP turn-around SP referer SP agent [ SP version [ SP host-id SP signature
//!          SP cipher SP authentication SP host SP tls [ SP arn [ SP acl [ SP region [ SP extra ]]]]]]
//! uri, referer, agent = DQUOTE *any DQUOTE / "-"
//! ```
//!
//! One function per production. Nothing is tolerated here: what does not fit goes to `tolerant`, which is slower
//! and knows the hazards. A record accepted here has one reading only: every `"` in it is a delimiter.

use nom::Parser;
use nom::combinator::value;
use nom::sequence::{delimited, preceded};

use super::error::{Expected, Fault, PResult};
use super::memory::{self, Memory};
use super::scan::{blank, byte, last_word, until, word};
use crate::record::value as convert;
use crate::record::{Field, Quirk, Record};

/// `[dd/Mon/yyyy:HH:MM:SS +0000] `, UTC only; the rest of the line is left.
#[inline]
fn time<'a>(i: &'a [u8], memory: Option<&mut Memory>) -> PResult<'a, (i64, &'a [u8])> {
    let fault = nom::Err::Error(Fault { rest: i, expected: Expected::Time });
    let Some((text, rest)) = i.split_at_checked(convert::TIME_LEN) else { return Err(fault) };
    let (rest, ()) = blank(rest)?;
    let time = match memory {
        Some(memory) => memory.day.time(text),
        None => convert::time(text),
    };
    match time {
        Some(t) if t.is_utc => Ok((rest, (t.seconds, &text[1..text.len() - 1]))),
        _ => Err(fault),
    }
}

/// `REST.GET.OBJECT` and the like: a word with a dot in it, or a dash.
#[inline]
pub(super) fn operation(i: &[u8]) -> PResult<'_, &[u8]> {
    let (rest, name) = word(i)?;
    let has_dot = || name.iter().fold(false, |found, byte| found | (*byte == b'.'));
    if name[0].is_ascii_uppercase() && has_dot() || name == b"-" {
        Ok((rest, name))
    } else {
        Err(nom::Err::Error(Fault { rest: i, expected: Expected::Operation }))
    }
}

/// The requester: a word, or the one known form with blanks,
/// `arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLEID`; and whether it is that one.
#[inline]
pub(super) fn requester(i: &[u8]) -> PResult<'_, (&[u8], bool)> {
    const REST: &[u8] = b"Origin Access Identity ";
    let (rest, name) = word(i)?;
    if name.ends_with(b"user/CloudFront") && rest.starts_with(REST) {
        let (after, _) = word(&rest[REST.len()..])?;
        return Ok((after, (&i[..i.len() - after.len() - 1], true)));
    }
    Ok((rest, (name, false)))
}

/// A quoted text up to the next quote, without the quotes.
#[inline(always)]
fn quoted(i: &[u8]) -> PResult<'_, &[u8]> {
    let quote = || byte(b'"', Expected::Quoted);
    delimited(quote(), until(b'"', Expected::ClosingQuote), quote()).parse(i)
}

/// A quoted field, or a bare dash (`None`).
#[inline(always)]
fn quoted_or_dash(i: &[u8]) -> PResult<'_, Option<&[u8]>> {
    if i.first() == Some(&b'"') {
        return quoted(i).map(|(rest, text)| (rest, Some(text)));
    }
    value(None, byte(b'-', Expected::Quoted)).parse(i)
}

/// Three digits or a dash, and the blank after.
#[inline(always)]
pub(super) fn status(i: &[u8]) -> PResult<'_, Option<i16>> {
    let (rest, text) = word(i)?;
    match text {
        b"-" => Ok((rest, None)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            let digit = |d: &u8| i16::from(d - b'0');
            Ok((rest, Some(digit(a) * 100 + digit(b) * 10 + digit(c))))
        }
        _ => Err(nom::Err::Error(Fault { rest: i, expected: Expected::Status })),
    }
}

/// Digits without leading zeros, or a dash, and the blank after.
#[inline(always)]
fn number(i: &[u8]) -> PResult<'_, Option<i64>> {
    let (rest, text) = word(i)?;
    if text == b"-" {
        return Ok((rest, None));
    }
    match convert::integer(text) {
        Some(n) if text[0] != b'0' || text.len() == 1 => Ok((rest, Some(n))),
        _ => Err(nom::Err::Error(Fault { rest: i, expected: Expected::Digits })),
    }
}

/// What the grammar remembers of a failure: the fault and the field it happened in.
pub(super) type FieldFault<'a> = (Field, nom::Err<Fault<'a>>);

/// Attaches the field to a fault.
pub(super) trait At<'a, T> {
    fn at(self, field: Field) -> Result<T, FieldFault<'a>>;
}

impl<'a, T> At<'a, T> for Result<T, nom::Err<Fault<'a>>> {
    #[inline]
    fn at(self, field: Field) -> Result<T, FieldFault<'a>> {
        self.map_err(|fault| (field, fault))
    }
}

#[inline]
pub(super) fn dash(text: &[u8]) -> Option<&[u8]> {
    if text == b"-" { None } else { Some(text) }
}

/// Reads the whole line into `record`; `record` must be fresh.
#[inline(always)]
pub(super) fn record<'a>(
    line: &'a [u8],
    record: &mut Record<'a>,
    mut memory: Option<&mut Memory>,
) -> Result<(), FieldFault<'a>> {
    use Field as F;
    let text = &mut record.text;

    let (i, owner) = word(line).at(F::BucketOwner)?;
    let (i, bucket) = word(i).at(F::Bucket)?;
    let (i, (seconds, time_text)) = time(i, memory.as_deref_mut()).at(F::Time)?;
    let (i, ip) = word(i).at(F::RemoteIp)?;
    let (i, (who, who_has_blanks)) = requester(i).at(F::Requester)?;
    let (i, id) = word(i).at(F::RequestId)?;
    let (i, op) = operation(i).at(F::Operation)?;
    let (i, key) = word(i).at(F::Key)?;
    let (i, uri) = quoted_or_dash(i).at(F::RequestUri)?;
    let (i, http_status) = preceded(blank, status).parse(i).at(F::HttpStatus)?;
    let (i, error) = word(i).at(F::ErrorCode)?;
    let (i, bytes_sent) = number(i).at(F::BytesSent)?;
    let (i, object_size) = number(i).at(F::ObjectSize)?;
    let (i, total) = number(i).at(F::TotalTimeMs)?;
    let (i, turn_around) = number(i).at(F::TurnAroundTimeMs)?;
    let (i, referer) = quoted_or_dash(i).at(F::Referer)?;
    let (i, agent) = preceded(blank, quoted_or_dash).parse(i).at(F::UserAgent)?;

    text[F::BucketOwner as usize] = dash(owner);
    text[F::Bucket as usize] = dash(bucket);
    text[F::Time as usize] = Some(time_text);
    text[F::RemoteIp as usize] = dash(ip);
    text[F::Requester as usize] = dash(who);
    text[F::RequestId as usize] = dash(id);
    text[F::Operation as usize] = dash(op);
    text[F::Key as usize] = dash(key);
    text[F::ErrorCode as usize] = dash(error);
    text[F::RequestUri as usize] = uri.and_then(dash);
    text[F::Referer as usize] = referer.and_then(dash);
    text[F::UserAgent as usize] = agent.and_then(dash);
    record.time = Some(seconds);
    record.http_status = http_status;
    record.bytes_sent = bytes_sent;
    record.object_size = object_size;
    record.total_time_ms = total;
    record.turn_around_time_ms = turn_around;
    for (seen, quirk) in [
        (uri.is_none(), Quirk::BareRequestUri),
        (referer.is_none(), Quirk::BareReferer),
        (agent.is_none(), Quirk::BareUserAgent),
        (who_has_blanks, Quirk::BlankInRequester),
    ] {
        if seen {
            record.quirks.insert(quirk);
        }
    }
    tail(i, record, memory)
}

/// Fields 18 and later: each preceded by a blank, none with a quote in it.
#[inline(always)]
pub(super) fn tail<'a>(
    line: &'a [u8],
    record: &mut Record<'a>,
    memory: Option<&mut Memory>,
) -> Result<(), FieldFault<'a>> {
    record.width = Field::VersionId as u8;
    let rest = words(line, record, memory::FIRST)?;
    let (Some(memory), false) = (memory, rest.is_empty()) else { return read_tail(line, rest, record) };
    let ids = &line[..line.len() - rest.len()];
    match memory.recall(rest, record) {
        Ok(()) => no_quote(ids, line),
        Err(new) => {
            read_tail(line, rest, record)?;
            if record.extra.is_none() && !record.quirks.contains(Quirk::UnknownAclRequired) {
                memory.remember(rest, new, record);
            }
            Ok(())
        }
    }
}

/// Words of the line, each preceded by a blank, into fields from the record's width on, and up to field `end`.
#[inline(always)]
fn words<'a>(line: &'a [u8], record: &mut Record<'a>, end: usize) -> Result<&'a [u8], FieldFault<'a>> {
    let mut i = line;
    let mut width = record.width as usize;
    while !i.is_empty() && width < end {
        let field = Field::ALL[width];
        let (rest, text) = preceded(blank, last_word).parse(i).at(field)?;
        record.text[width] = dash(text);
        width += 1;
        i = rest;
    }
    record.width = width as u8;
    Ok(i)
}

/// Goes on with `i`, what is left of fields 18 and later, which are `line`.
#[inline(never)]
fn read_tail<'a>(line: &'a [u8], i: &'a [u8], record: &mut Record<'a>) -> Result<(), FieldFault<'a>> {
    let i = words(i, record, Field::COUNT)?;
    if !i.is_empty() {
        let (rest, ()) = blank(i).at(Field::SourceRegion)?;
        last_word(rest).at(Field::SourceRegion)?;
        record.extra = Some(rest);
        record.quirks.insert(Quirk::ExtraFields);
    }
    check_tail(line, record)
}

/// Fails when there is a quote in `part`, the beginning of `line`.
#[inline]
fn no_quote<'a>(part: &[u8], line: &'a [u8]) -> Result<(), FieldFault<'a>> {
    match memchr::memchr(b'"', part) {
        None => Ok(()),
        Some(at) => {
            let fault = Fault { rest: &line[at..], expected: Expected::ClosingQuote };
            Err((Field::UserAgent, nom::Err::Error(fault)))
        }
    }
}

/// What fields 18 and later must look like to be believed.
#[inline]
pub(super) fn check_tail<'a>(line: &'a [u8], record: &mut Record<'a>) -> Result<(), FieldFault<'a>> {
    let fault = |field, expected, rest| Err((field, nom::Err::Error(Fault { rest, expected })));
    // Fields that are not known yet may be quoted.
    let known = &line[..line.len() - record.extra.map_or(0, <[u8]>::len)];
    no_quote(known, line)?;
    match record.width as usize {
        17 | 18 => return Ok(()),
        24.. => {}
        width => return fault(Field::ALL[width], Expected::Width, &line[line.len()..]),
    }
    if let Some(text) = record.get(Field::SignatureVersion).filter(|t| !is_signature(t)) {
        return fault(Field::SignatureVersion, Expected::Signature, from(line, text));
    }
    if let Some(text) = record.get(Field::TlsVersion).filter(|t| !is_tls(t)) {
        return fault(Field::TlsVersion, Expected::Tls, from(line, text));
    }
    if record.width as usize > Field::AclRequired as usize && record.acl_required().is_none() {
        record.quirks.insert(Quirk::UnknownAclRequired);
    }
    Ok(())
}

/// `SigV2`, `SigV4`, `SigV4A` ...
pub(super) fn is_signature(text: &[u8]) -> bool {
    text.starts_with(b"Sig")
}

/// `TLSv1.2`, and `TLSV1.2` as AWS's documentation samples have it.
pub(super) fn is_tls(text: &[u8]) -> bool {
    text.len() >= 4 && (text[..3].eq_ignore_ascii_case(b"tls") || text[..3].eq_ignore_ascii_case(b"ssl"))
}

/// The end of `line` that begins where its part `text` begins.
pub(super) fn from<'a>(line: &'a [u8], text: &[u8]) -> &'a [u8] {
    let at = (text.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
    line.get(at..).unwrap_or(b"")
}
