//! Findings for reading, on a terminal or in a mail: levels from worst to least, in each the detections with what to do
//! first, under each what it found.
//!
//! A finding is a block of two lines, who and where on the first, how often and when and the fingerprint on the
//! second: subjects are long, and columns of them would be cut to nothing on a narrow terminal. What does not fit on
//! its line moves to the next one. Only a bucket or subject wider than the terminal is cut; a number, a time or a
//! fingerprint never is, since half of one is a wrong one.
//!
//! Everything is escaped by [`escape_for_terminal`], whether a terminal is there or not.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::text::{counted, escape_for_terminal};
use super::{FindingOptions, level_counts, minute, number, shown, summary};
use crate::finding::{Finding, Findings};

/// Blanks before the first line of a finding, and before what follows it.
const INDENT: usize = 4;
const DEEPER: usize = 6;

/// The whole text.
pub(super) fn text(findings: &Findings, options: &FindingOptions) -> String {
    let mut page = Page { text: String::new(), width: options.width.unwrap_or(usize::MAX) };
    let shown = shown(findings, options);
    for level in shown.chunk_by(|a, b| a.level == b.level) {
        page.heading(&level[0].level.name().to_uppercase(), &level_counts(level));
        for detection in level.chunk_by(|a, b| a.id == b.id) {
            page.detection(detection);
        }
    }
    if !findings.skipped.is_empty() {
        page.heading("NOT RUN TO THE END", &counted(findings.skipped.len() as u64, "detection"));
        for skipped in &findings.skipped {
            page.wrapped(2, INDENT, &format!("{}: {}", skipped.id, skipped.reason));
        }
        page.text.push('\n');
    }
    let mut last = summary(findings);
    if !shown.is_empty() {
        last.push_str("; times are UTC");
    }
    page.wrapped(0, 0, &last);
    page.text
}

struct Page {
    text: String,
    /// Terminal columns.
    width: usize,
}

impl Page {
    fn heading(&mut self, name: &str, what: &str) {
        self.wrapped(0, 0, &format!("{name}: {what}"));
        self.text.push('\n');
    }

    /// The findings of one detection under its title.
    fn detection(&mut self, findings: &[&Finding]) {
        let detection = findings[0];
        self.wrapped(2, 2, &detection.title);
        if let Some(step) = detection.runbook.first() {
            self.wrapped(2, 2 + "first: ".len(), &format!("first: {step}"));
        }
        self.text.push('\n');
        for finding in findings {
            self.finding(finding);
        }
        self.text.push('\n');
    }

    fn finding(&mut self, finding: &Finding) {
        let room = |indent: usize| self.width.saturating_sub(indent).max(1);
        let bucket = cut(escape_for_terminal(&finding.bucket).into_owned(), room(INDENT));
        let subject = cut(escape_for_terminal(&finding.subject).into_owned(), room(DEEPER));
        self.pair(INDENT, &bucket, &subject);
        let often =
            format!("count {} {}", number(finding.count), when(&finding.first_seen, &finding.last_seen));
        self.pair(DEEPER, &often, &escape_for_terminal(&finding.fingerprint));
        if let Some(suppressed) = &finding.suppressed {
            let by = format!(
                "suppressed until {} by {}: {}",
                suppressed.expires, suppressed.owner, suppressed.reason
            );
            self.wrapped(DEEPER, DEEPER, &by);
        }
    }

    /// Two texts on one line if they fit, else on two.
    fn pair(&mut self, indent: usize, first: &str, second: &str) {
        let fits = indent + first.width() + 2 + second.width() <= self.width;
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(first);
        if fits {
            self.text.push_str("  ");
        } else {
            self.text.push('\n');
            self.text.push_str(&" ".repeat(DEEPER));
        }
        self.text.push_str(second);
        self.text.push('\n');
    }

    /// A text of words, escaped, on as many lines as it needs; `indent` blanks before the first line, `rest` before
    /// the others. A word is never broken: it may be a command that somebody is going to copy.
    fn wrapped(&mut self, indent: usize, rest: usize, text: &str) {
        self.text.push_str(&" ".repeat(indent));
        let mut used = indent;
        let escaped = escape_for_terminal(text);
        for (at, word) in escaped.split(' ').enumerate() {
            if at > 0 && used + 1 + word.width() > self.width {
                self.text.push('\n');
                self.text.push_str(&" ".repeat(rest));
                used = rest;
            } else if at > 0 {
                self.text.push(' ');
                used += 1;
            }
            self.text.push_str(word);
            used += word.width();
        }
        self.text.push('\n');
    }
}

/// `at 2026-03-01 12:00`, `from 2026-03-01 12:00 to 13:30`, `from 2026-03-01 12:00 to 2026-03-02 13:30`.
fn when(first_seen: &str, last_seen: &str) -> String {
    let (first, last) = (minute(first_seen), minute(last_seen));
    if first == last {
        return format!("at {first}");
    }
    match (first.split_once(' '), last.split_once(' ')) {
        (Some((first_day, _)), Some((last_day, time))) if first_day == last_day => {
            format!("from {first} to {time}")
        }
        _ => format!("from {first} to {last}"),
    }
}

/// `text` in at most `width` terminal columns, with `…` for what was cut off.
fn cut(mut text: String, width: usize) -> String {
    if text.width() <= width {
        return text;
    }
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used >= width
    });
    text.truncate(end.map_or(0, |(at, _)| at));
    // Some sequences are wider than their characters taken one by one.
    while text.width() >= width && text.pop().is_some() {}
    text.push('…');
    text
}
