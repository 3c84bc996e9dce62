//! The gate for references that nothing would answer: asks git and the namespace, and leaves the choice to `planning`.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::desired::set::DesiredSet;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::planning::dangling::{self, Answer, Asked, Found};
use crate::planning::plan::{Plan, PlanInput};
use crate::reconcile::desire::Outlines;
use crate::reconcile::error::Error;

/// What a plan would leave pointing at nothing.
///
/// # Errors
/// The API server failed: it is asked for the metadata of objects that are referred to and not in git.
pub async fn problems(
    cluster: &Cluster,
    outlines: &Outlines,
    input: &PlanInput<'_>,
    plan: &Plan,
) -> Result<Vec<Problem>, Error> {
    let asked = dangling::asked(input, plan);
    let mut found = in_git(outlines, input.desired, &asked);
    for Asked { object: target, .. } in asked.iter().filter(|asked| asked.answer == Answer::Namespace) {
        if !found.contains_key(target) {
            let seen = match cluster.keys(target).await? {
                None => Found::Missing,
                Some(keys) if keys.is_empty() => Found::AnyKey, // nobody noted them
                Some(keys) => Found::Keys(keys),
            };
            found.insert(target.clone(), seen);
        }
    }
    Ok(dangling::problems(input.desired, &asked, &found, place(outlines, input.desired)))
}

/// What git alone shows: keys that objects of the layers do not have.
pub fn problems_of_git(outlines: &Outlines, desired: &DesiredSet) -> Vec<Problem> {
    let asked = dangling::asked_of_git(desired);
    dangling::problems(desired, &asked, &in_git(outlines, desired, &asked), place(outlines, desired))
}

fn in_git(outlines: &Outlines, desired: &DesiredSet, asked: &[Asked]) -> BTreeMap<ObjectId, Found> {
    let mut found = BTreeMap::new();
    for Asked { object: target, .. } in asked.iter().filter(|asked| asked.reference.key.is_some()) {
        if let Some(desired) = desired.objects.get(target).filter(|_| !found.contains_key(target)) {
            found.insert(target.clone(), dangling::found_in_git(desired, outlines.keys(desired)));
        }
    }
    found
}

fn place(outlines: &Outlines, desired: &DesiredSet) -> impl Fn(&Asked) -> (String, u32) {
    |asked| {
        let workload = desired.objects.get(&asked.workload);
        workload.map(|workload| outlines.place(&asked.workload.kind, workload, &asked.reference)).unwrap_or_default()
    }
}
