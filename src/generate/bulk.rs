//! Requests that leave several records: deletes of many objects, copies, uploads in parts.
//!
//! The records of one delete or copy share request id and host id, as S3 logs them.

use super::keys::Object;
use super::objects;
use super::operation::Operation;
use super::pen::{Pen, Row, Target, Text};
use super::text::{VERSION, put_decimal, put_random};
use super::world::Caller;

/// The most objects S3 deletes in one request.
const MOST_DELETED: u64 = 1000;
/// Bytes of a part of an upload.
const PART: u64 = 8 << 20;

/// A delete of many objects: the request, and one record per object.
pub(super) fn delete(pen: &mut Pen<'_>) {
    if pen.room < 2 {
        return objects::delete(pen);
    }
    let world = pen.world;
    let caller = world.worker(&mut pen.rng);
    let count = (1 + pen.rng.popular(MOST_DELETED)).min(pen.room - 1);
    let request = delete_request(pen, caller, count);
    // Keys that no other object of the request has, or two records would be the same line.
    let first = pen.rng.popular(1_000_000);
    let objects = (first..).map(|number| world.keys.object(number)).filter(Object::is_unique);
    for object in objects.take(count as usize) {
        deleted(pen, &request, &object);
    }
}

/// The request to delete `count` objects, whose records follow it.
pub(super) fn delete_request<'w>(pen: &mut Pen<'w>, caller: &'w Caller, count: u64) -> Row<'w> {
    let mut row = pen.row(caller, Operation::MultiDelete);
    pen.ask_bucket("POST", caller.style);
    pen.query("delete");
    pen.timed(&mut row, count * 1_000);
    row.sent = 150 + 90 * count;
    pen.write(&row);
    row
}

/// The record of one object of a delete.
pub(super) fn deleted(pen: &mut Pen<'_>, request: &Row<'_>, object: &Object<'_>) {
    pen.key_once(object);
    let mut part = half(request, Operation::BatchDelete);
    part.status = 204;
    // The size is known if there was such an object.
    part.size = (!pen.rng.one_in(10)).then_some(object.size);
    part.has_version = pen.world.buckets[pen.bucket].versioned;
    pen.write(&part);
}

/// A record of part of a request: identity and transport of `row`, and bare dashes for what a client sent.
fn half<'a>(row: &Row<'a>, operation: Operation) -> Row<'a> {
    Row {
        operation,
        target: Target::Bare,
        error: "",
        sent: 0,
        total_ms: None,
        turn_around_ms: None,
        referer: Text::Bare,
        agent: Text::Bare,
        ..*row
    }
}

/// A copy between two objects, often of two buckets: the write in the log of the one, the read in the log of
/// the other.
pub(super) fn copy(pen: &mut Pen<'_>) {
    copy_as(pen, Operation::CopyObject, Operation::CopyObjectGet);
}

/// The same as a part of an upload.
pub(super) fn copy_part(pen: &mut Pen<'_>) {
    copy_as(pen, Operation::CopyPart, Operation::CopyPartGet);
}

fn copy_as(pen: &mut Pen<'_>, write: Operation, read: Operation) {
    if pen.room < 2 {
        return objects::put(pen);
    }
    let world = pen.world;
    let caller = world.worker(&mut pen.rng);
    let (from, to) = (world.keys.popular(&mut pen.rng), world.keys.popular(&mut pen.rng));
    let mut row = pen.row(caller, write);
    pen.ask("PUT", caller.style, &to);
    if write == Operation::CopyPart {
        pen.query("partNumber=1&uploadId=");
        put_random(&mut pen.uri, &mut pen.rng, VERSION, 96);
    }
    pen.timed(&mut row, from.size);
    (row.sent, row.size) = (234, Some(from.size));
    row.has_version = world.buckets[pen.bucket].versioned;
    pen.write(&row);

    // The host stays that of the destination.
    pen.bucket = world.any_bucket(&mut pen.rng);
    pen.key.clear();
    from.put_twice(&mut pen.key);
    let mut source = half(&row, read);
    source.status = if pen.rng.one_in(5) { 0 } else { 200 };
    source.has_version = world.buckets[pen.bucket].versioned;
    source.access_point = b"-";
    pen.write(&source);
}

/// An upload in parts: the beginning, the parts, and the end or its abort. Each is a request of its own.
pub(super) fn upload(pen: &mut Pen<'_>) {
    let world = pen.world;
    let parts = pen.rng.between(1, 6);
    if pen.room < parts + 2 {
        return objects::put(pen);
    }
    let caller = world.worker(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    upload_parts(pen, caller, &object, parts, true);
}

/// The same by `caller`, of `object` in so many parts. Some uploads are aborted if they may be.
pub(super) fn upload_parts<'w>(
    pen: &mut Pen<'w>,
    caller: &'w Caller,
    object: &Object<'_>,
    parts: u64,
    may_abort: bool,
) {
    let world = pen.world;
    let mut id = Vec::with_capacity(96);
    put_random(&mut id, &mut pen.rng, VERSION, 96);

    let mut row = pen.row(caller, Operation::CreateUpload);
    pen.ask("POST", caller.style, object);
    pen.query("uploads");
    pen.timed(&mut row, 0);
    row.sent = 400;
    pen.write(&row);

    for part in 1..=parts {
        pen.new_ids();
        let mut row = pen.row(caller, Operation::PutPart);
        pen.ask("PUT", caller.style, object);
        pen.query("partNumber=");
        put_decimal(&mut pen.uri, part);
        pen.query("uploadId=");
        pen.uri.extend_from_slice(&id);
        row.size = Some(PART);
        pen.timed(&mut row, PART);
        pen.write(&row);
    }

    pen.new_ids();
    let aborted = may_abort && pen.rng.one_in(12);
    let operation = if aborted { Operation::AbortUpload } else { Operation::CompleteUpload };
    let mut row = pen.row(caller, operation);
    pen.ask(if aborted { "DELETE" } else { "POST" }, caller.style, object);
    pen.query("uploadId=");
    pen.uri.extend_from_slice(&id);
    pen.timed(&mut row, 0);
    if aborted {
        row.status = 204;
    } else {
        (row.sent, row.size) = (470, Some(parts * PART));
        row.has_version = world.buckets[pen.bucket].versioned;
    }
    pen.write(&row);
}
