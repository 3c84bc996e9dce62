//! Everything up to the plan: reads, decides, writes nothing but the empty Environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::compose::{self, Scope};
use crate::desired::config::Mode;
use crate::desired::manifest::Manifest;
use crate::desired::set::DesiredSet;
use crate::git::objects::CommitInfo;
use crate::model::environment::JobRun;
use crate::model::object::{Kind, ObjectId};
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordResult};
use crate::model::tree::GitId;
use crate::planning::changes::{Change, Changes};
use crate::planning::live::LiveSet;
use crate::planning::plan::{Plan, PlanInput, Verb};
use crate::planning::{diff, opening, planner};
use crate::reconcile::desire::{self, Before, Composed};
use crate::reconcile::error::Error;
use crate::reconcile::open::{self, Opened};
use crate::reconcile::source::Source;
use crate::reconcile::subject::{self, Subject};
use crate::reconcile::target::{self, Target};
use crate::reconcile::world::World;
use crate::reconcile::{Ask, history, look};

/// A pass before its first write.
pub struct Prepared {
    /// The environment.
    pub subject: Subject,
    /// What it shall equal.
    pub target: Target,
    /// Whether it is written.
    pub mode: Mode,
    /// Its namespace.
    pub namespace: String,
    /// Its key class.
    pub class: Option<String>,
    /// The target's commit.
    pub info: CommitInfo,
    /// The composed revision; taken when the pass is over.
    pub composed: Option<Composed>,
    /// What the cluster has.
    pub live: LiveSet,
    /// Opened objects, until their step is done.
    pub manifests: BTreeMap<ObjectId, Manifest>,
    /// What will be done.
    pub plan: Plan,
    /// True if a rollback or release is carried out for the first time.
    pub begins_hold: bool,
}

impl Prepared {
    /// What the revision says.
    pub fn desired(&self) -> &DesiredSet {
        const NONE: &DesiredSet = &DesiredSet { objects: BTreeMap::new() };
        self.composed.as_ref().map_or(NONE, |composed| composed.composition.current())
    }

    /// Adds the Jobs that this plan ran.
    pub fn note_jobs(&self, jobs: &mut Vec<JobRun>) {
        let ran = self.plan.steps.iter().filter(|step| step.object.kind == Kind::new("batch", "Job") && step.verb != Verb::Delete);
        for step in ran {
            jobs.retain(|job| job.name != step.object.name);
            jobs.push(JobRun { name: step.object.name.clone(), inputs: step.inputs.clone() });
        }
    }
}

/// Reads git, keys and the cluster, and makes the plan.
///
/// # Errors
/// Why there is no plan; problems all at once.
pub async fn prepare(world: &mut World, ask: &Ask) -> Result<Prepared, Error> {
    let subject = subject::read(world, &ask.environment).await?;
    subject::take_over(world, &subject, ask.take_over).await?;
    let tip = target::accept(world).await?;
    let choice = target::choose(world, &subject, tip, ask).await?;
    subject::permit(&world.repository, &subject.name, &choice.config)?;
    let (target, config) = (choice.target, choice.config);
    let scope = scope(world, &config.namespace, &target);
    let (composed, before) = desired(world, &subject, &target, scope).await?;
    let desired_set = composed.composition.current();
    let known = before.as_ref().map(|before| before.kinds(desired_set));
    let allowed = compose::kinds(&world.repository.spec.kinds);
    let live = look::look(world, &config.namespace, &subject.id, desired_set, known.as_ref(), &allowed).await?;
    let jobs = world.memory[&subject.name].environment.status.as_ref().map(|status| status.jobs.clone()).unwrap_or_default();
    let class = config.keys.clone();
    let opened = changes(world, &subject, &target, class.as_deref(), &composed, before.as_ref(), &live, &jobs).await?;
    let (changes, manifests) = opened;
    let input = PlanInput { environment_id: &subject.id, protected: true, desired: desired_set, live: &live, changes: &changes, jobs_done: &jobs };
    let plan = planner::plan(&input);
    let commit = target.commit;
    let info = world.mirror.read(move |objects| objects.commit(commit)).await?;
    Ok(Prepared { subject, begins_hold: choice.begins, target, mode: config.mode, namespace: config.namespace, class, info, composed: Some(composed), live, manifests, plan })
}
