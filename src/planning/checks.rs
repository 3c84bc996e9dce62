//! Checks: the Jobs with `osier.dev/run`. What waits for them, and what they wait for.

use crate::desired::set::{Desired, DesiredSet};
use crate::model::environment::{JobResult, JobRun};
use crate::model::object::{Kind, ObjectId};
use crate::planning::health::{self, Health, Workload};
use crate::planning::live::Live;
use crate::planning::order::{is_job, phase};
use crate::planning::plan::{Phase, Step, Verb};

/// A desired Job with `osier.dev/run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The Job.
    pub object: ObjectId,
    /// Its inputs stamp.
    pub inputs: String,
    /// `Before` or `After`.
    pub phase: Phase,
}

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `Ready` once it is complete.
    pub health: Health,
    /// True if the Job is still to be created for these inputs, and can be.
    pub is_missing: bool,
    /// How the Job ended, if nobody has noted that yet.
    pub news: Option<JobResult>,
}

/// What a plan has still to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The last phase that is open; `None` if all are closed.
    pub last: Option<Phase>,
    /// True if Jobs `after-ready` may begin.
    pub is_ready: bool,
}

impl Gate {
    /// Nothing waits.
    pub const OPEN: Self = Self { last: Some(Phase::Deletes), is_ready: true };

    /// The gate of a plan whose Jobs `before` stand so. `is_begun`: something of the revision was written before; `is_ready`: all that is no
    /// check is up.
    pub fn new(before: &Health, is_begun: bool, is_ready: bool) -> Self {
        let last = match before {
            Health::Ready => Some(Phase::Deletes),
            Health::Progressing(_) => Some(Phase::Before),
            Health::Failed(_) if is_begun => Some(Phase::Services),
            Health::Failed(_) => None,
        };
        Self { last, is_ready }
    }

    /// True if a step has to wait still. What is put right never does.
    pub fn keeps(&self, step: &Step) -> bool {
        let closed = self.last.is_none_or(|last| step.phase > last);
        !step.repair && (closed || !self.is_ready && starts_after(step))
    }
}

/// True if the step starts a Job `after-ready`.
pub fn starts_after(step: &Step) -> bool {
    step.phase == Phase::After && matches!(step.verb, Verb::Create | Verb::Recreate)
}

/// The checks of a desired set.
pub fn of(desired: &DesiredSet) -> Vec<Check> {
    let checks = desired.of(Kind::new("batch", "Job")).filter(|(object, desired)| is_check(object, desired));
    let check = |(object, desired): (&ObjectId, &Desired)| Check {
        object: object.clone(),
        inputs: desired.inputs.to_string(),
        phase: phase(object, &desired.annotations),
    };
    checks.map(check).collect()
}

/// True for a Job with `osier.dev/run`.
pub fn is_check(object: &ObjectId, desired: &Desired) -> bool {
    is_job(&object.kind) && matches!(phase(object, &desired.annotations), Phase::Before | Phase::After)
}

impl Check {
    /// How it stands: `jobs` are those that ended as far as it is noted, `live` is what the Job's metadata says, `workload` what its status said
    /// last. What is noted counts, whatever became of the Job since.
    pub fn standing(&self, jobs: &[JobRun], live: Option<&Live>, workload: Option<&Workload>) -> Standing {
        let noted = jobs.iter().find(|job| job.name == self.object.name && job.inputs == self.inputs);
        let own =
            live.filter(|live| live.stamps.inputs.as_deref() == Some(&self.inputs) && live.ownership.may_repair());
        let seen = own.and_then(|live| workload.filter(|workload| workload.uid == live.uid));
        let ended = seen.and_then(|workload| workload.result);
        // who noted no result waited for none
        let result = noted.map_or(ended, |job| job.result.or(Some(JobResult::Complete)));
        let health = match (result, seen) {
            (Some(JobResult::Complete), _) => Health::Ready,
            (Some(JobResult::Failed), Some(workload)) if ended == result => workload.health.clone(),
            (Some(JobResult::Failed), _) => Health::failed("failed"),
            (None, _) => running(live, own, seen),
        };
        Standing {
            health,
            is_missing: noted.is_none() && live.is_none_or(|live| own.is_none() && can_be_made_again(live)),
            news: ended.filter(|_| noted.is_none()),
        }
    }

    /// The note that it ended so.
    pub fn ran(&self, result: JobResult) -> JobRun {
        JobRun { name: self.object.name.to_string(), inputs: self.inputs.clone(), result: Some(result) }
    }
}

/// How it stands before it ended; `own` is the Job that has these inputs.
fn running(live: Option<&Live>, own: Option<&Live>, seen: Option<&Workload>) -> Health {
    match (own, seen) {
        _ if live.is_some_and(|live| live.terminating) => Health::waits("being deleted"),
        (None, _) if live.is_some_and(|live| !live.ownership.may_delete()) => {
            Health::hindered("the Job of that name is not proven to be osier's")
        }
        (None, _) => Health::waits("not created yet"),
        (Some(_), None) => Health::waits("not seen by its controller yet"),
        // nobody waits for other Jobs that are suspended
        (_, Some(Workload { health: Health::Ready, .. })) => Health::hindered("suspended"),
        (_, Some(workload)) => workload.health.clone(),
    }
}

fn can_be_made_again(live: &Live) -> bool {
    live.ownership.may_delete() && !live.terminating
}

/// How the checks of a phase stand together.
pub fn together<'a>(standings: impl IntoIterator<Item = (&'a Check, Standing)>, phase: Phase) -> Health {
    let of_phase = standings.into_iter().filter(|(check, _)| check.phase == phase);
    health::together(of_phase.map(|(check, standing)| (check.object.short(), standing.health)))
}
