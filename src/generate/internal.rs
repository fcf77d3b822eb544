//! What AWS does: lifecycle, jobs, services, replication, CloudFront.

use super::names::MODERN;
use super::operation::Operation;
use super::pen::{Pen, Row, Target, Text};
use super::world::Style;

/// Lifecycle actions, the frequent ones several times.
const LIFECYCLE: &[Operation] = &[
    Operation::Expire,
    Operation::Expire,
    Operation::Expire,
    Operation::Expire,
    Operation::Transition,
    Operation::TransitionStandardIa,
    Operation::TransitionStandardIa,
    Operation::TransitionOneZoneIa,
    Operation::TransitionIntelligent,
    Operation::TransitionGlacierInstant,
    Operation::TransitionDeepArchive,
    Operation::CreateDeleteMarker,
    Operation::CreateDeleteMarker,
    Operation::DeleteUpload,
    Operation::RestoreDone,
];

/// A lifecycle action, or a restore that is done.
pub(super) fn lifecycle(pen: &mut Pen<'_>) {
    let world = pen.world;
    let operation = *pen.rng.pick(LIFECYCLE);
    let object = world.keys.popular(&mut pen.rng);
    pen.key_once(&object);
    let mut row = Row::internal(operation);
    row.size = Some(object.size);
    row.has_version = world.buckets[pen.bucket].versioned;
    pen.write(&row);
}

/// A checksum computed by a job.
pub(super) fn checksum(pen: &mut Pen<'_>) {
    let object = pen.world.keys.popular(&mut pen.rng);
    pen.key_once(&object);
    pen.uuid_request_id();
    let mut row = Row::internal(Operation::ComputeChecksum);
    row.size = Some(object.size);
    pen.write(&row);
}

/// A request from inside AWS: signed, encrypted, without address and agent.
pub(super) fn from_inside<'a>(pen: &mut Pen<'_>, operation: Operation, requester: &'a [u8]) -> Row<'a> {
    let mut row = Row {
        requester,
        target: Target::Written,
        status: 200,
        signature: "SigV4",
        cipher: MODERN.cipher,
        authentication: "AuthHeader",
        tls: MODERN.version,
        ..Row::internal(operation)
    };
    pen.timed(&mut row, 0);
    row
}

/// A service: delivery of other services' logs, or CloudFront with an origin access control.
pub(super) fn service(pen: &mut Pen<'_>) {
    let world = pen.world;
    let object = world.keys.popular(&mut pen.rng);
    let host = world.buckets[pen.bucket].host(Style::VirtualHost);
    if pen.rng.one_in(2) {
        let mut row = from_inside(pen, Operation::PutObject, b"svc:delivery.logs.amazonaws.com");
        pen.ask("PUT", Style::VirtualHost, &object);
        (row.size, row.host) = (Some(object.size), host);
        pen.write(&row);
    } else {
        let mut row = from_inside(pen, Operation::GetObject, b"svc:cloudfront.amazonaws.com");
        pen.ask("GET", Style::VirtualHost, &object);
        (row.sent, row.size, row.host) = (object.size, Some(object.size), host);
        pen.write(&row);
    }
}

/// A write by replication.
pub(super) fn replication(pen: &mut Pen<'_>) {
    let world = pen.world;
    let object = world.keys.popular(&mut pen.rng);
    let requester = REPLICATION[pen.rng.index(REPLICATION.len())];
    let mut row = from_inside(pen, Operation::PutObject, requester.as_bytes());
    pen.ask("PUT", Style::VirtualHost, &object);
    row.size = Some(object.size);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    row.has_version = world.buckets[pen.bucket].versioned;
    pen.write(&row);
}

const REPLICATION: [&str; 2] = [
    "arn:aws:sts::111122223333:assumed-role/s3crr_role_for_backups/s3-replication",
    "arn:aws:sts::444455556666:assumed-role/service-role/s3-replication",
];

/// CloudFront with an origin access identity: the one requester that holds blanks.
pub(super) fn origin_access_identity(pen: &mut Pen<'_>) {
    let world = pen.world;
    let object = world.keys.popular(&mut pen.rng);
    let visitor = world.visitor(&mut pen.rng);
    let mut row = pen.row(visitor, Operation::GetObject);
    pen.ask("GET", Style::VirtualHost, &object);
    row.requester = b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLE0OAI1";
    (row.signature, row.authentication) = ("SigV4", "AuthHeader");
    (row.cipher, row.tls) = (MODERN.cipher, MODERN.version);
    (row.agent, row.referer) = (Text::Of(b"Amazon CloudFront"), Text::Dash);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    (row.sent, row.size) = (object.size, Some(object.size));
    pen.timed(&mut row, object.size);
    pen.write(&row);
}
