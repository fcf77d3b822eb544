//! Why a line is no record: the field, the byte offset in the line, and what was expected there.

use std::fmt;

use nom::error::{ErrorKind, ParseError};

use crate::record::Field;

/// What the grammar expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// A word followed by a blank.
    Word,
    /// One blank.
    Blank,
    /// `[dd/Mon/yyyy:HH:MM:SS +0000]`.
    Time,
    /// An operation such as `REST.GET.OBJECT`.
    Operation,
    /// A quoted text, or a bare dash.
    Quoted,
    /// The quote that closes the field, followed by the fields after it.
    ClosingQuote,
    /// Three digits, or a dash.
    Status,
    /// Digits, or a dash.
    Digits,
    /// `SigV2`, `SigV4`, or a dash.
    Signature,
    /// `TLSv1.2` and the like, or a dash.
    Tls,
    /// 17, 18, or 24 and more fields.
    Width,
    /// The end of the line: another record begins here.
    EndOfRecord,
    /// Anything at all: the line is empty.
    Something,
}

impl Expected {
    /// The expectation in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Expected::Word => "a word and a blank",
            Expected::Blank => "a blank",
            Expected::Time => "[dd/Mon/yyyy:HH:MM:SS +0000]",
            Expected::Operation => "an operation such as REST.GET.OBJECT",
            Expected::Quoted => "a quoted text or -",
            Expected::ClosingQuote => "a closing quote and the fields after it",
            Expected::Status => "three digits or -",
            Expected::Digits => "digits or -",
            Expected::Signature => "SigV2, SigV4 or -",
            Expected::Tls => "a TLS version or -",
            Expected::Width => "17, 18, or 24 and more fields",
            Expected::EndOfRecord => "the end of the line, not another record",
            Expected::Something => "a record, not an empty line",
        }
    }
}

/// The error inside the grammar: where, and what was expected. The field is attached by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    pub rest: &'a [u8],
    pub expected: Expected,
}

impl<'a> ParseError<&'a [u8]> for Fault<'a> {
    fn from_error_kind(rest: &'a [u8], kind: ErrorKind) -> Self {
        let expected = match kind {
            ErrorKind::Char | ErrorKind::Tag => Expected::Blank,
            ErrorKind::Digit => Expected::Digits,
            _ => Expected::Word,
        };
        Fault { rest, expected }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(super) type PResult<'a, T> = nom::IResult<&'a [u8], T, Fault<'a>>;

/// A refused line: which field failed, where, and what was expected there.
///
/// The text of the line is not in it; [`Reject::reason`] quotes a few escaped bytes of the line given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The field that could not be read.
    pub field: Field,
    /// Byte offset in the line, from 0.
    pub offset: usize,
    /// What was expected there.
    pub expected: Expected,
}

impl Reject {
    /// `object_size: expected digits or -, found "abc"`: the sentence stored with the reject. `line` is the
    /// line that was refused.
    pub fn reason(&self, line: &[u8]) -> String {
        let mut out = format!("{self}, found ");
        let rest = line.get(self.offset..).unwrap_or(b"");
        if rest.is_empty() {
            out.push_str("the end of the line");
            return out;
        }
        let end = memchr::memchr(b' ', &rest[1..]).map_or(rest.len(), |at| at + 1);
        let shown = &rest[..end.min(40)];
        out.push('"');
        for byte in shown {
            out.extend(byte.escape_ascii().map(char::from));
        }
        if shown.len() < end {
            out.push('…');
        }
        out.push('"');
        out
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.field, self.expected.describe())
    }
}

impl std::error::Error for Reject {}
