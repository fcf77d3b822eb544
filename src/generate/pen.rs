//! Writes records: the order, quoting and dashes of the fields, for every generation.
//!
//! A [`Pen`] holds what the records of one request share (moment, ids, bucket, generation). It knows the shape
//! of a line and nothing of what requests mean: scenarios fill in a [`Row`] and have it written.

use std::ops::Range;

use super::calendar::Stamp;
use super::keys::Object;
use super::operation::Operation;
use super::quirk;
use super::rng::Rng;
use super::text::{BASE32, BASE64, HEX_UPPER, VERSION, put_decimal, put_random, put_uuid};
use super::world::{Caller, Style, World};

/// How many log objects of a bucket are being filled at a time, so that they overlap as real ones do.
pub(super) const LANES: usize = 4;

/// A quoted field. S3 writes a missing value in two forms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// `-`
    Bare,
    /// `"-"`
    Dash,
    /// The bytes between quotes, as they are.
    Of(&'a [u8]),
}

/// Where the request URI comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// `-`
    Bare,
    /// `"-"`
    Dash,
    /// The pen's target, in quotes, with the protocol.
    Written,
}

/// The fields of one record beyond those that the pen holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) operation: Operation,
    pub(super) address: &'a [u8],
    pub(super) requester: &'a [u8],
    pub(super) target: Target,
    /// 0 for the dash.
    pub(super) status: u64,
    /// Empty for the dash.
    pub(super) error: &'static str,
    /// 0 for the dash, as S3 does.
    pub(super) sent: u64,
    pub(super) size: Option<u64>,
    pub(super) total_ms: Option<u64>,
    pub(super) turn_around_ms: Option<u64>,
    pub(super) referer: Text<'a>,
    pub(super) agent: Text<'a>,
    /// Whether to draw a version id; else `version` stands.
    pub(super) has_version: bool,
    pub(super) version: &'a [u8],
    pub(super) signature: &'static str,
    pub(super) cipher: &'static str,
    pub(super) authentication: &'static str,
    pub(super) host: &'a [u8],
    pub(super) tls: &'static str,
    pub(super) access_point: &'a [u8],
    pub(super) acl_required: bool,
    pub(super) region: &'static str,
}

impl Row<'static> {
    /// What AWS does by itself: no caller, no request, no transport.
    pub(super) fn internal(operation: Operation) -> Self {
        Row {
            operation,
            address: b"-",
            requester: b"AmazonS3",
            target: Target::Dash,
            status: 0,
            error: "",
            sent: 0,
            size: None,
            total_ms: None,
            turn_around_ms: None,
            referer: Text::Dash,
            agent: Text::Dash,
            has_version: false,
            version: b"-",
            signature: "-",
            cipher: "-",
            authentication: "-",
            host: b"-",
            tls: "-",
            access_point: b"-",
            acl_required: false,
            region: "-",
        }
    }
}

impl Row<'_> {
    /// An answer without the object: a status, an error code, and the bytes of the message.
    pub(super) fn refuse(&mut self, status: u64, error: &'static str, sent: u64) {
        (self.status, self.error, self.sent) = (status, error, sent);
        self.turn_around_ms = None;
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Record(Operation),
    /// Not a record: cut off, two in one, or no record at all.
    Damaged,
}

/// A line of a slice, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) start: usize,
    /// After the LF.
    pub(super) end: usize,
    pub(super) second: i64,
    pub(super) bucket: usize,
    pub(super) generation: u8,
    pub(super) lane: u8,
    pub(super) kind: Kind,
    pub(super) quirk: bool,
    /// When given, some line this far back (0: this one) is delivered again after it.
    pub(super) repeat: Option<u8>,
}

impl Line {
    /// Whether it is a record.
    pub(super) fn is_record(&self) -> bool {
        self.kind != Kind::Damaged
    }
}

/// A stretch of lines in time order.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<Line>,
}

/// Writes the records of one slice.
pub(super) struct Pen<'w> {
    pub(super) world: &'w World,
    pub(super) rng: Rng,
    /// How many records may still be written.
    pub(super) room: u64,
    /// The source bucket.
    pub(super) bucket: usize,
    /// The key as it is to be logged; empty for the dash.
    pub(super) key: Vec<u8>,
    /// Method and target of the request, without the protocol.
    pub(super) uri: Vec<u8>,
    slice: Slice,
    stamp: Stamp,
    generation: u8,
    lane: u8,
    request_id: Vec<u8>,
    host_id: Vec<u8>,
    quirks_due: u64,
}

impl<'w> Pen<'w> {
    /// A pen on the random numbers of `stream`, which writes at most `room` records into `slice`, emptied.
    pub(super) fn new(world: &'w World, stream: u64, room: u64, mut slice: Slice) -> Self {
        slice.bytes.clear();
        slice.lines.clear();
        Self {
            world,
            rng: Rng::new(world.seed, stream),
            room,
            bucket: 0,
            key: Vec::new(),
            uri: Vec::new(),
            slice,
            stamp: Stamp::new(0),
            generation: world.generations[0],
            lane: 0,
            request_id: Vec::new(),
            host_id: Vec::new(),
            quirks_due: 0,
        }
    }

    /// What was written.
    pub(super) fn into_slice(self) -> Slice {
        self.slice
    }

    /// What was written, to be read and then emptied.
    pub(super) fn slice(&mut self) -> &mut Slice {
        &mut self.slice
    }

    /// Begins the records of one request at `second`.
    pub(super) fn begin(&mut self, second: i64) {
        self.stamp.set(second);
        self.generation = *self.rng.pick(&self.world.generations);
        self.lane = self.rng.below(LANES as u64) as u8;
        self.bucket = self.world.any_bucket(&mut self.rng);
        self.new_ids();
    }

    /// The moment of the request.
    pub(super) fn second(&self) -> i64 {
        self.stamp.second()
    }

    /// Draws the ids of another request at the same moment.
    pub(super) fn new_ids(&mut self) {
        self.request_id.clear();
        if self.generation < 24 {
            put_random(&mut self.request_id, &mut self.rng, HEX_UPPER, 16);
        } else {
            put_random(&mut self.request_id, &mut self.rng, BASE32, 16);
        }
        self.host_id.clear();
        put_random(&mut self.host_id, &mut self.rng, BASE64, 75);
        self.host_id.push(b'=');
    }

    /// Makes the request id a UUID, as jobs have it.
    pub(super) fn uuid_request_id(&mut self) {
        self.request_id.clear();
        put_uuid(&mut self.request_id, &mut self.rng);
    }

    /// A row of `caller`, answered with 200.
    pub(super) fn row(&mut self, caller: &'w Caller, operation: Operation) -> Row<'w> {
        let bucket = &self.world.buckets[self.bucket];
        let address = self.rng.pick(&caller.addresses);
        Row {
            address,
            requester: &caller.requester,
            target: Target::Written,
            status: 200,
            referer: Text::Of(caller.referer.as_bytes()),
            agent: Text::Of(&caller.agent),
            signature: if caller.signed { "SigV4" } else { "-" },
            cipher: caller.tls.cipher,
            authentication: if caller.signed { "AuthHeader" } else { "-" },
            host: bucket.host(caller.style),
            tls: caller.tls.version,
            access_point: bucket.access_point(caller.style),
            region: caller.region,
            ..Row::internal(operation)
        }
    }

    /// Sets the times of `row`, for `moved` bytes of body.
    pub(super) fn timed(&mut self, row: &mut Row<'_>, moved: u64) {
        let turn_around = self.rng.magnitude(3, 6);
        row.turn_around_ms = Some(turn_around);
        let transfer = moved / self.rng.between(8_000, 90_000) + self.rng.below(4);
        row.total_ms = Some(turn_around + transfer);
    }

    /// The request line of an object, and its key, as REST and WEBSITE rows log them.
    pub(super) fn ask(&mut self, method: &str, style: Style, object: &Object<'_>) {
        self.begin_target(method, style);
        self.uri.push(b'/');
        object.put_path(&mut self.uri);
        self.key.clear();
        object.put_twice(&mut self.key);
    }

    /// The request line of the bucket itself, and no key.
    pub(super) fn ask_bucket(&mut self, method: &str, style: Style) {
        self.begin_target(method, style);
        if style != Style::Path {
            self.uri.push(b'/');
        }
        self.key.clear();
    }

    fn begin_target(&mut self, method: &str, style: Style) {
        self.uri.clear();
        self.uri.extend_from_slice(method.as_bytes());
        self.uri.push(b' ');
        if style == Style::Path {
            self.uri.push(b'/');
            self.uri.extend_from_slice(self.world.buckets[self.bucket].name.as_bytes());
        }
    }

    /// Adds a query parameter, or the beginning of one, to the target.
    pub(super) fn query(&mut self, text: &str) {
        self.uri.push(if self.uri.contains(&b'?') { b'&' } else { b'?' });
        self.uri.extend_from_slice(text.as_bytes());
    }

    /// The key as BATCH and S3 rows log it.
    pub(super) fn key_once(&mut self, object: &Object<'_>) {
        self.key.clear();
        object.put_once(&mut self.key);
    }

    /// Writes a record, with a quirk when one is due and the record holds a client's text.
    pub(super) fn write(&mut self, row: &Row<'_>) {
        if self.rng.hits(self.world.quirks) {
            self.quirks_due += 1;
        }
        if self.quirks_due > 0 && matches!(row.agent, Text::Of(_)) {
            self.quirks_due -= 1;
            quirk::write(self, row);
        } else {
            self.put(row, false);
        }
    }

    /// Writes a record as it is.
    pub(super) fn put(&mut self, row: &Row<'_>, quirk: bool) {
        let start = self.slice.bytes.len();
        let generation = self.generation;
        let out = &mut self.slice.bytes;
        out.extend_from_slice(&self.world.buckets[self.bucket].head);
        out.extend_from_slice(self.stamp.bytes());
        let address_at = out.len();
        field(out, row.address);
        // Long ago an anonymous caller was the group of all users.
        let requester: &[u8] = match row.requester {
            b"-" if generation == 17 => b"65a011a29cdf8ec533ec3d1ccaae921c",
            requester => requester,
        };
        field(out, requester);
        field(out, &self.request_id);
        field(out, row.operation.name().as_bytes());
        let key_at = out.len();
        field(out, if self.key.is_empty() { b"-" } else { &self.key });
        let key_end = out.len();
        match row.target {
            Target::Bare => out.extend_from_slice(b" -"),
            Target::Dash => out.extend_from_slice(b" \"-\""),
            Target::Written => {
                out.extend_from_slice(b" \"");
                out.extend_from_slice(&self.uri);
                out.extend_from_slice(b" HTTP/1.1\"");
            }
        }
        number(out, (row.status != 0).then_some(row.status));
        field(out, if row.error.is_empty() { b"-" } else { row.error.as_bytes() });
        number(out, (row.sent != 0).then_some(row.sent));
        number(out, row.size);
        number(out, row.total_ms);
        number(out, row.turn_around_ms);
        quoted(out, row.referer);
        let agent_at = out.len();
        quoted(out, row.agent);
        if generation >= 18 {
            out.push(b' ');
            if row.has_version {
                put_random(out, &mut self.rng, VERSION, 32);
            } else {
                out.extend_from_slice(row.version);
            }
        }
        if generation >= 24 {
            field(out, &self.host_id);
            field(out, row.signature.as_bytes());
            field(out, row.cipher.as_bytes());
            field(out, row.authentication.as_bytes());
            field(out, row.host);
            field(out, row.tls.as_bytes());
        }
        if generation >= 25 {
            field(out, row.access_point);
        }
        if generation >= 26 {
            field(out, if row.acl_required { b"Yes" } else { b"-" });
        }
        if generation >= 27 {
            field(out, row.region.as_bytes());
        }
        out.push(b'\n');
        self.room -= 1;
        let repeat = self.rng.hits(self.world.duplicates).then(|| self.rng.next() as u8);
        self.line(start, Kind::Record(row.operation), quirk, repeat);
        if self.rng.hits(self.world.damage) {
            self.damage(start, address_at..key_at, key_end..agent_at);
        }
    }

    fn line(&mut self, start: usize, kind: Kind, quirk: bool, repeat: Option<u8>) {
        self.slice.lines.push(Line {
            start,
            end: self.slice.bytes.len(),
            second: self.stamp.second(),
            bucket: self.bucket,
            generation: self.generation,
            lane: self.lane,
            kind,
            quirk,
            repeat,
        });
    }

    /// Writes a line that is no record, made of the last record, which begins at `start`. It keeps what tells
    /// records apart, so that no two damaged lines are the same.
    ///
    /// The record loses its beginning up to a place in `head`, which is past the time, or its end from a place
    /// in `tail`, which is before the agent: neither rest is a record of any generation.
    fn damage(&mut self, start: usize, head: Range<usize>, tail: Range<usize>) {
        let at = self.slice.bytes.len();
        let mut place = |r: Range<usize>| r.start + self.rng.index(r.len());
        match place(0..4) {
            0 => {
                let end = place(tail);
                self.slice.bytes.extend_from_within(start..end);
            }
            1 => {
                let from = place(head);
                self.slice.bytes.extend_from_within(from..at - 1);
            }
            2 => {
                // The record before it, if it is of the same bucket, glued to it without a LF.
                let mate = match self.slice.lines.as_slice() {
                    [.., mate, _] if mate.bucket == self.bucket && mate.kind != Kind::Damaged => {
                        mate.start..mate.end - 1
                    }
                    _ => start..at - 1,
                };
                self.slice.bytes.extend_from_within(mate);
                self.slice.bytes.extend_from_within(start..at - 1);
            }
            _ => {
                self.slice.bytes.extend_from_slice(self.rng.pick(GARBAGE).as_bytes());
                self.slice.bytes.push(b' ');
                put_random(&mut self.slice.bytes, &mut self.rng, BASE32, 16);
            }
        }
        self.slice.bytes.push(b'\n');
        self.line(at, Kind::Damaged, false, None);
    }
}

/// Lines that were never records.
const GARBAGE: &[&str] = &[
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    "#Version: 1.0",
    "Traceback (most recent call last):",
    "\tat java.base/java.lang.Thread.run(Thread.java:840)",
    "No space left on device",
    "{\"level\":\"warn\",\"msg\":\"log rotated\"}",
];

#[inline]
fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(bytes);
}

#[inline]
fn number(out: &mut Vec<u8>, n: Option<u64>) {
    out.push(b' ');
    match n {
        Some(n) => put_decimal(out, n),
        None => out.push(b'-'),
    }
}

#[inline]
fn quoted(out: &mut Vec<u8>, text: Text<'_>) {
    match text {
        Text::Bare => out.extend_from_slice(b" -"),
        Text::Dash => out.extend_from_slice(b" \"-\""),
        Text::Of(bytes) => {
            out.extend_from_slice(b" \"");
            out.extend_from_slice(bytes);
            out.push(b'"');
        }
    }
}
