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
use crate::source::{LEFT_OVER, Layout, LogObject, Place, SourceOptions};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What runs over the same prefixes with the same globs leave each other, as kept in the lake.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// By prefix.
    #[serde(default)]
    listings: BTreeMap<String, Covered>,
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

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What complete listings of one prefix saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Covered {
    /// When the last of them began, in microseconds since the epoch.
    listed_at_us: i64,
    /// When the last began that left nothing out.
    full_at_us: i64,
    /// What was delivered before then was left out.
    #[serde(default)]
    since_us: Option<i64>,
    /// By the text before the date in the keys.
    groups: BTreeMap<String, Group>,
}

impl Covered {
    /// Whether a run with `options` leaves out what may have come after the last listing.
    fn is_ahead(&self, options: &SourceOptions) -> bool {
        let window = self.listed_at_us.saturating_sub(micros(options.lookback));
        options.since_us.is_some_and(|since| since > window)
    }
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

    /// Takes in what else was seen of the group. A target can be changed from dates of delivery to dates of events;
    /// from then on late objects lie further back.
    pub(super) fn add(&mut self, other: Group) {
        self.is_event_time |= other.is_event_time;
        self.newest_us = self.newest_us.max(other.newest_us);
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

    /// Takes out the objects that could not be read the last time, as far as they are wanted; without an etag where the
    /// content was another than had been listed. Those that are not wanted stay for another run.
    pub(super) fn take_left_over(&mut self, options: &SourceOptions) -> Vec<LogObject> {
        let all = std::mem::take(&mut self.left_over);
        let (wanted, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|left| options.wants_time(&left.object()));
        self.left_over = others;
        wanted.iter().map(LeftOver::object).collect()
    }

    /// Notes the objects that could not be read. Where they are too many to be kept, the next run has to list everything.
    pub(super) fn leave_over(&mut self, objects: &[LogObject]) {
        if self.left_over.len() + objects.len() > LEFT_OVER {
            self.listings.clear();
            return;
        }
        self.left_over.extend(objects.iter().map(|object| LeftOver {
            key: object.key.clone(),
            etag: object.etag.clone(),
            size: object.size,
            modified_s: object.modified.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        }));
    }

    /// Where to begin in `prefix`: `None` when everything is to be listed.
    pub(super) fn windows(&self, prefix: &str, options: &SourceOptions) -> Option<Windows> {
        if options.full_scan {
            return None;
        }
        let covered = self.listings.get(prefix)?;
        // What was left out before and is wanted now has never been listed.
        let is_known = covered.since_us <= options.since_us;
        let age = now_us().saturating_sub(covered.full_at_us);
        if !is_known || age > micros(options.full_scan_every) {
            return None;
        }
        let starts = covered.groups.iter().map(|(before_date, group)| {
            // Of what came later than the listing, everything is new.
            let seen = group.newest_us.min(covered.listed_at_us);
            let from = match group.is_event_time {
                true => seen.saturating_sub(i64::from(options.event_days) * DAY),
                false => seen.saturating_sub(micros(options.lookback)),
            };
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
        let is_first = !self.listings.contains_key(prefix);
        let covered = self.listings.entry(prefix.to_owned()).or_default();
        if is_full || is_first {
            let since_us = options.since_us;
            *covered = Covered { full_at_us: began_us, since_us, ..Covered::default() };
        } else if covered.is_ahead(options) {
            // To know everything is worth more than to be a little further.
            if covered.since_us.is_none() {
                return;
            }
            covered.since_us = covered.since_us.max(options.since_us);
        }
        covered.listed_at_us = options.newest_us().map_or(began_us, |newest| newest.min(began_us));
        for (before_date, group) in groups {
            covered.groups.entry(before_date).or_insert(group).add(group);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "logs/";
    const FOLDER: &str = "logs/1/r/b/";

    fn object(key: &str) -> LogObject {
        LogObject {
            place: Place::Remote,
            key: key.to_owned(),
            size: 1,
            modified: None,
            etag: Some("e1".to_owned()),
        }
    }

    fn group(layout: Layout, date_us: i64) -> BTreeMap<String, Group> {
        BTreeMap::from([(FOLDER.to_owned(), Group::of(layout, date_us).unwrap())])
    }

    fn since(since_us: i64) -> SourceOptions {
        SourceOptions { since_us: Some(since_us), ..SourceOptions::default() }
    }

    /// A cursor that a complete listing now has left, of objects delivered until now.
    fn listed(options: &SourceOptions) -> Cursor {
        let mut cursor = Cursor::default();
        cursor.note(PREFIX, options, now_us(), true, group(Layout::DeliveryTime, now_us()));
        cursor
    }

    fn day(days_ago: i64) -> String {
        let (year, month, day) = civil_from_days((now_us() - days_ago * DAY).div_euclid(DAY));
        format!("{FOLDER}{year:04}/{month:02}/{day:02}/")
    }

    #[test]
    fn partitions_that_become_event_time_are_looked_at_as_such() {
        let options = SourceOptions::default();
        let mut cursor = listed(&options);
        let start =
            |cursor: &Cursor| cursor.windows(PREFIX, &options).unwrap().of_partitions(FOLDER).unwrap();
        assert_eq!(start(&cursor), day(2));
        cursor.note(PREFIX, &options, now_us(), false, group(Layout::EventTime, now_us()));
        assert_eq!(start(&cursor), day(10));
        // One of the old layout that comes later changes nothing.
        cursor.note(PREFIX, &options, now_us(), false, group(Layout::DeliveryTime, now_us()));
        assert_eq!(start(&cursor), day(10));
    }

    #[test]
    fn a_cursor_is_good_for_times_that_are_not_earlier() {
        let (week, day) = (now_us() - 7 * DAY, now_us() - DAY);
        let cursor = listed(&since(week));
        for (options, is_good) in [
            (since(week), true),
            (since(day), true),
            (since(week - 1), false),
            (SourceOptions::default(), false),
        ] {
            assert_eq!(cursor.windows(PREFIX, &options).is_some(), is_good, "{:?}", options.since_us);
        }
        // A time that moves on with every run, as -1d does.
        let mut cursor = listed(&since(day));
        cursor.note(PREFIX, &since(day + 60 * SECOND), now_us(), false, BTreeMap::new());
        assert!(cursor.windows(PREFIX, &since(day + 60 * SECOND)).is_some());
        assert!(cursor.windows(PREFIX, &since(day)).is_none(), "late ones were left out");
        // A cursor for everything is not spoilt by a run that wanted less.
        let all = SourceOptions::default();
        let mut cursor = listed(&all);
        cursor.note(PREFIX, &since(day), now_us(), false, BTreeMap::new());
        assert!(cursor.windows(PREFIX, &all).is_some());
    }

    #[test]
    fn what_is_left_over_stays_until_its_time_is_wanted() {
        let mut cursor = Cursor::default();
        let old = LogObject { modified: Some(UNIX_EPOCH + Duration::from_secs(1)), ..object("logs/old") };
        cursor.leave_over(&[old]);
        assert!(cursor.take_left_over(&since(2 * SECOND)).is_empty());
        let mut cursor = Cursor::read(cursor.to_json().as_deref());
        assert_eq!(cursor.take_left_over(&SourceOptions::default()).len(), 1);
        assert!(cursor.left_over.is_empty());
    }

    #[test]
    fn too_many_left_over_mean_that_everything_is_listed_again() {
        let options = SourceOptions::default();
        let mut cursor = listed(&options);
        cursor.leave_over(&vec![object("logs/o"); LEFT_OVER]);
        assert!(cursor.windows(PREFIX, &options).is_some());
        let left = cursor.take_left_over(&options);
        assert_eq!(left.len(), LEFT_OVER);
        cursor.leave_over(&vec![object("logs/o"); LEFT_OVER + 1]);
        assert!(cursor.windows(PREFIX, &options).is_none() && cursor.left_over.is_empty());
    }
}
