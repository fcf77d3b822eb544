//! From slices to bytes outside: the threads, the counting, and the two places bytes go to.
//!
//! Slices are rendered side by side and consumed in their order by one writer, while the next ones are rendered.
//! A bounded number of them is alive, and their buffers are used again.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rayon::prelude::*;

use super::operation::Operation;
use super::pen::{Kind, Line, Pen, Slice};
use super::scenario::Event;
use super::world::{SLICE_RECORDS, World};
use crate::error::{Error, Result};

/// Batches of slices alive at a time: one being rendered, one waiting, one being written.
const BATCHES: usize = 3;

/// Where slices go, in order.
pub(super) trait Consumer {
    /// Takes the next slice. Break ends the run: there are records enough.
    fn take(&mut self, slice: &Slice) -> Result<ControlFlow<()>>;

    /// Bytes written so far.
    fn written(&self) -> u64;
}

/// Renders every slice of `world` on the current rayon pool and hands them to `consumer` in order.
pub(super) fn run(
    world: &World,
    consumer: &mut (dyn Consumer + Send),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let batch_slices = 2 * rayon::current_num_threads() as u64;
    let (full, to_write) = mpsc::sync_channel::<Vec<Slice>>(1);
    let (empty, to_fill) = mpsc::sync_channel::<Vec<Slice>>(BATCHES);
    thread::scope(|scope| {
        let recycle = empty.clone();
        let writer = scope.spawn(move || {
            for batch in to_write {
                for slice in &batch {
                    let flow = consumer.take(slice)?;
                    progress(consumer.written());
                    if flow.is_break() {
                        return Ok(());
                    }
                }
                // Nobody takes buffers back after the last slice.
                let _ = recycle.send(batch);
            }
            Ok(())
        });
        for _ in 0..BATCHES {
            let _ = empty.send(Vec::new());
        }
        drop(empty);
        let mut next = 0;
        while next < world.slices() {
            // Both ends fail only when the writer has ended, and then its result says why.
            let Ok(mut batch) = to_fill.recv() else { break };
            let count = batch_slices.min(world.slices() - next);
            batch.resize_with(count as usize, Slice::default);
            batch.par_iter_mut().enumerate().for_each(|(i, slice)| render(world, next + i as u64, slice));
            if full.send(batch).is_err() {
                break;
            }
            next += count;
        }
        drop(full);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Renders slice `number` of `world`.
pub(super) fn render(world: &World, number: u64, slice: &mut Slice) {
    let first = number * SLICE_RECORDS;
    let end = (first + SLICE_RECORDS).min(world.records);
    let mut pen = Pen::new(world, number, end - first, std::mem::take(slice));
    let mut events = world.events(number);
    let mut slot = 0;
    while pen.room > 0 {
        let position = (end - pen.room) as f64 + pen.rng.unit();
        let second = world.timetable.second(position, &mut slot);
        events = happen(&mut pen, events, second);
        pen.begin(second);
        (world.script.request)(&mut pen);
    }
    happen(&mut pen, events, i64::MAX);
    *slice = pen.into_slice();
}

/// Writes the records of those of `events` that come up to `until`; returns the others.
fn happen<'e>(pen: &mut Pen<'_>, mut events: &'e [Event], until: i64) -> &'e [Event] {
    while let [event, later @ ..] = events
        && event.second <= until
    {
        // They come on top of what the slice has room for.
        let room = std::mem::replace(&mut pen.room, u64::MAX);
        pen.begin(event.second);
        (event.write)(pen, event);
        pen.room = room;
        events = later;
    }
    events
}

/// What was written.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
    pub(super) duplicates: u64,
    pub(super) quirks: u64,
    /// By the position in [`Operation::NAMES`].
    pub(super) operations: Vec<u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            objects: 0,
            records: 0,
            bytes: 0,
            damaged: 0,
            duplicates: 0,
            quirks: 0,
            operations: vec![0; Operation::NAMES.len()],
        }
    }

    pub(super) fn count(&mut self, line: &Line) {
        match line.kind {
            Kind::Record(operation) => {
                self.records += 1;
                self.quirks += u64::from(line.quirk);
                self.operations[operation as usize] += 1;
            }
            Kind::Damaged => self.damaged += 1,
        }
    }
}

/// Lines in the making of one object, with the last records at hand to be repeated.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    recent: Vec<Range<usize>>,
    oldest: usize,
}

/// How many records back a duplicate may be.
const MEMORY: usize = 64;

impl Buffer {
    /// Appends `text`, the bytes of `line`, and then a repeat of a recent record if the line asks for one; true
    /// if it does.
    pub(super) fn push(&mut self, line: &Line, text: &[u8]) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        if line.kind == Kind::Damaged {
            return false;
        }
        let range = start..self.bytes.len();
        if self.recent.len() < MEMORY {
            self.recent.push(range);
        } else {
            self.recent[self.oldest] = range;
            self.oldest = (self.oldest + 1) % MEMORY;
        }
        if let Some(choice) = line.repeat {
            let again = self.recent[usize::from(choice) % self.recent.len()].clone();
            self.bytes.extend_from_within(again);
        }
        line.repeat.is_some()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.recent.clear();
        self.oldest = 0;
    }
}

/// One plain stream of lines, in time order.
pub(super) struct Stream<W> {
    pub(super) out: W,
    pub(super) tally: Tally,
    /// What `out` is, for messages.
    place: PathBuf,
    /// Whether lines are repeated; if not, whole slices are written as they are.
    repeats: bool,
    buffer: Buffer,
}

impl<W: Write> Stream<W> {
    pub(super) fn new(out: W, place: PathBuf, repeats: bool) -> Self {
        Self { out, tally: Tally { objects: 1, ..Tally::new() }, place, repeats, buffer: Buffer::default() }
    }

    /// Appends one line.
    pub(super) fn push(&mut self, line: &Line, text: &[u8]) {
        self.tally.count(line);
        self.tally.duplicates += u64::from(self.buffer.push(line, text));
    }

    /// Writes out what was appended.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer.bytes).map_err(|e| Error::io("write", &self.place, e))?;
        self.tally.bytes += self.buffer.bytes.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Consumer for Stream<W> {
    fn take(&mut self, slice: &Slice) -> Result<ControlFlow<()>> {
        if self.repeats {
            for line in &slice.lines {
                self.push(line, &slice.bytes[line.start..line.end]);
            }
            self.flush()?;
        } else {
            self.out.write_all(&slice.bytes).map_err(|e| Error::io("write", &self.place, e))?;
            self.tally.bytes += slice.bytes.len() as u64;
            slice.lines.iter().for_each(|line| self.tally.count(line));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn written(&self) -> u64 {
        self.tally.bytes
    }
}

/// A folder that mirrors the destination bucket.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    made: HashSet<PathBuf>,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), made: HashSet::new() }
    }

    /// Writes the object `key`.
    pub(super) fn put(&mut self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(key);
        if let Some(parent) = path.parent()
            && !self.made.contains(parent)
        {
            std::fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, e))?;
            self.made.insert(parent.to_owned());
        }
        create(&path)?.write_all(bytes).map_err(|e| Error::io("write", &path, e))
    }
}

/// Creates the file `path`, which must not exist.
pub(super) fn create(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| Error::io("create", path, e))
}

/// Makes sure that `dir` is an empty folder. Nothing in it is ever replaced or removed.
pub(super) fn prepare(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create the folder", dir, e))?;
    let mut entries = std::fs::read_dir(dir).map_err(|e| Error::io("read the folder", dir, e))?;
    match entries.next() {
        None => Ok(()),
        Some(Ok(_)) => Err(Error::usage("the output folder is not empty")
            .with_context("path", dir.display().to_string())
            .with_hint("name a new or an empty folder; nothing is overwritten")),
        Some(Err(e)) => Err(Error::io("read the folder", dir, e)),
    }
}
