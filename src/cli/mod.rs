//! The words people type. Each subcommand is one file; this one ties them together.
//!
//! Results go to standard output, everything else to standard error. Nothing here parses logs or speaks Delta.

mod args;
mod detect;
mod evidence;
mod generate;
mod ingest;
mod lake;
mod notes;
mod output;
mod progress;
mod queries;
mod query;
mod recursion;
mod run;
mod settings;
mod target;

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;

use crate::error::{Error, ErrorKind, Result};
use args::{Cli, Command};
use notes::Note;
use settings::Settings;

/// Exit code of a run that ended in trouble it has reported itself.
const TROUBLE: u8 = 2;

/// Exit code when there are findings that `--fail-on` asks for.
const FOUND: u8 = 1;

/// Runs the program with the arguments of the process; the exit code on success, or the error to print.
pub fn run() -> Result<ExitCode> {
    keep_memory();
    let cli = Cli::parse();
    let ui = Ui { quiet: cli.global.quiet };
    let settings = Settings::load(cli.global.config.as_deref())?;
    let threads = cli.global.threads.or(settings.threads);
    if let Some(threads) = threads {
        THREADS.get_or_init(|| threads.get());
    }
    start_pool()?;
    match cli.command {
        Command::Ingest(args) => block_on(ingest::run(args, &settings, &ui)),
        Command::Run(args) => block_on(run::run(args, &settings, &ui)),
        Command::Detect(args) => block_on(detect::run(args, &settings, &ui)),
        Command::Recursion(args) => block_on(recursion::run(args, &settings, &ui)),
        Command::Evidence(args) => block_on(evidence::run(args, &settings, &ui)),
        Command::Query(args) => block_on(query::run(args, &settings, &ui)),
        Command::Queries(args) => queries::run(args, &settings),
        Command::Lake(args) => block_on(lake::run(args, &settings, &ui)),
        Command::Generate(args) => generate::run(&args, &ui),
    }
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

static THREADS: OnceLock<usize> = OnceLock::new();

/// Threads to use: `--threads`, or as many as the machine has.
fn threads() -> usize {
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Gives rayon's pool as many threads.
fn start_pool() -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads())
        .build_global()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start the worker threads").with_source(e))
}

/// Runs `future` on a runtime with [`threads`] workers.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        // Planning deep queries in an unoptimised build needs more than the usual 2 MiB.
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start the runtime").with_source(e))?;
    runtime.block_on(future)
}

/// How the program speaks beside its results.
struct Ui {
    quiet: bool,
}

impl Ui {
    /// Says something on standard error; `--quiet` leaves only warnings.
    fn note(&self, note: &Note) {
        if !self.quiet || note.label() == "warning" {
            eprintln!("s3trail: {}: {note}", note.label());
        }
    }

    /// A bar for so many detections, on a terminal only.
    fn counter(&self, total: u64) -> indicatif::ProgressBar {
        use std::io::IsTerminal;
        if self.quiet || !std::io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let bar = indicatif::ProgressBar::new(total);
        if let Ok(style) =
            indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} detections  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        bar
    }

    /// A line of a summary on standard error.
    fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }
}
