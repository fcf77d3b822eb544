//! The scenario `minimal`: reads and writes of objects, all of them answered, nothing odd.

use super::objects;
use super::pen::Pen;
use super::scenario::Script;

pub(super) const SCRIPT: Script = Script { request, echo: None, plan: None, quirk_rate: 0.0 };

fn request(pen: &mut Pen<'_>) {
    if pen.rng.below(4) > 0 { objects::get(pen) } else { objects::put(pen) }
}
