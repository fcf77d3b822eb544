//! The scenario `incidents`: a calm account in which six things go wrong.
//!
//! The traffic of every day is that of `account`, and the deliveries of log objects are records as in `recursion`,
//! since the bucket that receives them is logged into itself: the first incident. The other five are events at
//! fixed shares of the time range, with the same numbers whatever the number of records. [`Scenario::Incidents`]
//! says what they are.
//!
//! [`Scenario::Incidents`]: super::Scenario::Incidents

use super::Options;
use super::account::{self, Account, CROWD, Shelf};
use super::calendar::DAY;
use super::operation::Operation;
use super::pen::Pen;
use super::recursion::{self, RECEIVER};
use super::rng::Rng;
use super::scenario::{Event, LogObject, Plan, Script};
use super::text::put_decimal;
use super::{forecast, minimal};

pub(super) const SCRIPT: Script = Script { request, echo: Some(echo), plan: Some(plan), quirk_rate: 0.0 };

/// The stream of random numbers of the moments of events.
const PLAN_STREAM: u64 = u64::MAX - 3;

/// With fewer records than these the incidents shrink in proportion, so that most records are calm ones.
const WHOLE: u64 = 40_000;

/// Objects that are read, of which the first are then deleted one by one, and the others in batches.
const TAKEN: u64 = 3_000;
const TAKEN_ONE_BY_ONE: u64 = 600;
const TAKEN_BATCH: u64 = 600;
/// Objects that are deleted in batches, and the number of the first, so that nobody asks for them elsewhere.
const WIPED: u64 = 5_000;
const WIPED_BATCH: u64 = 1_000;
const WIPED_FIRST: u64 = 1_000_000;
/// Uses of one link.
const SHARED: u64 = 360;
/// Seconds that the link is valid.
const LIFETIME: u64 = 12 * 3_600;
/// Probes from outside.
const PROBES: u64 = 1_500;
/// Reads over plain HTTP.
const PLAIN: u64 = 900;

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// Numbers of buckets, as far as there are so many.
const UPLOADS: usize = 3;
const ANALYTICS: usize = 4;
const MEDIA: usize = 5;
const EXPORTS: usize = 6;

fn plan(options: &Options, records: u64) -> Plan {
    let mut planner = Planner {
        rng: Rng::new(options.seed, PLAN_STREAM),
        first: options.start.first_second(),
        seconds: u64::from(options.days) * DAY as u64,
        records,
        events: Vec::new(),
    };
    let taken = planner.share(TAKEN);
    let singles = planner.share(TAKEN_ONE_BY_ONE);
    let wiped = planner.share(WIPED);
    let (shared, probes, plain) = (planner.share(SHARED), planner.share(PROBES), planner.share(PLAIN));

    planner.add(20, 0, 3 * HOUR, (0, shared, 1), follow);
    planner.add(30, 0, 2 * HOUR, (0, plain, 1), read_plainly);
    planner.add(45, 0, 50 * MINUTE, (0, taken, 1), take);
    planner.add(45, 5 * HOUR, 30 * MINUTE, (0, singles, 1), remove);
    planner.add(45, 5 * HOUR + 30 * MINUTE, 10 * MINUTE, (singles, taken, TAKEN_BATCH), remove_many);
    planner.add(55, 0, 45 * MINUTE, (0, probes, 1), probe);
    planner.add(80, 0, 6 * MINUTE, (0, wiped, WIPED_BATCH), wipe);

    let mut events = planner.events;
    events.sort_by_key(|event| event.second);
    let planted = events.iter().map(|event| if event.count > 1 { 1 + event.count } else { 1 }).sum();
    let (receiver, sources) = Account::shares(u64::from(options.buckets) - 1);
    let spread = forecast::spread(options, records, planted, receiver, &sources);
    Plan { spread, events, account: Account::new(options) }
}

/// Lays down events.
struct Planner {
    rng: Rng,
    /// The time range, and the number of records asked for.
    first: i64,
    seconds: u64,
    records: u64,
    events: Vec<Event>,
}

impl Planner {
    /// What of `whole` is there with so many records.
    fn share(&self, whole: u64) -> u64 {
        whole * self.records.min(WHOLE) / WHOLE
    }

    /// Events from `percent` of the time range and `after` seconds on, spread over `seconds`: for the numbers from
    /// the first up to, not including, the second, so many for each event.
    fn add(
        &mut self,
        percent: u64,
        after: u64,
        seconds: u64,
        (from, to, each): (u64, u64, u64),
        write: fn(&mut Pen<'_>, &Event),
    ) {
        let begin = self.seconds * percent / 100 + after;
        let numbers = to - from;
        for number in (from..to).step_by(each as usize) {
            let count = each.min(to - number);
            // Somewhere in its share of the time.
            let passed = (number - from + self.rng.below(count)) * seconds + self.rng.below(seconds);
            let second = self.first + (begin + passed / numbers) as i64;
            self.events.push(Event { second, number, count, write });
        }
    }
}

fn request(pen: &mut Pen<'_>) {
    match account(pen) {
        Some(account) => account.request(pen),
        // Only if this were the request of another script.
        None => (minimal::SCRIPT.request)(pen),
    }
}

/// A delivery, from addresses that nobody else has.
fn echo(pen: &mut Pen<'_>, object: &LogObject) {
    let mut address = b"192.0.2.".to_vec();
    put_decimal(&mut address, pen.rng.between(200, 231));
    recursion::echo_from(pen, object, &address);
}

fn account<'w>(pen: &Pen<'w>) -> Option<&'w Account> {
    let world = pen.world;
    world.plan.as_ref().map(|plan| &plan.account)
}

/// Moves the pen to the bucket numbered `wanted`, or the last one.
fn enter(pen: &mut Pen<'_>, wanted: usize) {
    pen.bucket = wanted.min(pen.world.buckets.len() - 1);
}

/// A use of the link, by each of those who have it in turn.
fn follow(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    let Some(first) = pen.world.plan.as_ref().and_then(|plan| plan.events.first()) else { return };
    enter(pen, MEDIA);
    // It was signed a little before the first use, which is the first of all events.
    let link = (first.second - 90, LIFETIME);
    let visitor = &account.crowd[(event.number % CROWD) as usize];
    account::use_link(pen, account, visitor, &account.object(Shelf::Segment, 0), link);
}

fn read_plainly(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    enter(pen, ANALYTICS);
    account::read(pen, &account.plain_prices, &account.object(Shelf::Price, event.number % 400));
}

fn take(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    enter(pen, EXPORTS);
    account::read(pen, &account.thief, &account.object(Shelf::Customer, event.number));
}

fn remove(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    enter(pen, EXPORTS);
    account::delete(pen, &account.thief, &account.object(Shelf::Customer, event.number));
}

fn remove_many(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    enter(pen, EXPORTS);
    let (first, count) = (event.number, event.count);
    account::delete_many(pen, &account.thief, account, Shelf::Customer, first, count);
}

/// A batch of a mass deletion, never in the bucket of the other deletion if there are two.
fn wipe(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    enter(pen, EXPORTS);
    let bucket = if pen.bucket > UPLOADS { UPLOADS } else { pen.bucket.saturating_sub(1) };
    enter(pen, bucket);
    let (first, count) = (WIPED_FIRST + event.number, event.count);
    account::delete_many(pen, &account.wiper, account, Shelf::Thumb, first, count);
}

/// What a stranger tries first; then come numbers.
const GUESSES: [&str; 8] = [
    ".env",
    ".git/config",
    "backup.zip",
    "db/dump.sql.gz",
    "config/settings.json",
    "users.csv",
    "id_rsa",
    "wp-config.php",
];

/// A probe: of a key, or of a bucket itself. Some buckets say that there is nothing, most say nothing at all.
fn probe(pen: &mut Pen<'_>, event: &Event) {
    let Some(account) = account(pen) else { return };
    let prober = &account.prober;
    let buckets = pen.world.buckets.len();
    let (bucket, turn) = (event.number as usize % buckets, event.number as usize / buckets);
    pen.bucket = bucket;
    if turn.is_multiple_of(50) {
        let mut row = pen.row(prober, Operation::ListBucket);
        pen.ask_bucket("GET", prober.style);
        pen.query("list-type=2");
        pen.timed(&mut row, 0);
        row.refuse(403, "AccessDenied", 243);
        return pen.write(&row);
    }
    let mut row = pen.row(prober, Operation::GetObject);
    pen.ask_bucket("GET", prober.style);
    // Nothing in these keys needs encoding.
    let key = match GUESSES.get(turn - 1) {
        Some(guess) => (*guess).to_owned(),
        None => format!("backup/export-{turn:05}.tar.gz"),
    };
    pen.uri.extend_from_slice(key.as_bytes());
    pen.key.extend_from_slice(key.as_bytes());
    pen.timed(&mut row, 0);
    if bucket % 3 == 1 && bucket != RECEIVER {
        row.refuse(404, "NoSuchKey", 272);
    } else {
        row.refuse(403, "AccessDenied", 243);
    }
    pen.write(&row);
}
