//! Why a plan must not be executed at all: what only a change in git or at the object itself can mend.

use crate::desired::set::Desired;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::planning::changes::Change;
use crate::planning::plan::{Keep, Plan, PlanInput};

/// Every such object, with the fix: fields that cannot be changed in place (`ProblemsFound`) and objects of another environment (`NameTaken`).
///
/// A plan with any of these is not executed, not even in part. No consent helps: another environment's object is handed over by taking
/// its marks away, after which the next plan asks for adoption.
pub fn blocked(input: &PlanInput, plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    for kept in &plan.kept {
        let Some(desired) = input.desired.objects.get(&kept.object) else { continue };
        let change = input.changes.objects.get(&kept.object);
        match &kept.why {
            Keep::Immutable(fields) => {
                problems.extend(fields.iter().map(|field| immutable(&kept.object, desired, change, field)));
            }
            Keep::OtherEnvironment(other) => problems.push(taken(&kept.object, desired, other)),
            Keep::PruneKeep | Keep::NotProvenOurs | Keep::Terminating | Keep::JobDone | Keep::Reserved => {}
        }
    }
    problems
}

fn immutable(object: &ObjectId, desired: &Desired, change: Option<&Change>, field: &str) -> Problem {
    let leaves = change.map_or(&[][..], |change| &change.leaves);
    let changed = leaves.iter().filter(|leaf| leaf.differs() && below(&leaf.path, field));
    let set = changed.filter_map(|leaf| leaf.origin.as_ref()).map(|origin| (origin.path.as_str(), origin.line)).next();
    let (path, line) = set.unwrap_or_else(|| top(desired));
    Problem::new(path, format!("`{field}` of {} cannot be changed in place", object.short())).at(line, 0).hint(
        "take the change back, give the object another name, or annotate it with `osier.dev/recreate: allow`: then it is deleted and created",
    )
}

fn taken(object: &ObjectId, desired: &Desired, other: &str) -> Problem {
    let (path, line) = top(desired);
    Problem::new(path, format!("{} belongs to the environment with the id `{other}`", object.short()))
        .at(line, 0)
        .because(Reason::NameTaken)
        .hint("remove it there first; to hand it over, take `osier.dev/environment` off its labels and annotations and then run `osier adopt`")
}

fn below(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Where the topmost document stands.
fn top(desired: &Desired) -> (&str, u32) {
    desired.sources.last().map_or(("", 0), |source| (&*source.path, source.line))
}
