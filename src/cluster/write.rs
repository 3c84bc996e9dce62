//! Executing a plan: step by step, each write fenced, what depends on a failed step not tried.

pub mod adopt;
pub mod apply;
pub mod config;
pub mod create;
pub mod guesses;
pub mod remove;
pub mod settle;
pub mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::cluster::Cluster;
use crate::cluster::write::task::{Stop, Task};
use crate::desired::manifest::Manifest;
use crate::model::object::ObjectId;
use crate::model::reason::{Reason, Retry};
use crate::planning::checks::Gate;
use crate::planning::live::Live;
use crate::planning::plan::{Phase, Plan, Step, Verb};

/// Writes under way at once, of all plans together: where a kube-apiserver on two cores stops getting faster.
const CONCURRENCY: usize = 32;

/// What the steps of one plan have in common.
#[derive(Clone, Debug)]
pub struct WriteContext {
    /// The environment that owns the objects.
    pub environment_id: String,
    /// The only namespace that is written to.
    pub namespace: String,
    /// Number of the Record that the plan stands in.
    pub record: u64,
}

/// What became of each step, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Step by step.
    pub steps: Vec<StepResult>,
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    /// Of which object.
    pub object: ObjectId,
    /// What was to happen.
    pub verb: Verb,
    /// What happened.
    pub result: StepOutcome,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It took effect.
    Done {
        /// The object afterwards, by whose version a watch tells our own write; `None` after a delete.
        live: Option<Box<Live>>,
    },
    /// There is an object that is not ours; nothing was written to it.
    ForeignObject,
    /// Something that it depends on failed.
    NotTried,
    /// It took no effect.
    Failed {
        /// One of the closed list.
        reason: Reason,
        /// What the API server said; for objects with secrets without its sentence.
        message: String,
        /// Whether a later pass can succeed.
        retry: Retry,
    },
}

impl Outcome {
    /// True if every step took effect.
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.result, StepOutcome::Done { .. }))
    }

    /// The first step that took no effect by its own fault, with a reason and a sentence.
    pub fn first_failure(&self) -> Option<(ObjectId, Reason, String)> {
        self.steps.iter().find_map(|step| match &step.result {
            StepOutcome::Failed { reason, message, .. } => Some((step.object.clone(), *reason, message.clone())),
            StepOutcome::ForeignObject => {
                let message = "an object of that name is there already and is not osier's".to_owned();
                Some((step.object.clone(), Reason::AdoptionHeld, message))
            }
            StepOutcome::Done { .. } | StepOutcome::NotTried => None,
        })
    }

    /// Steps per verb that took effect.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for step in self.steps.iter().filter(|step| matches!(step.result, StepOutcome::Done { .. })) {
            *counts.entry(step.verb.as_str().to_owned()).or_insert(0) += 1;
        }
        counts
    }
}

/// A plan that is being executed, phase by phase. It makes no choice: what the plan says is done, or fails.
///
/// # Guarantees
/// A step is not tried if the gate keeps it, an object that it needs failed, a Job `before` failed, or, for deletes, anything failed.
/// Others go on.
pub struct Execution<'a> {
    cluster: &'a Cluster,
    plan: &'a Plan,
    context: &'a WriteContext,
    gate: Gate,
    results: Vec<StepOutcome>,
    pace: Pace,
}

impl Cluster {
    /// Begins to execute a plan; nothing is written yet.
    pub fn execution<'a>(&'a self, plan: &'a Plan, context: &'a WriteContext, gate: Gate) -> Execution<'a> {
        let pace = Pace { limit: CONCURRENCY, throttled: self.throttled() };
        self.executions.fetch_add(1, Ordering::Relaxed);
        Execution { cluster: self, plan, context, gate, results: Vec::with_capacity(plan.steps.len()), pace }
    }

    /// How many writes one of the plans that are being executed may have under way.
    fn share(&self) -> usize {
        (CONCURRENCY / self.executions.load(Ordering::Relaxed).max(1)).max(1)
    }

    async fn step(&self, step: &Step, manifest: Option<Manifest>, context: &WriteContext) -> StepOutcome {
        let task = Task { step, manifest: manifest.as_ref(), context };
        let result = match step.verb {
            _ if step.object.namespace != context.namespace => Err(Stop::elsewhere(&step.object)),
            Verb::Create => self.create(&task).await.map(Some),
            Verb::Update if step.stamps_only => self.stamp(&task).await.map(Some),
            Verb::Update => self.update(&task).await.map(Some),
            Verb::Adopt => self.adopt(&task).await.map(Some),
            Verb::Recreate => self.recreate(&task).await.map(Some),
            Verb::Delete => self.delete(&task).await.map(|()| None),
        };
        match result {
            Ok(live) => StepOutcome::Done { live: live.map(Box::new) },
            Err(Stop::Foreign) => StepOutcome::ForeignObject,
            Err(Stop::Failed { reason, message, retry }) => StepOutcome::Failed { reason, message, retry },
        }
    }
}

impl<'a> Execution<'a> {
    /// The steps that are still to be done.
    pub fn rest(&self) -> &'a [Step] {
        self.plan.steps.get(self.results.len()..).unwrap_or_default()
    }

    /// Does the next `count` steps.
    ///
    /// Each manifest is taken out of `manifests` and dropped as soon as its step is done; `stamps_only` steps and deletes need none.
    pub async fn run(&mut self, count: usize, manifests: &mut BTreeMap<ObjectId, Manifest>) {
        let steps = self.rest();
        for phase in steps.get(..count).unwrap_or(steps).chunk_by(|one, next| one.phase == next.phase) {
            let (gate, failed) = (self.gate, Failed::collect(self.plan, &self.results, phase, self.gate));
            let mut results: Vec<StepOutcome> = phase.iter().map(|_| StepOutcome::NotTried).collect();
            let ready = phase.iter().enumerate().filter(|(_, step)| !gate.keeps(step) && !failed.block(step));
            for (index, result) in self.side_by_side(ready, manifests).await {
                results[index] = result;
            }
            self.results.extend(results);
        }
    }

    /// What came of each step; of those that were not done yet, that they were not tried.
    pub fn outcome(mut self) -> Outcome {
        let results = std::mem::take(&mut self.results).into_iter().chain(std::iter::repeat(StepOutcome::NotTried));
        let of =
            |(step, result): (&Step, StepOutcome)| StepResult { object: step.object.clone(), verb: step.verb, result };
        Outcome { steps: self.plan.steps.iter().zip(results).map(of).collect() }
    }

    /// Does steps that do not depend on one another.
    async fn side_by_side(
        &mut self,
        mut waiting: impl Iterator<Item = (usize, &'a Step)>,
        manifests: &mut BTreeMap<ObjectId, Manifest>,
    ) -> Vec<(usize, StepOutcome)> {
        let (cluster, context) = (self.cluster, self.context);
        let mut running = FuturesUnordered::new();
        let mut done = Vec::new();
        loop {
            let limit = self.pace.limit.min(cluster.share());
            for (index, step) in waiting.by_ref().take(limit.saturating_sub(running.len())) {
                let manifest = manifests.remove(&step.object);
                running.push(async move { (index, cluster.step(step, manifest, context).await) });
            }
            let Some(finished) = running.next().await else { return done };
            done.push(finished);
            self.pace.adapt(cluster.throttled());
        }
    }
}

impl Drop for Execution<'_> {
    fn drop(&mut self) {
        self.cluster.executions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many writes are under way at once: half as many after a 429, one more after each that went well.
struct Pace {
    limit: usize,
    throttled: u64,
}

impl Pace {
    fn adapt(&mut self, throttled: u64) {
        self.limit =
            if throttled > self.throttled { (self.limit / 2).max(1) } else { (self.limit + 1).min(CONCURRENCY) };
        self.throttled = throttled;
    }
}

/// What did not take effect so far.
struct Failed<'a> {
    objects: BTreeSet<&'a ObjectId>,
    before: bool,
}

impl<'a> Failed<'a> {
    /// Before `phase` began. What the gate keeps did not fail.
    fn collect(plan: &'a Plan, results: &[StepOutcome], phase: &[Step], gate: Gate) -> Self {
        let now = phase.first().map(|step| step.phase);
        let earlier = plan.steps.iter().zip(results).take_while(|(step, _)| Some(step.phase) != now);
        let tried = earlier.filter(|(step, _)| !gate.keeps(step));
        let without_effect = tried.filter(|(_, result)| !matches!(result, StepOutcome::Done { .. }));
        let steps: Vec<&Step> = without_effect.map(|(step, _)| step).collect();
        Self {
            objects: steps.iter().map(|step| &step.object).collect(),
            before: steps.iter().any(|step| step.phase == Phase::Before),
        }
    }

    fn block(&self, step: &Step) -> bool {
        match step.phase {
            Phase::Deletes => !self.objects.is_empty(),
            _ => self.before || step.needs.iter().any(|object| self.objects.contains(object)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_halves_and_grows_again() {
        let mut pace = Pace { limit: CONCURRENCY, throttled: 0 };
        pace.adapt(1);
        assert_eq!(pace.limit, 16);
        pace.adapt(1);
        assert_eq!(pace.limit, 17);
        for throttled in 2..20 {
            pace.adapt(throttled);
        }
        assert_eq!(pace.limit, 1);
    }
}
