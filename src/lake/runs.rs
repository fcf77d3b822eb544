//! The order of rows by bucket and time, as runs of rows that stand together already.
//!
//! Batches of log lines are of one bucket and nearly in time order, so few runs say it all, and whoever moves the rows
//! moves a run at a time. Only where batches overlap in time is the place of each row looked at. It knows two columns
//! and moves nothing.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};

use crate::record::Field;

/// Rows of one batch that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) batch: u32,
    from: u32,
    len: u32,
}

impl Run {
    pub(super) fn rows(&self) -> Range<usize> {
        self.from as usize..(self.from + self.len) as usize
    }

    /// The first `len` rows, and the others.
    fn split(self, len: u32) -> (Run, Run) {
        (Run { len, ..self }, Run { from: self.from + len, len: self.len - len, ..self })
    }
}

/// A run of one bucket in time order, with its first and last time; rows without a time come first.
#[derive(Debug, Clone, Copy)]
struct Sorted {
    first: i64,
    last: i64,
    run: Run,
}

/// All rows of `batches` by (bucket, time); ties mostly in the order given.
pub(super) fn order(batches: &[RecordBatch]) -> Vec<Run> {
    let mut buckets: Vec<(Option<&str>, Vec<Sorted>)> = Vec::new();
    for (number, batch) in (0..).zip(batches) {
        let times = batch.column(Field::Time as usize).as_primitive::<TimestampMicrosecondType>();
        let names = Names::of(batch);
        let mut current = usize::MAX;
        let mut from = 0;
        while from < batch.num_rows() {
            let name = names.get(from);
            if buckets.get(current).is_none_or(|(n, _)| *n != name) {
                current = buckets.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
                    buckets.push((name, Vec::new()));
                    buckets.len() - 1
                });
            }
            let sorted = sorted_run(number, from..names.end_of_same(from, batch.num_rows()), times);
            from = sorted.run.rows().end;
            buckets[current].1.push(sorted);
        }
    }
    buckets.sort_by_key(|(name, _)| *name);
    let mut order = Vec::new();
    for (_, mut runs) in buckets {
        runs.sort_by_key(|sorted| sorted.first);
        if runs.windows(2).all(|pair| pair[0].last <= pair[1].first) {
            order.extend(runs.iter().map(|sorted| sorted.run));
        } else {
            merge(batches, &runs, &mut order);
        }
    }
    order
}

/// The longest run in time order from the start of `rows`, which is not empty.
fn sorted_run(batch: u32, rows: Range<usize>, times: &TimestampMicrosecondArray) -> Sorted {
    let Range { start, end } = rows;
    let (first, last, len) = if times.null_count() == 0 {
        let values = &times.values()[start..end];
        let len = values.windows(2).position(|pair| pair[0] > pair[1]).map_or(values.len(), |at| at + 1);
        (values[0], values[len - 1], len)
    } else {
        let first = time(times, start);
        let mut last = first;
        let mut at = start + 1;
        while at < end && time(times, at) >= last {
            last = time(times, at);
            at += 1;
        }
        (first, last, at - start)
    };
    Sorted { first, last, run: Run { batch, from: start as u32, len: len as u32 } }
}

fn time(times: &TimestampMicrosecondArray, row: usize) -> i64 {
    if times.is_valid(row) { times.value(row) } else { i64::MIN }
}

/// Appends the rows of runs that overlap, by time.
fn merge(batches: &[RecordBatch], runs: &[Sorted], order: &mut Vec<Run>) {
    let mut rows: Vec<(i64, u32, u32)> = Vec::new();
    for Sorted { run, .. } in runs {
        let times = batches[run.batch as usize].column(Field::Time as usize);
        let times = times.as_primitive::<TimestampMicrosecondType>();
        rows.extend(run.rows().map(|row| (time(times, row), run.batch, row as u32)));
    }
    rows.sort_by_key(|(time, _, _)| *time);
    let begin = order.len();
    for (_, batch, row) in rows {
        match order[begin..].last_mut() {
            Some(last) if last.batch == batch && last.from + last.len == row => last.len += 1,
            _ => order.push(Run { batch, from: row, len: 1 }),
        }
    }
}

/// Bucket names of a batch.
enum Names<'b> {
    Words(&'b arrow::array::UInt32Array, &'b StringViewArray),
    Texts(&'b StringViewArray),
}

impl<'b> Names<'b> {
    fn of(batch: &'b RecordBatch) -> Self {
        let names = batch.column(Field::Bucket as usize);
        match names.as_dictionary_opt::<UInt32Type>() {
            Some(words) => Names::Words(words.keys(), words.values().as_string_view()),
            None => Names::Texts(names.as_string_view()),
        }
    }

    fn get(&self, row: usize) -> Option<&'b str> {
        match self {
            Names::Words(keys, words) => keys.is_valid(row).then(|| words.value(keys.value(row) as usize)),
            Names::Texts(names) => names.is_valid(row).then(|| names.value(row)),
        }
    }

    /// Where the rows with the name of `row` end that follow it, of `rows` in all.
    fn end_of_same(&self, row: usize, rows: usize) -> usize {
        let end = match self {
            Names::Words(keys, _) if keys.null_count() == 0 => {
                let keys = keys.values();
                keys[row..].iter().position(|key| *key != keys[row])
            }
            _ => {
                let name = self.get(row);
                (row..rows).position(|other| self.get(other) != name)
            }
        };
        end.map_or(rows, |at| row + at)
    }
}

/// Cuts runs into groups of `group_rows`, the last one of fewer, and each run into pieces of at most `run_rows`.
pub(super) fn groups(runs: &[Run], group_rows: usize, run_rows: usize) -> Vec<Vec<Run>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut room = group_rows;
    for run in runs {
        let mut rest = *run;
        while rest.len > 0 {
            let (piece, behind) = rest.split((rest.len as usize).min(room).min(run_rows) as u32);
            group.push(piece);
            rest = behind;
            room -= piece.len as usize;
            if room == 0 {
                groups.push(std::mem::take(&mut group));
                room = group_rows;
            }
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, new_null_array};

    use super::*;
    use crate::lake::Table;

    type Row = (Option<&'static str>, Option<i64>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let schema = Table::AccessLogs.file_schema();
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "bucket" => Arc::new(rows.iter().map(|(bucket, _)| *bucket).collect::<StringViewArray>()),
                "time" => {
                    let times = rows.iter().map(|(_, time)| *time);
                    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
                }
                _ => new_null_array(field.data_type(), rows.len()),
            }
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
    }

    /// The runs of these batches as (batch, first row, rows); checks that they are all rows, in order.
    fn runs(batches: &[&[Row]]) -> Vec<(u32, u32, u32)> {
        let order = order(&batches.iter().map(|rows| batch(rows)).collect::<Vec<_>>());
        let places = order.iter().flat_map(|run| run.rows().map(|row| (run.batch as usize, row)));
        let mut places: Vec<_> = places.collect();
        assert!(places.iter().map(|(batch, row)| batches[*batch][*row]).is_sorted());
        places.sort_unstable();
        let all = batches.iter().enumerate().flat_map(|(b, rows)| (0..rows.len()).map(move |row| (b, row)));
        assert_eq!(places, all.collect::<Vec<_>>());
        order.iter().map(|run| (run.batch, run.from, run.len)).collect()
    }

    #[test]
    fn what_stands_in_order_is_one_run() {
        let a = |time| (Some("a"), Some(time));
        assert_eq!(runs(&[&[a(1), a(2), a(2)]]), [(0, 0, 3)]);
        // Batches come in any order, and may meet at one time.
        assert_eq!(runs(&[&[a(5), a(9)], &[a(1), a(5)]]), [(1, 0, 2), (0, 0, 2)]);
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[&[]]), []);
    }

    #[test]
    fn buckets_stay_together() {
        let (a, b) = (|time| (Some("a"), Some(time)), |time| (Some("b"), Some(time)));
        assert_eq!(runs(&[&[b(1), b(2), a(1), b(3)], &[a(2)]]), [(0, 2, 1), (1, 0, 1), (0, 0, 2), (0, 3, 1)]);
        assert_eq!(runs(&[&[(None, Some(7)), a(1), (None, Some(8))]]), [(0, 0, 1), (0, 2, 1), (0, 1, 1)]);
    }

    #[test]
    fn rows_that_overlap_are_sorted_one_by_one() {
        let a = |time| (Some("a"), Some(time));
        assert_eq!(runs(&[&[a(1), a(4), a(5)], &[a(2), a(3)]]), [(0, 0, 1), (1, 0, 2), (0, 1, 2)]);
        assert_eq!(runs(&[&[a(3), a(2), a(1)]]), [(0, 2, 1), (0, 1, 1), (0, 0, 1)]);
        // Rows without a time come first.
        assert_eq!(
            runs(&[&[a(3), (Some("a"), None), a(1), (Some("a"), None)]]),
            [(0, 1, 1), (0, 3, 1), (0, 2, 1), (0, 0, 1)]
        );
    }

    #[test]
    fn groups_have_all_rows_and_no_more_than_they_may() {
        let run = |batch, from, len| Run { batch, from, len };
        let groups = groups(&[run(0, 0, 5), run(1, 2, 1), run(0, 5, 7)], 6, 4);
        assert_eq!(
            groups,
            [
                vec![run(0, 0, 4), run(0, 4, 1), run(1, 2, 1)],
                vec![run(0, 5, 4), run(0, 9, 2)],
                vec![run(0, 11, 1)]
            ]
        );
        assert!(super::groups(&[], 6, 4).is_empty());
    }
}
