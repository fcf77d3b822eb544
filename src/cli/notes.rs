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
    /// Something beside the log objects of a bucket was not taken for one.
    Skipped {
        /// Its key.
        place: String,
        /// Why.
        reason: &'static str,
    },
    /// More was skipped than is named one by one.
    MoreSkipped {
        /// How much more.
        count: u64,
    },
    /// More log objects could not be read than are named one by one.
    MoreObjectsFailed {
        /// How many more.
        count: u64,
        /// How many of which kind.
        reason: String,
    },
    /// Log objects that are in the lake are still in the source, where they should not be any more.
    NotDisposed {
        /// How many.
        count: u64,
        /// The first of them.
        place: String,
        /// Why.
        reason: String,
    },
    /// Whether what is written comes back as log objects cannot be told.
    LoopUnknown {
        /// The bucket whose logging may not be read.
        bucket: String,
    },
    /// Nobody has delivered anything yet.
    SourceIsEmpty {
        /// The source as it was named.
        place: String,
    },
    /// A round failed as a whole; the next one tries again.
    RoundFailed {
        /// Why.
        reason: String,
        /// Until the next round begins, such as `5 min 00 s`.
        pause: String,
    },
    /// A round took longer than rounds are apart.
    RoundTooLong {
        /// How long it took.
        took: String,
        /// What `--watch` asks for.
        interval: String,
    },
    /// There are findings of the level that the user wants to hear of.
    FindingsFound {
        /// How many.
        count: u64,
        /// What `--fail-on` says.
        level: &'static str,
    },
    /// Metrics can be asked for.
    MetricsServed {
        /// Where, `host:port`.
        address: String,
    },
    /// A file for those who watch the program could not be written.
    NotWritten {
        /// What it is.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A signal asked to stop.
    Stopping {
        /// Its name.
        signal: &'static str,
    },
    /// What was going on did not end soon enough after a signal.
    LeftUndone,
    /// The run was ended by a signal.
    Interrupted {
        /// Commits that are in the lake.
        commits: u64,
    },
}

/// The parts of a note that a program looks for. Names and reasons are escaped as in its text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fields {
    /// The kind of note.
    pub name: &'static str,
    /// How many.
    pub count: Option<u64>,
    /// A path, a URL, a log object.
    pub place: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Rejects by lines.
    pub ratio: Option<f64>,
    /// What is allowed.
    pub limit: Option<f64>,
    /// A detection.
    pub id: Option<String>,
    /// Who answers for a suppression.
    pub owner: Option<String>,
    /// The last day of a suppression.
    pub expired: Option<String>,
}

impl Note {
    /// The word to print before it: `warning` if something is missing or may be wrong, else `note`.
    pub fn label(&self) -> &'static str {
        match self {
            Note::ObjectFailed { .. }
            | Note::RejectsKept { .. }
            | Note::RejectRatioExceeded { .. }
            | Note::DetectionFailed { .. }
            | Note::SuppressionExpired { .. }
            | Note::MoreObjectsFailed { .. }
            | Note::NotDisposed { .. }
            | Note::RoundFailed { .. }
            | Note::FindingsFound { .. }
            | Note::NotWritten { .. }
            | Note::LeftUndone
            | Note::Interrupted { .. } => "warning",
            Note::LakeDefaultUsed
            | Note::StdinSpooled
            | Note::NothingNew
            | Note::RecoveredCommit { .. }
            | Note::Skipped { .. }
            | Note::MoreSkipped { .. }
            | Note::LoopUnknown { .. }
            | Note::SourceIsEmpty { .. }
            | Note::RoundTooLong { .. }
            | Note::MetricsServed { .. }
            | Note::Stopping { .. } => "note",
        }
    }

    /// Its kind, numbers and names, for logs that programs read.
    pub(super) fn fields(&self) -> Fields {
        let text = |text: &str| Some(escape_for_terminal(text).into_owned());
        let named = |name| Fields { name, ..Fields::default() };
        match self {
            Note::LakeDefaultUsed => named("lake_default_used"),
            Note::StdinSpooled => named("stdin_spooled"),
            Note::ObjectFailed { place, reason } => {
                Fields { place: text(place), reason: text(reason), ..named("object_failed") }
            }
            Note::RejectsKept { count, first_place, reason } => Fields {
                count: Some(*count),
                place: text(first_place),
                reason: text(reason),
                ..named("rejects_kept")
            },
            Note::RejectRatioExceeded { ratio, limit } => {
                Fields { ratio: Some(*ratio), limit: Some(*limit), ..named("reject_ratio_exceeded") }
            }
            Note::NothingNew => named("nothing_new"),
            Note::DetectionFailed { id, reason } => {
                Fields { id: text(id), reason: text(reason), ..named("detection_failed") }
            }
            Note::SuppressionExpired { id, owner, expired } => Fields {
                id: text(id),
                owner: text(owner),
                expired: text(expired),
                ..named("suppression_expired")
            },
            Note::RecoveredCommit { count } => Fields { count: Some(*count), ..named("recovered_commit") },
            Note::Skipped { place, reason } => {
                Fields { place: text(place), reason: text(reason), ..named("skipped") }
            }
            Note::MoreSkipped { count } => Fields { count: Some(*count), ..named("more_skipped") },
            Note::MoreObjectsFailed { count, reason } => {
                Fields { count: Some(*count), reason: text(reason), ..named("more_objects_failed") }
            }
            Note::NotDisposed { count, place, reason } => Fields {
                count: Some(*count),
                place: text(place),
                reason: text(reason),
                ..named("not_disposed")
            },
            Note::LoopUnknown { bucket } => Fields { place: text(bucket), ..named("loop_unknown") },
            Note::SourceIsEmpty { place } => Fields { place: text(place), ..named("source_is_empty") },
            Note::RoundFailed { reason, .. } => Fields { reason: text(reason), ..named("round_failed") },
            Note::RoundTooLong { .. } => named("round_too_long"),
            Note::FindingsFound { count, level } => {
                Fields { count: Some(*count), reason: text(level), ..named("findings_found") }
            }
            Note::MetricsServed { address } => Fields { place: text(address), ..named("metrics_served") },
            Note::NotWritten { what, reason } => {
                Fields { place: text(what), reason: text(reason), ..named("not_written") }
            }
            Note::Stopping { signal } => Fields { reason: text(signal), ..named("stopping") },
            Note::LeftUndone => named("left_undone"),
            Note::Interrupted { commits } => Fields { count: Some(*commits), ..named("interrupted") },
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
            Note::Skipped { place, reason } => write!(f, "skipped {}: {reason}", escape_for_terminal(place)),
            Note::MoreSkipped { count } => {
                write!(f, "skipped {} more that are no log objects; --exclude leaves them unlisted", thousands(*count))
            }
            Note::MoreObjectsFailed { count, reason } => write!(
                f,
                "cannot read {} more log objects ({}); --log-level debug names them",
                thousands(*count),
                escape_for_terminal(reason)
            ),
            Note::NotDisposed { count, place, reason } => write!(
                f,
                "{} in the lake and could not be deleted or moved, such as {}: {}; a later run tries again",
                if *count == 1 { "1 log object is".to_owned() } else { format!("{} log objects are", thousands(*count)) },
                escape_for_terminal(place),
                escape_for_terminal(reason)
            ),
            Note::LoopUnknown { bucket } => write!(
                f,
                "cannot tell whether writing to the lake makes log objects in the source: the logging of {} may not be read; \
                 allow s3:GetBucketLogging to know",
                escape_for_terminal(bucket)
            ),
            Note::SourceIsEmpty { place } => write!(
                f,
                "there is no log object in {} yet; every round looks again",
                escape_for_terminal(place)
            ),
            Note::RoundFailed { reason, pause } => {
                write!(f, "this round failed: {}; the next one begins in {pause}", escape_for_terminal(reason))
            }
            Note::RoundTooLong { took, interval } => write!(
                f,
                "a round took {took}, longer than --watch {interval}: the next begins at once, and so from now on"
            ),
            Note::FindingsFound { count, level } => {
                let findings = if *count == 1 { "finding is" } else { "findings are" };
                write!(f, "{} {findings} {level} or worse; see the findings for what to do first", thousands(*count))
            }
            Note::MetricsServed { address } => write!(f, "metrics are at http://{address}/metrics"),
            Note::NotWritten { what, reason } => {
                write!(f, "cannot write the {what}: {}; trying again", escape_for_terminal(reason))
            }
            Note::Stopping { signal } => {
                write!(f, "{signal}: stopping, the running commit batch is finished or given up; again to stop at once")
            }
            Note::LeftUndone => f.write_str(
                "what was going on did not end in time and was left; the next run finishes or undoes its commit batch",
            ),
            Note::Interrupted { commits } => {
                let are = if *commits == 1 { "commit is" } else { "commits are" };
                write!(f, "interrupted; {} {are} in the lake, run again to go on", thousands(*commits))
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
            (Note::Interrupted { commits: 3 }, "interrupted; 3 commits are in the lake, run again to go on"),
            (Note::Interrupted { commits: 1 }, "interrupted; 1 commit is in the lake, run again to go on"),
        ];
        for (note, expected) in notes {
            assert_eq!(note.to_string(), expected);
        }
    }

    #[test]
    fn fields_are_as_harmless_as_the_text() {
        let place = "logs/a\u{1b}[2J\u{202e}b".to_owned();
        let fields = Note::ObjectFailed { place, reason: "gone\n".to_owned() }.fields();
        let expected = Fields {
            name: "object_failed",
            place: Some(r"logs/a\x1b[2J\u{202e}b".to_owned()),
            reason: Some(r"gone\n".to_owned()),
            ..Fields::default()
        };
        assert_eq!(fields, expected);
    }
}
