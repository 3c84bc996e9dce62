//! What a person has to allow before the plan is executed.

use std::collections::BTreeMap;

use crate::model::object::ObjectId;
use crate::planning::live::Live;
use crate::planning::order::holds_data;
use crate::planning::plan::{Consent, PlanInput, Step, Verb};
use crate::planning::prune::is_default_account;

/// Deletes of up to this many objects go unasked whatever their share: small environments change by a few objects at a time.
const FEW: usize = 3;
/// One in this many objects: the share that may be deleted unasked.
const SHARE: usize = 5;

/// Everything that the steps need consent for.
pub fn consent(input: &PlanInput, steps: &[Step]) -> Vec<Consent> {
    let adoption = adopted(input, steps);
    let adoption = (!adoption.is_empty()).then_some(Consent::Adoption(adoption));
    let deletion = if input.protected { mass_deletion(input, steps) } else { None };
    adoption.into_iter().chain(deletion.map(Consent::MassDeletion)).collect()
}

/// The namespace of a branch environment is made by osier, so nobody can have put the default service account there.
fn adopted(input: &PlanInput, steps: &[Step]) -> Vec<ObjectId> {
    let adopted = steps.iter().filter(|step| step.verb == Verb::Adopt).map(|step| &step.object);
    adopted.filter(|object| input.protected || !is_default_account(object)).cloned().collect()
}

fn mass_deletion(input: &PlanInput, steps: &[Step]) -> Option<String> {
    let with = |verb: Verb| steps.iter().filter(move |step| step.verb == verb);
    let deletes = with(Verb::Delete).count();
    if deletes == 0 && with(Verb::Recreate).count() == 0 {
        return None;
    }
    let is_ours = |live: &Live| !live.terminating && live.ownership.may_repair();
    let ours = input.live.iter().filter(|found| is_ours(found.live)).count();
    let left = ours + with(Verb::Create).count() + with(Verb::Adopt).count() - deletes;
    let data = with(Verb::Delete).chain(with(Verb::Recreate)).filter(|step| holds_data(&step.object.kind));
    let data: Vec<String> = data.map(|step| step.object.short()).collect();

    let mut parts = Vec::new();
    if deletes > 0 && left == 0 {
        parts.push(format!("deletes everything ({})", by_kind(with(Verb::Delete))));
    } else if deletes > FEW && deletes * SHARE > ours {
        parts.push(format!("deletes {deletes} of {ours} objects ({})", by_kind(with(Verb::Delete))));
    }
    if !data.is_empty() {
        parts.push(format!("deletes {}", data.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn by_kind<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for step in steps {
        *kinds.entry(&step.object.kind.kind).or_default() += 1;
    }
    kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}
