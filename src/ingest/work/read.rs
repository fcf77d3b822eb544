//! From log objects to chunks: small ones are read whole, many into one chunk; large ones are cut into ranges that are
//! read by position, each range owning the lines that begin in it. What was read before is known by its hash, and not
//! parsed. What is in a line is not known here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use twox_hash::XxHash3_128;

use super::{BLOCK, GROUP, Novelty, Piece, SMALL, SMALL_CHUNK, Work, etag, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::lines::{Line, split_lines};
use crate::source::decode::MAX_LINE;
use crate::source::local::unreadable;
use crate::source::{Body, Failure, FailureClass, LogObject, Place, Remote, decode};

impl<'a> Work<'a> {
    pub(super) fn feed<'s>(&'s self, scope: &rayon::ScopeFifo<'s>) {
        let mut group = Vec::new();
        let mut group_bytes = 0;
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
            if group_bytes >= BLOCK || group.len() == GROUP {
                let group = std::mem::take(&mut group);
                scope.spawn_fifo(move |_| self.files(group));
                group_bytes = 0;
            }
        }
        if !group.is_empty() {
            scope.spawn_fifo(move |_| self.files(group));
        }
    }

    /// Reads small files into one chunk.
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

    /// Takes objects that came whole, as they were stored, into one chunk.
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

    /// Makes one chunk of small objects: `read` appends the text of one, or returns it when it is large after all.
    fn small<T>(
        &self,
        size: u64,
        group: Vec<(usize, T)>,
        read: impl Fn(T, &mut Vec<u8>) -> Result<Option<Body>, Failure>,
    ) {
        let mut chunk = Vec::with_capacity(size as usize);
        let mut pieces = Vec::with_capacity(group.len());
        for (object, from_where) in group {
            if self.stopped() {
                return;
            }
            let from = chunk.len();
            match read(from_where, &mut chunk) {
                Ok(None) => {}
                Ok(Some(Body::Bytes(bytes))) => {
                    self.whole(object, bytes);
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
            // Compressed ones are larger than they seemed.
            if chunk.len() > SMALL_CHUNK {
                self.parse(&chunk, &pieces);
                chunk.clear();
                pieces.clear();
            }
        }
        self.parse(&chunk, &pieces);
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
            Ok(Body::Bytes(bytes)) => self.whole(object, bytes),
            Ok(Body::File(file, len)) => {
                if !self.is_worth_reading(object, &file, len) {
                    return;
                }
                let file = Arc::new(file);
                for start in (0..len).step_by(BLOCK as usize) {
                    let file = Arc::clone(&file);
                    scope.spawn_fifo(move |_| self.range(object, &file, start, len));
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
            (0..len).step_by(BLOCK as usize).for_each(|start| self.range(object, file, start, len));
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
    fn whole(&self, object: usize, bytes: Vec<u8>) {
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
            let end = (from + BLOCK as usize).min(text.len());
            let to = memchr::memchr(b'\n', &text[end..]).map_or(text.len(), |at| end + at + 1);
            self.parse(&text[from..to], &[Piece { object, from: 0, to: to - from, offset: from as u64 }]);
            from = to;
        }
    }

    /// Parses the lines that begin in the block at `start` of a file of `len` bytes.
    fn range(&self, object: usize, file: &File, start: u64, len: u64) {
        if self.ended() {
            return;
        }
        match read_block(file, start, len) {
            Ok((bytes, skip, hash)) => {
                lock(&self.states[object]).blocks[(start / BLOCK) as usize] = hash;
                let Some(skip) = skip.filter(|_| !self.stopped()) else { return };
                let size = bytes.len() - skip;
                let lead = u64::from(start > 0);
                let piece = Piece { object, from: 0, to: size, offset: start - lead + skip as u64 };
                self.parse(&bytes[skip..], &[piece]);
            }
            Err(e) => self.spoiled(object, self.unreadable(object, e)),
        }
    }
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

/// The bytes of the block at `start` and of the line that goes on behind it; where its first own line begins in
/// them (`None`: it has none); and the hash of the block. One byte before the block is read too, to see whether
/// a line begins with it.
fn read_block(file: &File, start: u64, len: u64) -> std::io::Result<(Vec<u8>, Option<usize>, u128)> {
    let end = (start + BLOCK).min(len);
    let lead = usize::from(start > 0);
    let mut bytes = vec![0; (end - start) as usize + lead];
    file.read_exact_at(&mut bytes, start - lead as u64)?;
    let hash = XxHash3_128::oneshot(&bytes[lead..]);
    let skip = match lead {
        0 => Some(0),
        _ => memchr::memchr(b'\n', &bytes).map(|at| at + 1).filter(|at| *at < bytes.len()),
    };
    if skip.is_none() {
        return Ok((bytes, None, hash));
    }
    let mut at = end;
    while at < len && bytes.last() != Some(&b'\n') {
        let old = bytes.len();
        let step = (64 << 10).min(len - at);
        bytes.resize(old + step as usize, 0);
        file.read_exact_at(&mut bytes[old..], at)?;
        at += step;
        if let Some(newline) = memchr::memchr(b'\n', &bytes[old..]) {
            bytes.truncate(old + newline + 1);
        } else if at - start > BLOCK + MAX_LINE {
            // It was none when it was looked at: the file has changed since.
            return Err(std::io::Error::other("a line has grown beyond 64 MiB while it was read"));
        }
    }
    Ok((bytes, skip, hash))
}
