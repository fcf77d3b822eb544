//! Batches waiting to become part files, by event date, and the rule when they do.
//!
//! A part file is written when a date has enough text, or when all dates together hold more than the budget:
//! so part files are of sensible size whether the input is one huge file or a million tiny ones, and memory
//! stays bounded whatever the input is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::batch::DateBatch;

/// Batches of one event date that make a part file.
#[derive(Debug)]
pub(super) struct PartBatches {
    pub event_date: Option<i32>,
    pub batches: Vec<RecordBatch>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    dates: HashMap<Option<i32>, PartBatches>,
    bytes: u64,
}

/// The waiting batches.
#[derive(Debug)]
pub(super) struct Pool {
    waiting: Mutex<Waiting>,
    part_bytes: u64,
    budget: u64,
}

impl Pool {
    /// `part_bytes` of text make a part file; all dates together wait with at most about `budget`.
    pub fn new(part_bytes: u64, budget: u64) -> Self {
        Self { waiting: Mutex::default(), part_bytes, budget }
    }

    /// Adds batches; returns the part files that are due now.
    pub fn add(&self, batches: Vec<DateBatch>) -> Vec<PartBatches> {
        let mut due = Vec::new();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for DateBatch { event_date, batch, text_bytes } in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            waiting.bytes += text_bytes;
            let part = waiting.dates.entry(event_date).or_insert_with(|| PartBatches {
                event_date,
                batches: Vec::new(),
                bytes: 0,
            });
            part.batches.push(batch);
            part.bytes += text_bytes;
            if part.bytes >= self.part_bytes {
                due.extend(waiting.dates.remove(&event_date));
                waiting.bytes -= due.last().map_or(0, |part: &PartBatches| part.bytes);
            }
        }
        if waiting.bytes > self.budget {
            // Batches of different dates share the bytes of their chunk: only all together set memory free.
            due.extend(waiting.dates.drain().map(|(_, part)| part));
            waiting.bytes = 0;
        }
        due
    }

    /// Everything that still waits, cut so that `ways` threads have about the same to do.
    pub fn drain(&self, ways: usize) -> Vec<PartBatches> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let total = std::mem::take(&mut waiting.bytes);
        let share = (total / ways.max(1) as u64).max(self.part_bytes / 8);
        let mut parts = Vec::new();
        for (event_date, part) in waiting.dates.drain() {
            let pieces = (part.bytes / share.max(1)).clamp(1, ways.max(1) as u64) as usize;
            let each = part.batches.len().div_ceil(pieces).max(1);
            let mut batches = part.batches;
            // In the order of time, so that the pieces overlap little.
            batches.sort_by_key(first_time);
            while !batches.is_empty() {
                let rest = batches.split_off(each.min(batches.len()));
                parts.push(PartBatches { event_date, batches, bytes: 0 });
                batches = rest;
            }
        }
        parts.sort_by_key(|part| part.event_date);
        parts
    }
}

pub(super) fn first_time(batch: &RecordBatch) -> Option<i64> {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::TimestampMicrosecondType;
    let times =
        batch.column(crate::record::Field::Time as usize).as_primitive_opt::<TimestampMicrosecondType>()?;
    (!times.is_empty() && times.is_valid(0)).then(|| times.value(0))
}
