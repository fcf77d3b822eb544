//! Rounds: one, or one after the other with `--watch`, and what those who watch from outside are told of them.
//!
//! Rounds never overlap. They begin `--watch` apart, give or take a tenth so that many machines do not ask at once; one
//! that failed is tried again a whole interval after it ended. Nothing but the numbers of [`Metrics`] is kept from one
//! round to the next. What a round does is not known here.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::args::ScheduleArgs;
use super::logging::Ui;
use super::metrics::{Answer, Metrics, Outcome, TableSize, Target, serve};
use super::notes::Note;
use super::output::write_to;
use super::release_memory;
use crate::error::{Error, ErrorKind, Result};
use crate::finding::Level;
use crate::ingest::Summary;
use crate::report::{is_broken_pipe, text};
use crate::stop::Stop;

/// How often the heartbeat file is written; those who read it are promised 30 s.
const BEAT: Duration = Duration::from_secs(10);

/// What a round came to.
#[derive(Debug)]
pub(super) struct Round {
    /// What was taken in.
    pub summary: Summary,
    /// Whether something is missing: objects that could not be read, too many rejects, a detection that failed.
    pub is_trouble: bool,
    /// What ended the round after something had been committed.
    pub error: Option<Error>,
    /// What the lake holds now; empty when nobody asked.
    pub lake: Vec<TableSize>,
    /// Findings that are not suppressed, by level; `None` where nobody looked.
    pub findings: Option<[u64; Level::ALL.len()]>,
    /// The exit code, when this is the only round.
    pub exit_code: ExitCode,
}

impl Round {
    fn outcome(&self) -> Outcome {
        if self.error.is_some() {
            Outcome::Failed
        } else if self.summary.interrupted {
            Outcome::Interrupted
        } else if self.summary.incomplete {
            // Whoever waits for the last success must hear of a source that cannot be seen.
            Outcome::Failed
        } else if self.is_trouble {
            Outcome::Partial
        } else {
            Outcome::Success
        }
    }

    /// Why it failed, if it did.
    fn failure(&self) -> Option<String> {
        match (&self.error, self.summary.failed.first()) {
            (Some(error), _) => Some(error.report()),
            _ if self.outcome() != Outcome::Failed => None,
            (None, Some(failure)) => Some(failure.error.report()),
            (None, None) => Some("the source could not be read to its end".to_owned()),
        }
    }

    /// The round, or the error that ended it.
    fn settled(mut self) -> Result<Round> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// What the program is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Waiting for the next round.
    #[default]
    Idle,
    /// Taking log objects in.
    Ingesting,
    /// Looking for trouble.
    Detecting,
}

/// Calls `round` once, or with `--watch` again and again until `stop` is requested.
///
/// The exit code is that of the only round; success when `--watch` is stopped. Errors with the error of the only round;
/// with `--watch` only when trying again cannot help: the words are wrong, which is seen before anything was done by
/// them, or nobody reads the results any more. Errors at once when metrics or heartbeat cannot be put where they should
/// go.
pub(super) async fn rounds(
    schedule: &ScheduleArgs,
    ui: Ui,
    stop: &Stop,
    mut round: impl AsyncFnMut(&Board) -> Result<Round>,
) -> Result<ExitCode> {
    let board = Board::new(schedule, ui)?;
    let _tasks = board.start(schedule).await?;
    let Some(interval) = schedule.watch else {
        let started = Instant::now();
        let result = round(&board).await;
        board.ended(&result, started.elapsed());
        return result.and_then(Round::settled).map(|round| round.exit_code);
    };
    let (mut is_slow_said, mut has_worked) = (false, false);
    while !stop.is_requested() {
        let started = Instant::now();
        let result = round(&board).await;
        let took = started.elapsed();
        board.ended(&result, took);
        let result = result.and_then(Round::settled);
        let interval = jittered(interval);
        has_worked |= result.is_ok();
        let pause = match &result {
            Err(e) if (e.kind() == ErrorKind::Usage && !has_worked) || is_broken_pipe(e) => {
                return result.map(|round| round.exit_code);
            }
            Err(e) => {
                if !stop.is_requested() {
                    let (reason, pause) = (e.report(), text::seconds(interval));
                    ui.note(&Note::RoundFailed { reason, pause });
                }
                interval
            }
            Ok(round) if round.outcome() == Outcome::Failed => interval,
            Ok(_) => interval.saturating_sub(took),
        };
        if pause.is_zero() && !std::mem::replace(&mut is_slow_said, true) {
            let (took, interval) = (text::seconds(took), text::seconds(interval));
            ui.note(&Note::RoundTooLong { took, interval });
        }
        drop(result);
        release_memory();
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The interval, a tenth shorter to a tenth longer.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// What is told outside: metrics and heartbeat.
#[derive(Debug)]
pub(super) struct Board {
    content: Arc<Mutex<Content>>,
    files: Arc<Files>,
}

#[derive(Debug, Default)]
struct Content {
    metrics: Metrics,
    state: State,
    round: u64,
    last_success: Option<DateTime<Utc>>,
    last_error: Option<(DateTime<Utc>, String)>,
}

/// The files that are told, and whether the last time failed, so that it is said once.
#[derive(Debug)]
struct Files {
    metrics: Option<PathBuf>,
    heartbeat: Option<PathBuf>,
    metrics_failed: AtomicBool,
    heartbeat_failed: AtomicBool,
    /// Writers one after the other, or an older state could be the last.
    order: Mutex<()>,
    ui: Ui,
}

/// The heartbeat file.
#[derive(Serialize)]
struct Heartbeat<'a> {
    time: String,
    pid: u32,
    version: &'static str,
    round: u64,
    state: State,
    last_success: Option<String>,
    last_error: Option<&'a str>,
    last_error_time: Option<String>,
}

impl Board {
    fn new(schedule: &ScheduleArgs, ui: Ui) -> Result<Board> {
        let metrics = match &schedule.metrics {
            Some(Target::File(path)) => Some(path.clone()),
            Some(Target::Address(address)) if schedule.watch.is_none() => {
                return Err(Error::usage("nobody can ask a run that ends for its metrics")
                    .with_context("address", address.to_string())
                    .with_hint("add --watch, or name a file: --metrics FILE"));
            }
            _ => None,
        };
        let mut content = Content::default();
        if let Some(path) = &metrics {
            match std::fs::read_to_string(path) {
                Ok(page) => content.metrics.resume(&page),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("read the metrics file", path, e)),
            }
        }
        let files = Files {
            metrics,
            heartbeat: schedule.heartbeat.clone(),
            metrics_failed: AtomicBool::new(false),
            heartbeat_failed: AtomicBool::new(false),
            order: Mutex::default(),
            ui,
        };
        Ok(Board { content: Arc::new(Mutex::new(content)), files: Arc::new(files) })
    }

    /// Writes the files a first time, and starts what tells of the rounds beside them; dropping it ends that.
    async fn start(&self, schedule: &ScheduleArgs) -> Result<JoinSet<()>> {
        // What cannot be written now is a mistake of whoever started the program; later it may be a full disk.
        self.files.write_metrics(&self.content())?;
        self.files.write_heartbeat(&self.content())?;
        let mut tasks = JoinSet::new();
        if self.files.heartbeat.is_some() {
            let (content, files) = (Arc::clone(&self.content), Arc::clone(&self.files));
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(BEAT).await;
                    files.beat(&content);
                }
            });
        }
        if let Some(Target::Address(address)) = schedule.metrics {
            let refused = |e| Error::new(ErrorKind::Io, "cannot serve metrics").with_source(e);
            let listener = TcpListener::bind(address)
                .await
                .map_err(|e| refused(e).with_context("address", address.to_string()))?;
            let bound = listener.local_addr().map_err(refused)?;
            self.files.ui.note(&Note::MetricsServed { address: bound.to_string() });
            let content = Arc::clone(&self.content);
            tasks.spawn(
                async move { match serve(listener, move |path| answer(&lock(&content), path)).await {} },
            );
        }
        Ok(tasks)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }

    /// Says what is going on from here on.
    pub fn enter(&self, state: State) {
        {
            let mut content = self.content();
            // Every round begins with the log objects.
            content.round += u64::from(state == State::Ingesting);
            content.state = state;
        }
        self.files.beat(&self.content);
    }

    fn ended(&self, result: &Result<Round>, took: Duration) {
        let now = Utc::now();
        let outcome = match result {
            Ok(round) => round.outcome(),
            Err(_) => Outcome::Failed,
        };
        {
            let content = &mut *self.content();
            content.state = State::Idle;
            content.metrics.round(outcome, took, now.timestamp());
            if matches!(outcome, Outcome::Success | Outcome::Partial) {
                content.last_success = Some(now);
            }
            let failure = match result {
                Err(e) => Some(e.report()),
                Ok(round) => round.failure(),
            };
            if let Some(reason) = failure {
                content.last_error = Some((now, reason));
            }
            if let Ok(round) = result {
                content.metrics.taken_in(&round.summary);
                if !round.lake.is_empty() {
                    content.metrics.lake(round.lake.clone());
                }
                if let Some(findings) = round.findings {
                    content.metrics.findings(findings);
                }
            }
            tracing::debug!(
                round = content.round,
                outcome = outcome.name(),
                seconds = took.as_secs_f64(),
                "the round ended"
            );
        }
        self.files.beat(&self.content);
        let written = self.files.write_metrics(&self.content());
        self.files.say_once(&self.files.metrics_failed, "metrics file", written);
    }
}

impl Files {
    /// Writes the heartbeat, or says that it cannot be.
    fn beat(&self, content: &Mutex<Content>) {
        let _mine = lock(&self.order);
        let written = self.write_heartbeat(&lock(content));
        self.say_once(&self.heartbeat_failed, "heartbeat file", written);
    }

    fn write_heartbeat(&self, content: &Content) -> Result<()> {
        let Some(path) = &self.heartbeat else { return Ok(()) };
        let line = heartbeat(content);
        write_to(Some(path), |out| {
            out.write_all(line.as_bytes()).map_err(|e| Error::io("write the heartbeat file", path, e))
        })
    }

    fn write_metrics(&self, content: &Content) -> Result<()> {
        let Some(path) = &self.metrics else { return Ok(()) };
        let page = content.metrics.page(Utc::now().timestamp());
        write_to(Some(path), |out| {
            out.write_all(page.as_bytes()).map_err(|e| Error::io("write the metrics file", path, e))
        })
    }

    fn say_once(&self, failed: &AtomicBool, what: &'static str, written: Result<()>) {
        let was = failed.swap(written.is_err(), Ordering::Relaxed);
        if let (Err(e), false) = (written, was) {
            self.ui.note(&Note::NotWritten { what, reason: e.report() });
        }
    }
}

/// The heartbeat as one line of JSON.
fn heartbeat(content: &Content) -> String {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let heartbeat = Heartbeat {
        time: time(Utc::now()),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        round: content.round,
        state: content.state,
        last_success: content.last_success.map(time),
        last_error: content.last_error.as_ref().map(|(_, error)| error.as_str()),
        last_error_time: content.last_error.as_ref().map(|(at, _)| time(*at)),
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_string(&heartbeat).unwrap_or_default() + "\n"
}

/// What `path` of the metrics address answers with.
fn answer(content: &Content, path: &str) -> Option<Answer> {
    match path {
        "/metrics" => Some(Answer::metrics(content.metrics.page(Utc::now().timestamp()))),
        "/healthz" => Some(Answer::json(heartbeat(content))),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UI: Ui = Ui { quiet: true };

    fn every(interval: Duration) -> ScheduleArgs {
        ScheduleArgs { watch: Some(interval), ..ScheduleArgs::default() }
    }

    fn good() -> Round {
        Round {
            summary: Summary { objects: 2, ..Summary::default() },
            is_trouble: false,
            error: None,
            lake: Vec::new(),
            findings: None,
            exit_code: ExitCode::SUCCESS,
        }
    }

    #[test]
    fn jitter_is_a_tenth_either_way() {
        let times: Vec<u128> = (0..1000).map(|_| jittered(Duration::from_secs(1)).as_millis()).collect();
        assert!(times.iter().all(|time| (900..=1100).contains(time)));
        assert!(times.iter().any(|time| *time < 920) && times.iter().any(|time| *time > 1080));
    }

    #[tokio::test]
    async fn rounds_that_fail_are_tried_again_until_somebody_stops_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let schedule = ScheduleArgs {
            metrics: Some(Target::File(file("s3trail.prom"))),
            heartbeat: Some(file("heartbeat.json")),
            ..every(Duration::from_millis(1))
        };
        let stop = Stop::new();
        let mut states = Vec::new();
        let mut count = 0;
        let ended = rounds(&schedule, UI, &stop, async |board: &Board| {
            count += 1;
            board.enter(State::Ingesting);
            let beat = std::fs::read(file("heartbeat.json")).unwrap();
            let beat: serde_json::Value = serde_json::from_slice(&beat).unwrap();
            assert_eq!(beat["pid"], std::process::id());
            states.push((beat["state"].clone(), beat["round"].clone(), beat["last_error"].is_string()));
            match count {
                1 => Err(Error::new(ErrorKind::NotFound, "nobody is there")),
                2 => Ok(good()),
                // The words have worked once: it is something else.
                3 => Err(Error::usage("there are no credentials")),
                _ => {
                    stop.request();
                    Ok(Round { is_trouble: true, ..good() })
                }
            }
        });
        assert_eq!(ended.await.unwrap(), ExitCode::SUCCESS);
        let state = |round: u64, has_failed| ("ingesting".into(), round.into(), has_failed);
        assert_eq!(states, [state(1, false), state(2, true), state(3, true), state(4, true)]);
        let page = std::fs::read_to_string(file("s3trail.prom")).unwrap();
        for line in [
            "s3trail_objects_total 4",
            "s3trail_rounds_total{outcome=\"failed\"} 2",
            "s3trail_rounds_total{outcome=\"success\"} 1",
            "s3trail_rounds_total{outcome=\"partial\"} 1",
        ] {
            assert!(page.lines().any(|there| there == line), "{line} in {page}");
        }
        let beat = std::fs::read_to_string(file("heartbeat.json")).unwrap();
        assert!(beat.contains("\"idle\"") && beat.contains("no credentials"), "{beat}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_round_that_did_not_see_all_is_no_success_and_still_counts() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("s3trail.prom");
        let schedule = ScheduleArgs {
            metrics: Some(Target::File(page.clone())),
            heartbeat: Some(folder.path().join("heartbeat.json")),
            ..ScheduleArgs::default()
        };
        let stop = Stop::new();
        let unseen = Summary { objects: 2, incomplete: true, ..Summary::default() };
        let mut unseen = Some(Round { summary: unseen, is_trouble: true, ..good() });
        rounds(&schedule, UI, &stop, async |_: &Board| Ok(unseen.take().unwrap())).await.unwrap();
        let beat = std::fs::read_to_string(folder.path().join("heartbeat.json")).unwrap();
        assert!(beat.contains("\"last_success\":null") && beat.contains("to its end"), "{beat}");

        // Something had been committed before it failed.
        let full = Some(Error::new(ErrorKind::Io, "the disk is full"));
        let mut cut_off = Some(Round { error: full, ..good() });
        let ended = rounds(&schedule, UI, &stop, async |_: &Board| Ok(cut_off.take().unwrap())).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Io);
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(page.contains("s3trail_objects_total 4\n"), "{page}");
        assert!(page.contains("s3trail_rounds_total{outcome=\"failed\"} 2\n"), "{page}");
        assert!(!page.contains("s3trail_last_success_timestamp_seconds"), "{page}");
    }

    #[tokio::test]
    async fn wrong_words_end_it_and_so_does_one_round() {
        let stop = Stop::new();
        let wrong = async |_: &Board| Err(Error::usage("no such thing"));
        let refused = rounds(&every(Duration::from_millis(1)), UI, &stop, wrong).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Usage);
        let once = ScheduleArgs::default();
        let broken = async |_: &Board| Err(Error::new(ErrorKind::Io, "broken"));
        assert_eq!(rounds(&once, UI, &stop, broken).await.unwrap_err().kind(), ErrorKind::Io);
        let trouble = Round { is_trouble: true, exit_code: ExitCode::from(2), ..good() };
        let mut trouble = Some(trouble);
        let ended = rounds(&once, UI, &stop, async |_: &Board| Ok(trouble.take().unwrap()));
        assert_eq!(ended.await.unwrap(), ExitCode::from(2));
    }

    #[tokio::test]
    async fn nobody_asks_a_run_that_ends() {
        let address = Target::parse("127.0.0.1:0").unwrap();
        let schedule = ScheduleArgs { metrics: Some(address), ..ScheduleArgs::default() };
        let refused = rounds(&schedule, UI, &Stop::new(), async |_: &Board| Ok(good())).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage);
        assert!(refused.report().contains("--watch"), "{}", refused.report());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_said_before_the_first_round() {
        let folder = tempfile::tempdir().unwrap();
        let heartbeat = Some(folder.path().join("missing/heartbeat.json"));
        let schedule = ScheduleArgs { heartbeat, ..every(Duration::from_secs(60)) };
        let refused = rounds(&schedule, UI, &Stop::new(), async |_: &Board| Ok(good())).await.unwrap_err();
        assert!(refused.report().contains("missing"), "{}", refused.report());
    }
}
