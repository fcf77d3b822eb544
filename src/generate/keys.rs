//! Object keys: what people really store, including everything that needs encoding.
//!
//! A key is a stem (spelled in every encoding beforehand), a tail of letters that no encoding touches, and an end.
//! It is derived from its number alone, so the same object has the same name and size whenever it is met, and
//! nothing is kept per object. A scenario may bring families of keys of its own.

use std::ops::Range;

use super::calendar::Day;
use super::rng::{Rng, mix};
use super::text::{BASE32, Encoded, HEX_LOWER, put_random, put_uuid};

/// How the changing part of a key looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tail {
    None,
    Digits(u64),
    Hex(usize),
    Upper(usize),
    Uuid,
    /// `00017-` and a UUID, as Spark writes.
    Part,
}

/// One family of keys: its weight, stem, tail, end, and how many bits an object's size has.
/// `{date}`, `{year}`, `{month}`, `{day}`, `{compact}` and `{table}` are filled in.
pub(super) type Pattern = (u32, &'static str, Tail, &'static str, u8, u8);

const PATTERNS: &[Pattern] = &[
    (220, "warehouse/{table}/dt={date}/part-", Tail::Part, ".c000.snappy.parquet", 18, 27),
    (60, "warehouse/{table}/region=eu central/dt={date}/part-", Tail::Part, ".zstd.parquet", 18, 27),
    (60, "lake/{table}/year={year}/month={month}/day={day}/data-", Tail::Uuid, ".parquet", 16, 26),
    (60, "raw/events/{year}/{month}/{day}/events-2-{date}-", Tail::Uuid, ".json.gz", 12, 22),
    (
        40,
        "AWSLogs/111122223333/CloudTrail/us-west-2/{year}/{month}/{day}/111122223333_CloudTrail_us-west-2_{compact}T0005Z_",
        Tail::Upper(16),
        ".json.gz",
        10,
        17,
    ),
    (
        30,
        "AWSLogs/111122223333/elasticloadbalancing/us-west-2/{year}/{month}/{day}/111122223333_elasticloadbalancing_us-west-2_app.web.50dc6c495c0c9188_{compact}T0005Z_",
        Tail::Digits(8),
        ".log.gz",
        10,
        20,
    ),
    (20, "athena-results/adhoc/", Tail::Uuid, ".csv", 6, 22),
    (12, "athena-results/adhoc/", Tail::Uuid, ".csv.metadata", 6, 10),
    (30, "spark-history/application_1740787200", Tail::Digits(7), "_1.inprogress", 12, 24),
    (25, "checkpoints/orders-stream/offsets/", Tail::Digits(6), "", 8, 10),
    (60, "assets/js/app.", Tail::Hex(8), ".chunk.js", 10, 19),
    (40, "assets/css/site.", Tail::Hex(8), ".css", 9, 16),
    (70, "images/products/", Tail::Digits(7), "/1200x800.webp", 13, 18),
    (30, "video/hls/launch/segment-", Tail::Digits(5), ".ts", 19, 22),
    (25, "backups/orders-db/{date}/base/", Tail::Digits(4), ".tar.zst", 24, 36),
    (20, "models/recommender/checkpoint-", Tail::Digits(6), "/pytorch_model.bin", 24, 33),
    (20, "terraform/state/network/", Tail::Hex(4), "/terraform.tfstate", 12, 18),
    (25, "tenants/444455556666/invoices/{year}-{month}/INV-", Tail::Digits(8), ".pdf", 14, 19),
    (20, "exports/Quarterly report (final) ", Tail::Digits(4), ".xlsx", 13, 21),
    (20, "uploads/Screenshot {date} at 9.08.", Tail::Digits(2), " AM.png", 15, 22),
    (15, "documents/Übersicht/Größenvergleich ", Tail::Digits(4), ".docx", 13, 20),
    (12, "отчёты/{year}/отчёт-", Tail::Hex(12), ".pdf", 13, 20),
    (12, "写真/{date}/画像_", Tail::Digits(6), ".jpg", 18, 23),
    (8, "partage/été + hiver/photo ", Tail::Hex(12), " (1).jpeg", 18, 23),
    (12, "users/jane+archive@example.com/inbox/", Tail::Hex(12), ".eml", 10, 20),
    (8, "discounts/100%/offer #", Tail::Digits(4), "?.txt", 6, 12),
    (8, "legacy/a&b;c,d:e=f/", Tail::Hex(12), "'s \"notes\".txt", 6, 14),
    (6, "emoji/🎉 launch/", Tail::Digits(3), ".gif", 12, 20),
    (6, "warehouse/{table}/dt={date}/", Tail::None, "", 0, 0),
    (10, "warehouse/{table}/dt={date}/_SUCCESS", Tail::None, "", 0, 0),
    (3, "favicon.ico", Tail::None, "", 12, 12),
    (6, "index.html", Tail::None, "", 12, 12),
];

const TABLES: [&str; 8] =
    ["orders", "order_items", "clickstream", "customers", "inventory", "page_views", "payments", "sessions"];

/// The days before the first logged one from which keys are named.
const DAYS_BACK: i64 = 14;
/// The most days from which keys are named, so that a year of logs does not need a year of stems.
const MOST_DAYS: i64 = 60;
/// How many objects there are.
const OBJECTS: u64 = 4_000_000;
/// Tickets in the draw of a stem: a power of two.
const TICKETS: usize = 1 << 13;

#[derive(Debug)]
struct Stem {
    /// Up to the last slash: what a listing of this place asks for.
    folder: Encoded,
    start: Encoded,
    tail: Tail,
    end: Encoded,
    size_bits: (u8, u8),
}

/// All the keys there are.
#[derive(Debug)]
pub(super) struct KeySpace {
    seed: u64,
    stems: Vec<Stem>,
    tickets: Vec<u32>,
    /// The stems of each family.
    families: Vec<Range<usize>>,
}

/// An object: its key and its size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'w> {
    stem: &'w Stem,
    number: u64,
    /// Bytes.
    pub(super) size: u64,
}

impl KeySpace {
    /// The keys of logs of `days` days from `start`.
    pub(super) fn new(seed: u64, start: Day, days: u32) -> Self {
        Self::of(PATTERNS, seed, start, days)
    }

    /// The same with the families `patterns`.
    pub(super) fn of(patterns: &[Pattern], seed: u64, start: Day, days: u32) -> Self {
        let mut stems = Vec::new();
        let mut families = Vec::new();
        let span = (DAYS_BACK + i64::from(days)).min(MOST_DAYS);
        for &(weight, start_text, tail, end, low, high) in patterns {
            let first = stems.len();
            let tables = if start_text.contains("{table}") { &TABLES[..] } else { &TABLES[..1] };
            let dated = ["{date}", "{year}", "{compact}"].iter().any(|mark| start_text.contains(mark));
            for back in 0..(if dated { span } else { 1 }) {
                let day = start.plus(i64::from(days) - 1 - back);
                for table in tables {
                    let text = fill(start_text, table, day);
                    let folder = text.rfind('/').map_or("", |slash| &text[..=slash]);
                    stems.push(Stem {
                        folder: Encoded::new(folder),
                        start: Encoded::new(&text),
                        tail,
                        end: Encoded::new(end),
                        size_bits: (low, high),
                    });
                }
            }
            families.push((weight, first, stems.len() - first));
        }
        let mut rng = Rng::new(seed, u64::from_be_bytes(*b"key-stem"));
        let total: u32 = families.iter().map(|f| f.0).sum();
        let tickets = (0..TICKETS)
            .map(|_| {
                let mut draw = rng.below(u64::from(total)) as u32;
                let mut chosen = (0, 1);
                for &(weight, first, count) in &families {
                    chosen = (first, count);
                    if draw < weight {
                        break;
                    }
                    draw -= weight;
                }
                // Later days come first in a family and are the popular ones.
                (chosen.0 + rng.popular(chosen.1 as u64) as usize) as u32
            })
            .collect();
        let families = families.iter().map(|&(_, first, count)| first..first + count).collect();
        Self { seed: mix(seed), stems, tickets, families }
    }

    /// The object numbered `number`: the same one for the same number.
    pub(super) fn object(&self, number: u64) -> Object<'_> {
        let number = mix(self.seed ^ number);
        self.made(self.tickets[number as usize & (TICKETS - 1)] as usize, number)
    }

    /// The object numbered `number` of one family, by the place of its pattern. Where its keys have a day, it is
    /// that `back` days before the last, or the first day there is.
    pub(super) fn of_family(&self, family: usize, back: u64, number: u64) -> Object<'_> {
        let stems = &self.families[family];
        let stem = stems.start + (back as usize).min(stems.len() - 1);
        self.made(stem, mix(self.seed ^ ((stem as u64) << 40) ^ number))
    }

    fn made(&self, stem: usize, number: u64) -> Object<'_> {
        let stem = &self.stems[stem];
        let (low, high) = stem.size_bits;
        let size = if high == 0 { 0 } else { Rng::new(number, 1).magnitude(low, high) };
        Object { stem, number, size }
    }

    /// An object somebody would ask for: few are asked for often, most hardly ever.
    pub(super) fn popular(&self, rng: &mut Rng) -> Object<'_> {
        self.object(if rng.one_in(3) { rng.popular(OBJECTS) } else { rng.below(OBJECTS) })
    }
}

impl Object<'_> {
    /// Whether no other number has this key, but for a chance that can be neglected.
    pub(super) fn is_unique(&self) -> bool {
        matches!(self.stem.tail, Tail::Uuid | Tail::Part | Tail::Upper(_) | Tail::Hex(12..))
    }

    /// Appends the key as a client sends it in the path.
    pub(super) fn put_path(&self, out: &mut Vec<u8>) {
        self.put(out, &self.stem.start.path, &self.stem.end.path);
    }

    /// Appends the key as REST and WEBSITE records log it.
    pub(super) fn put_twice(&self, out: &mut Vec<u8>) {
        self.put(out, &self.stem.start.twice, &self.stem.end.twice);
    }

    /// Appends the key as BATCH and S3 records log it.
    pub(super) fn put_once(&self, out: &mut Vec<u8>) {
        self.put(out, &self.stem.start.once, &self.stem.end.once);
    }

    /// Appends the prefix of its folder as a query parameter's value.
    pub(super) fn put_folder(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stem.folder.query);
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>, start: &[u8], end: &[u8]) {
        out.extend_from_slice(start);
        let mut rng = Rng::new(self.number, 2);
        match self.stem.tail {
            Tail::None => {}
            Tail::Digits(count) => {
                for _ in 0..count {
                    out.push(b'0' + rng.below(10) as u8);
                }
            }
            Tail::Hex(count) => put_random(out, &mut rng, HEX_LOWER, count),
            Tail::Upper(count) => put_random(out, &mut rng, BASE32, count),
            Tail::Uuid => put_uuid(out, &mut rng),
            Tail::Part => {
                out.extend_from_slice(b"000");
                let part = rng.below(100) as u8;
                out.extend_from_slice(&[b'0' + part / 10, b'0' + part % 10, b'-']);
                put_uuid(out, &mut rng);
            }
        }
        out.extend_from_slice(end);
    }
}

fn fill(pattern: &str, table: &str, day: Day) -> String {
    let (year, month, of_month) = day.civil();
    pattern
        .replace("{table}", table)
        .replace("{date}", &day.to_string())
        .replace("{compact}", &format!("{year}{month:02}{of_month:02}"))
        .replace("{year}", &year.to_string())
        .replace("{month}", &format!("{month:02}"))
        .replace("{day}", &format!("{of_month:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_its_number_and_its_spellings_agree() {
        let keys = KeySpace::new(1, Day::DEFAULT, 1);
        let (mut escaped, mut plus) = (0, 0);
        for number in 0..2_000 {
            let object = keys.object(number);
            let spell = |put: &dyn Fn(&mut Vec<u8>)| {
                let mut out = Vec::new();
                put(&mut out);
                String::from_utf8(out).unwrap()
            };
            let path = spell(&|out| object.put_path(out));
            assert_eq!(path, spell(&|out| keys.object(number).put_path(out)));
            assert_eq!(path.replace('%', "%25"), spell(&|out| object.put_twice(out)));
            let once = spell(&|out| object.put_once(out));
            assert_eq!(path.replace("%20", "+"), once);
            escaped += usize::from(path.contains("%3D"));
            plus += usize::from(once.contains('+'));
        }
        assert!(escaped > 200, "{escaped}");
        assert!(plus > 50, "{plus}");
    }
}
