//! Requests about one object by callers that sign.

use super::keys::Object;
use super::operation::Operation;
use super::pen::{Pen, Row};
use super::text::{VERSION, put_decimal, put_random};

/// Begins a request of some worker about some object, answered with 200.
fn begin<'w>(pen: &mut Pen<'w>, method: &str, operation: Operation) -> (Row<'w>, Object<'w>) {
    let world = pen.world;
    let caller = world.worker(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    let mut row = pen.row(caller, operation);
    pen.ask(method, caller.style, &object);
    match operation {
        Operation::GetObject if caller.x_id => pen.query("x-id=GetObject"),
        Operation::PutObject if caller.x_id => pen.query("x-id=PutObject"),
        _ => {}
    }
    pen.timed(&mut row, 0);
    (row, object)
}

/// A read, answered.
pub(super) fn get(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "GET", Operation::GetObject);
    (row.sent, row.size) = (object.size, Some(object.size));
    pen.timed(&mut row, object.size);
    row.acl_required = pen.rng.one_in(60);
    pen.write(&row);
}

/// A read of a part, as Parquet readers do.
pub(super) fn get_range(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "GET", Operation::GetObject);
    (row.status, row.size) = (206, Some(object.size));
    let part = pen.rng.magnitude(3, 20).min(object.size);
    row.sent = part;
    pen.timed(&mut row, part);
    pen.write(&row);
}

/// The caller has it already.
pub(super) fn not_modified(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "GET", Operation::GetObject);
    row.refuse(304, "", 0);
    row.size = Some(object.size);
    pen.write(&row);
}

/// A look at an object.
pub(super) fn head(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "HEAD", Operation::HeadObject);
    row.size = Some(object.size);
    pen.write(&row);
}

/// A write.
pub(super) fn put(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "PUT", Operation::PutObject);
    row.size = Some(object.size);
    row.has_version = pen.world.buckets[pen.bucket].versioned;
    pen.timed(&mut row, object.size);
    pen.write(&row);
}

/// A read or look at what is not there.
pub(super) fn not_found(pen: &mut Pen<'_>) {
    let head = pen.rng.one_in(2);
    let (mut row, _) = if head {
        begin(pen, "HEAD", Operation::HeadObject)
    } else {
        begin(pen, "GET", Operation::GetObject)
    };
    row.refuse(404, "NoSuchKey", if head { 0 } else { 300 });
    pen.write(&row);
}

/// A read or a write.
fn either<'w>(pen: &mut Pen<'w>) -> Row<'w> {
    if pen.rng.one_in(3) {
        begin(pen, "PUT", Operation::PutObject).0
    } else {
        begin(pen, "GET", Operation::GetObject).0
    }
}

/// A caller without permission.
pub(super) fn denied(pen: &mut Pen<'_>) {
    let mut row = either(pen);
    row.refuse(403, "AccessDenied", 243);
    pen.write(&row);
}

/// Too many requests for one prefix, or trouble inside S3.
pub(super) fn slow_down(pen: &mut Pen<'_>) {
    let mut row = either(pen);
    if pen.rng.one_in(12) {
        row.refuse(500, "InternalError", 282);
    } else {
        row.refuse(503, "SlowDown", 373);
    }
    pen.write(&row);
}

/// A delete: a marker, or for good when it names a version.
pub(super) fn delete(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "DELETE", Operation::DeleteObject);
    row.status = 204;
    if pen.world.buckets[pen.bucket].versioned && pen.rng.one_in(4) {
        // The same version in the target and in its field.
        let mut version = Vec::with_capacity(32);
        put_random(&mut version, &mut pen.rng, VERSION, 32);
        pen.query("versionId=");
        pen.uri.extend_from_slice(&version);
        (row.version, row.size) = (&version, Some(object.size));
        return pen.write(&row);
    }
    pen.write(&row);
}

/// Tags of an object, read or written.
pub(super) fn tagging(pen: &mut Pen<'_>) {
    let put = pen.rng.one_in(4);
    let (mut row, _) = if put {
        begin(pen, "PUT", Operation::PutObjectTagging)
    } else {
        begin(pen, "GET", Operation::GetObjectTagging)
    };
    pen.query("tagging");
    row.sent = if put { 0 } else { 230 };
    pen.write(&row);
}

/// A request to bring back an archived object.
pub(super) fn restore(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "POST", Operation::PostRestore);
    pen.query("restore");
    if pen.rng.one_in(4) {
        row.refuse(409, "RestoreAlreadyInProgress", 309);
    } else {
        (row.status, row.size) = (202, Some(object.size));
    }
    pen.write(&row);
}

/// A read of an archived object.
pub(super) fn archived(pen: &mut Pen<'_>) {
    let (mut row, _) = begin(pen, "GET", Operation::GetObject);
    row.refuse(403, "InvalidObjectState", 443);
    pen.write(&row);
}

/// A download that its caller gave up, perhaps after hours.
pub(super) fn abandoned(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "GET", Operation::GetObject);
    (row.sent, row.size) = (object.size / 20, Some(object.size));
    row.total_ms = Some(pen.rng.between(600_000, 11_000_000));
    pen.write(&row);
}

/// A query of one object.
pub(super) fn select(pen: &mut Pen<'_>) {
    let (mut row, object) = begin(pen, "POST", Operation::PostSelect);
    pen.query("select&select-type=2&x-attempt=");
    let attempt = pen.rng.between(1, 3);
    put_decimal(&mut pen.uri, attempt);
    (row.sent, row.size) = (object.size / 50, Some(object.size));
    pen.timed(&mut row, object.size);
    pen.write(&row);
}
