//! References that nothing would answer: no change may leave a workload pointing at a ConfigMap, Secret or key that is missing.
//!
//! What a change has to answer for is what it touches: the workloads that it writes, and those that refer to what it writes or deletes.
//! What is missing otherwise was missing before, and holds nothing back.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::closest::closest;
use crate::desired::kinds;
use crate::desired::outline::Reference;
use crate::desired::set::{Desired, DesiredSet};
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::wire;
use crate::planning::plan::{Plan, PlanInput};
use crate::planning::prune;

/// Keys of an object that are named, where it has none of the name that is asked for.
const KEYS_NAMED: usize = 6;

/// A reference that has to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who refers.
    pub workload: ObjectId,
    /// To what.
    pub reference: Reference,
    /// The same as an object of the workload's namespace.
    pub object: ObjectId,
    /// Where the answer is.
    pub answer: Answer,
}

/// Where a reference is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// In the desired set.
    Desired,
    /// In the namespace, if anywhere: an object that is not osier's, or that stays.
    Namespace,
    /// Nowhere: the object goes, by this change or because somebody deleted it.
    Nowhere,
}

/// What is known of an object that is referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Missing,
    /// It is there, and can have any key.
    AnyKey,
    /// It is there, with these keys.
    Keys(BTreeSet<String>),
}

/// The references that a plan has to answer for.
pub fn asked(input: &PlanInput, plan: &Plan) -> Vec<Asked> {
    let steps = plan.steps.iter().filter(|step| !step.repair);
    let touched: BTreeSet<&ObjectId> = steps.map(|step| &step.object).collect();
    if touched.is_empty() {
        return Vec::new();
    }
    let answer = |target: &ObjectId| {
        let live = input.live.get(target);
        match live {
            _ if input.desired.objects.contains_key(target) => Answer::Desired,
            Some(live) if prune::goes(target, live) => Answer::Nowhere,
            _ => Answer::Namespace,
        }
    };
    let mut asked = references(input.desired, answer);
    asked.retain(|asked| touched.contains(&asked.workload) || touched.contains(&asked.object));
    asked
}

/// The references that git alone answers: to keys of desired objects.
pub fn asked_of_git(desired: &DesiredSet) -> Vec<Asked> {
    let mut asked =
        references(
            desired,
            |target| {
                if desired.objects.contains_key(target) { Answer::Desired } else { Answer::Namespace }
            },
        );
    asked.retain(|asked| asked.answer == Answer::Desired);
    asked
}

/// What git says of a desired object that has these keys there.
pub fn found_in_git(desired: &Desired, keys: BTreeSet<String>) -> Found {
    let shared = desired.annotations.get(wire::KEYS).is_some_and(|value| value == "shared");
    let data = |path: &str| path.starts_with("data") || path.starts_with("binaryData");
    let ignored = desired.annotations.get(wire::IGNORE);
    let left_to_others = ignored.is_some_and(|paths| paths.split([',', ' ', '\t', '\n']).any(data));
    if shared || left_to_others { Found::AnyKey } else { Found::Keys(keys) }
}

/// The problems of references that `found` does not answer, at the places that `place` says.
///
/// A custom resource may stand for a ConfigMap or Secret that its controller makes later: where the desired set has any, an object that
/// is missing altogether holds nothing back.
pub fn problems(
    desired: &DesiredSet,
    asked: &[Asked],
    found: &BTreeMap<ObjectId, Found>,
    place: impl Fn(&Asked) -> (String, u32),
) -> Vec<Problem> {
    let made_by_others = desired.kinds().iter().any(|kind| !kinds::is_default(kind));
    let problem = |asked: &Asked| {
        let (message, hint) = match (asked.answer, found.get(&asked.object), &asked.reference.key) {
            (Answer::Nowhere, ..) => goes(asked),
            (_, Some(Found::Missing), _) if !made_by_others => missing(desired, asked),
            (_, Some(Found::Keys(keys)), Some(key)) if !keys.contains(key) => missing_key(asked, key, keys),
            _ => return None,
        };
        let (path, line) = place(asked);
        Some(Problem::new(&path, message).at(line, 0).hint(hint))
    };
    asked.iter().filter_map(problem).collect()
}

/// Kubernetes does not start a pod without these; what it can do without (`optional`, `imagePullSecrets`) is not asked for.
fn references(desired: &DesiredSet, answer: impl Fn(&ObjectId) -> Answer) -> Vec<Asked> {
    let mut asked = Vec::new();
    for (workload, desired) in desired.workloads() {
        let needed = |reference: &&Reference| {
            reference.kind.is_config() && reference.restarts && !reference.optional && !reference.name.contains("${")
        };
        for reference in desired.references.iter().filter(needed) {
            let target = ObjectId::new(reference.kind.clone(), &workload.namespace, &reference.name);
            if !prune::is_root_certificate(&target) {
                let answer = answer(&target);
                asked.push(Asked { workload: workload.clone(), reference: reference.clone(), object: target, answer });
            }
        }
    }
    asked
}

fn goes(asked: &Asked) -> (String, String) {
    let (workload, target) = (asked.workload.short(), asked.object.short());
    let message = format!("{workload} refers to {target}, which is not in git and does not stay");
    (message, format!("put {target} into a layer, or take the reference away in the same commit"))
}

fn missing(desired: &DesiredSet, asked: &Asked) -> (String, String) {
    let Asked { workload, object: target, .. } = asked;
    let same_kind = desired.objects.keys().filter(|object| object.kind == target.kind);
    let near = closest(&target.name, same_kind.map(|object| object.name.as_str()));
    let message =
        format!("{} refers to {}, which is in no layer and not in the namespace", workload.short(), target.short());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add it to a layer, create it in the namespace, or mark the reference `optional: true`".to_owned(),
    };
    (message, hint)
}

fn missing_key(asked: &Asked, key: &str, keys: &BTreeSet<String>) -> (String, String) {
    let (workload, target) = (asked.workload.short(), asked.object.short());
    let message = format!("{workload} refers to the key `{key}` of {target}, which has no such key");
    let hint = match closest(key, keys.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if keys.is_empty() => format!("add the key to {target}, or mark the reference `optional: true`"),
        None => {
            let named: Vec<&str> = keys.iter().take(KEYS_NAMED).map(String::as_str).collect();
            let more = if keys.len() > KEYS_NAMED { ", …" } else { "" };
            format!("add the key, or use one that is there: {}{more}", named.join(", "))
        }
    };
    (message, hint)
}
