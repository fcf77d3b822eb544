//! Batches waiting to become row groups, and part files in the making, by event date.
//!
//! A row group is encoded when a date has enough text for one, or when all dates together hold more than the
//! budget; a part file ends when enough text went into it. So part files are of sensible size whether the input is
//! one huge file or a million tiny ones, and what waits in memory is small whatever the input is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use crate::batch::DateBatch;
use crate::lake::encode::PartWriter;
use crate::record::Field;

/// What a batch costs beside its text: the room that its columns keep. Counts where a chunk has many dates.
const BATCH_BYTES: u64 = 4 << 10;

/// Part files open at a time: each holds a file descriptor, of which processes usually have 1,024.
const OPEN_PARTS: usize = 200;

/// A part file in the making.
#[derive(Debug)]
pub(super) struct OpenPart {
    pub writer: PartWriter,
    /// Bytes of text that went into it.
    pub bytes: u64,
}

/// Batches of one event date that are to be encoded now, and the part file to go on with, if there is one.
#[derive(Debug)]
pub(super) struct Group {
    pub event_date: Option<i32>,
    pub batches: Vec<RecordBatch>,
    pub bytes: u64,
    pub part: Option<OpenPart>,
}

#[derive(Debug, Default)]
struct Date {
    batches: Vec<RecordBatch>,
    bytes: u64,
    /// One for each thread at most.
    parts: Vec<OpenPart>,
}

impl Date {
    fn group(&mut self, event_date: Option<i32>) -> Group {
        let mut batches = std::mem::take(&mut self.batches);
        batches.sort_by_key(first_time);
        Group { event_date, batches, bytes: std::mem::take(&mut self.bytes), part: self.parts.pop() }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    dates: HashMap<Option<i32>, Date>,
    bytes: u64,
}

/// The waiting batches.
#[derive(Debug)]
pub(super) struct Pool {
    waiting: Mutex<Waiting>,
    group_bytes: u64,
    budget: u64,
}

impl Pool {
    /// `group_bytes` of text make a row group; all dates together wait with at most about `budget`.
    pub fn new(group_bytes: u64, budget: u64) -> Self {
        Self { waiting: Mutex::default(), group_bytes, budget }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds batches; returns what is to be encoded now.
    pub fn add(&self, batches: Vec<DateBatch>) -> Vec<Group> {
        let mut due = Vec::new();
        let waiting = &mut *self.lock();
        for DateBatch { event_date, batch, text_bytes } in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            let bytes = text_bytes + BATCH_BYTES;
            let date = waiting.dates.entry(event_date).or_default();
            date.batches.push(batch);
            date.bytes += bytes;
            waiting.bytes += bytes;
            if date.bytes >= self.group_bytes {
                waiting.bytes -= date.bytes;
                due.push(date.group(event_date));
            }
        }
        if waiting.bytes > self.budget {
            // Batches of different dates share the bytes of their chunk: only all together set memory free.
            waiting.bytes = 0;
            let dates = waiting.dates.iter_mut().filter(|(_, date)| !date.batches.is_empty());
            due.extend(dates.map(|(event_date, date)| date.group(*event_date)));
        }
        due
    }

    /// Takes back a part file that is not full. When too many are open, the largest is returned, to be ended.
    pub fn give_back(&self, event_date: Option<i32>, part: OpenPart) -> Option<OpenPart> {
        let waiting = &mut *self.lock();
        waiting.dates.entry(event_date).or_default().parts.push(part);
        let open: usize = waiting.dates.values().map(|date| date.parts.len()).sum();
        if open <= OPEN_PARTS {
            return None;
        }
        let largest = |date: &&mut Date| date.parts.iter().map(|part| part.bytes).max();
        let date = waiting.dates.values_mut().max_by_key(largest)?;
        let at = (0..date.parts.len()).max_by_key(|at| date.parts[*at].bytes)?;
        Some(date.parts.swap_remove(at))
    }

    /// Everything that still waits, cut so that `ways` threads have about the same to do.
    pub fn drain(&self, ways: usize) -> Vec<Group> {
        let waiting = &mut *self.lock();
        let share = (std::mem::take(&mut waiting.bytes) / ways.max(1) as u64).max(self.group_bytes / 4);
        let mut groups = Vec::new();
        for (event_date, date) in waiting.dates.iter_mut().filter(|(_, date)| !date.batches.is_empty()) {
            let pieces = (date.bytes / share.max(1)).clamp(1, ways.max(1) as u64) as usize;
            let mut whole = date.group(*event_date);
            let rows: usize = whole.batches.iter().map(RecordBatch::num_rows).sum();
            for _ in 1..pieces {
                let batches = take_rows(&mut whole.batches, rows.div_ceil(pieces));
                groups.push(Group { event_date: *event_date, batches, bytes: 0, part: date.parts.pop() });
            }
            groups.push(whole);
        }
        groups.sort_by_key(|group| group.event_date);
        groups
    }

    /// The part files that are not full.
    pub fn take_parts(&self) -> Vec<OpenPart> {
        self.lock().dates.values_mut().flat_map(|date| std::mem::take(&mut date.parts)).collect()
    }
}

/// Takes the first `rows` rows out of `batches`, or all when there are not so many.
fn take_rows(batches: &mut Vec<RecordBatch>, rows: usize) -> Vec<RecordBatch> {
    let mut room = rows;
    let mut taken = Vec::new();
    while room > 0 && !batches.is_empty() {
        let first = &mut batches[0];
        if first.num_rows() > room {
            taken.push(first.slice(0, room));
            *first = first.slice(room, first.num_rows() - room);
            break;
        }
        room -= first.num_rows();
        taken.push(batches.remove(0));
    }
    taken
}

/// Time of the first row.
fn first_time(batch: &RecordBatch) -> Option<i64> {
    let times = batch.column(Field::Time as usize).as_primitive_opt::<TimestampMicrosecondType>()?;
    (!times.is_empty() && times.is_valid(0)).then(|| times.value(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn rows_are_taken_from_the_front_and_none_is_lost() {
        let batch = |numbers: std::ops::Range<i64>| {
            let numbers = Int64Array::from_iter_values(numbers);
            RecordBatch::try_from_iter([("number", Arc::new(numbers) as ArrayRef)]).unwrap()
        };
        let numbers = |batches: &[RecordBatch]| -> Vec<i64> {
            let values =
                batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
            values.collect()
        };
        for rows in 0..=12 {
            let mut rest = vec![batch(0..4), batch(4..5), batch(5..10)];
            let taken = numbers(&take_rows(&mut rest, rows));
            assert_eq!(taken.len(), rows.min(10));
            assert_eq!([taken, numbers(&rest)].concat(), (0..10).collect::<Vec<i64>>());
        }
    }
}
