//! From desired and live to the plan: every choice is made here and below, none at execution.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::desired::set::Desired;
use crate::model::object::ObjectId;
use crate::model::wire;
use crate::planning::changes::{Change, LeafChange};
use crate::planning::consent::consent;
use crate::planning::fields::{Scaled, ignored};
use crate::planning::jobs::{self, Done};
use crate::planning::live::{Drift, Live};
use crate::planning::order::{is_job, phase};
use crate::planning::pairs::{Pair, pairs};
use crate::planning::plan::{Keep, Kept, Phase, Plan, PlanInput, Step, Verb};
use crate::planning::prune;
use crate::planning::restarts::{configured, moved, restarts};

/// Makes the plan.
///
/// # Guarantees
/// Equal inputs give equal plans. No step on an object that is not ours but `Adopt`; deletes (and recreates) only with label and entry.
/// Planning again after all steps took effect gives no step.
///
/// # Assumptions
/// `changes` has every object of `opening::to_open`; for one that is missing only stamps and inputs are compared.
pub fn plan(input: &PlanInput) -> Plan {
    let planner = Planner { input: *input, scaled: Scaled::new(input.desired), done: jobs::done(input.jobs_done) };
    let (mut steps, mut kept, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for pair in pairs(input.desired, input.live) {
        let (object, decision) = match pair {
            Pair::Desired(object, desired, live) => (Cow::Borrowed(object), planner.desired(object, desired, live)),
            Pair::Undesired(found) if prune::never_ours(found.live) => continue,
            Pair::Undesired(found) => {
                let object = input.live.object_id(&found);
                let decision = planner.undesired(&object, found.live);
                (Cow::Owned(object), decision)
            }
        };
        match decision {
            Decision::Step(step) => steps.push(*step),
            Decision::Keep(why) => kept.push(Kept { object: object.into_owned(), why }),
            Decision::Unchanged => unchanged += 1,
        }
    }
    steps.sort_by(|a, b| (a.phase, &a.object).cmp(&(b.phase, &b.object)));
    if !input.protected {
        stand_behind_fences(&mut steps);
    }
    kept.sort_by(|a, b| a.object.cmp(&b.object));
    Plan {
        restarts: restarts(input, &steps),
        digest: digest(input.environment_id, &steps),
        consent: consent(input, &steps),
        steps,
        kept,
        unchanged,
    }
}

/// `wire::plan_digest` of the steps.
///
/// What is put right does not count, and a restart neither: its inputs are those that it has already. So the digest needs no key and no
/// fingerprint, and everybody who can read the repository and the cluster's metadata computes the same.
fn digest(environment_id: &str, steps: &[Step]) -> String {
    let uid = |step: &Step| match (step.verb, &step.precondition) {
        (Verb::Adopt | Verb::Recreate | Verb::Delete, Some(live)) => live.uid.to_string(),
        _ => String::new(),
    };
    let same = |step: &Step| {
        let stamp = step.precondition.as_ref().and_then(|live| live.stamps.inputs.as_deref());
        step.verb == Verb::Update && stamp == Some(&step.inputs)
    };
    let counted = steps.iter().filter(|step| !same(step));
    let parts =
        counted.map(|step| [step.verb.as_str().to_owned(), step.object.to_string(), step.inputs.clone(), uid(step)]);
    wire::plan_digest(environment_id, parts.collect())
}

/// What is decided about one object.
enum Decision {
    Step(Box<Step>),
    Keep(Keep),
    Unchanged,
}

struct Planner<'a> {
    input: PlanInput<'a>,
    scaled: Scaled<'a>,
    done: Done<'a>,
}

/// A desired object and what opening it showed.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    object: &'a ObjectId,
    desired: &'a Desired,
    change: Option<&'a Change>,
}

impl Planner<'_> {
    fn desired(&self, object: &ObjectId, desired: &Desired, live: Option<&Live>) -> Decision {
        let wanted = Wanted { object, desired, change: self.input.changes.objects.get(object) };
        match live {
            _ if prune::is_root_certificate(object) => Decision::Keep(Keep::Reserved),
            None if jobs::is_done(&self.done, object, &desired.inputs) => Decision::Keep(Keep::JobDone),
            None => self.write(Verb::Create, wanted, None, "not in the cluster yet"),
            Some(live) if live.terminating => Decision::Keep(Keep::Terminating),
            Some(live) if !live.ownership.may_repair() => self.foreign(wanted, live),
            Some(live) if is_job(&object.kind) => self.job(wanted, live),
            Some(live) => self.ours(wanted, live),
        }
    }

    fn undesired(&self, object: &ObjectId, live: &Live) -> Decision {
        match prune::undesired(object, live) {
            Err(why) => Decision::Keep(why),
            Ok(()) => Decision::Step(Box::new(Step {
                phase: Phase::Deletes,
                verb: Verb::Delete,
                object: object.clone(),
                inputs: String::new(),
                fingerprint: None,
                precondition: Some(live.clone()),
                needs: BTreeSet::new(),
                repair: false,
                stamps_only: false,
                leave_replicas: false,
                config: None,
                leaves: Arc::default(),
                why: "no longer in git".to_owned(),
            })),
        }
    }

    /// Not ours: written only with consent, and not at all if another environment's id is on it.
    fn foreign(&self, wanted: Wanted, live: &Live) -> Decision {
        match live.other_environment() {
            Some(other) => Decision::Keep(Keep::OtherEnvironment(other.to_owned())),
            None => self.write(Verb::Adopt, wanted, Some(live), "in the cluster, but not osier's yet"),
        }
    }

    /// A Job is never put right: it ran, or it runs again for new inputs.
    fn job(&self, wanted: Wanted, live: &Live) -> Decision {
        if live.stamps.inputs.as_deref() == Some(&wanted.desired.inputs) {
            Decision::Unchanged
        } else if jobs::is_done(&self.done, wanted.object, &wanted.desired.inputs) {
            Decision::Keep(Keep::JobDone)
        } else {
            self.recreate(wanted, live, "changed in git: runs again")
        }
    }

    fn ours(&self, wanted: Wanted, live: &Live) -> Decision {
        let inputs_differ = live.stamps.inputs.as_deref() != Some(&wanted.desired.inputs);
        let immutable = wanted.change.map_or(&[][..], |change| &change.immutable);
        if inputs_differ && !immutable.is_empty() {
            return self.immutable(wanted, live, immutable);
        }
        let signs = self.signs(wanted, live);
        let drifted = !signs.is_empty();
        let stamps_only = inputs_differ && !drifted && same_values(wanted, live);
        let restarts = configured(&self.input, wanted.object, wanted.desired, Some(live)).is_some_and(|it| it.restarts);
        let why = match (inputs_differ, restarts, drifted) {
            (true, _, _) if stamps_only => "other files, same values".to_owned(),
            (true, _, _) => "changed in git".to_owned(),
            (false, true, _) => moved(&self.input, wanted.object, wanted.desired).why(),
            (false, false, true) => format!("drift: {}", signs.join(", ")),
            (false, false, false) => return Decision::Unchanged,
        };
        let step = self.step(Verb::Update, wanted, Some(live), &why);
        Decision::Step(Box::new(Step { repair: !inputs_differ && !restarts, stamps_only, ..step }))
    }

    /// Everything that says that the object is not as it was written, for people.
    fn signs(&self, wanted: Wanted, live: &Live) -> Vec<String> {
        let drift = &live.remarks().drift;
        let is_named = drift.iter().any(|sign| matches!(sign, Drift::Newer(_) | Drift::StringData(_)));
        let signs = drift.iter().filter_map(|sign| match sign {
            Drift::Label => Some("the label is not ours".to_owned()),
            Drift::Annotation => Some("the annotation is not ours".to_owned()),
            Drift::Entry => Some("our entry of managedFields is gone".to_owned()),
            Drift::Fields => Some("fields were changed".to_owned()),
            Drift::Newer(manager) => Some(format!("{manager} wrote after us")),
            Drift::StringData(manager) => Some(format!("{manager} writes stringData")),
            Drift::Unexplained => (!is_named).then(|| "somebody wrote it".to_owned()),
        });
        let mut signs: Vec<String> = signs.collect();
        if signs.is_empty() && !live.ownership.is_ours() {
            signs.push("a mark of ownership is gone".to_owned());
        }
        if wanted.object.kind.is_config() && live.stamps.fingerprint.is_none() {
            signs.push("the fingerprint is gone".to_owned());
        }
        signs
    }

    fn immutable(&self, wanted: Wanted, live: &Live, fields: &[String]) -> Decision {
        if wanted.desired.annotations.get(wire::RECREATE).is_none_or(|value| value != "allow") {
            return Decision::Keep(Keep::Immutable(fields.to_vec()));
        }
        self.recreate(wanted, live, &format!("{} cannot be changed in place", fields.join(", ")))
    }

    /// Deletes, so it needs the same proof as a delete.
    fn recreate(&self, wanted: Wanted, live: &Live, why: &str) -> Decision {
        if !live.ownership.may_delete() {
            return Decision::Keep(Keep::NotProvenOurs);
        }
        self.write(Verb::Recreate, wanted, Some(live), why)
    }

    fn write(&self, verb: Verb, wanted: Wanted, live: Option<&Live>, why: &str) -> Decision {
        Decision::Step(Box::new(self.step(verb, wanted, live, why)))
    }

    fn step(&self, verb: Verb, wanted: Wanted, live: Option<&Live>, why: &str) -> Step {
        let Wanted { object, desired, change } = wanted;
        // What a write in place meets; a recreate meets nothing.
        let in_place = live.filter(|_| verb != Verb::Recreate);
        let fingerprint = match change {
            Some(change) => change.fingerprint.clone(),
            None => live.and_then(|live| live.stamps.fingerprint.as_deref().map(str::to_owned)),
        };
        Step {
            phase: phase(object, &desired.annotations),
            verb,
            object: object.clone(),
            inputs: desired.inputs.to_string(),
            fingerprint: fingerprint.filter(|_| object.kind.is_config()),
            precondition: live.cloned(),
            needs: needs(object, desired),
            repair: false,
            stamps_only: false,
            leave_replicas: in_place.is_some_and(|live| self.scaled.leave_replicas(object, live, change)),
            config: configured(&self.input, object, desired, in_place).map(|configured| configured.stamp),
            leaves: leaves(wanted, in_place.is_some()),
            why: why.to_owned(),
        }
    }
}

/// The leaves that the write touches: ignored ones are set at creation only.
fn leaves(wanted: Wanted, in_place: bool) -> Arc<[LeafChange]> {
    let Some(change) = wanted.change else { return Arc::default() };
    match wanted.desired.annotations.get(wire::IGNORE) {
        Some(paths) if in_place => change.leaves.iter().filter(|leaf| !ignored(&leaf.path, paths)).cloned().collect(),
        _ => change.leaves.clone(),
    }
}

/// True if only stamps would change: equal fingerprints, and nothing else differs from what the live stamp stands for.
fn same_values(wanted: Wanted, live: &Live) -> bool {
    wanted.change.is_some_and(|change| {
        change.fingerprint.is_some()
            && change.fingerprint.as_deref() == live.stamps.fingerprint.as_deref()
            && change.predecessor.is_some()
            && change.predecessor.as_deref() == live.stamps.inputs.as_deref()
            && !change.leaves.iter().any(LeafChange::differs)
    })
}

/// In the namespace of a branch nothing is written as long as something that fences it in is not as the template says. Where an old fence stands
/// still, nobody can tell whether it keeps in what the new one would.
fn stand_behind_fences(steps: &mut [Step]) {
    let fences: Vec<ObjectId> =
        steps.iter().filter(|step| step.phase == Phase::Fences).map(|step| step.object.clone()).collect();
    // deletes wait for every step
    let behind = steps.iter_mut().filter(|step| !matches!(step.phase, Phase::Fences | Phase::Deletes));
    behind.for_each(|step| step.needs.extend(fences.iter().cloned()));
}

fn needs(object: &ObjectId, desired: &Desired) -> BTreeSet<ObjectId> {
    desired.references.iter().map(|to| ObjectId::new(to.kind.clone(), &object.namespace, &to.name)).collect()
}
