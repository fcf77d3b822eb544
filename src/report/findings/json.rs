//! JSON: the findings as they serialise, whole or one a line; and how the other JSON formats are spelled.
//!
//! The shape is that of [`Findings`], and stable. A character that a terminal would obey instead of show is written as
//! `\uXXXX`, in values and in names: the same value, and the text is harmless wherever it is shown.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::super::text::push_json_string;
use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Finding, Findings};

/// One object, each finding on a line of its own.
pub(super) fn document(findings: &Findings) -> Result<Vec<u8>> {
    // The arrays in the object are the second level.
    let mut text = spelled(findings, 2)?;
    text.push(b'\n');
    Ok(text)
}

/// One object a line, nothing at all without findings.
pub(super) fn lines(findings: &[Finding]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for finding in findings {
        text.extend(compact(finding)?);
        text.push(b'\n');
    }
    Ok(text)
}

/// `value` on one line.
pub(super) fn compact(value: &impl Serialize) -> Result<Vec<u8>> {
    spelled(value, 0)
}

/// `value` on one line, but for the elements of the arrays `lines_at` levels deep: each begins a line.
pub(super) fn spelled(value: &impl Serialize, lines_at: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Harmless { depth: 0, lines_at });
    value
        .serialize(&mut serializer)
        .map_err(|e| Error::new(ErrorKind::Internal, "a finding cannot be written as JSON").with_source(e))?;
    Ok(out)
}

/// Compact JSON with harmless text, and line breaks at one level.
struct Harmless {
    depth: usize,
    lines_at: usize,
}

impl Formatter for Harmless {
    /// Everything of a string that JSON itself does not want escaped.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut quoted = Vec::with_capacity(fragment.len() + 2);
        push_json_string(&mut quoted, fragment);
        out.write_all(&quoted[1..quoted.len() - 1])
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth == self.lines_at { out.write_all(b"\n") } else { Ok(()) }
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(b"}")
    }
}
