//! Everything up to the plan: reads, decides, writes nothing but the empty Environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::config::{EnvironmentConfig, Mode};
use crate::desired::manifest::Manifest;
use crate::desired::set::DesiredSet;
use crate::git::objects::CommitInfo;
use crate::model::environment::JobRun;
use crate::model::object::{Kind, ObjectId};
use crate::model::record::RecordResult;
use crate::model::tree::GitId;
use crate::planning::changes::{Change, Changes};
use crate::planning::live::LiveSet;
use crate::planning::plan::{Plan, PlanInput, Verb};
use crate::planning::{blocked, diff, opening, planner};
use crate::reconcile::desire::{self, Before, Composed};
use crate::reconcile::error::Error;
use crate::reconcile::open;
use crate::reconcile::source::Source;
use crate::reconcile::subject::{self, Subject};
use crate::reconcile::target::{self, Choice, Target};
use crate::reconcile::world::World;
use crate::reconcile::{Ask, adoption, history};

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
    let tip = target::accept(world, &subject).await?;
    let Choice { target, config, begins } = target::choose(world, &subject, tip, ask).await?;
    subject::permit(&world.repository, &subject.name, &config)?;
    let (composed, before) = desired(world, &subject, &target, &config).await?;
    let live = look(world, &subject, &config, &composed, before.as_ref()).await?;
    let pass = Pass { subject: &subject, class: config.keys.as_deref(), composed: &composed, before: before.as_ref(), live: &live };
    let (plan, manifests) = planned(world, &pass).await?;
    let commit = target.commit;
    let info = world.mirror.read(move |objects| objects.commit(commit)).await?;
    let EnvironmentConfig { namespace, keys: class, mode, .. } = config;
    let composed = Some(composed);
    Ok(Prepared { subject, target, mode, namespace, class, info, composed, live, manifests, plan, begins_hold: begins })
}

/// Opens what the steps need and `prepare` did not have to open: workloads that restart, and what is repaired.
///
/// # Errors
/// Problems, all at once.
pub async fn open_the_rest(world: &World, prepared: &mut Prepared) -> Result<(), Error> {
    let steps = prepared.plan.steps.iter().filter(|step| step.verb != Verb::Delete);
    let rest: BTreeSet<ObjectId> =
        steps.map(|step| &step.object).filter(|object| !prepared.manifests.contains_key(*object)).cloned().collect();
    let source = Source::Mirror(world.mirror.clone(), prepared.target.commit);
    let opened = open::open(&source, &world.keyring, prepared.class.as_deref(), prepared.desired(), &rest).await?;
    if !opened.problems.is_empty() {
        return Err(Error::problems(opened.problems));
    }
    prepared.manifests.extend(opened.manifests);
    Ok(())
}

/// The composed target, moved on from what was applied last where that is known.
async fn desired(
    world: &mut World,
    subject: &Subject,
    target: &Target,
    config: &EnvironmentConfig,
) -> Result<(Composed, Option<Before>), Error> {
    let scope = |layers: &[String]| desire::scope(&world.repository, &subject.name, &config.namespace, layers, &target.parameters);
    let memory = world.memory.get_mut(&subject.name);
    let (known, applied) = memory.map_or((None, None), |memory| (memory.composed.take(), memory.chain.applied.clone()));
    let new = scope(&target.layers);
    let source = |commit| Source::Mirror(world.mirror.clone(), commit);
    let known = match (known, applied) {
        (Some(known), _) => Some(known),
        (None, Some(record)) => match GitId::parse(&record.spec.commit) {
            // a predecessor that cannot be composed any more is none: then all kinds are listed, and every leaf shows as added
            Some(commit) => desire::whole(&mut world.outlines, &source(commit), commit, scope(&record.spec.layers)).await.ok(),
            None => None,
        },
        (None, None) => None,
    };
    match known {
        Some(known) if known.composition.scope().layers == target.layers && known.composition.scope().namespace == config.namespace => {
            let parameters = target.parameters.clone();
            let (composed, before) = desire::advance(&mut world.outlines, &world.mirror, known, target.commit, parameters).await?;
            Ok((composed, Some(before)))
        }
        known => {
            let composed = desire::whole(&mut world.outlines, &source(target.commit), target.commit, new).await?;
            let before = known.map(|known| Before::all(known.composition.current(), composed.composition.current()));
            Ok((composed, before))
        }
    }
}

/// What the cluster has of the kinds that matter, from metadata lists alone.
///
/// The kinds are those of the desired set and of what was applied before; where that is not known for certain, all that the
/// Repository may use, so that nothing of ours is forgotten.
async fn look(
    world: &World,
    subject: &Subject,
    config: &EnvironmentConfig,
    composed: &Composed,
    before: Option<&Before>,
) -> Result<LiveSet, Error> {
    world.cluster.check_namespace(&config.namespace, world.name()).await?;
    let desired = composed.composition.current();
    let failed = world.memory[&subject.name].chain.head.as_ref().is_some_and(|head| history::result(head) != Some(RecordResult::Applied));
    let kinds = match before {
        Some(before) if !failed => before.kinds(desired),
        _ => composed.composition.scope().kinds.clone(),
    };
    let kinds: BTreeSet<Kind> = desired.objects.keys().map(|object| object.kind.clone()).chain(kinds).collect();
    Ok(world.cluster.live(&config.namespace, &kinds, &subject.id).await?)
}

/// What the steps between looking and planning share.
struct Pass<'a> {
    subject: &'a Subject,
    class: Option<&'a str>,
    composed: &'a Composed,
    before: Option<&'a Before>,
    live: &'a LiveSet,
}

async fn planned(world: &World, pass: &Pass<'_>) -> Result<(Plan, BTreeMap<ObjectId, Manifest>), Error> {
    let desired = pass.composed.composition.current();
    let status = world.memory[&pass.subject.name].environment.status.as_ref();
    let jobs = status.map(|status| status.jobs.clone()).unwrap_or_default();
    let wanted: BTreeSet<ObjectId> = opening::to_open(desired, pass.live, &jobs).into_iter().cloned().collect();
    let source = Source::Mirror(world.mirror.clone(), pass.composed.commit);
    let opened = open::open(&source, &world.keyring, pass.class, desired, &wanted).await?;
    if !opened.problems.is_empty() {
        return Err(Error::problems(opened.problems));
    }
    let changes = changes(world, pass, &source, &wanted, &opened.manifests).await?;
    let input = PlanInput {
        environment_id: &pass.subject.id,
        protected: true,
        desired,
        live: pass.live,
        changes: &changes,
        jobs_done: &jobs,
    };
    let plan = planner::plan(&input);
    let blocked = blocked::blocked(&input, &plan);
    if blocked.is_empty() { Ok((plan, opened.manifests)) } else { Err(Error::problems(blocked)) }
}

/// Compares opened objects with their predecessors: those of git, or for objects that are not ours yet the live ones.
async fn changes(
    world: &World,
    pass: &Pass<'_>,
    source: &Source,
    wanted: &BTreeSet<ObjectId>,
    manifests: &BTreeMap<ObjectId, Manifest>,
) -> Result<Changes, Error> {
    let desired = pass.composed.composition.current();
    let foreign = |object: &ObjectId| pass.live.objects.get(object).is_some_and(|live| !live.ownership.may_repair(&pass.subject.id));
    let old = |object: &ObjectId| pass.before.and_then(|before| before.of(object, desired)).filter(|_| pass.live.objects.contains_key(object) && !foreign(object));
    let predecessors = DesiredSet { objects: wanted.iter().filter_map(|object| Some((object.clone(), old(object)?.clone()))).collect() };
    // a predecessor that no key opens any more is shown as if it were not there
    let mut before = open::open(source, &world.keyring, pass.class, &predecessors, wanted).await?.manifests;
    for object in wanted.iter().filter(|object| foreign(object)) {
        if let Some(live) = world.cluster.get(object).await? {
            before.insert(object.clone(), adoption::manifest(object, live));
        }
    }
    let change = |(object, manifest): (&ObjectId, &Manifest)| {
        let old = before.get(object);
        let change = Change {
            predecessor: old.and(predecessors.objects.get(object)).map(|desired| desired.inputs.clone()),
            fingerprint: diff::fingerprint(&world.fingerprint_key, &pass.subject.id, manifest),
            leaves: if foreign(object) { adoption::changes(old, manifest) } else { diff::changes(old, Some(manifest)) },
            immutable: old.map(|old| diff::immutable(old, manifest)).unwrap_or_default(),
        };
        (object.clone(), change)
    };
    Ok(Changes { objects: manifests.iter().map(change).collect() })
}
