//! Reckons, before anything is written, how many records the deliveries of log objects will add where the bucket
//! that receives them is logged. So a scenario can leave room for them and still end with its time range.
//!
//! It follows averages through the day and must not fall short of the truth on the wrong side: it rather takes the
//! echoes to be few. Then the number of records is reached a little before the end, and never missed.

use super::calendar::{SLOT, Timetable};
use super::delivery::{DELAYS, FILLINGS, LEAST_SECONDS_OPEN, MOST_SECONDS_OPEN};
use super::pen::LANES;
use super::{Day, Options};

/// The days that are followed; longer ranges go on in the same way.
const MOST_DAYS: u32 = 14;

/// Share of the echoes reckoned with that is counted on.
const COUNTED_ON: f64 = 0.95;

/// Points at which a range is looked at in place of all of it.
const POINTS: u64 = 4;

/// A range of days with a share of all records.
struct Forecast {
    /// Load of each slot, as a share of that of all days asked for.
    loads: Vec<f64>,
    /// How many days are meant for each that is followed.
    scale: f64,
    /// The slots from a record to the echo of its log object, and the share of objects that take so long.
    delays: Vec<(usize, f64)>,
    /// Log objects that are filled at a time for each bucket.
    fillings: f64,
    /// Records of an object, where that is fixed.
    exact: Option<f64>,
}

/// How many of `records` records to spread over the time range so that the others are left for echoes and for
/// `planted` records. The bucket that receives gets the share `receiver` of what is spread; `sources` says how many
/// other buckets have the same share, and that share of each.
pub(super) fn spread(
    options: &Options,
    records: u64,
    planted: u64,
    receiver: f64,
    sources: &[(u64, f64)],
) -> u64 {
    let forecast = Forecast::new(options);
    let room = records.saturating_sub(planted) as f64;
    let (mut low, mut high) = (0.0, room);
    for _ in 0..20 {
        let middle = (low + high) / 2.0;
        if middle + COUNTED_ON * forecast.echoes(middle, receiver, sources) < room {
            low = middle;
        } else {
            high = middle;
        }
    }
    (high as u64).max(1)
}

impl Forecast {
    fn new(options: &Options) -> Self {
        let days = options.days.min(MOST_DAYS);
        let load = |days| loads(options.start, days).iter().sum::<u64>() as f64;
        let (followed, all) = (load(days), load(options.days));
        let lanes = if options.records_per_object.is_some() { 1 } else { LANES };
        Self {
            loads: loads(options.start, days).iter().map(|load| *load as f64 / all).collect(),
            scale: all / followed,
            delays: delays(),
            fillings: (lanes * options.generations.len()) as f64,
            exact: options.records_per_object.map(f64::from),
        }
    }

    /// The echoes of `spread` records.
    fn echoes(&self, spread: f64, receiver: f64, sources: &[(u64, f64)]) -> f64 {
        let mut echoes = vec![0.0; self.loads.len()];
        for (slot, load) in self.loads.iter().enumerate() {
            let records = spread * load;
            let delivered: f64 =
                sources.iter().map(|&(count, share)| count as f64 * self.objects(records * share)).sum();
            let delivered = delivered + self.objects(records * receiver + echoes[slot]);
            for &(delay, share) in &self.delays {
                if let Some(later) = echoes.get_mut(slot + delay) {
                    *later += delivered * share;
                }
            }
        }
        echoes.iter().sum::<f64>() * self.scale
    }

    /// The log objects of `records` records that a bucket gets in a slot.
    fn objects(&self, records: f64) -> f64 {
        let per_second = records / self.fillings / SLOT as f64;
        records / self.exact.unwrap_or_else(|| filled(per_second))
    }
}

fn loads(start: Day, days: u32) -> Vec<u64> {
    Timetable::new(start, days, 1).loads().collect()
}

/// The middle of the part numbered `part` of [`POINTS`] parts of a range.
fn point(least: u64, most: u64, part: u64) -> f64 {
    least as f64 + (most - least) as f64 * (2 * part + 1) as f64 / (2 * POINTS) as f64
}

/// The records in a log object on average, when so many records a second come for it.
fn filled(per_second: f64) -> f64 {
    let mut sum = 0.0;
    for (percent, least, most) in FILLINGS {
        for part in 0..POINTS * POINTS {
            let target = point(least, most, part / POINTS);
            let open = point(LEAST_SECONDS_OPEN, MOST_SECONDS_OPEN, part % POINTS);
            sum += percent as f64 * target.min(1.0 + per_second * open);
        }
    }
    sum / (100 * POINTS * POINTS) as f64
}

fn delays() -> Vec<(usize, f64)> {
    let mut out = Vec::new();
    for (percent, least, most) in DELAYS {
        for part in 0..POINTS {
            let seconds = 60.0 * point(least, most, part);
            out.push(((seconds / SLOT as f64) as usize, percent as f64 / (100 * POINTS) as f64));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_fill_with_the_rate_and_not_beyond() {
        let mean: f64 = FILLINGS.iter().map(|&(p, low, high)| p as f64 * (low + high) as f64 / 200.0).sum();
        assert!((filled(0.0) - 1.0).abs() < 1e-9);
        assert!(filled(0.01) < filled(0.1) && filled(0.1) < mean);
        assert!((filled(1e9) / mean - 1.0).abs() < 0.05);
    }

    #[test]
    fn room_is_left_for_echoes_and_for_what_is_planted() {
        let options = Options { days: 7, ..Options::default() };
        for records in [1, 100, 10_000, 10_000_000] {
            let spread = spread(&options, records, records / 4, 0.01, &[(9, 0.11)]);
            assert!(spread >= 1 && spread <= (records - records / 4).max(1), "{records}: {spread}");
        }
        // A log object of its own for each record is one more record, delivered again and again.
        let options = Options { records_per_object: Some(1), ..options };
        assert!(spread(&options, 100_000, 0, 0.01, &[(9, 0.11)]) < 5_000);
    }
}
