//! The `s3trail` program: arguments in, exit code out. Nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    match s3trail::cli::run() {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(e) if s3trail::report::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            s3trail::cli::print_error(&e);
            ExitCode::from(2)
        }
    }
}
