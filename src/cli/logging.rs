//! What the program says beside its results: lines for people, or with `--log-format json` one JSON object a line.
//!
//! People read notes and summaries as they always were, without time and level. In JSON each of them is an event of
//! `tracing`, with its numbers and names as fields of their own. The libraries beneath are heard at debug level only,
//! in either form. What there is to say is in [`notes`](super::notes); nothing here knows when it is said.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::notes::{Fields, Note};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Summary;

/// The form of what is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum LogLevel {
    /// Only what ends the program
    Error,
    /// Also what is missing or may be wrong
    Warn,
    /// Also notes and summaries
    Info,
    /// Also what the libraries for S3 and Delta say
    Debug,
    /// Everything of our own
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// What was asked for; the process has one standard error.
static ASKED: OnceLock<(LogFormat, LogLevel)> = OnceLock::new();

fn is_json() -> bool {
    ASKED.get().is_some_and(|(format, _)| *format == LogFormat::Json)
}

fn is_heard(level: LogLevel) -> bool {
    level <= ASKED.get().map_or(LogLevel::Info, |(_, heard)| *heard)
}

/// Sets form and level; the first call counts.
///
/// Errors when something else in the process has taken hold of `tracing` before.
pub(super) fn start(format: LogFormat, level: LogLevel) -> Result<()> {
    if ASKED.set((format, level)).is_err() {
        return Ok(());
    }
    // Not above debug: at trace level the libraries say what goes over the wire.
    let libraries = if level >= LogLevel::Debug { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let heard = Targets::new().with_default(libraries).with_target(env!("CARGO_PKG_NAME"), level.filter());
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing_subscriber::registry().with(layer.with_filter(heard)).try_init()
        }
        LogFormat::Text if level >= LogLevel::Debug => {
            tracing_subscriber::registry().with(layer.with_filter(heard)).try_init()
        }
        LogFormat::Text => Ok(()),
    };
    started.map_err(|e| Error::new(ErrorKind::Internal, "cannot start logging").with_source(e))
}

/// Says why the program ends, with every cause.
pub fn print_error(error: &Error) {
    if is_json() {
        tracing::error!(kind = kind_name(error.kind()), "{}", error.report());
    } else {
        speak(&format!("s3trail: {}", error.report()));
    }
}

/// Writes a line to standard error, in one piece: those of several processes do not mix.
fn speak(line: &str) {
    // Nobody is left to be told when this fails.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

/// The name of a kind of error in logs: `not_found` for `NotFound`.
fn kind_name(kind: ErrorKind) -> String {
    let mut name = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// How the program speaks beside its results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ui {
    /// Whether only warnings are said.
    pub quiet: bool,
}

impl Ui {
    /// Says something on standard error; `--quiet` leaves only warnings.
    pub fn note(self, note: &Note) {
        let is_warning = note.label() == "warning";
        if self.quiet && !is_warning {
            return;
        }
        if !is_json() {
            if is_heard(if is_warning { LogLevel::Warn } else { LogLevel::Info }) {
                speak(&format!("s3trail: {}: {note}", note.label()));
            }
            return;
        }
        let Fields { name, count, place, reason, ratio, limit, id, owner, expired } = note.fields();
        // Level and fields of an event are constants of the place it is sent from.
        macro_rules! send {
            ($level:ident) => {
                tracing::$level!(
                    note = name,
                    count,
                    place,
                    reason,
                    ratio,
                    limit,
                    id,
                    owner,
                    expired,
                    "{note}"
                )
            };
        }
        if is_warning { send!(warn) } else { send!(info) }
    }

    /// A line of a summary on standard error.
    pub fn say(self, line: &str) {
        if self.quiet {
            return;
        }
        if is_json() {
            tracing::info!("{}", line.trim());
        } else if is_heard(LogLevel::Info) {
            speak(line);
        }
    }

    /// The summary of an ingest: its `lines` for people, its numbers in JSON.
    pub fn summary(self, summary: &Summary, lines: &[String]) {
        if !is_json() {
            lines.iter().for_each(|line| self.say(line));
        } else if !self.quiet {
            tracing::info!(
                objects = summary.objects,
                lines = summary.lines,
                records = summary.records,
                rejects = summary.rejects,
                duplicates = summary.duplicates,
                bytes_in = summary.bytes_in,
                bytes_out = summary.bytes_out,
                seconds = summary.seconds,
                commit_batches = summary.commit_batches,
                known_objects = summary.known_objects,
                skipped_files = summary.skipped_files,
                failed_objects = summary.failed_objects,
                recovered_commits = summary.recovered_commits,
                new_versions = summary.new_versions,
                disposed_objects = summary.disposed_objects,
                retries = summary.retries,
                interrupted = summary.interrupted,
                "{}",
                lines.first().map_or("", |line| line.trim())
            );
        }
    }

    /// The summary of a round in which nothing happened: for programs, and for people who want to hear everything.
    pub fn idle(self, summary: &Summary) {
        let line = "nothing new";
        if is_json() {
            self.summary(summary, &[line.to_owned()]);
        } else {
            tracing::debug!(known_objects = summary.known_objects, seconds = summary.seconds, "{line}");
        }
    }

    /// Whether progress is shown: on a terminal that people read.
    pub fn has_bars(self) -> bool {
        !self.quiet && !is_json() && is_heard(LogLevel::Info) && std::io::stderr().is_terminal()
    }

    /// A bar for so many detections.
    pub fn counter(self, total: u64) -> ProgressBar {
        if !self.has_bars() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} detections  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Whether somebody can be asked, and their answer read.
    pub fn can_ask(self) -> bool {
        !is_json() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
}

/// What clap has to say instead of arguments: help, version, or what is wrong with them, and the exit code.
///
/// Errors, for `main` to print, when arguments are wrong and JSON was asked for.
pub(super) fn refuse(refused: &clap::Error) -> Result<u8> {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    if refused.use_stderr() && json_was_asked_for(args, std::env::var("S3TRAIL_LOG_FORMAT").ok()) {
        start(LogFormat::Json, LogLevel::Info)?;
        return Err(Error::usage(sentence(&refused.render().to_string())));
    }
    // As clap does itself: nobody is left to hear that nobody reads.
    let _ = refused.print();
    Ok(u8::try_from(refused.exit_code()).unwrap_or(super::TROUBLE))
}

/// Whether the form of the log is JSON, as far as arguments that clap does not understand can tell.
fn json_was_asked_for(args: impl IntoIterator<Item = String>, environment: Option<String>) -> bool {
    let args: Vec<String> = args.into_iter().take_while(|arg| arg != "--").collect();
    let mut values = args.iter().enumerate().filter_map(|(at, arg)| match arg.strip_prefix("--log-format") {
        Some("") => args.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    values.next_back().or(environment.as_deref()) == Some("json")
}

/// clap's message as one sentence, without the usage below it.
fn sentence(message: &str) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<&str> =
        lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let text = lines.join("; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_among_arguments_that_are_wrong() {
        let asked = |line: &str, environment: Option<&str>| {
            json_was_asked_for(line.split_whitespace().map(str::to_owned), environment.map(str::to_owned))
        };
        assert!(asked("ingest --lgo x --log-format json", None));
        assert!(asked("--log-format=json ingest", Some("text")));
        assert!(asked("ingest", Some("json")));
        for line in
            ["ingest", "ingest --log-format", "ingest --log-format text", "ingest -- --log-format json"]
        {
            assert!(!asked(line, None), "{line}");
        }
        assert!(!asked("ingest --log-format text", Some("json")));
    }

    #[test]
    fn what_clap_says_becomes_one_sentence() {
        let said = "error: unexpected argument '--lgo' found\n\n  tip: a similar argument exists: '--log'\n\nUsage: s3trail";
        assert_eq!(
            sentence(said),
            "unexpected argument '--lgo' found; tip: a similar argument exists: '--log'"
        );
        assert_eq!(sentence("error: no\n\nFor more information, try '--help'.\n"), "no");
    }

    #[test]
    fn kinds_have_names() {
        assert_eq!(kind_name(ErrorKind::NotFound), "not_found");
        assert_eq!(kind_name(ErrorKind::Io), "io");
    }
}
