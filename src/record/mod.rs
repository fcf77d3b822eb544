//! The vocabulary: what a log record is made of.
//!
//! Std only. It knows the fields, their values and how a line is written; it does not know how a line is read
//! (`parse`) nor how it becomes columns (`batch`). The two meet here.

pub(crate) mod bytes;
pub mod field;
pub mod quirk;
pub mod value;

pub use field::{Field, FieldType, Shape};
pub use quirk::{Quirk, Quirks};

/// One log record, borrowed from its line.
///
/// Text fields are the bytes of the line; `None` is a dash, or a field the record is too old to have
/// (`index >= width` tells the two apart). Reused from line to line.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// The text of each field without quotes and brackets, indexed by [`Field`].
    pub text: [Option<&'a [u8]>; Field::COUNT],
    /// How many of the known fields the line has: 17, 18, or 24 to 27.
    pub width: u8,
    /// Event time in seconds since the epoch, UTC.
    pub time: Option<i64>,
    /// HTTP status.
    pub http_status: Option<i16>,
    /// Bytes sent.
    pub bytes_sent: Option<i64>,
    /// Object size in bytes.
    pub object_size: Option<i64>,
    /// Total time in milliseconds.
    pub total_time_ms: Option<i64>,
    /// Turn-around time in milliseconds.
    pub turn_around_time_ms: Option<i64>,
    /// Unknown trailing fields, verbatim.
    pub extra: Option<&'a [u8]>,
    /// Deviations accepted.
    pub quirks: Quirks,
    /// Known when other records have ended in the same text, or may.
    pub tail: Option<Tail>,
}

/// Stands for the text of fields 20 and later, all that follows the host id: equal ones for equal text. There may be
/// none for a text, and several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Who gave the number.
    pub parser: u32,
    /// Counts from 0 for each parser.
    pub number: u16,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            text: [None; Field::COUNT],
            width: 0,
            time: None,
            http_status: None,
            bytes_sent: None,
            object_size: None,
            total_time_ms: None,
            turn_around_time_ms: None,
            extra: None,
            quirks: Quirks::NONE,
            tail: None,
        }
    }
}

impl<'a> Record<'a> {
    /// The bytes of `field`; `None` for a dash and for a field the record does not have.
    #[inline]
    pub fn get(&self, field: Field) -> Option<&'a [u8]> {
        self.text[field as usize]
    }

    /// `aclRequired`: true for `Yes`, false for a dash, `None` when the record is too old to have the field or
    /// says something else.
    #[inline]
    pub fn acl_required(&self) -> Option<bool> {
        if (self.width as usize) <= Field::AclRequired as usize {
            return None;
        }
        match self.get(Field::AclRequired) {
            None => Some(false),
            Some(b"Yes") => Some(true),
            Some(_) => None,
        }
    }

    /// Appends the line, without its LF but with a CR where there was one, byte for byte as S3 wrote it.
    ///
    /// Exact unless [`Quirks::is_lossy`]; then the line must be taken from `raw_line`.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        for field in Field::ALL.into_iter().take(self.width as usize) {
            if field != Field::BucketOwner {
                out.push(b' ');
            }
            match field {
                Field::Time => value::write_time(self.time, out),
                Field::HttpStatus => write_int(self.http_status.map(i64::from), out),
                Field::BytesSent => write_int(self.bytes_sent, out),
                Field::ObjectSize => write_int(self.object_size, out),
                Field::TotalTimeMs => write_int(self.total_time_ms, out),
                Field::TurnAroundTimeMs => {
                    write_int(self.turn_around_time_ms, out);
                    if self.quirks.contains(Quirk::MsSuffix) {
                        out.extend_from_slice(b"ms");
                    }
                }
                Field::RequestUri => self.write_quoted(field, Quirk::BareRequestUri, out),
                Field::Referer => self.write_quoted(field, Quirk::BareReferer, out),
                Field::UserAgent => self.write_quoted(field, Quirk::BareUserAgent, out),
                _ => out.extend_from_slice(self.get(field).unwrap_or(b"-")),
            }
        }
        if let Some(extra) = self.extra {
            out.push(b' ');
            out.extend_from_slice(extra);
        }
        if self.quirks.contains(Quirk::Crlf) {
            out.push(b'\r');
        }
    }

    fn write_quoted(&self, field: Field, bare: Quirk, out: &mut Vec<u8>) {
        let text = self.get(field).unwrap_or(b"-");
        if self.quirks.contains(bare) {
            out.extend_from_slice(text);
        } else {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
    }
}

fn write_int(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        Some(v) => out.extend_from_slice(v.to_string().as_bytes()),
        None => out.push(b'-'),
    }
}
