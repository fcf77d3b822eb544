//! `s3trail ingest`: log objects into a lake, and the summary.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::oneshot;

use super::args::{IngestArgs, Intake};
use super::metrics::TableSize;
use super::notes::Note;
use super::output::write_to;
use super::progress::{Bar, Seen};
use super::settings::Settings;
use super::shared::{Reach, bucket_of, open_or_create_lake, open_sources, refuse_loop};
use super::watch::{Board, Round, State, rounds};
use super::{TROUBLE, Ui};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::memory::DEFAULT_MEMORY;
use crate::ingest::{IngestOptions, Summary, cursor_name, ingest_into, source_id};
use crate::lake::{Lake, TableStatus};
use crate::report::text;
use crate::source::{SourceOptions, Sources};
use crate::stop::Stop;

/// The lake when none is named.
pub(super) const DEFAULT_LAKE: &str = "./lake";
pub(super) const DEFAULT_MAX_REJECT_RATIO: f64 = 0.01;

pub(super) async fn run(args: IngestArgs, settings: &Settings, ui: &Ui, stop: &Stop) -> Result<ExitCode> {
    let job = Job::new(&args.intake, args.dry_run, args.max_memory, settings, *ui, stop).await?;
    rounds(&args.intake.schedule, *ui, stop, async |board: &Board| {
        let taken = job.take_in(board, stop).await?;
        if args.json {
            write_line(None, &json(&taken.summary)?)?;
        } else {
            job.print(&taken.summary);
        }
        let exit_code = taken.exit_code();
        Ok(taken.into_round(exit_code))
    })
    .await
}

/// What every round takes in, checked as far as that goes before the first.
pub(super) struct Job<'a> {
    intake: &'a Intake,
    settings: &'a Settings,
    ui: Ui,
    /// Whether the source is in S3.
    is_bucket: bool,
    /// `None` in a dry run.
    lake: Option<String>,
    options: IngestOptions,
    max_reject_ratio: f64,
    /// What is said once, however many rounds there are.
    is_emptiness_said: Cell<bool>,
    are_skipped_said: Cell<bool>,
    is_loop_said: Cell<bool>,
    /// Whether the lake is still to be told another number of shards.
    reshard: Cell<bool>,
}

/// What a round took in.
pub(super) struct Taken {
    pub summary: Summary,
    /// Whether that is to be called trouble: objects that could not be read, too many rejects.
    pub is_trouble: bool,
    /// What ended the round, when something had been committed before.
    pub error: Option<Error>,
    lake: Vec<TableSize>,
}

/// What a round reads, and where it puts that.
struct Opened {
    lake: Option<Lake>,
    sources: Sources,
    /// Where the lake keeps the cursor of such runs; `None` when nothing is kept.
    cursor: Option<String>,
    /// Whether an earlier run has left one.
    has_cursor: bool,
}

impl Taken {
    /// The exit code as far as ingest is concerned.
    fn exit_code(&self) -> ExitCode {
        match self.is_trouble || self.summary.interrupted {
            true => ExitCode::from(TROUBLE),
            false => ExitCode::SUCCESS,
        }
    }

    /// The round that ends with this.
    pub fn into_round(self, exit_code: ExitCode) -> Round {
        let Taken { summary, is_trouble, error, lake } = self;
        Round { summary, is_trouble, error, lake, findings: None, exit_code }
    }
}

impl<'a> Job<'a> {
    /// Errors with [`ErrorKind::Usage`] when the words do not go together, or the user does not want log objects
    /// deleted after all.
    pub async fn new(
        intake: &'a Intake,
        dry_run: bool,
        max_memory: Option<u64>,
        settings: &'a Settings,
        ui: Ui,
        stop: &Stop,
    ) -> Result<Job<'a>> {
        intake.source.check(&intake.sources)?;
        if intake.schedule.watch.is_some() && intake.sources.iter().any(|word| word == "-") {
            return Err(Error::usage("standard input (-) ends once, it cannot be watched")
                .with_hint("name a folder, or leave --watch out"));
        }
        confirm(intake, ui, stop).await?;
        let ratio = intake.max_reject_ratio.or(settings.max_reject_ratio);
        let bucket = bucket_of(&intake.sources)?.map(|(bucket, _)| bucket);
        if let (Some(read), Some(said)) = (&bucket, &intake.log_bucket)
            && read != said
        {
            return Err(Error::usage("--log-bucket names another bucket than the source")
                .with_context("source", intake.sources.join(" "))
                .with_context("--log-bucket", said.clone())
                .with_hint("leave --log-bucket out: it is for copies of log objects"));
        }
        let is_bucket = bucket.is_some();
        let log_bucket = bucket.or_else(|| intake.log_bucket.clone()).or_else(|| settings.log_bucket.clone());
        Ok(Job {
            intake,
            settings,
            ui,
            is_bucket,
            lake: (!dry_run).then(|| lake_location(intake.lake.as_deref(), settings, &ui)),
            options: IngestOptions {
                log_bucket,
                commit_bytes: intake.commit_bytes,
                memory_bytes: max_memory.unwrap_or(DEFAULT_MEMORY),
                shard: intake.source.shard.map(|shard| (shard.part, shard.of)),
                ..IngestOptions::default()
            },
            max_reject_ratio: ratio.unwrap_or(DEFAULT_MAX_REJECT_RATIO),
            is_emptiness_said: Cell::new(false),
            are_skipped_said: Cell::new(false),
            is_loop_said: Cell::new(false),
            reshard: Cell::new(intake.source.reshard),
        })
    }

    /// Where the lake is; `None` in a dry run.
    pub fn lake(&self) -> Option<&str> {
        self.lake.as_deref()
    }

    /// Whether more rounds follow.
    pub fn is_watching(&self) -> bool {
        self.intake.schedule.watch.is_some()
    }

    /// Takes in what is new and says what went wrong.
    ///
    /// Errors when the source cannot be read at all, when there is nothing in the source of an only round, and when
    /// the lake cannot be written.
    pub async fn take_in(&self, board: &Board, stop: &Stop) -> Result<Taken> {
        board.enter(State::Ingesting);
        let words = &self.intake.sources;
        let options = self.intake.source.options(&self.intake.cloud, &self.settings.source, Utc::now());
        let bar = Bar::new(words, self.ui.quiet || self.is_watching());
        let reach = self.intake.cloud.reach(&self.settings.source);
        let opened = tokio::select! {
            opened = self.open(&options, &reach) => opened?,
            () = stop.requested() => {
                bar.finish();
                return Ok(self.not_begun());
            }
        };
        let Opened { mut lake, sources, cursor, has_cursor } = opened;
        let ingest_options = IngestOptions { reshard: self.reshard.get(), cursor, ..self.options.clone() };
        let mut summary = Summary::default();
        let ended = ingest_into(&mut summary, lake.as_mut(), sources, &ingest_options, &bar, stop).await;
        let error = match ended {
            Ok(()) => None,
            // What is committed is told all the same.
            Err(e) if summary.commit_batches > 0 => Some(e),
            Err(e) => return Err(e),
        };
        self.reshard.set(false);
        let seen = bar.finish();
        if self.is_bucket && !self.are_skipped_said.replace(true) {
            self.note_skipped(&summary, &seen);
        }
        report_trouble(&summary, seen, &self.ui);
        if error.is_none() {
            // What earlier runs took in need not be listed, and may be gone; another shard may have it all.
            let may_be_empty = self.is_watching() || has_cursor || self.options.shard.is_some();
            self.note_emptiness(&summary, may_be_empty)?;
        }
        let (ratio, limit) = (summary.reject_ratio(), self.max_reject_ratio);
        if ratio > limit {
            self.ui.note(&Note::RejectRatioExceeded { ratio, limit });
        }
        self.note_interruption(&summary);
        let is_short = summary.incomplete || summary.failed_objects + summary.undisposed_objects > 0;
        let is_trouble = ratio > limit || is_short;
        let mut tables = Vec::new();
        if let Some(lake) = lake.as_ref().filter(|_| self.intake.schedule.metrics.is_some()) {
            // What was taken in is in the lake, whether it can be counted or not.
            tables = sizes(lake).await.unwrap_or_else(|e| {
                self.ui.note(&Note::NotWritten { what: "size of the lake", reason: e.report() });
                Vec::new()
            });
        }
        Ok(Taken { summary, is_trouble, error, lake: tables })
    }

    /// Opens lake and sources.
    async fn open(&self, options: &SourceOptions, reach: &Reach) -> Result<Opened> {
        let words = &self.intake.sources;
        self.refuse_loop(options.loops_allowed, reach).await?;
        let (mut lake, mut name, mut cursor) = (None, None, None);
        // A folder that is not there must not leave an empty lake; a bucket is listed from where the lake says.
        let mut sources = None;
        if !self.is_bucket {
            sources = Some(open_sources(words, options, reach, None, self.ui).await?);
        }
        if let Some(location) = &self.lake {
            let opened = open_or_create_lake(location, reach).await?;
            if let Some((_, prefixes)) = bucket_of(words)? {
                let source = source_id(self.options.log_bucket.as_deref(), self.options.shard);
                let of_job = cursor_name(&source, &prefixes, &options.selection());
                cursor = opened.read_state(&of_job).await?;
                name = Some(of_job);
            }
            lake = Some(opened);
        }
        let sources = match sources {
            Some(files) => files,
            None => open_sources(words, options, reach, cursor.as_deref(), self.ui).await?,
        };
        Ok(Opened { lake, sources, cursor: name, has_cursor: cursor.is_some() })
    }

    /// A round that was stopped before anything was read.
    fn not_begun(&self) -> Taken {
        let summary = Summary { interrupted: true, ..Summary::default() };
        self.note_interruption(&summary);
        Taken { summary, is_trouble: false, error: None, lake: Vec::new() }
    }

    /// Refuses a lake that would feed its own source.
    async fn refuse_loop(&self, is_allowed: bool, reach: &Reach) -> Result<()> {
        let source = bucket_of(&self.intake.sources)?;
        let (Some((source, _)), Some(lake), false) = (source, &self.lake, is_allowed) else { return Ok(()) };
        let unknown = |bucket| {
            if !self.is_loop_said.replace(true) {
                self.ui.note(&Note::LoopUnknown { bucket });
            }
        };
        refuse_loop(lake, &source, reach, unknown).await
    }

    /// Says what in the bucket is no log object.
    fn note_skipped(&self, summary: &Summary, seen: &Seen) {
        for (place, reason) in &seen.skipped {
            self.ui.note(&Note::Skipped { place: place.clone(), reason });
        }
        let count = summary.skipped_files.saturating_sub(seen.skipped.len() as u64);
        if count > 0 {
            self.ui.note(&Note::MoreSkipped { count });
        }
    }

    /// Says that there was nothing, or nothing new.
    fn note_emptiness(&self, summary: &Summary, may_be_empty: bool) -> Result<()> {
        let is_unknown = summary.interrupted || summary.incomplete;
        if is_unknown || summary.objects + summary.failed_objects > 0 {
            return Ok(());
        }
        let place = self.intake.sources.join(" ");
        if summary.known_objects == 0 && !may_be_empty {
            return Err(Error::new(ErrorKind::NotFound, "there is no log object in the source")
                .with_context("source", place)
                .with_context("files skipped", summary.skipped_files.to_string())
                .with_hint("name the folder or prefix that S3 delivers the logs to, or a copy of it"));
        }
        if !self.is_watching() {
            self.ui.note(&Note::NothingNew);
        } else if summary.known_objects == 0 && !self.is_bucket && !self.is_emptiness_said.replace(true) {
            self.ui.note(&Note::SourceIsEmpty { place });
        }
        Ok(())
    }

    /// Says that a signal ended the only round; with `--watch` it ends between rounds as well as in one.
    pub fn note_interruption(&self, summary: &Summary) {
        if summary.interrupted && !self.is_watching() {
            self.ui.note(&Note::Interrupted { commits: summary.commit_batches });
        }
    }

    /// The summary on standard error; rounds in which nothing happened are many, and not worth a line to people.
    pub fn print(&self, summary: &Summary) {
        let is_idle = summary.objects + summary.failed_objects + summary.recovered_commits == 0;
        if self.is_watching() && is_idle {
            self.ui.idle(summary);
        } else {
            print_summary(summary, self.lake.is_none(), &self.ui);
        }
    }
}

/// Asks whether log objects may be deleted or moved, where that was asked for; a request to stop is a no.
async fn confirm(intake: &Intake, ui: Ui, stop: &Stop) -> Result<()> {
    if !intake.source.delete_after_commit && intake.source.move_to.is_none() {
        return Ok(());
    }
    let (source, words) = (intake.source.clone(), intake.sources.clone());
    let (answer, answered) = oneshot::channel();
    // A thread of its own: nothing ends a read from the terminal, and the runtime waits for those it has.
    std::thread::Builder::new()
        .name("question".to_owned())
        .spawn(move || drop(answer.send(source.confirm(&words, ui))))
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start a thread").with_source(e))?;
    let unanswered = || Error::usage("nothing was done, since the question was not answered");
    tokio::select! {
        answer = answered => answer.unwrap_or_else(|_| Err(unanswered())),
        () = stop.requested() => Err(unanswered()),
    }
}

async fn sizes(lake: &Lake) -> Result<Vec<TableSize>> {
    let size = |table: TableStatus| TableSize {
        name: table.table.name().to_owned(),
        rows: table.rows,
        files: table.content.files,
        bytes: table.content.bytes,
    };
    Ok(lake.tables().await?.into_iter().map(size).collect())
}

/// The lake that was named, or the default one, which is said.
pub(super) fn lake_location(named: Option<&str>, settings: &Settings, ui: &Ui) -> String {
    match named.or(settings.lake.as_deref()) {
        Some(lake) => lake.to_owned(),
        None => {
            ui.note(&Note::LakeDefaultUsed);
            DEFAULT_LAKE.to_owned()
        }
    }
}

/// Says which objects failed and that lines were rejected.
pub(super) fn report_trouble(summary: &Summary, seen: Seen, ui: &Ui) {
    let mut more = summary.failures.clone();
    for failure in &summary.failed {
        let place = failure.place.clone();
        ui.note(&Note::ObjectFailed { place, reason: failure.error.report() });
        if let Some(count) = more.get_mut(failure.class.name()) {
            *count = count.saturating_sub(1);
        }
    }
    more.retain(|_, count| *count > 0);
    if !more.is_empty() {
        ui.note(&Note::MoreObjectsFailed { count: more.values().sum(), reason: counted(&more) });
    }
    if let Some(failure) = summary.undisposed.first() {
        let (place, reason) = (failure.place.clone(), failure.error.report());
        ui.note(&Note::NotDisposed { count: summary.undisposed_objects, place, reason });
    }
    if summary.recovered_commits > 0 {
        ui.note(&Note::RecoveredCommit { count: summary.recovered_commits });
    }
    // One that was seen in a commit batch which another process committed first is none of this run.
    if let Some((first_place, reason)) = seen.first_reject.filter(|_| summary.rejects > 0) {
        ui.note(&Note::RejectsKept { count: summary.rejects, first_place, reason });
    }
}

/// `name 12,345, other 3`
fn counted(numbers: &BTreeMap<&str, u64>) -> String {
    let numbers: Vec<String> =
        numbers.iter().map(|(name, n)| format!("{name} {}", text::count(*n))).collect();
    numbers.join(", ")
}

fn json(summary: &Summary) -> Result<String> {
    serde_json::to_string(summary)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot write the summary").with_source(e))
}

/// Writes a line to the file named, or to standard output.
pub(super) fn write_line(path: Option<&Path>, line: &str) -> Result<()> {
    write_to(path, |out| {
        writeln!(out, "{line}")
            .map_err(|e| Error::new(ErrorKind::Io, "cannot write the result").with_source(e))
    })
}

/// The summary on standard error.
pub(super) fn print_summary(summary: &Summary, dry_run: bool, ui: &Ui) {
    let elapsed = Duration::from_secs_f64(summary.seconds);
    let mut lines = vec![
        format!(
            "{} {} log objects, {} in {} ({})",
            if dry_run { "read" } else { "took in" },
            text::count(summary.objects),
            text::bytes(summary.bytes_in),
            text::seconds(elapsed),
            text::rate(summary.bytes_in, elapsed),
        ),
        format!(
            "  {} lines = {} records + {} rejects + {} duplicates",
            text::count(summary.lines),
            text::count(summary.records),
            text::count(summary.rejects),
            text::count(summary.duplicates),
        ),
    ];
    if summary.known_objects + summary.skipped_files + summary.failed_objects > 0 {
        lines.push(format!(
            "  {} log objects known already, {} unreadable, {} other files skipped",
            text::count(summary.known_objects),
            text::count(summary.failed_objects),
            text::count(summary.skipped_files),
        ));
    }
    if !summary.failures.is_empty() {
        lines.push(format!("  unreadable: {}", counted(&summary.failures)));
    }
    if summary.new_versions > 0 {
        lines.push(format!(
            "  {} in another version than before, such as {}",
            text::counted(summary.new_versions, "log object"),
            text::escape_for_terminal(summary.new_version_keys.first().map_or("", String::as_str)),
        ));
    }
    if summary.disposed_objects > 0 {
        lines.push(format!(
            "  {} deleted or moved from the source",
            text::counted(summary.disposed_objects, "log object")
        ));
    }
    if summary.undisposed_objects > 0 {
        lines.push(format!(
            "  {} still in the source",
            text::counted(summary.undisposed_objects, "log object")
        ));
    }
    if !dry_run {
        lines.push(format!(
            "  {} of Parquet in {} commits",
            text::bytes(summary.bytes_out),
            summary.commit_batches
        ));
    }
    if !summary.quirks.is_empty() {
        lines.push(format!("  quirks: {}", counted(&summary.quirks)));
    }
    ui.summary(summary, &lines);
}
