//! From log objects to chunks: small ones are read whole, many into one chunk; large ones are cut into ranges that are
//! read by position, each range owning the lines that begin in it. What was read before is known by its hash, and not
//! parsed. What is in a line is not known here.

use std::cell::Cell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use twox_hash::XxHash3_128;

use super::{BLOCK, CHUNK, GROUP, Novelty, Piece, SMALL, SPAN, Work, etag, lock};
use crate::batch::Batcher;
use crate::error::{Error, ErrorKind, Result};
use crate::lines::{Line, split_lines};
use crate::source::decode::MAX_LINE;
use crate::source::local::unreadable;
use crate::source::{Body, Failure, FailureClass, LogObject, Place, Remote, decode};

/// Bytes read at a time of the line that goes on behind a block.
const REST: u64 = 64 << 10;

impl<'a> Work<'a> {
    pub(super) fn feed<'s>(&'s self, scope: &rayon::ScopeFifo<'s>) {
        let mut group = Vec::new();
        let mut group_bytes = 0;
        let all_small = self.objects.iter().map(|object| object.size).filter(|size| *size <= SMALL).sum();
        let share = share(all_small);
        for (at, object) in self.objects.iter().enumerate() {
            let Place::File(path) = &object.place else {
                self.fatal(Error::new(ErrorKind::Internal, "an object of a bucket has no bucket"));
                return;
            };
            if object.size > SMALL {
                scope.spawn_fifo(move |scope| self.large(scope, at, path));
                continue;
            }
            group.push((at, path));
            group_bytes += object.size;
            if group_bytes >= share || group.len() == GROUP {
                let group = std::mem::take(&mut group);
                scope.spawn_fifo(move |_| self.files(group));
                group_bytes = 0;
            }
        }
        if !group.is_empty() {
            scope.spawn_fifo(move |_| self.files(group));
        }
    }

    /// Reads small files into chunks.
    fn files(&self, group: Vec<(usize, &'a std::path::PathBuf)>) {
        if self.stopped() {
            return;
        }
        let size: u64 = group.iter().map(|(at, _)| self.objects[*at].size + 1).sum();
        self.small(size, group, |path, chunk| {
            decode::read_small(path, chunk).map_err(|error| {
                let class = match error.kind() {
                    ErrorKind::NotFound => FailureClass::Vanished,
                    ErrorKind::Io => FailureClass::Refused,
                    _ => FailureClass::Damaged,
                };
                Failure::new(path.display().to_string(), class, error)
            })
        });
    }

    /// Takes objects that came whole, as they were stored, into chunks.
    pub(in crate::ingest) fn fetched(&self, remote: &dyn Remote, group: Vec<(usize, Vec<u8>)>) {
        if self.stopped() {
            return;
        }
        let size = group.iter().map(|(_, stored)| stored.len() as u64 + 1).sum();
        let group = group.into_iter().map(|(at, stored)| (at, (at, stored))).collect();
        self.small(size, group, |(at, stored), chunk| {
            let place = remote.place(&self.objects[at].key);
            decode::append_small(&place, stored, chunk).map_err(|error| {
                let class = match error.kind() {
                    ErrorKind::Io => FailureClass::Refused,
                    _ => FailureClass::Damaged,
                };
                Failure::new(place, class, error)
            })
        });
    }

    /// Makes chunks of small objects: `read` appends the text of one, or returns it when it is large after all.
    fn small<T>(
        &self,
        size: u64,
        group: Vec<(usize, T)>,
        read: impl Fn(T, &mut Vec<u8>) -> Result<Option<Body>, Failure>,
    ) {
        let mut chunk = Vec::with_capacity(size.min(2 * CHUNK) as usize);
        let mut pieces = Vec::with_capacity(group.len());
        let mut batcher = Batcher::new();
        for (object, from_where) in group {
            if self.stopped() {
                return;
            }
            let from = chunk.len();
            match read(from_where, &mut chunk) {
                Ok(None) => {}
                Ok(Some(Body::Bytes(bytes))) => {
                    self.whole(object, bytes, &mut batcher);
                    continue;
                }
                Ok(Some(Body::File(file, len))) => {
                    self.ranges_inline(object, &file, len);
                    continue;
                }
                Err(failure) => {
                    chunk.truncate(from);
                    self.failed(object, failure);
                    continue;
                }
            }
            let text = &chunk[from..];
            if !self.is_new_text(object, text) {
                let len = text.len() as u64;
                chunk.truncate(from);
                self.progress.add(len, 0, 0);
                continue;
            }
            pieces.push(Piece { object, from, to: chunk.len(), offset: 0 });
            // Objects are checked to be UTF-8 together: what ends one must not make a character with what begins
            // the next.
            chunk.push(b'\n');
            if chunk.len() as u64 >= CHUNK {
                self.parse(&chunk, &pieces, &mut batcher);
                chunk.clear();
                pieces.clear();
            }
        }
        self.parse(&chunk, &pieces, &mut batcher);
        self.pool_rows(batcher);
    }

    /// Whether an object that is in memory is new; when it is a copy, that is noted.
    fn is_new_text(&self, object: usize, text: &[u8]) -> bool {
        match self.accept(object, || etag(&block_hashes(text), text.len() as u64)) {
            Novelty::New => true,
            Novelty::Known => false,
            Novelty::Copied => {
                self.only_duplicates(object, split_lines(text).count() as u64);
                false
            }
        }
    }

    /// Reads a large object by ranges, or whole when it is a compressed one that fits in memory.
    fn large<'s>(&'s self, scope: &rayon::ScopeFifo<'s>, object: usize, path: &'a std::path::Path) {
        if self.ended() {
            return;
        }
        match decode::open(path) {
            Ok(Body::Bytes(bytes)) => {
                let mut batcher = Batcher::new();
                self.whole(object, bytes, &mut batcher);
                self.pool_rows(batcher);
            }
            Ok(Body::File(file, len)) => {
                if !self.is_worth_reading(object, &file, len) {
                    return;
                }
                let file = Arc::new(file);
                let span = share(len);
                for start in (0..len).step_by(span as usize) {
                    let file = Arc::clone(&file);
                    scope.spawn_fifo(move |_| self.span(object, &file, start..(start + span).min(len), len));
                }
            }
            Err(e) if e.kind() == ErrorKind::Input => self.damaged(object, path.display().to_string(), e),
            Err(error) => {
                let class = match error.kind() {
                    ErrorKind::NotFound => FailureClass::Vanished,
                    _ => FailureClass::Refused,
                };
                self.failed(object, Failure::new(path.display().to_string(), class, error));
            }
        }
    }

    fn ranges_inline(&self, object: usize, file: &File, len: u64) {
        if self.is_worth_reading(object, file, len) {
            (0..len)
                .step_by(SPAN as usize)
                .for_each(|start| self.span(object, file, start..(start + SPAN).min(len), len));
        }
    }

    /// Prepares a large object. Where the ledger could know it, its content is hashed before anything is parsed;
    /// otherwise its hash comes with the reading.
    fn is_worth_reading(&self, object: usize, file: &File, len: u64) -> bool {
        match has_endless_line(file, len, || self.ended()) {
            Ok(false) => {}
            Ok(true) => {
                self.endless(object);
                return false;
            }
            Err(e) => {
                self.failed(object, self.unreadable(object, e));
                return false;
            }
        }
        if self.ended() {
            return false;
        }
        let blocks = len.div_ceil(BLOCK) as usize;
        let LogObject { key, etag: given, .. } = &self.objects[object];
        // The same file may have been named twice.
        let is_alone = || self.objects.iter().filter(|other| other.key == *key).count() == 1;
        if self.ledger.is_empty() && given.is_none() && is_alone() {
            let mut state = lock(&self.states[object]);
            state.blocks = vec![0; blocks];
            state.text_len = len;
            state.accepted = true;
            return true;
        }
        let hashes: Result<Vec<(u128, u64)>, std::io::Error> = (0..blocks as u64)
            .into_par_iter()
            .map(|block| {
                if self.ended() {
                    return Err(std::io::Error::from(std::io::ErrorKind::Interrupted));
                }
                let start = block * BLOCK;
                let mut bytes = vec![0; BLOCK.min(len - start) as usize];
                file.read_exact_at(&mut bytes, start)?;
                let ends_open = start + BLOCK >= len && bytes.last() != Some(&b'\n');
                let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64 + u64::from(ends_open);
                Ok((XxHash3_128::oneshot(&bytes), lines))
            })
            .collect();
        let (hashes, lines): (Vec<u128>, Vec<u64>) = match hashes {
            Ok(hashes) => hashes.into_iter().unzip(),
            Err(_) if self.ended() => return false,
            Err(e) => {
                self.failed(object, self.unreadable(object, e));
                return false;
            }
        };
        match self.accept(object, || etag(&hashes, len)) {
            Novelty::New => {
                lock(&self.states[object]).blocks = hashes;
                return true;
            }
            Novelty::Known => {}
            Novelty::Copied => self.only_duplicates(object, lines.iter().sum()),
        }
        self.progress.add(len, 0, 0);
        false
    }

    fn unreadable(&self, object: usize, source: std::io::Error) -> Failure {
        match &self.objects[object].place {
            Place::File(path) => unreadable(path, source),
            Place::Remote => unreadable(std::path::Path::new(&self.objects[object].key), source),
        }
    }

    /// Refuses an object with a line that is none, of which nothing was parsed yet.
    #[cold]
    fn endless(&self, object: usize) {
        let LogObject { key, place, .. } = &self.objects[object];
        let path = match place {
            Place::File(path) => path.as_path(),
            Place::Remote => std::path::Path::new(key),
        };
        self.damaged(object, path.display().to_string(), decode::endless_line(path));
    }

    /// Parses a decoded object that is in memory.
    fn whole(&self, object: usize, bytes: Vec<u8>, batcher: &mut Batcher) {
        let is_endless = |line: Line<'_>| line.text.len() as u64 > MAX_LINE;
        if bytes.len() as u64 > MAX_LINE && split_lines(&bytes).any(is_endless) {
            return self.endless(object);
        }
        if !self.is_new_text(object, &bytes) {
            self.progress.add(bytes.len() as u64, 0, 0);
            return;
        }
        let mut from = 0;
        let text = &bytes[..];
        while from < text.len() && !self.stopped() {
            let end = (from + CHUNK as usize).min(text.len());
            let to = memchr::memchr(b'\n', &text[end..]).map_or(text.len(), |at| end + at + 1);
            let piece = Piece { object, from: 0, to: to - from, offset: from as u64 };
            self.parse(&text[from..to], &[piece], batcher);
            from = to;
        }
    }

    /// Parses the lines that begin in `span` of a file of `len` bytes; the span begins with a block.
    fn span(&self, object: usize, file: &File, span: Range<u64>, len: u64) {
        let mut batcher = Batcher::new();
        let mut buffer = BUFFER.take();
        let read = read_span(file, span, len, &mut buffer, |part| {
            match part {
                _ if self.ended() => return false,
                Part::Block(number, hash) => lock(&self.states[object]).blocks[number] = hash,
                Part::Lines(..) if self.stopped() => {}
                Part::Lines(text, offset) => {
                    let piece = Piece { object, from: 0, to: text.len(), offset };
                    self.parse(text, &[piece], &mut batcher);
                }
            }
            true
        });
        if let Err(e) = read {
            self.spoiled(object, self.unreadable(object, e));
        }
        if buffer.len() as u64 <= 2 * BLOCK {
            BUFFER.set(buffer);
        }
        self.pool_rows(batcher);
    }
}

/// Bytes that one task is to read, whole blocks, so that of `all` bytes each thread has several.
fn share(all: u64) -> u64 {
    let share = all / (rayon::current_num_threads() as u64 * 4);
    share.next_multiple_of(BLOCK).clamp(BLOCK, SPAN)
}

fn block_hashes(text: &[u8]) -> Vec<u128> {
    text.chunks(BLOCK as usize).map(XxHash3_128::oneshot).collect()
}

/// Whether a line of the file is longer than [`MAX_LINE`]. Little is read of a file of lines: looks for a line end
/// backwards from as far as a line may reach, and goes on behind it. Says no when it is `stopped`.
fn has_endless_line(file: &File, len: u64, stopped: impl Fn() -> bool) -> std::io::Result<bool> {
    const STEP: u64 = 64 << 10;
    let mut buffer = vec![0; STEP as usize];
    let mut line = 0u64;
    while len - line > MAX_LINE && !stopped() {
        // The line end that is due is at most the last of these bytes.
        let mut to = line + MAX_LINE + 1;
        line = loop {
            if to == line {
                return Ok(true);
            }
            let from = to.saturating_sub(STEP).max(line);
            let bytes = &mut buffer[..(to - from) as usize];
            file.read_exact_at(bytes, from)?;
            match memchr::memrchr(b'\n', bytes) {
                Some(at) => break from + at as u64 + 1,
                None => to = from,
            }
        };
    }
    Ok(false)
}

thread_local! {
    /// What this thread reads blocks into: used again, it need not be filled with zeros for each.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What [`read_span`] comes upon.
enum Part<'b> {
    /// Whole lines, and where they begin in the file.
    Lines(&'b [u8], u64),
    /// The number of a block, and its hash.
    Block(usize, u128),
}

/// Reads a span of a file and the line that goes on behind it, a chunk at a time to the front of `buffer`, which may
/// stay longer. Tells `meet` of the lines that begin in the span, and of its blocks, and ends early when that returns
/// false. One byte before the span is read too, to see whether a line begins with it.
fn read_span(
    file: &File,
    span: Range<u64>,
    len: u64,
    buffer: &mut Vec<u8>,
    mut meet: impl FnMut(Part<'_>) -> bool,
) -> std::io::Result<()> {
    let lead = u64::from(span.start > 0);
    // Where the file is read next, and how many bytes before that are at the front of the buffer.
    let (mut at, mut kept) = (span.start - lead, 0);
    // Whether these are of a line that begins in the span.
    let mut is_own = lead == 0;
    let mut hash = XxHash3_128::new();
    while at < span.end {
        let step = if at < span.start { lead + CHUNK } else { CHUNK }.min(span.end - at);
        let (begin, end) = (kept, kept + step as usize);
        read_at(file, buffer, begin..end, at)?;
        hash.write(&buffer[begin + span.start.saturating_sub(at) as usize..end]);
        at += step;
        if at.is_multiple_of(BLOCK) || at == len {
            let number = ((at - 1) / BLOCK) as usize;
            if !meet(Part::Block(number, std::mem::take(&mut hash).finish_128())) {
                return Ok(());
            }
        }
        let mut lines = 0;
        if !is_own && let Some(newline) = memchr::memchr(b'\n', &buffer[begin..end]) {
            is_own = true;
            lines = begin + newline + 1;
        }
        let last = memchr::memrchr(b'\n', &buffer[begin..end]).map_or(lines, |newline| begin + newline + 1);
        if is_own && last > lines {
            let offset = at - (end - lines) as u64;
            if !meet(Part::Lines(&buffer[lines..last], offset)) {
                return Ok(());
            }
        }
        // Of what comes before the first own line, nothing is needed.
        let rest = if is_own { last.max(lines) } else { end };
        buffer.copy_within(rest..end, 0);
        kept = end - rest;
    }
    if !is_own || kept == 0 {
        return Ok(());
    }
    let begin = at - kept as u64;
    while at < len {
        let step = REST.min(len - at);
        let more = kept..kept + step as usize;
        read_at(file, buffer, more.clone(), at)?;
        at += step;
        kept = more.end;
        if let Some(newline) = memchr::memchr(b'\n', &buffer[more.clone()]) {
            kept = more.start + newline + 1;
            break;
        } else if at > span.end + MAX_LINE {
            // It was none when it was looked at: the file has changed since.
            return Err(std::io::Error::other("a line has grown beyond 64 MiB while it was read"));
        }
    }
    meet(Part::Lines(&buffer[..kept], begin));
    Ok(())
}

/// Reads what is at `offset` of the file into that part of `buffer`, which grows when it is too short.
fn read_at(file: &File, buffer: &mut Vec<u8>, part: Range<usize>, offset: u64) -> std::io::Result<()> {
    if buffer.len() < part.end {
        buffer.resize(part.end, 0);
    }
    file.read_exact_at(&mut buffer[part], offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of these lengths with their LF, the last one without; no two are alike.
    fn text(lengths: &[usize]) -> Vec<u8> {
        let mut text = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let from = text.len();
            text.extend_from_slice(format!("{number} ").as_bytes());
            text.resize(from + length, b'x');
            text.push(b'\n');
        }
        text.pop();
        text
    }

    #[test]
    fn every_line_is_met_once_where_its_span_is() {
        let (chunk, block) = (CHUNK as usize, BLOCK as usize);
        let lengths =
            [10, chunk - 11, 9, chunk - 10, chunk, 700, block - 1, 700, 3 * block + 5, 2 * chunk, 9, 9];
        // A line end as the last byte of a block, of the file, and elsewhere.
        for all in [text(&lengths), text(&[block - 1, block - 1, 20]), text(&[block - 1, 0]), text(&[5])] {
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &all).unwrap();
            let len = all.len() as u64;
            for span in [BLOCK, 2 * BLOCK, SPAN] {
                let mut lines = Vec::new();
                let mut hashes = Vec::new();
                let mut buffer = Vec::new();
                for start in (0..len).step_by(span as usize) {
                    let end = (start + span).min(len);
                    let meet = |part: Part<'_>| {
                        match part {
                            Part::Block(number, hash) => {
                                assert_eq!(number, hashes.len());
                                hashes.push(hash);
                            }
                            Part::Lines(text, offset) => {
                                for line in split_lines(text) {
                                    let at = offset + line.offset as u64;
                                    assert!((start..end).contains(&at), "{at} is not in {start}..{end}");
                                    lines.push((at as usize, line.text.to_vec()));
                                }
                            }
                        }
                        true
                    };
                    read_span(&file, start..end, len, &mut buffer, meet).unwrap();
                }
                let wanted: Vec<_> =
                    split_lines(&all).map(|line| (line.offset, line.text.to_vec())).collect();
                assert!(lines == wanted, "{} lines of {}, spans of {span}", lines.len(), wanted.len());
                assert_eq!(hashes, block_hashes(&all));
            }
        }
    }

    #[test]
    fn a_span_is_left_when_no_more_is_wanted() {
        let mut file = tempfile::tempfile().unwrap();
        let all = text(&[700; 2_000]);
        std::io::Write::write_all(&mut file, &all).unwrap();
        let mut parts = 0;
        let meet = |_: Part<'_>| {
            parts += 1;
            false
        };
        let len = all.len() as u64;
        read_span(&file, 0..len, len, &mut Vec::new(), meet).unwrap();
        assert_eq!(parts, 1);
    }
}
