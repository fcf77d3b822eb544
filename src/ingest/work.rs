//! The work of one commit batch: read, parse, remove duplicates, encode. Rayon only, no tokio, no commit.
//!
//! Files are read by [`read`], objects of a bucket arrive whole from [`fetch`](super::fetch). A chunk of either becomes
//! batches, batches wait in the [`Pool`](super::pool) and become part files.

mod read;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use twox_hash::XxHash3_128;

use super::duplicates::Duplicates;
use super::memory::Plan;
use super::pool::{Group, OpenPart, Pool};
use super::rows::{self, Common, ObjectRow, RejectRow};
use super::{IngestOptions, Progress};
use crate::batch::Batcher;
use crate::error::{Error, Result};
use crate::lake::encode::{self, PartWriter};
use crate::lake::{Ledger, PartFile, Table};
use crate::lines::split_lines;
use crate::parse::Parser;
use crate::record::{Field, Quirk, Record};
use crate::source::{Failure, FailureClass, LogObject, Remote, layout};
use crate::stop::Stop;

/// The block of the content hash, which must never change: etags of local files depend on it.
pub(super) const BLOCK: u64 = 1 << 20;
/// Text parsed at a time, a part of a block: it is looked at several times, and stays in a core's cache for that beside
/// the columns made from it.
const CHUNK: u64 = 256 << 10;
/// Objects up to this size are read whole, several into one chunk.
const SMALL: u64 = 2 * BLOCK;
/// Text that is batched together: what repeats is then kept once for more lines.
const SPAN: u64 = 4 * BLOCK;
/// Objects read by one task.
pub(super) const GROUP: usize = 1024;
/// Rejects wait for this many bytes before they become a part file.
const REJECT_BYTES: usize = 16 << 20;

thread_local! {
    /// Of this thread: what it remembers of one chunk serves for the next.
    static PARSER: Cell<Option<Parser>> = const { Cell::new(None) };
}

/// What one commit batch came to.
#[derive(Debug)]
pub(super) struct Done {
    pub parts: Vec<PartFile>,
    pub objects: Vec<ObjectRow>,
    /// Objects that the ledger knows already.
    pub known: u64,
    pub quirks: [u64; Quirk::ALL.len()],
    /// Objects that could not be read, by their place in the batch; they are not among `objects`.
    pub failures: Vec<(usize, Failure)>,
    /// Whether the source has failed as a whole, so that asking for more is no use.
    pub is_cut_off: bool,
}

/// How the work of a commit batch can end badly.
pub(super) enum Trouble {
    /// Objects, by their place in the batch, failed when records of them might have been used: the batch must be done
    /// again without them.
    Objects(BTreeMap<usize, Failure>),
    /// Somebody asked to stop.
    Stopped,
    /// Nothing helps.
    Fatal(Error),
}

/// Where part files go; `None` in a dry run.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub access_logs: std::path::PathBuf,
    pub log_objects: std::path::PathBuf,
    pub rejects: std::path::PathBuf,
}

/// What a commit batch is made of, and what it is made with.
pub(super) struct Order<'a> {
    pub objects: &'a [LogObject],
    /// Where objects of [`Place::Remote`] are.
    pub remote: Option<&'a Arc<dyn Remote>>,
    /// Lines that are in the lake already, of earlier versions of these objects.
    pub earlier: &'a [Vec<u8>],
    pub options: &'a IngestOptions,
    pub common: Common<'a>,
    pub target: Option<&'a Target>,
    pub ledger: &'a Ledger,
    pub progress: &'a dyn Progress,
    pub stop: &'a Stop,
}

pub(super) struct Work<'a> {
    objects: &'a [LogObject],
    options: &'a IngestOptions,
    common: Common<'a>,
    target: Option<&'a Target>,
    ledger: &'a Ledger,
    progress: &'a dyn Progress,
    stop_asked: &'a Stop,
    taken: Mutex<Ledger>,
    duplicates: Duplicates,
    pool: Pool,
    states: Vec<Mutex<State>>,
    parts: Mutex<Vec<PartFile>>,
    rejects: Mutex<(Vec<RejectRow>, usize)>,
    quirks: [AtomicU64; Quirk::ALL.len()],
    known: AtomicU64,
    failures: Mutex<Vec<(usize, Failure)>>,
    is_cut_off: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    stop: AtomicBool,
    /// What [`Trouble::Objects`] is made of.
    spoilers: Mutex<BTreeMap<usize, Failure>>,
    is_spoiled: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    row: ObjectRow,
    /// Hashes of the blocks of a large object, whose etag is made of them at the end.
    blocks: Vec<u128>,
    /// Bytes of text in those blocks.
    text_len: u64,
    accepted: bool,
}

/// What is known of a log object before it is parsed.
enum Novelty {
    New,
    /// The ledger has it, or it was met before in this batch.
    Known,
    /// The ledger has a copy of it under another name: all its lines are duplicates.
    Copied,
}

/// Part of a chunk that holds bytes of one object.
struct Piece {
    object: usize,
    from: usize,
    to: usize,
    offset: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the work; part files are durable when it returns, or gone when it fails.
pub(super) fn run(order: &Order<'_>) -> (Vec<PartFile>, Result<Done, Trouble>) {
    let &Order { objects, remote, earlier, options, ref common, target, ledger, progress, stop } = order;
    let plan = Plan::new(options.memory_bytes, rayon::current_num_threads());
    let work = Work {
        objects,
        options,
        common: common.clone(),
        target,
        ledger,
        progress,
        stop_asked: stop,
        taken: Mutex::default(),
        duplicates: Duplicates::new(plan.lines),
        pool: Pool::new(plan.group_bytes, plan.group_bytes * 3),
        states: objects
            .iter()
            .map(|o| Mutex::new(State { row: object_row(o), ..State::default() }))
            .collect(),
        parts: Mutex::default(),
        rejects: Mutex::default(),
        quirks: std::array::from_fn(|_| AtomicU64::new(0)),
        known: AtomicU64::new(0),
        failures: Mutex::default(),
        is_cut_off: AtomicBool::new(false),
        trouble: Mutex::default(),
        stop: AtomicBool::new(false),
        spoilers: Mutex::default(),
        is_spoiled: AtomicBool::new(false),
    };
    work.duplicates.repeated(earlier.iter().map(Vec::as_slice));
    rayon::in_place_scope_fifo(|scope| match remote {
        Some(remote) => work.fetch(scope, remote),
        None => work.feed(scope),
    });
    if work.stop_asked.is_requested() {
        work.trouble(Trouble::Stopped);
    }
    if !work.stopped() {
        let rest = work.pool.drain(rayon::current_num_threads());
        rest.into_par_iter().for_each(|group| work.encode(group));
        work.pool.take_parts().into_par_iter().for_each(|part| work.finish(part));
        work.flush_rejects(0);
    }
    let ledger_part = if work.stopped() { Ok(()) } else { work.encode_ledger() };
    // Whoever asked to stop meanwhile has cut the encoding short: what there is must not be committed.
    if work.stop_asked.is_requested() {
        work.trouble(Trouble::Stopped);
    }
    let Work { parts, states, quirks, known, failures, is_cut_off, trouble, spoilers, .. } = work;
    let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(trouble) = trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return (parts, Err(trouble));
    }
    let spoilers = spoilers.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !spoilers.is_empty() {
        return (parts, Err(Trouble::Objects(spoilers)));
    }
    if let Err(e) = ledger_part {
        return (parts, Err(Trouble::Fatal(e)));
    }
    let objects = states
        .into_iter()
        .map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner))
        .filter(|s| s.accepted)
        .map(|s| s.row)
        .collect();
    let done = Done {
        parts: parts.clone(),
        objects,
        known: known.into_inner(),
        quirks: quirks.map(AtomicU64::into_inner),
        failures: failures.into_inner().unwrap_or_else(PoisonError::into_inner),
        is_cut_off: is_cut_off.into_inner(),
    };
    (parts, Ok(done))
}

fn object_row(object: &LogObject) -> ObjectRow {
    let info = layout::read_key(&object.key);
    let modified = object.modified.and_then(|m| m.duration_since(UNIX_EPOCH).ok());
    ObjectRow {
        key: object.key.clone(),
        size_bytes: object.size,
        last_modified_us: modified.map(|d| d.as_micros() as i64),
        layout: info.layout.name(),
        delivered_at_us: info.delivered_at.map(|s| s * 1_000_000),
        ..ObjectRow::default()
    }
}

/// The etag of a local object: XXH3 over the hashes of its blocks of text and its length.
fn etag(blocks: &[u128], len: u64) -> String {
    let mut bytes = Vec::with_capacity(blocks.len() * 16 + 8);
    blocks.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
    bytes.extend_from_slice(&len.to_le_bytes());
    format!("x{:032x}", XxHash3_128::oneshot(&bytes))
}

impl<'a> Work<'a> {
    /// Whether nothing will come of this batch as it is.
    pub(super) fn stopped(&self) -> bool {
        self.is_spoiled.load(Ordering::Relaxed) || self.ended()
    }

    /// The same, and other objects that spoil it need not be found either.
    fn ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.stop_asked.is_requested()
    }

    pub(super) fn objects(&self) -> &'a [LogObject] {
        self.objects
    }

    /// The source has failed as a whole: nothing more is asked for, and what came is kept.
    pub(super) fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }

    #[cold]
    fn fatal(&self, error: Error) {
        self.trouble(Trouble::Fatal(error));
    }

    #[cold]
    fn trouble(&self, trouble: Trouble) {
        lock(&self.trouble).get_or_insert(trouble);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// An object failed when records of it may have been used. Large objects are still read, so that the batch is done
    /// again once for all that fail so.
    #[cold]
    fn spoiled(&self, object: usize, failure: Failure) {
        lock(&self.spoilers).entry(object).or_insert(failure);
        self.is_spoiled.store(true, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn failed(&self, object: usize, failure: Failure) {
        lock(&self.failures).push((object, failure));
    }

    /// The bytes of an object are no text.
    #[cold]
    fn damaged(&self, object: usize, place: String, error: Error) {
        self.failed(object, Failure::new(place, FailureClass::Damaged, error));
    }

    /// Whether the object is new; then it is noted as taken. Its content is told apart by `of_content`, its hash, or
    /// else by the etag that the source gave.
    fn accept(&self, object: usize, of_content: impl FnOnce() -> String) -> Novelty {
        let LogObject { key, etag: given, .. } = &self.objects[object];
        let bucket = self.common.log_bucket;
        let given = given.as_ref().filter(|etag| !etag.is_empty());
        let mut of_content = Some(of_content);
        let etag = match given {
            Some(etag) => etag.clone(),
            None => of_content.take().map(|hash| hash()).unwrap_or_default(),
        };
        let is_new = !self.ledger.contains(bucket, key, &etag) && {
            let mut taken = lock(&self.taken);
            let is_new = !taken.contains(bucket, key, &etag);
            if is_new {
                taken.insert(bucket, key, &etag);
            }
            is_new
        };
        if !is_new {
            self.known.fetch_add(1, Ordering::Relaxed);
            return Novelty::Known;
        }
        let mut state = lock(&self.states[object]);
        state.row.etag = etag;
        state.accepted = true;
        // A copy of it may have come from a local folder, under the hash of its content.
        let copied = of_content.filter(|_| !self.ledger.is_empty());
        match copied.is_some_and(|hash| self.ledger.contains(bucket, key, &hash())) {
            true => Novelty::Copied,
            false => Novelty::New,
        }
    }

    /// Notes an object whose lines the lake has from a copy of it.
    fn only_duplicates(&self, object: usize, lines: u64) {
        let row = &mut lock(&self.states[object]).row;
        row.lines = lines;
        row.duplicates = lines;
    }

    /// Parses a chunk; its records become rows of `batcher`, whose rows go to the pool when it has enough.
    fn parse(&self, chunk: &[u8], pieces: &[Piece], batcher: &mut Batcher) {
        if chunk.is_empty() {
            return;
        }
        let mut lines = Vec::with_capacity(chunk.len() / 512);
        let mut ends = Vec::with_capacity(pieces.len());
        for piece in pieces {
            lines.extend(split_lines(&chunk[piece.from..piece.to]));
            ends.push(lines.len());
        }
        let mut batched = match batcher.chunk(chunk, lines.len()) {
            Ok(batched) => batched,
            Err(e) => return self.fatal(e),
        };
        let repeated = self.duplicates.repeated(lines.iter().map(|line| line.text));
        let mut lines = lines.into_iter().zip(repeated);
        let mut quirks = [0u64; Quirk::ALL.len()];
        let (mut refused, mut refused_bytes) = (Vec::new(), 0);
        let (mut all_records, mut all_rejects, mut all_bytes) = (0, 0, 0);
        let mut parser = PARSER.take().unwrap_or_default();
        let mut record = Record::default();
        let mut begin = 0;
        for (piece, end) in pieces.iter().zip(ends) {
            let key = &self.objects[piece.object].key;
            let from = batched.provenance(self.common.log_bucket, key, piece.from, piece.offset);
            let count = end - std::mem::replace(&mut begin, end);
            let (mut records, mut rejects, mut duplicates) = (0, 0, 0);
            let (mut first, mut last): (Option<i64>, Option<i64>) = (None, None);
            let mut bucket: Option<&[u8]> = None;
            all_bytes += (piece.to - piece.from) as u64;
            for (mut line, repeated) in lines.by_ref().take(count) {
                line.offset += piece.from;
                if let Err(reject) = parser.parse(line.text, &mut record) {
                    rejects += 1;
                    let row = RejectRow {
                        object: piece.object,
                        offset: piece.offset + (line.offset - piece.from) as u64,
                        field: reject.field.name(),
                        reason: reject.reason(line.text),
                        line: line.text.to_vec(),
                    };
                    refused_bytes += row.memory_bytes();
                    refused.push(row);
                    if refused_bytes > REJECT_BYTES {
                        self.refuse(std::mem::take(&mut refused));
                        refused_bytes = 0;
                    }
                    continue;
                }
                if repeated {
                    duplicates += 1;
                    continue;
                }
                batched.push(&mut record, &line, &from);
                records += 1;
                if !record.quirks.is_empty() {
                    record.quirks.iter().for_each(|quirk| quirks[quirk as usize] += 1);
                }
                first = first.min(record.time).or(record.time).or(first);
                last = last.max(record.time);
                bucket = bucket.or(record.get(Field::Bucket));
            }
            all_records += records;
            all_rejects += rejects;
            let row = &mut lock(&self.states[piece.object]).row;
            row.records += records;
            row.rejects += rejects;
            row.duplicates += duplicates;
            row.lines += count as u64;
            row.first_time = [row.first_time, first].into_iter().flatten().min();
            row.last_time = row.last_time.max(last);
            if row.source_bucket.is_none() {
                row.source_bucket = bucket.map(|b| String::from_utf8_lossy(b).into_owned());
            }
        }
        PARSER.set(Some(parser));
        for (total, seen) in self.quirks.iter().zip(quirks) {
            if seen > 0 {
                total.fetch_add(seen, Ordering::Relaxed);
            }
        }
        self.progress.add(all_bytes, all_records, all_rejects);
        if !refused.is_empty() {
            self.refuse(refused);
        }
        // Compressed objects are larger than they seem, and a line may be as long as many blocks.
        if batcher.bytes() as u64 > SPAN + BLOCK {
            self.pool_rows(std::mem::take(batcher));
        }
    }

    /// Gives the rows of `batcher` to the pool, and encodes what is due.
    fn pool_rows(&self, batcher: Batcher) {
        match batcher.finish() {
            Ok(batches) if self.target.is_some() => {
                self.pool.add(batches).into_iter().for_each(|group| self.encode(group));
            }
            Ok(_) => {}
            Err(e) => self.fatal(e),
        }
    }

    /// Encodes a row group into a part file of its date, and ends the file when it is full.
    fn encode(&self, group: Group) {
        if self.stopped() {
            return;
        }
        let Some(target) = self.target else { return };
        let Group { event_date, batches, bytes, part } = group;
        let part = match part {
            Some(part) => Ok(part),
            None => {
                let durable = self.options.durable;
                PartWriter::create(&target.access_logs, Table::AccessLogs, event_date, durable)
                    .map(|writer| OpenPart { writer, bytes: 0 })
            }
        };
        let written = part.and_then(|mut part| {
            part.bytes += bytes;
            part.writer.write(&batches).map(|()| part)
        });
        match written {
            Ok(part) if part.bytes >= self.options.part_bytes => self.finish(part),
            Ok(part) => {
                if let Some(part) = self.pool.give_back(event_date, part) {
                    self.finish(part);
                }
            }
            Err(e) => self.fatal(e),
        }
    }

    fn finish(&self, part: OpenPart) {
        match part.writer.finish() {
            Ok(part) => lock(&self.parts).push(part),
            Err(e) => self.fatal(e),
        }
    }

    fn refuse(&self, refused: Vec<RejectRow>) {
        {
            let mut rejects = lock(&self.rejects);
            for row in &refused {
                self.progress.reject(&self.objects[row.object].key, row.offset, &row.reason);
            }
            rejects.1 += refused.iter().map(RejectRow::memory_bytes).sum::<usize>();
            rejects.0.extend(refused);
        }
        self.flush_rejects(REJECT_BYTES);
    }

    /// Writes the rejects that wait when they are more than `limit` bytes.
    fn flush_rejects(&self, limit: usize) {
        let mut rows = {
            let mut rejects = lock(&self.rejects);
            if rejects.1 <= limit {
                return;
            }
            rejects.1 = 0;
            std::mem::take(&mut rejects.0)
        };
        rows.sort_by_key(|row| (row.object, row.offset));
        let Some(target) = self.target else { return };
        let written =
            rows::rejects(&rows, |object| &self.objects[object].key, &self.common).and_then(|batch| {
                encode::write_part(&target.rejects, Table::Rejects, None, &[batch], self.options.durable)
            });
        match written {
            Ok(part) => lock(&self.parts).push(part),
            Err(e) => self.fatal(e),
        }
    }

    /// Completes the rows of the ledger and writes them.
    fn encode_ledger(&self) -> Result<()> {
        for (state, object) in self.states.iter().zip(self.objects) {
            let mut state = lock(state);
            if state.accepted && state.row.etag.is_empty() {
                state.row.etag = etag(&state.blocks, state.text_len);
                lock(&self.taken).insert(self.common.log_bucket, &object.key, &state.row.etag);
            }
            // A log object without records still says by its key whose it is.
            if state.row.source_bucket.is_none() {
                state.row.source_bucket = layout::read_key(&object.key).source_bucket.map(str::to_owned);
            }
        }
        let states: Vec<_> = self.states.iter().map(lock).collect();
        let rows: Vec<&ObjectRow> = states.iter().filter(|s| s.accepted).map(|s| &s.row).collect();
        let Some(target) = self.target.filter(|_| !rows.is_empty()) else { return Ok(()) };
        let batch = rows::log_objects(&rows, &self.common)?;
        let part =
            encode::write_part(&target.log_objects, Table::LogObjects, None, &[batch], self.options.durable)?;
        lock(&self.parts).push(part);
        Ok(())
    }
}
