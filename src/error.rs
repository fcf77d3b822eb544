//! The one error type of the crate.
//!
//! An [`Error`] says what went wrong in one sentence, carries the place as key/value context, and has a
//! [`ErrorKind`] per thing a caller can *do* about it. It never decides an exit code and never prints.

use std::error::Error as StdError;
use std::{fmt, io};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The words of the request are wrong: change them.
    Usage,
    /// A named thing (path, table, query) is not there.
    NotFound,
    /// One input object cannot be read or decoded; others may be fine.
    Input,
    /// The operating system refused: permissions, full disk, broken device.
    Io,
    /// The lake is damaged, foreign, or not a lake.
    Lake,
    /// Another writer was faster: read again and retry.
    Conflict,
    /// A query was refused or failed.
    Query,
    /// A bug in s3trail.
    Internal,
}

/// An error with its kind, one sentence, the place, and the cause.
///
/// `Display` is one line, `message (key: value, ...)`; the cause is reached through [`StdError::source`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync + 'static>>,
}

impl Error {
    /// An error of `kind` that says `message` (no trailing full stop, no newline).
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), hint: None, source: None }
    }

    /// [`ErrorKind::Usage`].
    #[cold]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`ErrorKind::Io`] while doing `what` to `path`.
    #[cold]
    pub fn io(what: &str, path: impl AsRef<std::path::Path>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        let hint = io_hint(source.kind());
        let error = Self::new(kind, format!("cannot {what}"))
            .with_context("path", path.as_ref().display().to_string())
            .with_source(source);
        hint.into_iter().fold(error, Self::with_hint)
    }

    /// Adds a place or value, shown as `key: value`.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.context.push((key, value.into()));
        self
    }

    /// Adds the way out, shown after the message.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence, without context, hint or cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The whole story on one line: message, context, every cause, and the way out. Hidden characters are
    /// escaped, since names of files and text of queries come from strangers.
    pub fn report(&self) -> String {
        let mut out = self.to_string();
        let mut cause = self.source();
        while let Some(e) = cause {
            let text = e.to_string();
            if !out.contains(text.trim()) {
                out.push_str(": ");
                out.push_str(text.trim());
            }
            cause = e.source();
        }
        if let Some(hint) = &self.hint {
            out.push_str("; ");
            out.push_str(hint);
        }
        escape_line(&out)
    }
}

/// The way out of a refusal of the operating system, where there is one to name.
pub(crate) fn io_hint(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space and run the same command again; nothing was lost")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: name a place that can be written")
        }
        io::ErrorKind::PermissionDenied => Some("check its owner and permissions"),
        _ => None,
    }
}

/// What the operating system said, anywhere in a chain of causes.
pub(crate) fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

/// `text` on one line: newlines become blanks, other characters that a terminal would obey instead of show their
/// `\u{..}` escape.
pub fn escape_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Characters that act on the reader's screen or hide from it.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// General categories Cf, Zl and Zp of Unicode 17.
pub(crate) fn is_format(c: char) -> bool {
    // Nearly all text ends here.
    if c < '\u{ad}' {
        return false;
    }
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (i, (key, value)) in self.context.iter().enumerate() {
            f.write_str(if i == 0 { " (" } else { ", " })?;
            write!(f, "{key}: {value}")?;
        }
        if !self.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_one_line_with_cause_and_hint() {
        let e = Error::io("read log object", "a\u{1b}[31m.log", io::Error::other("disk\ngone"))
            .with_hint("check the cable");
        assert_eq!(e.report(), "cannot read log object (path: a\\u{1b}[31m.log): disk gone; check the cable");
        assert_eq!(escape_line("a\u{202e}\u{9b}\u{2028}é"), "a\\u{202e}\\u{9b}\\u{2028}é");
    }
}
