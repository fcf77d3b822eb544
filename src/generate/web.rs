//! Requests from the web: websites, browsers, pre-signed URLs, forms, and strangers.

use super::calendar::{put_compact, put_compact_day};
use super::names::{CONSOLE_REFERERS, MODERN, NO_TLS, REGION};
use super::operation::Operation;
use super::pen::{Pen, Text};
use super::text::{BASE32, VERSION, put_decimal, put_random};
use super::world::Style;

/// A page of a website: anonymous, never encrypted.
pub(super) fn website(pen: &mut Pen<'_>) {
    let world = pen.world;
    let visitor = world.visitor(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    let head = pen.rng.one_in(15);
    let operation = if head { Operation::WebsiteHead } else { Operation::WebsiteGet };
    let mut row = pen.row(visitor, operation);
    pen.ask(if head { "HEAD" } else { "GET" }, Style::Website, &object);
    pen.timed(&mut row, object.size);
    (row.cipher, row.tls) = (NO_TLS.cipher, NO_TLS.version);
    row.host = world.buckets[pen.bucket].host(Style::Website);
    row.size = Some(object.size);
    row.sent = if head { 0 } else { object.size };
    if pen.rng.one_in(8) {
        row.refuse(404, "NoSuchKey", 346);
        row.size = None;
    }
    pen.write(&row);
}

/// A stranger at a closed door; now and then an open one.
pub(super) fn anonymous_refused(pen: &mut Pen<'_>) {
    let world = pen.world;
    let visitor = world.visitor(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    let (list, open) = (pen.rng.one_in(6), pen.rng.one_in(6));
    let operation = if list { Operation::ListBucket } else { Operation::GetObject };
    let mut row = pen.row(visitor, operation);
    if list {
        pen.ask_bucket("GET", visitor.style);
    } else {
        pen.ask("GET", visitor.style, &object);
    }
    pen.timed(&mut row, object.size);
    if open && !list {
        (row.sent, row.size, row.acl_required) = (object.size, Some(object.size), true);
    } else {
        row.total_ms = row.turn_around_ms;
        row.refuse(403, "AccessDenied", 243);
    }
    pen.write(&row);
}

/// A browser asks whether another site's script may ask.
pub(super) fn preflight(pen: &mut Pen<'_>) {
    let world = pen.world;
    let visitor = world.visitor(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    let mut row = pen.row(visitor, Operation::Preflight);
    pen.ask("OPTIONS", visitor.style, &object);
    pen.timed(&mut row, 0);
    row.referer = Text::Of(b"https://app.example.org/");
    if pen.rng.one_in(4) {
        row.refuse(403, "AccessForbidden", 358);
    }
    pen.write(&row);
}

/// A download through a pre-signed URL, used by whoever holds it.
pub(super) fn presigned_get(pen: &mut Pen<'_>) {
    let world = pen.world;
    let (signer, visitor) = (world.worker(&mut pen.rng), world.visitor(&mut pen.rng));
    let object = world.keys.popular(&mut pen.rng);
    let mut row = pen.row(visitor, Operation::GetObject);
    pen.ask("GET", Style::VirtualHost, &object);
    if pen.rng.one_in(3) {
        pen.query("response-content-disposition=attachment%3B%20filename%3Dreport.pdf");
    }
    let expired = sign(pen);
    row.requester = &signer.requester;
    (row.signature, row.authentication) = ("SigV4", "QueryString");
    (row.cipher, row.tls) = (MODERN.cipher, MODERN.version);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    (row.sent, row.size) = (object.size, Some(object.size));
    pen.timed(&mut row, object.size);
    if expired {
        row.refuse(403, "AccessDenied", 412);
        row.size = None;
    }
    pen.write(&row);
}

/// An upload through a pre-signed URL, as the console does it.
pub(super) fn presigned_put(pen: &mut Pen<'_>) {
    let world = pen.world;
    let (signer, visitor) = (world.operator(&mut pen.rng), world.visitor(&mut pen.rng));
    let object = world.keys.popular(&mut pen.rng);
    let mut row = pen.row(visitor, Operation::PutObject);
    pen.ask("PUT", Style::VirtualHost, &object);
    let expired = sign(pen);
    pen.query("x-amz-storage-class=STANDARD");
    row.requester = &signer.requester;
    (row.signature, row.authentication) = ("SigV4", "QueryString");
    (row.cipher, row.tls) = (MODERN.cipher, MODERN.version);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    row.referer = Text::Of(CONSOLE_REFERERS[1].as_bytes());
    row.size = Some(object.size);
    row.has_version = world.buckets[pen.bucket].versioned;
    pen.timed(&mut row, object.size);
    if expired {
        row.refuse(403, "AccessDenied", 412);
        (row.size, row.has_version) = (None, false);
    }
    pen.write(&row);
}

/// Adds the parameters of a signature; true when it has expired. S3 masks the signature itself in its logs.
fn sign(pen: &mut Pen<'_>) -> bool {
    let lifetime = *pen.rng.pick(&[300, 900, 900, 3_600, 86_400, 604_800_i64]);
    let expired = pen.rng.one_in(15);
    let age = if expired { lifetime + 60 } else { pen.rng.below(lifetime as u64) as i64 };
    let signed_at = pen.second() - age;
    let session = pen.rng.one_in(3);
    pen.query("X-Amz-Algorithm=AWS4-HMAC-SHA256");
    pen.query(if session { "X-Amz-Credential=ASIA" } else { "X-Amz-Credential=AKIA" });
    put_random(&mut pen.uri, &mut pen.rng, BASE32, 9);
    pen.uri.extend_from_slice(b"EXAMPLE%2F");
    put_compact_day(&mut pen.uri, signed_at);
    pen.uri.extend_from_slice(b"%2F");
    pen.uri.extend_from_slice(REGION.as_bytes());
    pen.uri.extend_from_slice(b"%2Fs3%2Faws4_request");
    pen.query("X-Amz-Date=");
    put_compact(&mut pen.uri, signed_at);
    pen.query("X-Amz-Expires=");
    put_decimal(&mut pen.uri, lifetime as u64);
    if session {
        pen.query("X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE");
        put_random(&mut pen.uri, &mut pen.rng, VERSION, 280);
    }
    pen.query("X-Amz-SignedHeaders=host");
    pen.query("X-Amz-Signature=XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX");
    expired
}

/// An upload by a form in a browser.
pub(super) fn form(pen: &mut Pen<'_>) {
    let world = pen.world;
    let (signer, visitor) = (world.worker(&mut pen.rng), world.visitor(&mut pen.rng));
    let object = world.keys.popular(&mut pen.rng);
    let mut row = pen.row(visitor, Operation::PostObject);
    // The key is in the body of the form, not in the target.
    pen.ask_bucket("POST", Style::VirtualHost);
    object.put_twice(&mut pen.key);
    row.requester = &signer.requester;
    (row.signature, row.authentication) = ("SigV4", "HtmlForm");
    (row.cipher, row.tls) = (MODERN.cipher, MODERN.version);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    row.referer = Text::Of(b"https://app.example.org/upload");
    (row.status, row.size) = (204, Some(object.size));
    pen.timed(&mut row, object.size);
    pen.write(&row);
}
