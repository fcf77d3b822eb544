//! The scenario `mixed`: every family of operations, in about the proportions of a busy account.

use super::pen::Pen;
use super::scenario::Script;
use super::{bulk, configuration, internal, objects, web};

pub(super) const SCRIPT: Script = Script { request, echo: None, plan: None, quirk_rate: 0.001 };

/// A family: how many of [`TOTAL`] requests, and what writes one.
type Family = (u64, fn(&mut Pen<'_>));

/// The most frequent first, since the draw goes down the list.
const FAMILIES: [Family; 33] = [
    (4150, objects::get),
    (1350, objects::put),
    (1250, objects::head),
    (700, configuration::list),
    (560, objects::get_range),
    (260, objects::not_found),
    (230, internal::lifecycle),
    (220, configuration::read),
    (170, objects::not_modified),
    (150, objects::delete),
    (150, web::website),
    (140, web::presigned_get),
    (120, internal::service),
    (120, web::anonymous_refused),
    (80, bulk::copy),
    (70, objects::tagging),
    (60, objects::denied),
    (60, internal::replication),
    (60, internal::origin_access_identity),
    (60, web::presigned_put),
    (50, configuration::head_bucket),
    (45, web::preflight),
    (40, bulk::upload),
    (30, objects::slow_down),
    (20, objects::restore),
    (15, internal::checksum),
    (15, web::form),
    (10, objects::archived),
    (10, configuration::write),
    (8, bulk::copy_part),
    (7, bulk::delete),
    (6, objects::abandoned),
    (4, objects::select),
];

const TOTAL: u64 = {
    let (mut sum, mut i) = (0, 0);
    while i < FAMILIES.len() {
        sum += FAMILIES[i].0;
        i += 1;
    }
    sum
};

/// Writes one request of some family.
pub(super) fn request(pen: &mut Pen<'_>) {
    let mut draw = pen.rng.below(TOTAL);
    for (weight, write) in &FAMILIES {
        if draw < *weight {
            return write(pen);
        }
        draw -= weight;
    }
}
