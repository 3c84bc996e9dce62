//! What of a plan puts right what somebody did by hand, and is nothing of a revision's own.

use std::collections::BTreeSet;

use crate::model::object::ObjectId;
use crate::planning::order::is_job;
use crate::planning::plan::{Phase, Step, Verb};

/// The steps that put right; the others are left out.
///
/// `again`: the target is to the letter what was applied last, so what is missing was taken away. A Job that is missing ran, or had its time;
/// where one `before` has still to run, nothing is made that waits for it.
pub fn alone(steps: Vec<Step>, again: bool) -> Vec<Step> {
    let is_missing = |step: &Step| again && step.verb == Verb::Create && !is_job(&step.object.kind);
    let (repairs, others): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| step.repair || is_missing(step));
    let begins = |step: &Step| step.verb == Verb::Create && step.phase == Phase::Before;
    let waits = others.iter().any(begins);
    let others: BTreeSet<ObjectId> =
        others.into_iter().map(|step| step.object).filter(|object| object.kind.is_config()).collect();
    // its pods begin with what a newer revision wrote: nothing is said of that, so that they restart once it is decided
    let anew = |step: Step| match step.verb {
        Verb::Create if !step.needs.is_disjoint(&others) => Step { config: None, ..step },
        _ => step,
    };
    repairs.into_iter().filter(|step| step.repair || !waits || step.phase < Phase::Before).map(anew).collect()
}
