//! The scenario `recursion-self`: the bucket that receives the log objects of all source buckets is logged into
//! itself.
//!
//! The loop is simulated, not imitated: every delivered log object becomes a record of the receiving bucket, at
//! the moment and with the size and key of that object, and sits in a later log object of it. One delivery makes
//! one record, so the loop sustains itself without exploding, as in real logs. The last objects, delivered after
//! the last record, have no echo.

use super::mixed;
use super::names::{LOG_DELIVERY, MODERN};
use super::operation::Operation;
use super::pen::{Pen, Row, Text};
use super::scenario::{LogObject, Script};
use super::text::Encoded;
use super::world::{PATH_HOST, Style, put_address};

pub(super) const SCRIPT: Script = Script { request, echo: Some(echo), plan: None, quirk_rate: 0.001 };

/// The bucket that receives, among the source buckets.
pub(super) const RECEIVER: usize = 0;

/// Traffic from outside. The receiving bucket has little of it.
fn request(pen: &mut Pen<'_>) {
    let others = pen.world.buckets.len() as u64 - 1;
    pen.bucket =
        if others == 0 || pen.rng.one_in(20) { RECEIVER } else { 1 + pen.rng.popular(others) as usize };
    mixed::request(pen);
}

fn echo(pen: &mut Pen<'_>, object: &LogObject) {
    let mut address = Vec::new();
    put_address(&mut address, &mut pen.rng);
    echo_from(pen, object, &address);
}

/// The write of a log object: path style, by the canonical id of log delivery.
pub(super) fn echo_from(pen: &mut Pen<'_>, object: &LogObject, address: &[u8]) {
    pen.bucket = RECEIVER;
    let key = Encoded::new(&object.key);
    pen.ask_bucket("PUT", Style::Path);
    pen.uri.push(b'/');
    pen.uri.extend_from_slice(&key.path);
    pen.key.extend_from_slice(&key.twice);
    let mut row = Row {
        address,
        requester: LOG_DELIVERY.as_bytes(),
        target: super::pen::Target::Written,
        status: 200,
        size: Some(object.size),
        agent: Text::Of(b"aws-internal/3"),
        signature: "SigV4",
        cipher: MODERN.cipher,
        authentication: "AuthHeader",
        host: PATH_HOST,
        tls: MODERN.version,
        ..Row::internal(Operation::PutObject)
    };
    pen.timed(&mut row, object.size);
    // Never with a quirk: the text is AWS's own.
    pen.put(&row, false);
}
