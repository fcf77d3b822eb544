//! Every hint and warning of the program, so that they can be read, checked and reworded in one place.
//!
//! A note says what happened, then what to do about it, on one line. It is never an error: the program goes on, or has
//! done what it could. This module refuses to know where notes are printed and whether the user wants them.

use std::fmt;

use crate::report::text::{count as thousands, escape_for_terminal};

/// Something the user should know, printed on standard error.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// No lake was named.
    LakeDefaultUsed,
    /// Standard input was copied to a temporary file before it was read.
    StdinSpooled,
    /// A log object could not be read; the others were.
    ObjectFailed {
        /// Its path or URL.
        place: String,
        /// Why, in a few words.
        reason: String,
    },
    /// Lines were refused and kept in the table `rejects`.
    RejectsKept {
        /// How many lines.
        count: u64,
        /// Log object and byte offset of the first.
        first_place: String,
        /// Why the first was refused.
        reason: String,
    },
    /// More lines were refused than the user allows.
    RejectRatioExceeded {
        /// Rejects by lines, 0 to 1.
        ratio: f64,
        /// What `--max-reject-ratio` allows, 0 to 1.
        limit: f64,
    },
    /// The lake has every log object of the source already.
    NothingNew,
    /// A detection could not be run; the others were.
    DetectionFailed {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
    /// A finding is there that a suppression covered until it expired.
    SuppressionExpired {
        /// The detection.
        id: String,
        /// Who answers for it.
        owner: String,
        /// The last day it held.
        expired: String,
    },
    /// Commit batches of a run that died were finished.
    RecoveredCommit {
        /// How many.
        count: u64,
    },
}

impl Note {
    /// The word to print before it: `warning` if something is missing or may be wrong, else `note`.
    pub fn label(&self) -> &'static str {
        match self {
            Note::ObjectFailed { .. }
            | Note::RejectsKept { .. }
            | Note::RejectRatioExceeded { .. }
            | Note::DetectionFailed { .. }
            | Note::SuppressionExpired { .. } => "warning",
            Note::LakeDefaultUsed | Note::StdinSpooled | Note::NothingNew | Note::RecoveredCommit { .. } => {
                "note"
            }
        }
    }
}

/// One line without label or full stop. Names and reasons, which strangers may have written, are escaped.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::LakeDefaultUsed => f.write_str("using the lake ./lake; name another with --lake or S3TRAIL_LAKE"),
            Note::StdinSpooled => f.write_str(
                "standard input was copied to a temporary file first; name a file or directory to save the copy",
            ),
            Note::ObjectFailed { place, reason } => write!(
                f,
                "cannot read {}: {}; the other log objects are taken in, run again once it is readable",
                escape_for_terminal(place),
                escape_for_terminal(reason)
            ),
            Note::RejectsKept { count, first_place, reason } => write!(
                f,
                "{} refused, the first at {}: {}; see them with: s3trail query \"SELECT * FROM rejects\"",
                if *count == 1 { "1 line was".to_owned() } else { format!("{} lines were", thousands(*count)) },
                escape_for_terminal(first_place),
                escape_for_terminal(reason)
            ),
            Note::RejectRatioExceeded { ratio, limit } => write!(
                f,
                "{} of the lines were refused, more than the {} allowed; check that the source holds S3 server access logs, \
                 or raise --max-reject-ratio",
                Percent(*ratio),
                Percent(*limit)
            ),
            Note::NothingNew => f.write_str("the lake has every log object of the source already; nothing to do"),
            Note::DetectionFailed { id, reason } => write!(
                f,
                "the detection {} could not be run: {}; the others were",
                escape_for_terminal(id),
                escape_for_terminal(reason)
            ),
            Note::SuppressionExpired { id, owner, expired } => write!(
                f,
                "a suppression of {} expired on {}; ask {} to look again, or renew it in s3trail.toml",
                escape_for_terminal(id),
                escape_for_terminal(expired),
                escape_for_terminal(owner)
            ),
            Note::RecoveredCommit { count } => {
                let batches = if *count == 1 { "commit batch" } else { "commit batches" };
                write!(f, "finished {} {batches} of an earlier run that died; nothing to do", thousands(*count))
            }
        }
    }
}

/// A ratio in percent with as many digits as it takes to tell it from nothing.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let rounded = (percent * 100.0).round() / 100.0;
        if percent > 0.0 && rounded == 0.0 {
            f.write_str("less than 0.01 %")
        } else {
            write!(f, "{rounded} %")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_then_what_to_do() {
        let notes = [
            (Note::LakeDefaultUsed, "using the lake ./lake; name another with --lake or S3TRAIL_LAKE"),
            (
                Note::RejectsKept {
                    count: 12_345,
                    first_place: "logs/a\u{1b}[2J at 42".to_owned(),
                    reason: "no time".to_owned(),
                },
                r#"12,345 lines were refused, the first at logs/a\x1b[2J at 42: no time; see them with: s3trail query "SELECT * FROM rejects""#,
            ),
            (
                Note::RejectRatioExceeded { ratio: 0.03217, limit: 0.01 },
                "3.22 % of the lines were refused, more than the 1 % allowed; check that the source holds S3 server access logs, or raise --max-reject-ratio",
            ),
            (
                Note::RecoveredCommit { count: 1 },
                "finished 1 commit batch of an earlier run that died; nothing to do",
            ),
        ];
        for (note, expected) in notes {
            assert_eq!(note.to_string(), expected);
        }
    }
}
