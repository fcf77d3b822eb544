//! The words people type. Each subcommand is one file; this one ties them together.
//!
//! Results go to standard output, everything else to standard error. Nothing here parses logs or speaks Delta.

mod args;
mod audit;
mod detect;
mod evidence;
mod generate;
mod ingest;
mod lake;
mod logging;
mod metrics;
mod notes;
mod output;
mod progress;
mod queries;
mod query;
mod recursion;
mod repair;
mod run;
mod settings;
mod shared;
mod signals;
mod target;
mod watch;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::memory::{DEFAULT_MEMORY, Plan};
use args::{Cli, Command, ScheduleArgs};
use logging::{LogFormat, LogLevel, Ui};
use settings::Settings;

pub use logging::print_error;

/// Exit code of a run that ended in trouble it has reported itself.
const TROUBLE: u8 = 2;

/// Exit code when there are findings that `--fail-on` asks for.
const FOUND: u8 = 1;

/// Runs the program with the arguments of the process; the exit code on success, or the error to print.
pub fn run() -> Result<ExitCode> {
    keep_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return logging::refuse(&refused).map(ExitCode::from),
    };
    let level = cli.global.log_level.unwrap_or(LogLevel::Info);
    logging::start(cli.global.log_format.unwrap_or(LogFormat::Text), level)?;
    let ui = Ui { quiet: cli.global.quiet || level < LogLevel::Info };
    let settings = Settings::load(cli.global.config.as_deref())?;
    if let Some(asked) = cli.global.threads.or(settings.threads) {
        THREADS.get_or_init(|| asked.get());
    }
    // Ingest keeps to a limit of memory, and each thread of it takes some.
    let for_ingest = |limit: Option<u64>| Plan::new(limit.unwrap_or(DEFAULT_MEMORY), threads()).threads;
    start_pool(match &cli.command {
        Command::Ingest(args) => for_ingest(args.max_memory),
        Command::Run(_) => for_ingest(None),
        _ => threads(),
    })?;
    if matches!(
        cli.command,
        Command::Run(_)
            | Command::Detect(_)
            | Command::Recursion(_)
            | Command::Evidence(_)
            | Command::Query(_)
    ) {
        hush_engine();
    }
    match cli.command {
        Command::Ingest(args) => {
            let late = late(&args.intake.schedule);
            let work = move |stop| block_on_until_stopped(ingest::run(*args, &settings, &ui, &stop));
            signals::supervise(ui, late, work)
        }
        Command::Run(args) => {
            let late = late(&args.intake.schedule);
            let work = move |stop| block_on_until_stopped(run::run(*args, &settings, &ui, &stop));
            signals::supervise(ui, late, work)
        }
        Command::Detect(mut args) => {
            args.output.or_region_of(&args.target.cloud);
            block_on(detect::run(args, &settings, &ui))
        }
        Command::Recursion(args) => block_on(recursion::run(args, &settings, &ui)),
        Command::Evidence(args) => block_on(evidence::run(args, &settings, &ui)),
        Command::Query(args) if args.timeout.is_some() => {
            block_on_and_leave(query::run(args, &settings, &ui))
        }
        Command::Query(args) => block_on(query::run(args, &settings, &ui)),
        Command::Queries(args) => queries::run(args, &settings),
        Command::Audit(args) => block_on(audit::run(*args, &settings, &ui)),
        Command::Lake(args) => block_on(lake::run(args, &settings, &ui)),
        Command::Generate(args) => generate::run(&args, &ui),
    }
}

/// The exit code when a signal was given and the work did not end in time. What is watched ends well whenever it ends.
fn late(schedule: &ScheduleArgs) -> ExitCode {
    if schedule.watch.is_some() { ExitCode::SUCCESS } else { ExitCode::from(TROUBLE) }
}

/// Keeps memory that was set free for the next use of it. Ingest takes and frees buffers of a megabyte all the time;
/// given back to the system and asked for again, every page of them costs a fault and a wiping.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MMAP_FROM: libc::c_int = 32 << 20;
        const TRIM_FROM: libc::c_int = 512 << 20;
        // SAFETY: both only set a number in the allocator, before any other thread runs.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_FROM);
        }
    }
}

/// Gives back to the system what [`keep_memory`] kept: for times when there is nothing to do.
fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only gives back pages that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets panics of the engine pass in silence: they become errors, which are said in one line like any other. With
/// `RUST_BACKTRACE` they are heard all the same.
fn hush_engine() {
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return;
    }
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(WORKER) {
            loud(panic);
        }
    }));
}

/// Name of the threads that run queries.
const WORKER: &str = "worker";

/// How long the end of a question with a limit waits for what still runs.
const GRACE: Duration = Duration::from_millis(500);

/// Stack of the threads that plan queries: deep ones need more than the usual 2 MiB in an unoptimised build.
const STACK: usize = 8 << 20;

static THREADS: OnceLock<usize> = OnceLock::new();

/// Threads to use: `--threads`, or as many as the machine has.
fn threads() -> usize {
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Gives rayon's pool so many threads.
fn start_pool(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start the worker threads").with_source(e))
}

/// Runs `future` on a runtime with [`threads`] workers.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = runtime()?;
    runtime.block_on(future)
}

/// As [`block_on`], for work that may be told to stop. What it leaves behind ends with the process: a runtime that is
/// taken down waits for it, and threads of the Delta library panic when their runtime goes.
fn block_on_until_stopped<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = std::mem::ManuallyDrop::new(runtime()?);
    runtime.block_on(future)
}

/// As [`block_on`], but waits no longer than [`GRACE`] for workers that are still busy then: a long step of the engine
/// cannot be stopped, and ends with the process.
fn block_on_and_leave<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    // What is left behind does not clear up behind itself. Where there can be no folder, whoever needs one will say so.
    let temporary = tempfile::Builder::new().prefix("s3trail-").tempdir().ok();
    if let Some(folder) = &temporary {
        let _ = tempfile::env::override_temp_dir(folder.path());
    }
    let runtime = runtime()?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_timeout(GRACE);
    drop(temporary);
    outcome
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .thread_name(WORKER)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start the runtime").with_source(e))
}
