//! Options about when rounds begin and how they can be watched from outside.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::cli::metrics::Target;

const SCHEDULE: &str = "Schedule";

/// Whether there is one round or many, and who is told of them.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct ScheduleArgs {
    /// Go on for ever: look for new log objects every so often, such as 5m; SIGTERM or SIGINT ends it well
    #[arg(long, value_name = "TIME", value_parser = interval, help_heading = SCHEDULE)]
    pub watch: Option<Duration>,
    /// Prometheus metrics: a FILE for node_exporter (its name must end in .prom), or HOST:PORT or :PORT to be asked
    #[arg(long, value_name = "FILE|ADDR", value_parser = Target::parse, help_heading = SCHEDULE)]
    pub metrics: Option<Target>,
    /// A JSON file that is written anew at least every 30 s, as long as the program is alive
    #[arg(long, value_name = "FILE", help_heading = SCHEDULE)]
    pub heartbeat: Option<PathBuf>,
}

/// The time between the beginnings of two rounds.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_secs(1) {
        return Err("at least 1s".to_owned());
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_not_too_short() {
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(interval("1"), Ok(Duration::from_secs(1)));
        for text in ["0s", "0", "999ms", "-5m", "often"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
