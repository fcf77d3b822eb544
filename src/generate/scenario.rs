//! Scenarios: what kind of traffic is logged. A new one is a file with its script, and an arm here.

use std::fmt;
use std::str::FromStr;

use super::pen::Pen;
use super::{Options, account::Account, incidents, minimal, mixed, recursion};
use crate::error::Error;

/// The kind of traffic that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Scenario {
    /// Every family of operations, every kind of caller.
    #[default]
    Mixed,
    /// Reads and writes of objects only, and no quirks unless asked for.
    Minimal,
    /// Mixed traffic over a bucket that receives all log objects and is itself logged, so that each delivery is
    /// a record that is delivered in turn.
    RecursionSelf,
    /// A calm, well-run account in which six incidents are planted, to see what finds them. The account has TLS
    /// 1.2 and 1.3 and SigV4 only, nothing public, the same callers at the same addresses every day, a few 304
    /// and 404 answers, lifecycle rules, backups, deployments, nightly analytics, people at the console, and
    /// CloudFront by origin access control. It is best with ten buckets or more, over several days. Planted are:
    ///
    /// 1. recursion: the bucket that receives all log objects is logged into itself, from beginning to end;
    /// 2. exfiltration, then deletion: the key of a partner's user reads a prefix of the bucket
    ///    `amzn-s3-demo-exports` from an address it never had, and five hours later deletes what it read;
    /// 3. mass deletion: an administrator's session deletes thousands of keys of `amzn-s3-demo-uploads` within
    ///    six minutes;
    /// 4. a pre-signed URL for an object of `amzn-s3-demo-media` is used from 180 addresses within three hours;
    /// 5. enumeration: one outside address is refused, or finds nothing, at many keys of all buckets;
    /// 6. plain HTTP: an application reads `amzn-s3-demo-analytics.example.com` over it for two hours.
    ///
    /// Each incident has the same records at the same share of the time range, however many records there are, but
    /// fewer in proportion below 40,000. With fewer buckets the incidents move to those that there are.
    Incidents,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Scenario; 4] =
        [Scenario::Mixed, Scenario::Minimal, Scenario::RecursionSelf, Scenario::Incidents];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Mixed => "mixed",
            Scenario::Minimal => "minimal",
            Scenario::RecursionSelf => "recursion-self",
            Scenario::Incidents => "incidents",
        }
    }

    pub(super) fn script(self) -> &'static Script {
        match self {
            Scenario::Mixed => &mixed::SCRIPT,
            Scenario::Minimal => &minimal::SCRIPT,
            Scenario::RecursionSelf => &recursion::SCRIPT,
            Scenario::Incidents => &incidents::SCRIPT,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Scenario::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            Error::usage("no such scenario")
                .with_context("scenario", text)
                .with_hint(format!("there are {}", Scenario::ALL.map(Scenario::name).join(", ")))
        })
    }
}

/// What a scenario does.
pub(super) struct Script {
    /// Writes the records of one request, at least one and at most as many as the pen has room for. The pen has
    /// begun the request.
    pub(super) request: fn(&mut Pen<'_>),
    /// Writes the one record that a delivered log object causes in the bucket that receives it, which is the
    /// first source bucket; none where the receiving bucket is not logged. The pen has begun the request.
    pub(super) echo: Option<fn(&mut Pen<'_>, &LogObject)>,
    /// Lays down for so many records what happens besides `request`, where a scenario has that.
    pub(super) plan: Option<fn(&Options, u64) -> Plan>,
    /// The quirk rate unless told otherwise.
    pub(super) quirk_rate: f64,
}

/// What a scenario lays down beforehand. Events and echoes come on top of the records that are spread over the
/// time range by load; the delivery ends the run at the number of records asked for, so only a scenario with an
/// echo may have a plan.
pub(super) struct Plan {
    /// Records to spread.
    pub(super) spread: u64,
    /// In time order.
    pub(super) events: Vec<Event>,
    /// Whose traffic it is.
    pub(super) account: Account,
}

/// A request that comes at a moment laid down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) second: i64,
    /// Which one of its kind, and how many numbers it stands for.
    pub(super) number: u64,
    pub(super) count: u64,
    /// Writes its records. The pen has begun the request, and has room.
    pub(super) write: fn(&mut Pen<'_>, &Event),
}

/// A log object that has been delivered.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogObject {
    pub(super) key: String,
    /// Bytes.
    pub(super) size: u64,
}
