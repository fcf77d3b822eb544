//! Requests about buckets: listings, and reads and writes of their configuration.

use super::operation::Operation;
use super::pen::Pen;
use super::world::Caller;

/// A listing.
pub(super) fn list(pen: &mut Pen<'_>) {
    let world = pen.world;
    let caller = world.worker(&mut pen.rng);
    let object = world.keys.popular(&mut pen.rng);
    let (operation, first) = match pen.rng.below(20) {
        0 => (Operation::ListVersions, "versions"),
        1 => (Operation::ListUploads, "uploads"),
        _ => (Operation::ListBucket, "list-type=2"),
    };
    let mut row = pen.row(caller, operation);
    pen.ask_bucket("GET", caller.style);
    pen.query(first);
    pen.query("delimiter=%2F&encoding-type=url&max-keys=1000&prefix=");
    object.put_folder(&mut pen.uri);
    pen.timed(&mut row, 0);
    row.sent = pen.rng.magnitude(8, 17);
    pen.write(&row);
}

/// Is it there, and may I?
pub(super) fn head_bucket(pen: &mut Pen<'_>) {
    let world = pen.world;
    let caller = world.worker(&mut pen.rng);
    let mut row = pen.row(caller, Operation::HeadBucket);
    pen.ask_bucket("HEAD", caller.style);
    pen.timed(&mut row, 0);
    if pen.rng.one_in(10) {
        row.refuse(403, "AccessDenied", 0);
    }
    pen.write(&row);
}

/// Reads: operation, subresource, and the error where the bucket may have no such configuration.
const READS: &[(Operation, &str, &str)] = &[
    (Operation::GetLocation, "location", ""),
    (Operation::GetAcl, "acl", ""),
    (Operation::GetPolicy, "policy", "NoSuchBucketPolicy"),
    (Operation::GetPolicyStatus, "policyStatus", "NoSuchBucketPolicy"),
    (Operation::GetPublicAccessBlock, "publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    (Operation::GetOwnership, "ownershipControls", ""),
    (Operation::GetLogging, "logging", ""),
    (Operation::GetVersioning, "versioning", ""),
    (Operation::GetEncryption, "encryption", ""),
    (Operation::GetCors, "cors", "NoSuchCORSConfiguration"),
    (Operation::GetLifecycle, "lifecycle", "NoSuchLifecycleConfiguration"),
    (Operation::GetReplication, "replication", "ReplicationConfigurationNotFoundError"),
    (Operation::GetNotification, "notification", ""),
    (Operation::GetTagging, "tagging", "NoSuchTagSet"),
    (Operation::GetObjectLock, "object-lock", "ObjectLockConfigurationNotFoundError"),
    (Operation::GetAccelerate, "accelerate", ""),
    (Operation::GetRequestPayment, "requestPayment", ""),
    (Operation::GetWebsite, "website", "NoSuchWebsiteConfiguration"),
    (Operation::GetInventory, "inventory", ""),
];

/// A read of configuration, by the tools that read all of it all the time.
pub(super) fn read(pen: &mut Pen<'_>) {
    let world = pen.world;
    let caller = world.operator(&mut pen.rng);
    read_by(pen, caller);
}

/// A read of configuration by `caller`.
pub(super) fn read_by<'w>(pen: &mut Pen<'w>, caller: &'w Caller) {
    let &(operation, subresource, missing) = pen.rng.pick(READS);
    let mut row = pen.row(caller, operation);
    pen.ask_bucket("GET", caller.style);
    pen.query(subresource);
    pen.timed(&mut row, 0);
    row.turn_around_ms = None;
    if missing.is_empty() || pen.rng.one_in(3) {
        row.sent = pen.rng.between(113, 900);
    } else {
        row.refuse(404, missing, 320);
    }
    pen.write(&row);
}

/// Writes: operation, method, subresource.
const WRITES: &[(Operation, &str, &str)] = &[
    (Operation::PutPolicy, "PUT", "policy"),
    (Operation::DeletePolicy, "DELETE", "policy"),
    (Operation::PutAcl, "PUT", "acl"),
    (Operation::PutPublicAccessBlock, "PUT", "publicAccessBlock"),
    (Operation::PutLogging, "PUT", "logging"),
    (Operation::PutVersioning, "PUT", "versioning"),
    (Operation::PutCors, "PUT", "cors"),
    (Operation::PutLifecycle, "PUT", "lifecycle"),
    (Operation::PutNotification, "PUT", "notification"),
];

/// A change of configuration.
pub(super) fn write(pen: &mut Pen<'_>) {
    let world = pen.world;
    let caller = world.operator(&mut pen.rng);
    let &(operation, method, subresource) = pen.rng.pick(WRITES);
    let mut row = pen.row(caller, operation);
    pen.ask_bucket(method, caller.style);
    pen.query(subresource);
    pen.timed(&mut row, 0);
    if method == "DELETE" {
        row.status = 204;
    }
    if pen.rng.one_in(8) {
        row.refuse(403, "AccessDenied", 243);
    }
    pen.write(&row);
}
