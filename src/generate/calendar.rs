//! Days, the spelling of a moment, and when requests come: busy by day, quiet by night and at weekends.
//!
//! Moments are seconds since 1970-01-01 00:00:00 UTC. Only whole seconds and UTC exist here, as in the logs.

use std::fmt;
use std::str::FromStr;

use super::text::put_decimal;
use crate::error::Error;

/// Seconds in a day.
pub(super) const DAY: i64 = 86_400;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A calendar day, UTC. Read and written as `YYYY-MM-DD`; years 2000 to 2999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// 2026-03-01, a Sunday: where generated logs begin unless told otherwise.
    pub const DEFAULT: Day = Day(20_513);

    /// The day that holds `second`.
    pub(super) fn of(second: i64) -> Self {
        Day(second.div_euclid(DAY))
    }

    /// The first second of the day.
    pub(super) fn first_second(self) -> i64 {
        self.0 * DAY
    }

    /// The day `days` later, or earlier when negative.
    pub(super) fn plus(self, days: i64) -> Self {
        Day(self.0 + days)
    }

    /// Year, month from 1, day of the month from 1.
    pub(super) fn civil(self) -> (i64, i64, i64) {
        // Years counted from March, so that the leap day comes last; eras of 400 years.
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        Day(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468)
    }

    fn is_weekend(self) -> bool {
        // 1970-01-01 was a Thursday.
        matches!((self.0 + 4).rem_euclid(7), 0 | 6)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |range: std::ops::Range<usize>| {
            text.get(range).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
        };
        let parts = (number(0..4), number(5..7), number(8..10));
        if let (10, (Some(year @ 2000..=2999), Some(month @ 1..=12), Some(day))) = (text.len(), parts) {
            let found = Day::from_civil(year, month, day);
            // Equal only for a day that exists, with hyphens in their places.
            if found.to_string() == text {
                return Ok(found);
            }
        }
        Err(Error::usage("not a day").with_context("text", text).with_hint("write it as 2026-03-01"))
    }
}

/// Hour, minute and second of the day.
pub(super) fn clock(second: i64) -> (i64, i64, i64) {
    let of_day = second.rem_euclid(DAY);
    (of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// The time field of a record, cached: many records share a second, nearly all share a day.
#[derive(Debug)]
pub(super) struct Stamp {
    second: i64,
    bytes: [u8; 28],
}

impl Stamp {
    pub(super) fn new(second: i64) -> Self {
        let mut stamp = Stamp { second: i64::MIN, bytes: *b"[00/Jan/0000:00:00:00 +0000]" };
        stamp.set(second);
        stamp
    }

    /// Moves to `second`.
    pub(super) fn set(&mut self, second: i64) {
        if self.second == second {
            return;
        }
        if self.second == i64::MIN || Day::of(self.second) != Day::of(second) {
            let (year, month, day) = Day::of(second).civil();
            self.two(1, day);
            self.bytes[4..7].copy_from_slice(MONTHS[(month - 1) as usize]);
            self.two(8, year / 100);
            self.two(10, year % 100);
        }
        let (hour, minute, of_minute) = clock(second);
        self.two(13, hour);
        self.two(16, minute);
        self.two(19, of_minute);
        self.second = second;
    }

    fn two(&mut self, at: usize, n: i64) {
        self.bytes[at] = b'0' + (n / 10 % 10) as u8;
        self.bytes[at + 1] = b'0' + (n % 10) as u8;
    }

    /// The moment shown.
    pub(super) fn second(&self) -> i64 {
        self.second
    }

    /// `[dd/Mon/yyyy:HH:MM:SS +0000]`.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Appends `second` as `YYYYMMDD`, the day of a pre-signed URL.
pub(super) fn put_compact_day(out: &mut Vec<u8>, second: i64) {
    let (year, month, day) = Day::of(second).civil();
    put_decimal(out, (year * 10_000 + month * 100 + day) as u64);
}

/// Appends `second` as `YYYYMMDDTHHMMSSZ`, the moment of a pre-signed URL.
pub(super) fn put_compact(out: &mut Vec<u8>, second: i64) {
    put_compact_day(out, second);
    out.push(b'T');
    let (hour, minute, of_minute) = clock(second);
    for n in [hour, minute, of_minute] {
        out.extend_from_slice(&[b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
    }
    out.push(b'Z');
}

/// Load by hour of the day, in per cent of a busy hour.
const HOURLY: [u64; 24] =
    [30, 24, 20, 18, 20, 26, 38, 55, 78, 95, 104, 108, 102, 106, 110, 108, 100, 90, 80, 72, 64, 55, 46, 38];
/// Load of a weekend day, in per cent of a weekday.
const WEEKEND: u64 = 60;
/// Length of a stretch of even load, in seconds.
pub(super) const SLOT: i64 = 900;

/// When each of a number of records happens. The n-th record falls into the n-th of equal shares of the whole
/// load, so records come in time order without sorting, and any stretch of them can be made alone.
#[derive(Debug)]
pub(super) struct Timetable {
    first_second: i64,
    /// Load before each slot, and at the end the whole.
    before: Vec<u64>,
    /// Load of one record.
    share: f64,
}

impl Timetable {
    /// `records` records over `days` days from `start`; both counts at least 1.
    pub(super) fn new(start: Day, days: u32, records: u64) -> Self {
        let mut before = vec![0];
        let mut total = 0;
        for day in 0..i64::from(days) {
            let factor = if start.plus(day).is_weekend() { WEEKEND } else { 100 };
            for slot in 0..(DAY / SLOT) as usize {
                let (hour, quarter) = (slot / 4, slot as u64 % 4);
                let load = HOURLY[hour] * (4 - quarter) + HOURLY[(hour + 1) % 24] * quarter;
                total += load * factor;
                before.push(total);
            }
        }
        Self { first_second: start.first_second(), before, share: total as f64 / records as f64 }
    }

    /// The load of each stretch of [`SLOT`] seconds, in order.
    pub(super) fn loads(&self) -> impl Iterator<Item = u64> + '_ {
        self.before.windows(2).map(|ends| ends[1] - ends[0])
    }

    /// The moment of `position`, a record's number from 0 plus a part of 1. `slot` is where the search begins,
    /// and where it ended: keep it between calls with growing positions, starting from 0. Positions past the last
    /// record are at the end.
    pub(super) fn second(&self, position: f64, slot: &mut usize) -> i64 {
        let load = position * self.share;
        let last = self.before.len() - 2;
        if *slot == 0 {
            *slot = self.before.partition_point(|&b| b as f64 <= load).saturating_sub(1).min(last);
        }
        while *slot < last && self.before[*slot + 1] as f64 <= load {
            *slot += 1;
        }
        let (low, high) = (self.before[*slot] as f64, self.before[*slot + 1] as f64);
        let offset = ((load - low) / (high - low) * SLOT as f64) as i64;
        self.first_second + *slot as i64 * SLOT + offset.clamp(0, SLOT - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_and_write() {
        assert_eq!(Day::DEFAULT.to_string(), "2026-03-01");
        for text in ["2000-01-01", "2024-02-29", "2026-12-31", "2999-12-31"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        for text in
            ["", "2026-02-29", "2026-13-01", "2026-1-01", "26-01-01", "2026/01/01", "+026-01-01", "é026-01-0"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert_eq!("1999-12-31".parse::<Day>().unwrap_err().message(), "not a day");
    }

    #[test]
    fn every_day_of_a_leap_cycle_comes_back() {
        let mut day: Day = "2000-01-01".parse().unwrap();
        for _ in 0..146_097 {
            let (y, m, d) = day.civil();
            assert_eq!(Day::from_civil(y, m, d), day);
            day = day.plus(1);
        }
        assert_eq!(day.to_string(), "2400-01-01");
    }

    #[test]
    fn stamps() {
        let mut stamp = Stamp::new(0);
        assert_eq!(stamp.bytes(), b"[01/Jan/1970:00:00:00 +0000]");
        stamp.set(1_772_409_599);
        assert_eq!(stamp.bytes(), b"[01/Mar/2026:23:59:59 +0000]");
        stamp.set(1_772_409_600);
        assert_eq!(stamp.bytes(), b"[02/Mar/2026:00:00:00 +0000]");
        let mut out = Vec::new();
        put_compact(&mut out, 1_772_409_599);
        assert_eq!(out, b"20260301T235959Z");
    }

    #[test]
    fn a_timetable_keeps_order_and_period_and_sleeps_at_night() {
        let table = Timetable::new(Day::DEFAULT, 2, 10_000);
        let first = Day::DEFAULT.first_second();
        let mut slot = 0;
        let seconds: Vec<i64> = (0..10_000).map(|n| table.second(n as f64 + 0.5, &mut slot)).collect();
        assert!(seconds.is_sorted());
        assert!(seconds[0] >= first && seconds[9_999] < first + 2 * DAY);
        let in_hour = |hour| seconds.iter().filter(|&&s| clock(s).0 == hour).count();
        assert!(in_hour(14) > 4 * in_hour(3));
        // Found alone is found in line.
        assert_eq!(table.second(5_000.5, &mut 0), seconds[5_000]);
    }
}
