//! The vocabulary of findings: what a detection found, how bad it is, and where the proof is.
//!
//! `detect` makes findings, `report` writes them; they meet here. Nothing here knows SQL, Arrow or a format.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know; nothing to do.
    Informational,
    /// Worth a look when there is time.
    Low,
    /// Worth a look soon.
    Medium,
    /// Needs somebody today.
    High,
    /// Needs somebody now.
    Critical,
}

impl Level {
    /// Every level, from least to worst.
    pub const ALL: [Level; 5] =
        [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];

    /// The name in front matter and in findings.
    pub fn name(self) -> &'static str {
        match self {
            Level::Informational => "informational",
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One hit of a detection. Serialised it is a finding of `detect --format json`; the shape is stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The detection.
    pub id: String,
    /// What is the case, in one line.
    pub title: String,
    /// How bad it is.
    pub level: Level,
    /// The source bucket it is about.
    pub bucket: String,
    /// Who or what within it: a principal, an address, a prefix, a key. Written by strangers.
    pub subject: String,
    /// How many records, keys or deliveries; the detection's description says which.
    pub count: i64,
    /// RFC 3339, UTC.
    pub first_seen: String,
    /// RFC 3339, UTC.
    pub last_seen: String,
    /// The first log records that prove it; there may be more.
    pub evidence: Vec<Evidence>,
    /// The other columns of the detection, in alphabetical order.
    pub details: serde_json::Map<String, serde_json::Value>,
    /// The same for the same detection, bucket and subject in every run: `<id>:<16 hexadecimal digits>`.
    pub fingerprint: String,
    /// Topic and other words of the detection.
    pub tags: Vec<String>,
    /// Why it is suppressed; null when it is not.
    pub suppressed: Option<Suppressed>,
    /// What to do, first things first. Not part of the JSON: the detection has it.
    #[serde(skip)]
    pub runbook: Vec<String>,
    /// What it means. Not part of the JSON: the detection has it.
    #[serde(skip)]
    pub description: String,
}

/// Where one log record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Destination bucket of the log object; null when unknown.
    pub log_bucket: Option<String>,
    /// Key of the log object.
    pub log_key: Option<String>,
    /// Byte offset of the line in it; null for the whole object.
    pub log_offset: Option<i64>,
    /// Time of the record, RFC 3339, UTC.
    pub time: Option<String>,
}

/// The suppression that a finding fell under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day it holds, `2026-12-31`.
    pub expires: String,
}

/// A detection that was not run to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The detection.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// What a run of detections came to. Serialised it is the output of `detect --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Worst first, then by detection, bucket and subject.
    pub findings: Vec<Finding>,
    /// Detections that could not be run.
    pub skipped: Vec<Skipped>,
    /// How long it took.
    pub seconds: f64,
}

impl Findings {
    /// The findings that no suppression covers.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }
}
