//! Scenarios: what kind of traffic is logged. A new one is a file with its script, and an arm here.

use std::fmt;
use std::str::FromStr;

use super::pen::Pen;
use super::{minimal, mixed, recursion};
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
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Scenario; 3] = [Scenario::Mixed, Scenario::Minimal, Scenario::RecursionSelf];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Mixed => "mixed",
            Scenario::Minimal => "minimal",
            Scenario::RecursionSelf => "recursion-self",
        }
    }

    pub(super) fn script(self) -> &'static Script {
        match self {
            Scenario::Mixed => &mixed::SCRIPT,
            Scenario::Minimal => &minimal::SCRIPT,
            Scenario::RecursionSelf => &recursion::SCRIPT,
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
    /// The quirk rate unless told otherwise.
    pub(super) quirk_rate: f64,
}

/// A log object that has been delivered.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogObject {
    pub(super) key: String,
    /// Bytes.
    pub(super) size: u64,
}
