//! SIGINT and SIGTERM: the first asks the work to stop, the second ends the program.
//!
//! The work runs on a thread of its own and this one waits for it and for signals, so that a signal is heard however
//! busy the work is. Whatever instant the program ends at, the lake is true: the commit protocol sees to that. Ending
//! well only spares the next run the remains.

use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::STACK;
use super::logging::Ui;
use super::notes::Note;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::Stop;

/// How long the work may take to end well. Supervisors are told to wait longer.
const GRACE: Duration = Duration::from_secs(9);

/// Runs `work` until it is done or signals end it. `late` is the exit code when it does not end in time after the first
/// signal; after the second it is 130 or 143, as shells have it.
///
/// Errors with what `work` errs with.
pub(super) fn supervise<W>(ui: Ui, late: ExitCode, work: W) -> Result<ExitCode>
where
    W: FnOnce(Stop) -> Result<ExitCode> + Send + 'static,
{
    // Work that is left undone does not clear up behind itself.
    let _temporary = own_temporary_folder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot start the runtime").with_source(e))?;
    runtime.block_on(async move {
        let mut signals = Signals::listen()?;
        let stop = Stop::new();
        let (done, mut end) = oneshot::channel();
        let theirs = stop.clone();
        let worker = std::thread::Builder::new()
            .name("work".to_owned())
            .stack_size(STACK)
            // Nobody is waiting any more when the program is on its way out.
            .spawn(move || drop(done.send(work(theirs))))
            .map_err(|e| Error::new(ErrorKind::Internal, "cannot start a thread").with_source(e))?;
        let first = tokio::select! {
            biased;
            ended = &mut end => return result_of(ended, worker),
            name = signals.next() => name,
        };
        stop.request();
        ui.note(&Note::Stopping { signal: first.name });
        tokio::select! {
            biased;
            ended = &mut end => result_of(ended, worker),
            second = signals.next() => Ok(ExitCode::from(second.exit_code)),
            () = tokio::time::sleep(GRACE) => {
                ui.note(&Note::LeftUndone);
                Ok(late)
            }
        }
    })
}

/// A folder for all temporary files of this process, gone when dropped. Where there can be none, they go where they
/// always went, and whoever needs one will say that it cannot be made.
fn own_temporary_folder() -> Option<TempDir> {
    let folder = tempfile::Builder::new().prefix("s3trail-").tempdir().ok()?;
    tempfile::env::override_temp_dir(folder.path()).ok()?;
    Some(folder)
}

/// What the work came to; its panic is passed on.
fn result_of(ended: Result<Result<ExitCode>, RecvError>, worker: JoinHandle<()>) -> Result<ExitCode> {
    match (ended, worker) {
        (Ok(result), _) => result,
        (Err(_), worker) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err(Error::new(ErrorKind::Internal, "the work ended without a result")),
        },
    }
}

/// A signal that came.
#[derive(Debug, Clone, Copy)]
struct Asked {
    name: &'static str,
    exit_code: u8,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on the two signals no longer end the process by themselves.
    fn listen() -> Result<Signals> {
        let listen = |kind| {
            signal(kind)
                .map_err(|e| Error::new(ErrorKind::Internal, "cannot listen for signals").with_source(e))
        };
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked { name: "SIGINT", exit_code: 130 },
            _ = self.terminate.recv() => Asked { name: "SIGTERM", exit_code: 143 },
        }
    }
}
