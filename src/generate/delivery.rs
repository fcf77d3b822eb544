//! Log delivery: gathers lines into log objects, names them, and sends them off with the delays of the real one.
//!
//! A log object holds lines of one source bucket and one generation, in time order. Several are filled at a time,
//! so that they overlap. Everything here happens in the order of the lines, on one thread, so that it depends on
//! nothing but the seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::mem;
use std::ops::ControlFlow;

use super::calendar::{Day, clock};
use super::names::{ACCOUNTS, REGION};
use super::output::{Buffer, Consumer, Folder, Stream, Tally};
use super::pen::{LANES, Line, Pen, Slice};
use super::rng::Rng;
use super::scenario::LogObject;
use super::text::{HEX_UPPER, put_random};
use super::world::World;
use super::{Layout, Options};
use crate::error::Result;

/// The streams of random numbers of delivery and of the records that deliveries cause.
const DELIVERY_STREAM: u64 = u64::MAX - 1;
const ECHO_STREAM: u64 = u64::MAX - 2;

/// The shortest and the longest that a log object is filled, in seconds. Less than the shortest delay, so that
/// an object is known before it is delivered.
pub(super) const LEAST_SECONDS_OPEN: u64 = 60;
pub(super) const MOST_SECONDS_OPEN: u64 = 20 * 60;

/// Share of deliveries in per cent, and the least and most delay from the last record to the delivery in
/// minutes, as measured on real ones.
pub(super) const DELAYS: [(u64, u64, u64); 4] = [(50, 22, 74), (40, 74, 97), (9, 97, 288), (1, 288, 528)];

/// Share of log objects in per cent, and the fewest and most records they are filled with.
pub(super) const FILLINGS: [(u64, u64, u64); 4] = [(60, 1, 6), (30, 7, 60), (9, 61, 300), (1, 301, 2_000)];

/// Where the lines end up.
pub(super) enum Destination<W> {
    /// Each log object a file.
    Folder(Folder),
    /// All lines in one file; the log objects are only imagined, for the records that their delivery causes.
    Stream(Stream<W>),
}

/// A log object being filled.
#[derive(Debug, Default)]
struct Parcel {
    buffer: Buffer,
    records: u64,
    /// Records when full.
    target: u64,
    last_second: i64,
    /// Which filling this is; a closing meant for an earlier one is void.
    serial: u64,
}

/// The consumer that delivers.
pub(super) struct Delivery<'w, W> {
    world: &'w World,
    layout: Layout,
    prefix: String,
    records_per_object: Option<u64>,
    /// Log objects per bucket and generation that are filled at a time.
    lanes: usize,
    rng: Rng,
    parcels: Vec<Parcel>,
    serial: u64,
    /// When, which filling, of which parcel.
    closings: BinaryHeap<Reverse<(i64, u64, usize)>>,
    /// When, which filling, and what: deliveries whose record is still to come.
    arrivals: BinaryHeap<Reverse<(i64, u64, LogObject)>>,
    pen: Pen<'w>,
    tally: Tally,
    pub(super) destination: Destination<W>,
}

impl<'w, W: Write> Delivery<'w, W> {
    pub(super) fn new(world: &'w World, options: &Options, destination: Destination<W>) -> Self {
        // With an exact number, one at a time, or many would be left over half full.
        let lanes = if options.records_per_object.is_some() { 1 } else { LANES };
        let count = world.buckets.len() * world.generations.len() * lanes;
        let mut parcels = Vec::new();
        parcels.resize_with(count, Parcel::default);
        Self {
            world,
            layout: options.layout,
            prefix: options.prefix.clone(),
            records_per_object: options.records_per_object.map(u64::from),
            lanes,
            rng: Rng::new(world.seed, DELIVERY_STREAM),
            parcels,
            serial: 0,
            closings: BinaryHeap::new(),
            arrivals: BinaryHeap::new(),
            pen: Pen::new(world, ECHO_STREAM, u64::MAX, Slice::default()),
            tally: Tally::new(),
            destination,
        }
    }

    /// Delivers what is not full yet, and returns what was written.
    pub(super) fn finish(mut self) -> Result<(Tally, Destination<W>)> {
        for number in 0..self.parcels.len() {
            let last = self.parcels[number].last_second;
            self.close(number, last)?;
        }
        let tally = match &mut self.destination {
            Destination::Folder(_) => self.tally,
            Destination::Stream(stream) => {
                stream.flush()?;
                mem::replace(&mut stream.tally, Tally::new())
            }
        };
        Ok((tally, self.destination))
    }

    fn is_full(&self) -> bool {
        let tally = match &self.destination {
            Destination::Folder(_) => &self.tally,
            Destination::Stream(stream) => &stream.tally,
        };
        tally.records >= self.world.records
    }

    /// Does what is due up to `now`: closes log objects, and writes the records of deliveries.
    fn advance(&mut self, now: i64) -> Result<()> {
        loop {
            let closing = self.closings.peek().map_or(i64::MAX, |c| c.0.0);
            let arrival = self.arrivals.peek().map_or(i64::MAX, |a| a.0.0);
            if closing.min(arrival) > now {
                return Ok(());
            }
            if closing <= arrival {
                if let Some(Reverse((at, serial, number))) = self.closings.pop()
                    && self.parcels[number].serial == serial
                {
                    self.close(number, at)?;
                }
            } else if let Some(Reverse((at, _, object))) = self.arrivals.pop() {
                self.echo(at, &object)?;
            }
        }
    }

    /// Writes the record that the delivery of `object` causes.
    fn echo(&mut self, at: i64, object: &LogObject) -> Result<()> {
        let Some(echo) = self.world.script.echo else { return Ok(()) };
        self.pen.begin(at);
        echo(&mut self.pen, object);
        let mut slice = mem::take(self.pen.slice());
        for line in &slice.lines {
            self.place(line, &slice.bytes[line.start..line.end])?;
        }
        slice.bytes.clear();
        slice.lines.clear();
        *self.pen.slice() = slice;
        Ok(())
    }

    /// Puts a line into its log object.
    fn place(&mut self, line: &Line, text: &[u8]) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let generations = &self.world.generations;
        let generation = generations.iter().position(|g| *g == line.generation).unwrap_or(0);
        let lane = usize::from(line.lane) % self.lanes;
        let number = (line.bucket * generations.len() + generation) * self.lanes + lane;

        let parcel = &self.parcels[number];
        let another_day = Day::of(parcel.last_second) != Day::of(line.second);
        if self.layout == Layout::EventTime && !parcel.buffer.bytes.is_empty() && another_day {
            self.close(number, line.second)?;
        }
        if self.parcels[number].buffer.bytes.is_empty() {
            self.open(number, line.second);
        }
        let parcel = &mut self.parcels[number];
        match &mut self.destination {
            Destination::Folder(_) => {
                self.tally.count(line);
                self.tally.duplicates += u64::from(parcel.buffer.push(line, text));
            }
            Destination::Stream(stream) => {
                stream.push(line, text);
                parcel.buffer.push(&Line { repeat: None, ..*line }, text);
            }
        }
        parcel.last_second = line.second;
        parcel.records += u64::from(line.is_record());
        if parcel.records >= parcel.target {
            self.close(number, line.second)?;
        }
        Ok(())
    }

    fn open(&mut self, number: usize, now: i64) {
        self.serial += 1;
        let parcel = &mut self.parcels[number];
        parcel.serial = self.serial;
        match self.records_per_object {
            Some(exact) => parcel.target = exact,
            None => {
                parcel.target = draw(&mut self.rng, &FILLINGS, 1);
                let open = self.rng.between(LEAST_SECONDS_OPEN, MOST_SECONDS_OPEN) as i64;
                self.closings.push(Reverse((now + open, self.serial, number)));
            }
        }
    }

    /// Ends the filling of a log object and sends it off, not before `now`.
    fn close(&mut self, number: usize, now: i64) -> Result<()> {
        let mut parcel = mem::take(&mut self.parcels[number]);
        if parcel.buffer.bytes.is_empty() {
            return Ok(());
        }
        let delay = draw(&mut self.rng, &DELAYS, 60) as i64;
        let delivered = (parcel.last_second + delay).max(now + 1);
        let bucket = &self.world.buckets[number / (self.world.generations.len() * self.lanes)].name;
        let key = self.name(bucket, delivered, Day::of(parcel.last_second));
        let size = parcel.buffer.bytes.len() as u64;
        if let Destination::Folder(folder) = &mut self.destination {
            folder.put(&key, &parcel.buffer.bytes)?;
            self.tally.bytes += size;
            self.tally.objects += 1;
        }
        if self.world.script.echo.is_some() {
            self.arrivals.push(Reverse((delivered, parcel.serial, LogObject { key, size })));
        }
        // The buffer's memory is used again.
        parcel.buffer.clear();
        self.parcels[number] = Parcel { buffer: parcel.buffer, ..Parcel::default() };
        Ok(())
    }

    /// The key of a log object of `bucket`, delivered at `delivered`, with events of `event_day`.
    fn name(&mut self, bucket: &str, delivered: i64, event_day: Day) -> String {
        let (day, (hour, minute, second)) = match self.layout {
            Layout::EventTime => (event_day, (0, 0, 0)),
            Layout::Simple | Layout::DeliveryTime | Layout::File => (Day::of(delivered), clock(delivered)),
        };
        let mut unique = Vec::with_capacity(16);
        put_random(&mut unique, &mut self.rng, HEX_UPPER, 16);
        let unique = String::from_utf8_lossy(&unique);
        let name = format!("{day}-{hour:02}-{minute:02}-{second:02}-{unique}");
        let prefix = &self.prefix;
        match self.layout {
            Layout::Simple | Layout::File => format!("{prefix}{name}"),
            Layout::EventTime | Layout::DeliveryTime => {
                let (year, month, of_month) = day.civil();
                let account = ACCOUNTS[0];
                format!("{prefix}{account}/{REGION}/{bucket}/{year:04}/{month:02}/{of_month:02}/{name}")
            }
        }
    }
}

impl<W: Write> Consumer for Delivery<'_, W> {
    fn take(&mut self, slice: &Slice) -> Result<ControlFlow<()>> {
        for line in &slice.lines {
            self.advance(line.second)?;
            self.place(line, &slice.bytes[line.start..line.end])?;
        }
        if let Destination::Stream(stream) = &mut self.destination {
            stream.flush()?;
        }
        Ok(if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn written(&self) -> u64 {
        match &self.destination {
            Destination::Folder(_) => self.tally.bytes,
            Destination::Stream(stream) => stream.tally.bytes,
        }
    }
}

/// A number from a table of shares and ranges, in `unit`s.
fn draw(rng: &mut Rng, table: &[(u64, u64, u64)], unit: u64) -> u64 {
    let mut at = rng.below(table.iter().map(|row| row.0).sum());
    for &(share, least, most) in table {
        if at < share {
            return rng.between(least * unit, most * unit);
        }
        at -= share;
    }
    unit
}
