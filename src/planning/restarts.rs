//! Which workloads restart, and why.
//!
//! The digest of what a workload refers to stands in its pod template and, so that metadata alone shows it, in its own annotations.

use std::collections::BTreeMap;

use crate::desired::set::Desired;
use crate::model::object::ObjectId;
use crate::model::wire;
use crate::planning::live::{Live, Remarks};
use crate::planning::order::has_pod_template;
use crate::planning::plan::{ConfigStamp, PlanInput, Restart, Step, Verb};

/// Where the configuration digest of one workload goes.
pub struct Configured {
    /// What is written with the next write.
    pub stamp: ConfigStamp,
    /// True if that alone restarts it, and so is worth a write.
    pub restarts: bool,
}

/// The configuration stamp of a workload that refers to something; `live` is what the write replaces, `None` for a new object.
pub fn configured(input: &PlanInput, object: &ObjectId, desired: &Desired, live: Option<&Live>) -> Option<Configured> {
    let references = references(input, object, desired);
    if references.is_empty() {
        return None;
    }
    let digest = wire::config(&references);
    let never = desired.annotations.get(wire::RESTART).is_some_and(|value| value == "never");
    Some(match live {
        None => stay(digest, !never),
        Some(live) if !live.ownership.may_repair() => stay(digest, false),
        Some(live) => beside_live(digest, never, live.remarks()),
    })
}

fn beside_live(digest: String, never: bool, remarks: &Remarks) -> Configured {
    match (&remarks.config, &remarks.adopted_config) {
        (Some(current), _) if *current == digest => stay(digest, true),
        // Taking the stamp out of the pod template, or another one in, would restart it.
        (Some(current), _) if never => stay(current.clone(), true),
        (None, Some(adopted)) if *adopted == digest => stay(digest, false),
        (None, _) if never => stay(digest, false),
        _ => Configured { stamp: ConfigStamp { digest, in_template: true }, restarts: true },
    }
}

fn stay(digest: String, in_template: bool) -> Configured {
    Configured { stamp: ConfigStamp { digest, in_template }, restarts: false }
}

/// The workloads that the steps restart.
pub fn restarts(input: &PlanInput, steps: &[Step]) -> Vec<Restart> {
    let replaced = steps.iter().filter(|step| matches!(step.verb, Verb::Update | Verb::Recreate));
    let workloads = replaced.filter(|step| has_pod_template(&step.object.kind));
    workloads.filter_map(|step| restart(input, step)).collect()
}

fn restart(input: &PlanInput, step: &Step) -> Option<Restart> {
    let (desired, live) = (input.desired.objects.get(&step.object)?, input.live.get(&step.object)?);
    let restarts = configured(input, &step.object, desired, Some(live)).is_some_and(|configured| configured.restarts);
    let moved = if restarts { moved(input, &step.object, desired) } else { Moved::default() };
    let (mut because, mut assumed) = (moved.names, moved.assumed);
    let template = |path: &str| path == "spec.template" || path.starts_with("spec.template.");
    if step.verb == Verb::Recreate || step.leaves.iter().any(|leaf| leaf.differs() && template(&leaf.path)) {
        because.push("its pod template".to_owned());
        assumed = false;
    }
    (!because.is_empty()).then(|| Restart { object: step.object.clone(), because, assumed })
}

/// What a workload refers to and a plan changes.
#[derive(Default)]
pub struct Moved {
    /// `Kind/name` of each.
    pub names: Vec<String>,
    /// True if each of them has other ciphertext, and nobody looked whether that is another value.
    pub assumed: bool,
}

impl Moved {
    /// Why the workload restarts, or may, in one sentence.
    pub fn why(&self) -> String {
        let changes = if self.assumed { "may change" } else { "changes" };
        format!("refers to {}, which {changes}", self.names.join(", "))
    }
}

/// What the workload refers to and this plan changes; all of it if an earlier plan did that and ended before the restart.
pub fn moved(input: &PlanInput, object: &ObjectId, desired: &Desired) -> Moved {
    let references = references(input, object, desired);
    let stands = |target: &ObjectId| {
        input.live.get(target).and_then(|live| live.stamps.fingerprint.as_deref().map(str::to_owned))
    };
    let moved = references.iter().filter(|(target, fingerprint)| stands(target) != **fingerprint);
    let moved: Vec<&ObjectId> = moved.map(|(target, _)| target).collect();
    let assumed = !moved.is_empty() && moved.iter().all(|target| unopened(input, target).is_some());
    let moved = if moved.is_empty() { references.keys().collect() } else { moved };
    Moved { names: moved.into_iter().map(ObjectId::short).collect(), assumed }
}

/// A desired object whose new values nobody has seen.
fn unopened<'a>(input: &PlanInput<'a>, target: &ObjectId) -> Option<&'a Desired> {
    let change = input.changes.objects.get(target)?;
    let unopened = target.kind.is_config() && change.fingerprint.is_none();
    input.desired.objects.get(target).filter(|_| unopened)
}

fn references(input: &PlanInput, object: &ObjectId, desired: &Desired) -> BTreeMap<ObjectId, Option<String>> {
    if !has_pod_template(&object.kind) {
        return BTreeMap::new();
    }
    let restarting = desired.references.iter().filter(|reference| reference.restarts);
    let targets = restarting.map(|reference| ObjectId::new(reference.kind.clone(), &object.namespace, &reference.name));
    targets.map(|target| (target.clone(), fingerprint_after(input, &target))).collect()
}

/// The fingerprint that the target has once the plan is executed.
fn fingerprint_after(input: &PlanInput, target: &ObjectId) -> Option<String> {
    let live = input.live.get(target);
    let stamp = live.and_then(|live| live.stamps.fingerprint.as_deref().map(str::to_owned));
    let Some(desired) = input.desired.objects.get(target) else {
        let goes = live.is_some_and(|live| crate::planning::prune::goes(target, live));
        return if goes { None } else { stamp };
    };
    if unopened(input, target).is_some() {
        // taken for another value, so that the plan names the restart that may come
        return Some(format!("unknown {}", desired.inputs));
    }
    match input.changes.objects.get(target) {
        Some(change) if target.kind.is_config() => change.fingerprint.clone(),
        _ => stamp,
    }
}
