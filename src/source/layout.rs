//! What the key of a log object tells: key layout, delivery time, source bucket.
//!
//! Keys are matched from the right, since the prefix is glued to the date: simple
//! `[prefix]YYYY-MM-DD-hh-mm-ss-UniqueString`, partitioned
//! `[prefix][account]/[region]/[bucket]/YYYY/MM/DD/YYYY-MM-DD-hh-mm-ss-UniqueString`. With event-time
//! partitions hh-mm-ss is `00-00-00`. Source: AWS, "Amazon S3 log object key format" and PartitionedPrefix; an
//! owner's copy may have an ending such as `.gz`.

use crate::record::value::days_from_civil;

/// A key layout of log objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[prefix]YYYY-MM-DD-hh-mm-ss-UniqueString`.
    Simple,
    /// Partitioned by the date of the events.
    EventTime,
    /// Partitioned by the date of delivery.
    DeliveryTime,
    /// Not the key of a log object.
    Unknown,
}

impl Layout {
    /// The name in the ledger and in summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Simple => "simple",
            Layout::EventTime => "event-time",
            Layout::DeliveryTime => "delivery-time",
            Layout::Unknown => "unknown",
        }
    }
}

/// What a key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyInfo<'a> {
    /// The layout.
    pub layout: Layout,
    /// Delivery time in seconds since the epoch, UTC; `None` for event-time partitions, which do not tell.
    pub delivered_at: Option<i64>,
    /// The source bucket, which partitioned keys name.
    pub source_bucket: Option<&'a str>,
}

/// Reads `key`.
pub fn read_key(key: &str) -> KeyInfo<'_> {
    let unknown = KeyInfo { layout: Layout::Unknown, delivered_at: None, source_bucket: None };
    let Some((prefix, date, seconds)) = split(key) else { return unknown };
    if let Some((_, source_bucket)) = partition(prefix, date) {
        let event_time = seconds % 86_400 == 0;
        return KeyInfo {
            layout: if event_time { Layout::EventTime } else { Layout::DeliveryTime },
            delivered_at: (!event_time).then_some(seconds),
            source_bucket: Some(source_bucket),
        };
    }
    KeyInfo { layout: Layout::Simple, delivered_at: Some(seconds), source_bucket: None }
}

/// What keys of one log have in common: the text before their date. Also the layout, and the date of this key in
/// seconds since the epoch. `None` for what is no log object's key.
pub fn group(key: &str) -> Option<(&str, Layout, i64)> {
    let (prefix, date, seconds) = split(key)?;
    let before_date = partition(prefix, date).map_or(prefix, |(folder, _)| folder);
    Some((before_date, read_key(key).layout, seconds))
}

/// Whether `folder` is that of a month in a partitioned layout: `.../[bucket]/YYYY/MM/`.
pub fn is_month(folder: &str) -> bool {
    let mut parts = folder.strip_suffix('/').unwrap_or(folder).rsplit('/');
    let digits = |part: Option<&str>, len| {
        part.is_some_and(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()))
    };
    digits(parts.next(), 2)
        && digits(parts.next(), 4)
        && parts.take(3).filter(|part| !part.is_empty()).count() == 3
}

/// The text before the name's date, that date as `YYYY-MM-DD`, and the seconds of the whole stamp.
fn split(key: &str) -> Option<(&str, &str, i64)> {
    let stem =
        [".gz", ".zst", ".log", ".txt"].iter().fold(key, |k, ending| k.strip_suffix(ending).unwrap_or(k));
    let (head, unique) = stem.rsplit_once('-')?;
    let is_unique =
        unique.len() >= 16 && unique.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    // `YYYY-MM-DD-hh-mm-ss`, behind whatever prefix.
    let at = head.len().checked_sub(19).filter(|at| is_unique && head.is_char_boundary(*at))?;
    let (prefix, stamp) = head.split_at(at);
    let (date, seconds) = read_stamp(stamp)?;
    Some((prefix, date, seconds))
}

/// `YYYY-MM-DD-hh-mm-ss` to its date part and seconds since the epoch.
fn read_stamp(stamp: &str) -> Option<(&str, i64)> {
    let shape = stamp.bytes().enumerate().all(|(i, b)| match i {
        4 | 7 | 10 | 13 | 16 => b == b'-',
        _ => b.is_ascii_digit(),
    });
    let number = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<i64>().ok();
    if !shape {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((&stamp[..10], seconds))
}

/// Of `[prefix][account]/[region]/[bucket]/YYYY/MM/DD/` where the date is the name's own: the text before the date, and
/// the bucket, which is the source.
fn partition<'a>(prefix: &'a str, date: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = prefix.strip_suffix('/')?.rsplit('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let same_date = date.split('-').eq([year, month, day]);
    let (bucket, _region, _account) = (parts.next()?, parts.next()?, parts.next()?);
    // Only where the date is there, its length is known.
    (same_date && !bucket.is_empty()).then(|| (&prefix[..prefix.len() - "YYYY/MM/DD/".len()], bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_keys_with_the_prefix_glued_on() {
        for (key, at) in [
            ("logs/2013-09-04-19-21-23-409B1E28CFD6DC94", 1_378_322_483),
            ("emr2021-11-08-13-10-55-E99D7343D993A492", 1_636_377_055),
            ("s3-logs-b2018-07-04-04-29-24-42BE2810684123A8.gz", 1_530_678_564),
        ] {
            let info = KeyInfo { layout: Layout::Simple, delivered_at: Some(at), source_bucket: None };
            assert_eq!(read_key(key), info, "{key}");
        }
    }

    #[test]
    fn partitioned_keys_name_the_source_bucket() {
        let event =
            "logs/111122223333/us-east-1/amzn-s3-demo-bucket/2026/03/01/2026-03-01-00-00-00-0123456789ABCDEF";
        let info = read_key(event);
        assert_eq!((info.layout, info.delivered_at), (Layout::EventTime, None));
        assert_eq!(info.source_bucket, Some("amzn-s3-demo-bucket"));
        let delivery = "p111122223333/us-east-1/b.c/2026/03/01/2026-03-01-10-20-30-0123456789ABCDEF";
        let info = read_key(delivery);
        assert_eq!((info.layout, info.delivered_at), (Layout::DeliveryTime, Some(1_772_360_430)));
        assert_eq!(info.source_bucket, Some("b.c"));
        // Another date in the path: a prefix that happens to look like it.
        let other = "a/r/b/2026/03/02/2026-03-01-10-20-30-0123456789ABCDEF";
        assert_eq!(read_key(other).layout, Layout::Simple);
    }

    #[test]
    fn keys_of_one_log_have_the_same_text_before_their_date() {
        for (key, before_date, layout) in [
            ("emr2021-11-08-13-10-55-E99D7343D993A492", "emr", Layout::Simple),
            ("2021-11-08-13-10-55-E99D7343D993A492", "", Layout::Simple),
            ("p/1/r/b/2026/03/01/2026-03-01-00-00-00-0123456789ABCDEF", "p/1/r/b/", Layout::EventTime),
            ("p1/r/b/2026/03/01/2026-03-01-10-20-30-0123456789ABCDEF", "p1/r/b/", Layout::DeliveryTime),
        ] {
            let (before, found, _) = group(key).unwrap();
            assert_eq!((before, found), (before_date, layout), "{key}");
        }
        assert_eq!(group("access.log"), None);
    }

    #[test]
    fn months_of_a_partitioned_layout() {
        assert!(is_month("logs/111122223333/us-east-1/amzn-s3-demo-bucket/2026/03/"));
        assert!(is_month("111122223333/us-east-1/amzn-s3-demo-bucket/2026/03/"));
        for folder in ["2026/03/", "a/b/2026/03/", "1/r/b/2026/", "1/r/b/2026/03/01/", "1/r/b/2026/x3/", ""] {
            assert!(!is_month(folder), "{folder}");
        }
    }

    #[test]
    fn folders_that_are_no_date() {
        for folder in ["a/b/c/d/ééé/ééé/", "//////", "a/b/c/////", "1/r/b/2026/03/é1/", "é/é/é/é/é/é/"]
        {
            let key = format!("{folder}2026-03-01-10-20-30-0123456789ABCDEF");
            let info = read_key(&key);
            assert_eq!((info.layout, info.source_bucket), (Layout::Simple, None), "{folder}");
        }
    }

    #[test]
    fn other_keys() {
        for key in [
            "",
            "access.log",
            "-",
            "AWSLogs/111122223333/CloudTrail/x_20260301T0000Z_abc.json.gz",
            "2026-03-01-10-20-30-short",
            "2026-13-01-10-20-30-0123456789ABCDEF",
            "2026-03-01-10-20-30-0123456789abcdef",
            "é026-03-01-10-20-30-0123456789ABCDEF",
        ] {
            assert_eq!(read_key(key).layout, Layout::Unknown, "{key}");
        }
    }
}
