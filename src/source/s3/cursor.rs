//! What a complete listing leaves for the next: how far it saw, by key layout and prefix.
//!
//! The ledger decides what is new; a cursor only spares listing what was listed before. It is written when all that a
//! listing found is in the lake, so a run that was cut short narrows nothing. Objects that could not be read are kept
//! by name and asked for again, whether or not they are listed.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::record::value::civil_from_days;
use crate::source::options::now_us;
use crate::source::{Layout, LogObject, Place, SourceOptions};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Objects kept by name at most. Where more could not be read, everything is listed again.
const LEFT_OVER: usize = 10_000;

/// The cursors of one bucket, as kept in the lake.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// By the prefix that was listed.
    prefixes: BTreeMap<String, Covered>,
    /// Objects that could not be read.
    #[serde(default)]
    left_over: Vec<LeftOver>,
}

/// What has to be known of an object to ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LeftOver {
    key: String,
    etag: Option<String>,
    size: u64,
    modified_s: Option<u64>,
}

impl LeftOver {
    fn object(&self) -> LogObject {
        LogObject {
            place: Place::Remote,
            key: self.key.clone(),
            size: self.size,
            modified: self.modified_s.map(|s| UNIX_EPOCH + Duration::from_secs(s)),
            etag: self.etag.clone(),
        }
    }
}

fn is_wanted(object: &LogObject, options: &SourceOptions) -> bool {
    options.wants_key(&object.key) && options.wants_time(object)
}

/// What complete listings of one prefix saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Covered {
    /// When the last of them began, in microseconds since the epoch.
    listed_at_us: i64,
    /// When the last began that left nothing out.
    full_at_us: i64,
    /// Which keys were wanted.
    selection: String,
    /// By the text before the date in the keys.
    groups: BTreeMap<String, Group>,
}

/// The log objects whose keys are the same before their date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// Whether the date is in folders.
    pub is_partitioned: bool,
    /// Whether it is that of the events and not that of the delivery.
    pub is_event_time: bool,
    /// The newest date seen, in microseconds since the epoch.
    pub newest_us: i64,
}

impl Group {
    pub(super) fn of(layout: Layout, date_us: i64) -> Option<Group> {
        let (is_partitioned, is_event_time) = match layout {
            Layout::Simple => (false, false),
            Layout::DeliveryTime => (true, false),
            Layout::EventTime => (true, true),
            Layout::Unknown => return None,
        };
        Some(Group { is_partitioned, is_event_time, newest_us: date_us })
    }
}

impl Cursor {
    /// Reads a cursor; one that cannot be read narrows nothing.
    pub(super) fn read(stored: Option<&[u8]>) -> Cursor {
        stored.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }

    pub(super) fn to_json(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// The objects that could not be read the last time, as far as they are wanted now.
    pub(super) fn left_over(&self, options: &SourceOptions) -> Vec<LogObject> {
        self.left_over.iter().map(LeftOver::object).filter(|object| is_wanted(object, options)).collect()
    }

    /// Notes the objects that could not be read this time. False when they are too many to be kept.
    pub(super) fn leave_over(&mut self, objects: &[LogObject], options: &SourceOptions) -> bool {
        // Those that were not wanted this time still are to be read some time.
        self.left_over.retain(|left| !is_wanted(&left.object(), options));
        self.left_over.extend(objects.iter().map(|object| LeftOver {
            key: object.key.clone(),
            etag: object.etag.clone(),
            size: object.size,
            modified_s: object.modified.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        }));
        self.left_over.len() <= LEFT_OVER
    }

    /// Where to begin in `prefix`: `None` when everything is to be listed.
    pub(super) fn windows(&self, prefix: &str, options: &SourceOptions) -> Option<Windows> {
        if options.full_scan {
            return None;
        }
        let covered = self.prefixes.get(prefix).filter(|c| c.selection == options.selection())?;
        let every = i64::try_from(options.full_scan_every.as_micros()).unwrap_or(i64::MAX);
        if now_us().saturating_sub(covered.full_at_us) > every {
            return None;
        }
        let lookback = i64::try_from(options.lookback.as_micros()).unwrap_or(i64::MAX);
        let starts = covered.groups.iter().map(|(before_date, group)| {
            // Of what came later than the listing, everything is new.
            let seen = group.newest_us.min(covered.listed_at_us);
            let from = match group.is_event_time {
                true => seen.saturating_sub(i64::from(options.event_days) * DAY),
                false => seen.saturating_sub(lookback),
            };
            // Earlier than the cursor only where somebody asks for it; events can be nine days older than their delivery.
            let from = options.since_us.map_or(from, |since| from.min(since.saturating_sub(9 * DAY)));
            (before_date.clone(), Window { is_partitioned: group.is_partitioned, from_us: from.max(0) })
        });
        Some(Windows { starts: starts.collect() })
    }

    /// Notes a complete listing of `prefix` that began at `began_us` and saw `groups`.
    pub(super) fn note(
        &mut self,
        prefix: &str,
        options: &SourceOptions,
        began_us: i64,
        is_full: bool,
        groups: BTreeMap<String, Group>,
    ) {
        // What was asked for by time says nothing about the rest.
        if options.since_us.is_some() {
            return;
        }
        let covered = self.prefixes.entry(prefix.to_owned()).or_default();
        if covered.selection != options.selection() || is_full {
            *covered = Covered { selection: options.selection(), full_at_us: began_us, ..Covered::default() };
        }
        covered.listed_at_us = options.newest_us().map_or(began_us, |newest| newest.min(began_us));
        for (before_date, group) in groups {
            let known = covered.groups.entry(before_date).or_insert(group);
            known.newest_us = known.newest_us.max(group.newest_us);
        }
    }
}

/// Where the listing of known groups begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Windows {
    starts: BTreeMap<String, Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    is_partitioned: bool,
    from_us: i64,
}

impl Windows {
    /// The key behind which to go on for a folder that holds partitions, when it is known.
    pub(super) fn of_partitions(&self, folder: &str) -> Option<String> {
        let window = self.starts.get(folder).filter(|window| window.is_partitioned)?;
        let (year, month, day) = civil_from_days(window.from_us.div_euclid(DAY));
        Some(format!("{folder}{year:04}/{month:02}/{day:02}/"))
    }

    /// The key behind which to go on when `before_date` is what a simple key has before its date.
    pub(super) fn of_simple(&self, before_date: &str) -> Option<String> {
        let window = self.starts.get(before_date).filter(|window| !window.is_partitioned)?;
        let (days, rest) = (window.from_us.div_euclid(DAY), window.from_us.rem_euclid(DAY) / SECOND);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        Some(format!("{before_date}{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}"))
    }
}
