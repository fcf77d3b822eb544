//! Bytes of a log object as text: gzip and zstd recognised by content, everything else as it is.
//!
//! S3 writes plain text; compressed objects are copies made by their owner. A compressed object is decoded whole
//! before any of it is used, so that a truncated or hostile stream spoils nothing but itself: small ones in
//! memory, large ones into a temporary file. What grows beyond all reason, or has a line that does, is refused while
//! it is decoded.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// A line longer than this is no record, and its object no log.
pub const MAX_LINE: u64 = 64 << 20;
/// Up to this size a decoded object stays in memory, however few bytes are stored of it.
const IN_MEMORY: u64 = 32 << 20;
/// Decoded text below this size is small.
const SMALL_TEXT: usize = 4 << 20;
/// Decoded bytes for each stored byte; a stream that grows beyond this and [`IN_MEMORY`] is refused. Repetitive logs
/// reach 60.
const BOMB_RATIO: u64 = 250;

/// A readable log object.
#[derive(Debug)]
pub enum Body {
    /// The whole text.
    Bytes(Vec<u8>),
    /// A file of that many bytes of text, to be read by position.
    File(File, u64),
}

/// What the first bytes of an object say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Gzip,
    Zstd,
}

fn kind(head: &[u8]) -> Result<Kind, &'static str> {
    match head {
        [0x1f, 0x8b, ..] => Ok(Kind::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Kind::Zstd),
        [b'P', b'A', b'R', b'1', ..] => Err("a Parquet file, not server access log text"),
        [b'B', b'Z', b'h', ..] => Err("bzip2, which is not supported; decompress it first"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err("xz, which is not supported; decompress it first"),
        [b'P', b'K', 3, 4, ..] => Err("a zip archive; unpack it first"),
        [b'{', ..] => {
            Err("JSON (CloudWatch-vended logs?), which is not supported; server access log text is")
        }
        _ => Ok(Kind::Text),
    }
}

/// Opens the log object stored in `path`: plain text as a file, compressed text decoded.
///
/// Errors, all about this object alone: it cannot be read, is another kind of file, its compressed stream is
/// truncated or damaged, it grows beyond all reason, or a line of it does. Of kind [`ErrorKind::Io`] is also that
/// there is no room for a temporary file. Plain text is not looked at here.
pub fn open(path: &Path) -> Result<Body> {
    let unreadable = |e: std::io::Error| Error::io("read log object", path, e);
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut head = [0; 8];
    let len = read_up_to(&mut file, &mut head).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    match kind(&head[..len]).map_err(|what| refused(path, what))? {
        Kind::Text => Ok(Body::File(file, size)),
        compressed => decode(path, compressed, file, size),
    }
}

/// Appends the text of the small log object stored in `path` to `text`. A compressed object that turns out to be
/// large is returned instead, and `text` left alone.
///
/// Errors as [`open`]; what was appended by then is for the caller to cut off.
pub fn read_small(path: &Path, text: &mut Vec<u8>) -> Result<Option<Body>> {
    let unreadable = |e: std::io::Error| Error::io("read log object", path, e);
    let start = text.len();
    File::open(path).and_then(|mut file| file.read_to_end(text)).map_err(unreadable)?;
    let compressed = match kind(&text[start..]).map_err(|what| refused(path, what))? {
        Kind::Text => return Ok(None),
        compressed => compressed,
    };
    let stored = text.split_off(start);
    let decoded = decode(path, compressed, &stored[..], stored.len() as u64)?;
    Ok(append_if_small(decoded, text))
}

/// Text in memory from this size on is parsed where it is: copied beside others it would gain nothing.
const MOVED: usize = 256 << 10;

/// The same for an object that is in memory as it was stored; `place` names it in errors. Text that is large is returned
/// too.
pub fn append_small(place: &str, stored: Vec<u8>, text: &mut Vec<u8>) -> Result<Option<Body>> {
    let path = Path::new(place);
    let body = match kind(&stored).map_err(|what| refused(path, what))? {
        Kind::Text if stored.len() >= MOVED => return Ok(Some(Body::Bytes(stored))),
        Kind::Text => Body::Bytes(stored),
        compressed => decode(path, compressed, &stored[..], stored.len() as u64)?,
    };
    Ok(append_if_small(body, text))
}

fn append_if_small(body: Body, text: &mut Vec<u8>) -> Option<Body> {
    match body {
        Body::Bytes(bytes) if bytes.len() < SMALL_TEXT => {
            text.extend_from_slice(&bytes);
            None
        }
        large => Some(large),
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Input, format!("this is {what}")).with_context("path", path.display().to_string())
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
    }
    Ok(len)
}

fn decode(path: &Path, kind: Kind, stored: impl Read, stored_size: u64) -> Result<Body> {
    let damaged = |e: std::io::Error| {
        Error::new(ErrorKind::Input, "the compressed stream is truncated or damaged")
            .with_context("path", path.display().to_string())
            .with_source(e)
    };
    let mut text: Box<dyn Read> = match kind {
        // Members one after another are one text, as with `cat a.gz b.gz`.
        Kind::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stored)),
        _ => Box::new(zstd::stream::read::Decoder::new(stored).map_err(damaged)?),
    };
    let mut bytes = Vec::new();
    let mut spool: Option<File> = None;
    let mut total = 0u64;
    // Bytes of the line that is not at its end yet.
    let mut open_line = 0u64;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let len = match text.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(damaged(e)),
        };
        total += len as u64;
        if total > IN_MEMORY && total / BOMB_RATIO > stored_size {
            return Err(Error::new(ErrorKind::Input, "the compressed object grows beyond all reason")
                .with_context("path", path.display().to_string())
                .with_context("stored bytes", stored_size.to_string())
                .with_hint("if it is genuine, decompress it first"));
        }
        let decoded = &buffer[..len];
        let to_line_end = memchr::memchr(b'\n', decoded).unwrap_or(len);
        if open_line + to_line_end as u64 > MAX_LINE {
            return Err(endless_line(path));
        }
        open_line = match memchr::memrchr(b'\n', decoded) {
            Some(at) => (len - at - 1) as u64,
            None => open_line + len as u64,
        };
        if total > IN_MEMORY && spool.is_none() {
            let mut file = spool_file()?;
            write_spool(&mut file, &bytes)?;
            bytes = Vec::new();
            spool = Some(file);
        }
        match &mut spool {
            Some(file) => write_spool(file, decoded)?,
            None => bytes.extend_from_slice(decoded),
        }
    }
    Ok(match spool {
        Some(file) => Body::File(file, total),
        None => Body::Bytes(bytes),
    })
}

/// The error about the object in `path` that has a line longer than [`MAX_LINE`].
#[cold]
pub(crate) fn endless_line(path: &Path) -> Error {
    Error::new(ErrorKind::Input, "a line is longer than 64 MiB; this is no access log")
        .with_context("path", path.display().to_string())
}

fn spool_file() -> Result<File> {
    tempfile::tempfile().map_err(no_spool)
}

/// Never [`ErrorKind::NotFound`]: it is not the log object that is missing.
#[cold]
fn no_spool(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot create a temporary file")
        .with_context("path", std::env::temp_dir().display().to_string())
        .with_source(error)
        .with_hint("set TMPDIR to a folder that exists and has space")
}

fn write_spool(file: &mut File, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).map_err(|e| {
        Error::io("write a temporary file", std::env::temp_dir(), e)
            .with_hint("set TMPDIR to a folder with more space")
    })
}

/// Copies standard input into a temporary file, so that it can be hashed, checked and read like any other.
pub fn spool(mut input: impl Read) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new().map_err(no_spool)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(len) => write_spool(file.as_file_mut(), &buffer[..len])?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::new(ErrorKind::Input, "cannot read standard input").with_source(e)),
        }
    }
}
