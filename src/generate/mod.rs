//! Synthetic logs: seeded, realistic and fast, for demonstrations, tests and benchmarks.
//!
//! The same options and seed give the same bytes, whatever the number of threads. The work is cut into slices of
//! a fixed number of records, each with its own stream of random numbers; slices are rendered side by side and
//! consumed in their order (`output`), either into one file or by a log delivery that fills log objects
//! (`delivery`). Scenarios (`scenario`) say what is asked for; a `pen` knows how a record is spelled.
//!
//! It shares no code with the parser or the record vocabulary, and must not: a mistake made twice is a mistake
//! that no test finds. Everything is made up: names, accounts and addresses are those reserved for documentation.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

mod account;
mod bulk;
mod calendar;
mod configuration;
mod delivery;
mod forecast;
mod incidents;
mod internal;
mod keys;
mod minimal;
mod mixed;
mod names;
mod objects;
mod operation;
mod output;
mod pen;
mod quirk;
mod recursion;
mod rng;
mod scenario;
mod text;
mod web;
mod world;

pub use calendar::Day;
pub use scenario::Scenario;

use crate::error::{Error, Result};
use delivery::{Delivery, Destination};
use operation::Operation;
use output::{Folder, Stream, Tally};
use scenario::Script;
use world::World;

/// The file of [`Layout::File`].
pub const FILE_NAME: &str = "access.log";

/// The numbers of fields a record can have, oldest first.
pub const GENERATIONS: [u8; 6] = [17, 18, 24, 25, 26, 27];

/// The most days, records, source buckets, and records in a log object that can be asked for.
const MOST_DAYS: u32 = 3_660;
const MOST_RECORDS: u64 = 1_000_000_000_000;
const MOST_BUCKETS: u32 = 10_000;
const MOST_PER_OBJECT: u32 = 100_000;

/// How much to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Exactly so many records.
    Records(u64),
    /// About so many bytes of log.
    Bytes(u64),
}

/// How the output is laid out below the folder, which stands for the destination bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Log objects `PREFIXYYYY-MM-DD-hh-mm-ss-UNIQUE`, by time of delivery.
    #[default]
    Simple,
    /// Log objects `PREFIXACCOUNT/REGION/BUCKET/YYYY/MM/DD/YYYY-MM-DD-00-00-00-UNIQUE`, by day of the events.
    EventTime,
    /// The same, by time of delivery.
    DeliveryTime,
    /// One plain file of all records in time order, [`FILE_NAME`].
    File,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 4] = [Layout::Simple, Layout::EventTime, Layout::DeliveryTime, Layout::File];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Simple => "simple",
            Layout::EventTime => "event-time",
            Layout::DeliveryTime => "delivery-time",
            Layout::File => "file",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Layout::ALL.into_iter().find(|l| l.name() == text).ok_or_else(|| {
            Error::usage("no such layout")
                .with_context("layout", text)
                .with_hint(format!("there are {}", Layout::ALL.map(Layout::name).join(", ")))
        })
    }
}

/// What to generate. The default is a small day of mixed traffic in log objects under `logs/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How much.
    pub amount: Amount,
    /// The seed: another one gives other logs of the same kind.
    pub seed: u64,
    /// What traffic.
    pub scenario: Scenario,
    /// How it is laid out.
    pub layout: Layout,
    /// What the keys of log objects begin with. As in S3, nothing is put between it and the rest.
    pub prefix: String,
    /// The first day.
    pub start: Day,
    /// The number of days over which the records are spread, at least 1. The scenario `recursion-self` reaches
    /// its number of records earlier, by the records of its deliveries; `incidents` leaves room for them.
    pub days: u32,
    /// The number of source buckets, at least 1.
    pub buckets: u32,
    /// Numbers of fields, of [`GENERATIONS`], drawn evenly per request. A log object has one of them; with
    /// [`Layout::File`] they mix, as when log objects are merged by time.
    pub generations: Vec<u8>,
    /// Share of records with a hostile but legal deviation, 0 to 1; by default the scenario's own.
    pub quirk_rate: Option<f64>,
    /// For how many of the records, 0 to 1, a line is added that is no record: cut off, two in one, or foreign.
    pub damage_rate: f64,
    /// For how many of the records, 0 to 1, a line is added that repeats one of the last 64 records of the same
    /// log object. A repeat may step back in time.
    pub duplicate_rate: f64,
    /// Records in each log object but the last of a bucket (and generation, and day with
    /// [`Layout::EventTime`]); by default a skewed distribution like that of real ones.
    pub records_per_object: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            amount: Amount::Records(100_000),
            seed: 1,
            scenario: Scenario::default(),
            layout: Layout::default(),
            prefix: "logs/".to_owned(),
            start: Day::DEFAULT,
            days: 1,
            buckets: 3,
            generations: vec![27],
            quirk_rate: None,
            damage_rate: 0.0,
            duplicate_rate: 0.0,
            records_per_object: None,
        }
    }
}

impl Options {
    /// Whether everything is in range.
    ///
    /// # Errors
    ///
    /// [`crate::error::ErrorKind::Usage`], naming the option.
    pub fn check(&self) -> Result<()> {
        let count =
            |name, n: u64, most: u64| match n {
                0 => Err(Error::usage(format!("{name} must be at least 1"))),
                n if n > most => Err(Error::usage(format!("{name} must be at most {most}"))
                    .with_context("given", n.to_string())),
                _ => Ok(()),
            };
        match self.amount {
            Amount::Records(n) => count("the number of records", n, MOST_RECORDS)?,
            Amount::Bytes(n) => count("the number of bytes", n, MOST_RECORDS)?,
        }
        count("the number of days", self.days.into(), MOST_DAYS.into())?;
        count("the number of buckets", self.buckets.into(), MOST_BUCKETS.into())?;
        if let Some(n) = self.records_per_object {
            count("the number of records per object", n.into(), MOST_PER_OBJECT.into())?;
        }
        let rates = [
            ("the quirk rate", self.quirk_rate.unwrap_or(0.0)),
            ("the damage rate", self.damage_rate),
            ("the duplicate rate", self.duplicate_rate),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(Error::usage(format!("{name} must be from 0 to 1"))
                    .with_context("given", rate.to_string()));
            }
        }
        if self.generations.is_empty() {
            return Err(Error::usage("no generation is given"));
        }
        if let Some(odd) = self.generations.iter().find(|g| !GENERATIONS.contains(g)) {
            return Err(Error::usage("no generation has so many fields")
                .with_context("fields", odd.to_string())
                .with_hint("there are 17, 18, 24, 25, 26 and 27"));
        }
        self.check_prefix()
    }

    /// A prefix becomes part of a path, so it must stay below the folder.
    fn check_prefix(&self) -> Result<()> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.=+@/".contains(&b);
        let steps = self.prefix.strip_suffix('/').unwrap_or(&self.prefix);
        let safe = self.prefix.len() <= 512
            && self.prefix.bytes().all(plain)
            && (self.prefix.is_empty() || steps.split('/').all(|s| !matches!(s, "" | "." | "..")));
        if safe {
            return Ok(());
        }
        Err(Error::usage("the prefix cannot be a path")
            .with_context("prefix", self.prefix.as_str())
            .with_hint("use letters, digits and -_.=+@ between single slashes"))
    }
}

/// What was generated. `lines = records + damaged + duplicates`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Log objects, or 1 file.
    pub objects: u64,
    /// Intact records, repeats not counted.
    pub records: u64,
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines that are no records.
    pub damaged: u64,
    /// Lines that repeat a record.
    pub duplicates: u64,
    /// Records with a hostile but legal deviation.
    pub quirks: u64,
    /// Records by operation, repeats not counted.
    pub by_operation: BTreeMap<String, u64>,
}

impl From<Tally> for Summary {
    fn from(tally: Tally) -> Self {
        let by_operation = Operation::NAMES.iter().zip(tally.operations).filter(|(_, n)| *n > 0);
        Self {
            objects: tally.objects,
            records: tally.records,
            lines: tally.records + tally.damaged + tally.duplicates,
            bytes: tally.bytes,
            damaged: tally.damaged,
            duplicates: tally.duplicates,
            quirks: tally.quirks,
            by_operation: by_operation.map(|(name, n)| ((*name).to_owned(), n)).collect(),
        }
    }
}

/// Generates logs below `out_dir`, which must be empty or not exist; nothing is overwritten or removed.
///
/// Runs on the current rayon pool and one more thread that writes. `progress` is called from that thread with the
/// number of bytes written so far. Memory is bounded: some slices of records, and the log objects being filled.
///
/// # Errors
///
/// [`crate::error::ErrorKind::Usage`] when an option is out of range or the folder is not empty, and
/// [`crate::error::ErrorKind::Io`] when writing fails; what was written by then stays.
pub fn generate(options: &Options, out_dir: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Summary> {
    options.check()?;
    output::prepare(out_dir)?;
    if options.layout == Layout::File {
        let path = out_dir.join(FILE_NAME);
        let (tally, _) = stream(options, output::create(&path)?, &path, progress)?;
        return Ok(tally.into());
    }
    let world = world(options);
    let folder: Destination<std::io::Sink> = Destination::Folder(Folder::new(out_dir));
    let mut delivery = Delivery::new(&world, options, folder);
    output::run(&world, &mut delivery, progress)?;
    let (tally, _) = delivery.finish()?;
    progress(tally.bytes);
    Ok(tally.into())
}

/// The bytes that [`generate`] would write with [`Layout::File`], in memory: for tests and benchmarks.
///
/// # Errors
///
/// [`crate::error::ErrorKind::Usage`] when an option is out of range.
pub fn lines(options: &Options) -> Result<Vec<u8>> {
    options.check()?;
    let options = Options { layout: Layout::File, ..options.clone() };
    let (_, bytes) = stream(&options, Vec::new(), Path::new("memory"), &|_| {})?;
    Ok(bytes)
}

/// Writes all records to `out` in time order.
fn stream<W: std::io::Write + Send>(
    options: &Options,
    out: W,
    place: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Tally, W)> {
    let world = world(options);
    let mut stream = Stream::new(out, place.to_owned(), options.duplicate_rate > 0.0);
    if world.script.echo.is_none() {
        output::run(&world, &mut stream, progress)?;
        return Ok((stream.tally, stream.out));
    }
    let mut delivery = Delivery::new(&world, options, Destination::Stream(stream));
    output::run(&world, &mut delivery, progress)?;
    let (tally, destination) = delivery.finish()?;
    match destination {
        Destination::Stream(stream) => Ok((tally, stream.out)),
        Destination::Folder(_) => Err(Error::new(crate::error::ErrorKind::Internal, "the stream was lost")),
    }
}

/// The world of `options`. For an amount in bytes, the length of a record is measured on a sample.
fn world(options: &Options) -> World {
    let wanted = match options.amount {
        Amount::Records(records) => return World::new(options, records),
        Amount::Bytes(bytes) => bytes,
    };
    let sample = 2 * world::SLICE_RECORDS;
    let world = World::new(options, sample);
    let mut slice = pen::Slice::default();
    let (mut bytes, mut records) = (0, 0);
    for number in 0..world.slices() {
        output::render(&world, number, &mut slice);
        bytes += slice.bytes.len();
        records += slice.lines.iter().filter(|line| line.is_record()).count();
    }
    let per_record = bytes as f64 / records as f64 * (1.0 + options.duplicate_rate);
    World::new(options, ((wanted as f64 / per_record) as u64).max(1))
}

#[cfg(test)]
mod tests;
