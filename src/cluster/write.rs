//! Executing a plan: step by step, each write fenced, what depends on a failed step not tried.

pub mod adopt;
pub mod apply;
pub mod config;
pub mod create;
pub mod remove;
pub mod settle;
pub mod task;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::cluster::Cluster;
use crate::cluster::write::task::{Stop, Task};
use crate::desired::manifest::Manifest;
use crate::model::object::ObjectId;
use crate::model::reason::{Reason, Retry};
use crate::planning::live::Live;
use crate::planning::plan::{Phase, Plan, Step, Verb};

/// Writes under way at once: where a kube-apiserver on two cores stops getting faster.
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

impl Cluster {
    /// Executes the steps of a plan, phase by phase. It makes no choice: what the plan says is done, or fails.
    ///
    /// Each manifest is taken out of `manifests` and dropped as soon as its step is done; `stamps_only` steps and deletes need none.
    ///
    /// # Guarantees
    /// A step is not tried if an object that it refers to failed, a Job `before` failed, or, for deletes, anything failed. Others go on.
    pub async fn execute(
        &self,
        plan: &Plan,
        manifests: &mut BTreeMap<ObjectId, Manifest>,
        context: &WriteContext,
    ) -> Outcome {
        let mut results: BTreeMap<usize, StepOutcome> = BTreeMap::new();
        let mut pace = Pace { limit: CONCURRENCY, throttled: self.throttled() };
        let numbered: Vec<(usize, &Step)> = plan.steps.iter().enumerate().collect();
        for phase in numbered.chunk_by(|one, next| one.1.phase == next.1.phase) {
            let failed = Failed::collect(plan, &results);
            let (blocked, ready): (Vec<_>, Vec<_>) = phase.iter().copied().partition(|(_, step)| failed.block(step));
            results.extend(blocked.into_iter().map(|(index, _)| (index, StepOutcome::NotTried)));
            results.extend(self.run(ready, manifests, context, &mut pace).await);
        }
        let of = |(index, step): (usize, &Step)| StepResult {
            object: step.object.clone(),
            verb: step.verb,
            result: results.remove(&index).unwrap_or(StepOutcome::NotTried),
        };
        Outcome { steps: numbered.into_iter().map(of).collect() }
    }

    /// Runs steps that do not depend on one another.
    async fn run(
        &self,
        steps: Vec<(usize, &Step)>,
        manifests: &mut BTreeMap<ObjectId, Manifest>,
        context: &WriteContext,
        pace: &mut Pace,
    ) -> Vec<(usize, StepOutcome)> {
        let mut waiting = steps.into_iter();
        let mut running = FuturesUnordered::new();
        let mut done = Vec::new();
        loop {
            for (index, step) in waiting.by_ref().take(pace.limit.saturating_sub(running.len())) {
                let manifest = manifests.remove(&step.object);
                running.push(async move { (index, self.step(step, manifest, context).await) });
            }
            let Some(finished) = running.next().await else { return done };
            done.push(finished);
            pace.adapt(self.throttled());
        }
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
    fn collect(plan: &'a Plan, results: &BTreeMap<usize, StepOutcome>) -> Self {
        let without_effect = results.iter().filter(|(_, result)| !matches!(result, StepOutcome::Done { .. }));
        let steps: Vec<&Step> = without_effect.filter_map(|(index, _)| plan.steps.get(*index)).collect();
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
