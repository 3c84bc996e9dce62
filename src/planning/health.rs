//! Whether workloads are up, as `kubectl rollout status` and kstatus judge it. Pure.
//!
//! A whole object becomes one word and a sentence; nothing else of it is kept. The sentences are made of counts, and of names and CamelCase
//! reasons that controllers give, of the server's own sentences those that are known: what programs print when they crash, and what runtimes say of a command line, may quote secrets.

pub mod pods;
mod rollout;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::desired::{self, references};
use crate::model::environment::JobResult;
use crate::model::object::{Kind, ObjectId};
use crate::model::short::Short;
use crate::planning::live::Live;
use crate::planning::order::{has_pod_template, is_job};

/// How a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is as its spec says.
    Ready,
    /// It is on its way, or waits for something.
    Progressing(Why),
    /// Its controller has given up, or says that only a person can help.
    Failed(Why),
}

/// Why a workload is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// A sentence without its subject: `1 of 3 available: CrashLoopBackOff in api, exit code 1`.
    pub sentence: String,
    /// What is in the way, as far as it is known.
    pub cause: Cause,
}

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A resource quota.
    Quota,
    /// Something that the sentence names.
    Named,
    /// Nothing that is known: it takes its time.
    Time,
}

/// A workload as a watch showed it last, reduced at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its uid.
    pub uid: Short<38>,
    /// The generation that `health` is about.
    pub generation: Option<i64>,
    /// How it stands.
    pub health: Health,
    /// How it ended, if it is a Job and did.
    pub result: Option<JobResult>,
    /// Of a workload that is not ours: the ConfigMaps and Secrets that it has to restart for, which nobody does.
    pub refers: BTreeSet<ObjectId>,
}

/// The parts of an object that say how it stands.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// `metadata.generation`
    pub generation: Option<i64>,
    /// `spec`
    pub spec: &'a Value,
    /// `status`
    pub status: &'a Value,
}

/// True for the kinds whose objects are watched whole: workloads, and kinds of others that may have conditions as kstatus wants them.
pub fn is_judged(kind: &Kind) -> bool {
    let builtin = !kind.group.contains('.') || kind.group.ends_with(".k8s.io");
    has_pod_template(kind) || is_job(kind) || !builtin
}

/// How an object of this kind stands by its own words.
pub fn of(kind: &Kind, parts: Parts<'_>) -> Health {
    match kind.kind.as_str() {
        _ if is_job(kind) => rollout::job(parts),
        "Deployment" if has_pod_template(kind) => rollout::deployment(parts),
        "StatefulSet" if has_pod_template(kind) => rollout::stateful_set(parts),
        "DaemonSet" if has_pod_template(kind) => rollout::daemon_set(parts),
        _ => rollout::conditions(parts),
    }
}

/// How an object of this kind ended, if it is a Job and did.
pub fn result(kind: &Kind, status: &Value) -> Option<JobResult> {
    if is_job(kind) { rollout::result(status) } else { None }
}

/// The ConfigMaps and Secrets that a live workload has to restart for when they change.
pub fn refers(object: &ObjectId, spec: &Value) -> BTreeSet<ObjectId> {
    if !has_pod_template(&object.kind) {
        return BTreeSet::new();
    }
    let whole = desired::value::Value::from_json(json!({ "spec": spec }));
    let found = references::of(&object.kind, &whole).into_iter().filter(|found| found.restarts);
    found.map(|found| ObjectId::new(found.kind, &object.namespace, &found.name)).collect()
}

/// How a desired object stands: `live` is what its metadata says, our last write included, `workload` what its status said last.
///
/// A Job that is gone ran before: it does not come back. What is not ours is not judged.
pub fn standing(object: &ObjectId, live: Option<&Live>, workload: Option<&Workload>) -> Health {
    let Some(live) = live else {
        return if is_job(&object.kind) { Health::Ready } else { Health::waits("not there yet") };
    };
    match workload {
        _ if !live.ownership.may_repair() => Health::Ready,
        _ if live.terminating => Health::waits("being deleted"),
        Some(workload) if workload.uid == live.uid && workload.generation >= live.generation => workload.health.clone(),
        _ => Health::waits("not seen by its controller yet"),
    }
}

/// How the objects stand together: the worst of them, named, and how many others are not ready beside what is in the way.
pub fn together(objects: impl IntoIterator<Item = (String, Health)>) -> Health {
    let rank = |health: &Health| match health {
        Health::Failed(why) => (0, why.cause),
        Health::Progressing(why) => (1, why.cause),
        Health::Ready => (2, Cause::Time),
    };
    let mut late: Vec<(String, Health)> = objects.into_iter().filter(|(_, health)| *health != Health::Ready).collect();
    late.sort_by_key(|(_, health)| rank(health));
    let others = late.len().saturating_sub(1);
    let Some((name, worst)) = late.into_iter().next() else { return Health::Ready };
    // how many take their time changes all the time, and each change would be a write
    let counts = others > 0 && rank(&worst).1 != Cause::Time;
    let more = if counts { format!(" (and {others} more)") } else { String::new() };
    worst.say(|why| format!("{name}: {why}{more}"))
}

impl Health {
    /// It takes its time.
    pub(super) fn waits(sentence: impl Into<String>) -> Self {
        Health::Progressing(Why { sentence: sentence.into(), cause: Cause::Time })
    }

    /// Something is in its way.
    pub(super) fn hindered(sentence: impl Into<String>) -> Self {
        Health::Progressing(Why { sentence: sentence.into(), cause: Cause::Named })
    }

    pub(super) fn failed(sentence: impl Into<String>) -> Self {
        Health::Failed(Why { sentence: sentence.into(), cause: Cause::Named })
    }

    /// The same in other words.
    #[must_use]
    fn say(self, words: impl FnOnce(&str) -> String) -> Self {
        let again = |why: Why| Why { sentence: words(&why.sentence), ..why };
        match self {
            Health::Ready => Health::Ready,
            Health::Progressing(why) => Health::Progressing(again(why)),
            Health::Failed(why) => Health::Failed(again(why)),
        }
    }

    /// The same, with what is wrong with one of its pods.
    #[must_use]
    pub fn because(self, trouble: Option<&str>) -> Self {
        let Some(trouble) = trouble else { return self };
        let named = |why: Why| match why.cause {
            Cause::Quota => why,
            _ => Why { sentence: format!("{}: {trouble}", why.sentence), cause: Cause::Named },
        };
        match self {
            Health::Ready => Health::Ready,
            Health::Progressing(why) => Health::Progressing(named(why)),
            Health::Failed(why) => Health::Failed(named(why)),
        }
    }
}

#[cfg(test)]
mod tests;
