//! `s3trail generate`: what is typed, checked and turned into [`Options`], and the summary. Generating happens
//! elsewhere.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use indicatif::{ProgressBar, ProgressStyle};

use super::Ui;
use crate::error::{Error, Result};
use crate::generate::{Amount, Day, Layout, Options, Scenario, generate};
use crate::report::text;

const EXAMPLES: &str = "\
Examples:
  A small day of log objects, as S3 would deliver them:
    s3trail generate --records 10000 --seed 7 -o logs

  One plain file for a benchmark:
    s3trail generate --bytes 2GB --layout file -o bench

  A logging bucket that logs to itself, with partitioned keys:
    s3trail generate --scenario recursion-self --layout event-time --records 50000 -o recursion

  A calm week of ten buckets with six incidents in it, to see what finds them:
    s3trail generate --scenario incidents --records 1000000 --days 7 --buckets 10 -o incidents

  Everything that can be wrong, over a week, in old and new records:
    s3trail generate --days 7 --generations 18,24,27 --quirk-rate 0.05 --damage-rate 0.01 \\
      --duplicate-rate 0.01 -o hostile

The same options and seed give the same bytes on any machine.
Names, accounts and addresses are made up or reserved for documentation.";

/// Generate synthetic access logs for demonstrations, tests and benchmarks
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArgs {
    /// Folder to write to, which stands for the destination bucket; new or empty, nothing is overwritten
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub output: PathBuf,

    /// Number of records [default: 100000]
    #[arg(long, value_name = "N", conflicts_with = "bytes")]
    pub records: Option<u64>,

    /// About how many bytes instead of a number of records, such as 500MB, 1.5GB or 2GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub bytes: Option<u64>,

    /// Seed: another one gives other logs of the same kind
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// What traffic is logged
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Scenario::Mixed)]
    pub scenario: Scenario,

    /// Keys of the log objects, or one plain file
    #[arg(long, value_name = "LAYOUT", value_enum, default_value_t = Layout::Simple)]
    pub layout: Layout,

    /// What the keys of log objects begin with; nothing is put between it and the rest [default: logs/]
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,

    /// First day, UTC
    #[arg(long, value_name = "YYYY-MM-DD", default_value_t = Day::DEFAULT, value_parser = day)]
    pub start: Day,

    /// Number of days the records are spread over, busy by day and quiet by night
    #[arg(long, value_name = "D", default_value_t = 1)]
    pub days: u32,

    /// Number of source buckets
    #[arg(long, value_name = "B", default_value_t = 3)]
    pub buckets: u32,

    /// Numbers of fields, of 17, 18, 24, 25, 26 and 27; each log object draws one of them
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "27")]
    pub generations: Vec<u8>,

    /// Share of records that are hostile but legal: stray quotes, blanks, bytes beyond ASCII [default: 0.001,
    /// or 0 for minimal and incidents]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub quirk_rate: Option<f64>,

    /// Broken lines to add, as a share of the records: cut off, two on one line, or foreign text
    #[arg(long, value_name = "R", default_value_t = 0.0, value_parser = rate)]
    pub damage_rate: f64,

    /// Repeats to add, as a share of the records: exact copies of an earlier line of the same log object
    #[arg(long, value_name = "R", default_value_t = 0.0, value_parser = rate)]
    pub duplicate_rate: f64,

    /// Records in each log object but the last [default: many small ones and few large ones, as S3 delivers]
    #[arg(long, value_name = "N")]
    pub records_per_object: Option<u32>,
}

impl GenerateArgs {
    /// What was asked for.
    ///
    /// # Errors
    ///
    /// [`crate::error::ErrorKind::Usage`] when a value is out of range, or has no meaning beside another.
    pub fn options(&self) -> Result<Options> {
        let defaults = Options::default();
        // Without log objects their names and sizes show only in the records of their delivery.
        let delivers = matches!(self.scenario, Scenario::RecursionSelf | Scenario::Incidents);
        if self.layout == Layout::File && !delivers {
            let idle = [
                ("--prefix", self.prefix.is_some()),
                ("--records-per-object", self.records_per_object.is_some()),
            ];
            if let Some((option, _)) = idle.into_iter().find(|(_, given)| *given) {
                return Err(Error::usage(format!("{option} has no effect with --layout file"))
                    .with_hint("leave it out, or choose a layout of log objects"));
            }
        }
        let options = Options {
            amount: match (self.bytes, self.records) {
                (Some(bytes), _) => Amount::Bytes(bytes),
                (None, Some(records)) => Amount::Records(records),
                (None, None) => defaults.amount,
            },
            seed: self.seed,
            scenario: self.scenario,
            layout: self.layout,
            prefix: self.prefix.clone().unwrap_or(defaults.prefix),
            start: self.start,
            days: self.days,
            buckets: self.buckets,
            generations: self.generations.clone(),
            quirk_rate: self.quirk_rate,
            damage_rate: self.damage_rate,
            duplicate_rate: self.duplicate_rate,
            records_per_object: self.records_per_object,
        };
        options.check()?;
        Ok(options)
    }
}

/// Writes the logs and says on standard error what was written.
pub(super) fn run(args: &GenerateArgs, ui: &Ui) -> Result<ExitCode> {
    let options = args.options()?;
    let visible = !ui.quiet && std::io::stderr().is_terminal();
    let bar = if visible { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} {bytes_per_sec} {elapsed}") {
        bar.set_style(style);
    }
    let started = Instant::now();
    let summary = generate(&options, &args.output, &|written| bar.set_position(written))?;
    bar.finish_and_clear();
    let elapsed = started.elapsed();
    ui.say(&format!(
        "wrote {} in {} of {} ({})",
        text::counted(summary.records, "record"),
        text::counted(summary.objects, "log object"),
        text::bytes(summary.bytes),
        text::rate(summary.bytes, elapsed),
    ));
    ui.say(&format!(
        "  {} lines, with {} quirks, {} damaged lines and {} repeats among them",
        text::count(summary.lines),
        text::count(summary.quirks),
        text::count(summary.damaged),
        text::count(summary.duplicates),
    ));
    Ok(ExitCode::SUCCESS)
}

impl ValueEnum for Scenario {
    fn value_variants<'a>() -> &'a [Self] {
        &Scenario::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Scenario::Mixed => "Every family of operations and kind of caller",
            Scenario::Minimal => "Reads and writes of objects only",
            Scenario::RecursionSelf => "Mixed traffic, and a logging bucket that is logged into itself",
            Scenario::Incidents => {
                "A calm account with six incidents: the logging bucket is logged into itself; objects are read \
                 from a new address and deleted hours later; another bucket loses thousands of keys; a \
                 pre-signed URL goes round; a stranger probes keys and buckets; an application uses plain HTTP"
            }
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for Layout {
    fn value_variants<'a>() -> &'a [Self] {
        &Layout::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Layout::Simple => "Log objects with the prefix and the time of delivery",
            Layout::EventTime => "Log objects partitioned by bucket and day of the events",
            Layout::DeliveryTime => "Log objects partitioned by bucket and day of delivery",
            Layout::File => "One plain file access.log, in time order",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

fn day(text: &str) -> Result<Day, String> {
    text.parse().map_err(|e: Error| e.report())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err("not a number from 0 to 1".to_owned()),
    }
}

/// A number of bytes with an optional unit, decimal (`MB`) or binary (`MiB`).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let refused = || "not a size; write it as 500MB, 1.5GB or 2GiB".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(refused()),
    };
    if number.contains('.') {
        let whole = number.parse::<f64>().map_err(|_| refused())?;
        // The cast saturates; the range is checked with the other options.
        return Ok((whole * factor as f64) as u64);
    }
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn options(line: &str) -> Result<Options, String> {
        let words = ["generate", "-o", "out"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|e| e.to_string())?;
        line.args.options().map_err(|e| e.report())
    }

    #[test]
    fn the_command_is_well_formed() {
        Line::command().debug_assert();
        let help = Line::command().render_long_help().to_string();
        assert!(help.contains("--layout file -o bench") && help.contains("recursion-self"), "{help}");
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(options("").unwrap(), Options::default());
    }

    #[test]
    fn everything_given_is_kept() {
        let given = options(
            "--records 5 --seed 9 --scenario minimal --layout delivery-time --prefix x --start 2024-02-29 --days 3 \
             --buckets 2 --generations 18,24,27 --quirk-rate 0.5 --damage-rate 0.25 --duplicate-rate 1 \
             --records-per-object 10",
        );
        let expected = Options {
            amount: Amount::Records(5),
            seed: 9,
            scenario: Scenario::Minimal,
            layout: Layout::DeliveryTime,
            prefix: "x".to_owned(),
            start: "2024-02-29".parse().unwrap(),
            days: 3,
            buckets: 2,
            generations: vec![18, 24, 27],
            quirk_rate: Some(0.5),
            damage_rate: 0.25,
            duplicate_rate: 1.0,
            records_per_object: Some(10),
        };
        assert_eq!(given.unwrap(), expected);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("10b", 10),
            ("500MB", 500_000_000),
            ("1.5 gb", 1_500_000_000),
            ("2GiB", 2 << 30),
            ("3k", 3_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.2.3GB", "1XB", "99999999TB", "."] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, word) in [
            ("--records 1 --bytes 1GB", "--bytes"),
            ("--bytes huge", "500MB"),
            ("--start yesterday", "2026-03-01"),
            ("--damage-rate 2", "from 0 to 1"),
            ("--scenario none", "recursion-self"),
            ("--generations 19", "19"),
            ("--records 0", "at least 1"),
            ("--layout file --prefix x", "--prefix has no effect"),
            ("--layout file --records-per-object 5", "--records-per-object has no effect"),
            ("--prefix ../up", "prefix"),
        ] {
            let message = options(line).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
        for scenario in ["recursion-self", "incidents"] {
            assert!(options(&format!("--layout file --scenario {scenario} --prefix x/")).is_ok());
        }
    }
}
