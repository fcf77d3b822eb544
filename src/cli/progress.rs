//! The progress bar: bytes, records a second, rejects, time left. On a terminal only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

use super::logging::Ui;
use crate::ingest::Progress;
use crate::report::text;
use crate::source::{Files, Found, Skipped, SourceOptions};

/// Shows how an ingest goes on, and keeps what the summary does not have.
pub(super) struct Bar {
    bar: ProgressBar,
    records: std::sync::Arc<AtomicU64>,
    rejects: std::sync::Arc<AtomicU64>,
    first_reject: Mutex<Option<(String, String)>>,
    skipped: Mutex<Vec<(String, &'static str)>>,
}

/// What a run came across and the summary does not have.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Log key with offset, and reason, of the first line that was refused.
    pub first_reject: Option<(String, String)>,
    /// The first things that were not taken for log objects, and why.
    pub skipped: Vec<(String, &'static str)>,
}

/// Things named one by one; a bucket can hold millions that are no log objects.
const NAMED: usize = 10;

impl Bar {
    /// A bar for `words`, whose sizes are added up first when there is a terminal to show it on.
    pub fn new(words: &[String], quiet: bool) -> Self {
        let visible = Ui { quiet }.has_bars();
        // Standard input and pipes can be opened only once.
        let countable =
            visible && words.iter().all(|w| std::fs::metadata(w).is_ok_and(|m| m.is_file() || m.is_dir()));
        let bar = match countable.then(|| total_bytes(words)).flatten() {
            Some(total) => ProgressBar::new(total),
            None if visible => ProgressBar::no_length(),
            None => ProgressBar::hidden(),
        };
        let records = std::sync::Arc::new(AtomicU64::new(0));
        let rejects = std::sync::Arc::new(AtomicU64::new(0));
        let (shown, refused) = (records.clone(), rejects.clone());
        let style = ProgressStyle::with_template(
            "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}  {records} records  {rejects} rejects  ETA {eta}",
        );
        if let Ok(style) = style {
            let style = style
                .with_key("records", move |_: &ProgressState, w: &mut dyn std::fmt::Write| {
                    let _ = write!(w, "{}", HumanCount(shown.load(Ordering::Relaxed)));
                })
                .with_key("rejects", move |_: &ProgressState, w: &mut dyn std::fmt::Write| {
                    let _ = write!(w, "{}", HumanCount(refused.load(Ordering::Relaxed)));
                });
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, records, rejects, first_reject: Mutex::default(), skipped: Mutex::default() }
    }

    /// Removes the bar; what was seen while it was there.
    pub fn finish(self) -> Seen {
        self.bar.finish_and_clear();
        let first_reject = self.first_reject.into_inner().unwrap_or_else(PoisonError::into_inner);
        let skipped = self.skipped.into_inner().unwrap_or_else(PoisonError::into_inner);
        Seen { first_reject, skipped }
    }
}

fn total_bytes(words: &[String]) -> Option<u64> {
    let sources = Files::open(words, &SourceOptions::default()).ok()?;
    Some(sources.map(|found| if let Found::Object(o) = found { o.size } else { 0 }).sum())
}

impl Progress for Bar {
    fn add(&self, bytes: u64, records: u64, rejects: u64) {
        self.bar.inc(bytes);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.rejects.fetch_add(rejects, Ordering::Relaxed);
    }

    fn reject(&self, log_key: &str, offset: u64, reason: &str) {
        let mut first = self.first_reject.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some((format!("{log_key}, byte {offset}"), reason.to_owned()));
        }
    }

    fn skipped(&self, skipped: &Skipped) {
        let place = text::escape_for_terminal(&skipped.place);
        tracing::debug!(place = &*place, reason = skipped.reason, "skipped");
        self.bar.println(format!("s3trail: note: skipped {place}: {}", skipped.reason));
        let mut named = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED {
            named.push((skipped.place.clone(), skipped.reason));
        }
    }
}
