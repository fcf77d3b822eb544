//! Options about log objects in S3: how to reach them, which of them are taken in, what becomes of them afterwards.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use glob::Pattern;
use serde::Deserialize;

use super::duration;
use crate::query::params::parse_timestamp;

const S3: &str = "S3";
const SOURCE: &str = "Source";
const S3_SOURCE: &str = "S3 source";
const AFTER: &str = "After the commit";

/// How S3 is reached, for sources and for lakes.
#[derive(Debug, Clone, Default, Args)]
#[cfg_attr(not(feature = "s3"), allow(dead_code))]
pub(in crate::cli) struct CloudArgs {
    /// Profile of the AWS configuration files [default: AWS_PROFILE, or `default`]
    #[arg(long, value_name = "NAME", help_heading = S3)]
    pub profile: Option<String>,
    /// Region of the buckets [default: that of the AWS configuration; other regions are found]
    #[arg(long, value_name = "REGION", help_heading = S3)]
    pub region: Option<String>,
    /// Another S3 server [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or Amazon's]
    #[arg(long, value_name = "URL", help_heading = S3, hide_short_help = true)]
    pub endpoint_url: Option<String>,
    /// Put the bucket into the path, not the host name, as most other S3 servers want it
    #[arg(long, help_heading = S3, hide_short_help = true)]
    pub path_style: bool,
    /// Pay for the requests to buckets whose owner does not
    #[arg(long, help_heading = S3, hide_short_help = true)]
    pub requester_pays: bool,
    /// Requests in flight at most; fewer when S3 asks to slow down
    #[arg(long, value_name = "N", help_heading = S3, hide_short_help = true)]
    pub concurrency: Option<NonZeroUsize>,
}

/// Which log objects of a source are taken in, and what becomes of them.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct SourceArgs {
    /// Only log objects whose whole key matches, * also across /; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = glob, help_heading = SOURCE)]
    pub include: Vec<Pattern>,
    /// No log objects whose whole key matches, also when included; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = glob, help_heading = SOURCE)]
    pub exclude: Vec<Pattern>,
    /// Only log objects delivered from this time on: 2026-03-01, 2026-03-01T12:00:00Z, or -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment, help_heading = SOURCE)]
    pub delivered_since: Option<Moment>,
    /// Only log objects delivered before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment, help_heading = SOURCE)]
    pub delivered_until: Option<Moment>,
    /// Only log objects delivered at least so long ago, such as 1h
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = SOURCE)]
    pub older_than: Option<Duration>,
    /// Take in the I-th of N parts, by a hash of the key: one process or machine for each of 1/4, 2/4, 3/4, 4/4
    #[arg(long, value_name = "I/N", value_parser = shard, help_heading = SOURCE)]
    pub shard: Option<Shard>,
    /// Go over to another number of parts, or back to none: once, when no process with the old number runs any more
    #[arg(long, help_heading = SOURCE, hide_short_help = true)]
    pub reshard: bool,
    /// List everything this time, not only where new log objects can be
    #[arg(long, help_heading = S3_SOURCE, conflicts_with_all = ["full_scan_every", "lookback", "event_days"])]
    pub full_scan: bool,
    /// List everything when the last time is so long ago [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = S3_SOURCE, hide_short_help = true)]
    pub full_scan_every: Option<Duration>,
    /// List again from so long before the newest log object taken in [default: 48h]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = S3_SOURCE, hide_short_help = true)]
    pub lookback: Option<Duration>,
    /// List again the event-time partitions of so many days: late log objects go into old ones [default: 10]
    #[arg(long, value_name = "DAYS", help_heading = S3_SOURCE, hide_short_help = true)]
    pub event_days: Option<u32>,
    /// Go on although the lake lies where it is logged into the source
    #[arg(long, help_heading = S3_SOURCE, hide_short_help = true)]
    pub i_know_this_loops: bool,
    /// Delete log objects from the source once they are committed; asks first
    #[arg(long, help_heading = AFTER, conflicts_with = "move_to")]
    pub delete_after_commit: bool,
    /// Move log objects to this prefix of their bucket once they are committed; asks first
    #[arg(long, value_name = "PREFIX", value_parser = prefix, help_heading = AFTER)]
    pub move_to: Option<String>,
    /// Do not ask before log objects are deleted or moved
    #[arg(long, help_heading = AFTER)]
    pub yes: bool,
}

impl SourceArgs {
    /// The options given that mean something for sources in S3 only.
    pub fn for_s3_only(&self) -> Vec<&'static str> {
        let given = [
            ("--full-scan", self.full_scan),
            ("--full-scan-every", self.full_scan_every.is_some()),
            ("--lookback", self.lookback.is_some()),
            ("--event-days", self.event_days.is_some()),
            ("--delete-after-commit", self.delete_after_commit),
            ("--move-to", self.move_to.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

/// A time as it was written. A relative one is counted anew in every round.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::cli) struct Moment(String);

impl Moment {
    /// Microseconds since the epoch.
    pub fn at(&self, now: DateTime<Utc>) -> Option<i64> {
        parse_timestamp(&self.0, now)
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match parse_timestamp(&text, Utc::now()) {
            Some(_) => Ok(Moment(text)),
            None => Err("write a time such as 2026-03-01, 2026-03-01T12:00:00Z or -7d".to_owned()),
        }
    }
}

/// One of so many parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Shard {
    pub part: u32,
    pub of: u32,
}

fn moment(text: &str) -> Result<Moment, String> {
    text.to_owned().try_into()
}

fn glob(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|e| format!("no glob: {e}"))
}

fn shard(text: &str) -> Result<Shard, String> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let numbers = text.split_once('/').and_then(|(part, of)| Some((number(part)?, number(of)?)));
    match numbers {
        Some((part, of)) if (1..=of).contains(&part) => Ok(Shard { part, of }),
        Some((_, of)) if of > 0 => Err(format!("the parts are 1/{of} to {of}/{of}")),
        _ => Err("write it as 1/4, 2/4, 3/4, 4/4".to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('/') || text.contains("://") {
        return Err("write a key prefix of the same bucket, such as taken-in/".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/4"), Ok(Shard { part: 1, of: 4 }));
        assert_eq!(shard("4/4"), Ok(Shard { part: 4, of: 4 }));
        assert_eq!(shard("1/1"), Ok(Shard { part: 1, of: 1 }));
        assert_eq!(shard("0/4"), Err("the parts are 1/4 to 4/4".to_owned()));
        assert_eq!(shard("5/4"), Err("the parts are 1/4 to 4/4".to_owned()));
        for text in ["", "1", "1/", "/4", "1/0", "0/0", "+1/4", "-1/4", "1/4/4", "one/4", "1/99999999999"] {
            assert!(shard(text).unwrap_err().contains("1/4, 2/4"), "{text}");
        }
    }

    #[test]
    fn moments_are_counted_when_they_are_asked() {
        let now = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let week = moment("-7d").unwrap();
        let at = |text| DateTime::from_timestamp_micros(week.at(now(text)).unwrap()).unwrap().to_rfc3339();
        assert_eq!(at("2026-03-10T00:00:00Z"), "2026-03-03T00:00:00+00:00");
        assert_eq!(at("2026-03-11T00:00:00Z"), "2026-03-04T00:00:00+00:00");
        assert!(moment("yesterday").unwrap_err().contains("-7d"));
    }

    #[test]
    fn globs_and_prefixes() {
        assert!(glob("logs/**/2026-*").is_ok() && glob("a***").is_err());
        assert!(prefix("taken-in/").is_ok());
        for text in ["", "/taken-in", "s3://amzn-s3-demo-other/taken-in/"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
