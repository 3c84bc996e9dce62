//! Everything up to the plan: reads, decides, writes nothing but the empty Environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::watched::Watched;
use crate::desired::config::{Config, EnvironmentConfig, Issues, Mode};
use crate::desired::manifest::Manifest;
use crate::desired::set::{DesiredSet, Parameters};
use crate::desired::variables::COMMIT_OF;
use crate::git::fetch::{Followed, Known};
use crate::git::objects::CommitInfo;
use crate::model::environment::JobRun;
use crate::model::object::{Kind, ObjectId};
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordResult};
use crate::model::tree::{GitId, split_layer};
use crate::planning::live::LiveSet;
use crate::planning::plan::{Plan, PlanInput, Step, Verb};
use crate::planning::{blocked, checks, jobs, opening, planner};
use crate::reconcile::desire::{self, Before, Composed};
use crate::reconcile::error::Error;
use crate::reconcile::open::{self, Manifests, Opening};
use crate::reconcile::source::Source;
use crate::reconcile::subject::{self, Subject};
use crate::reconcile::target::{self, Choice, Target};
use crate::reconcile::world::World;
use crate::reconcile::{Ask, compare, dangling, history, place, retention};

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
    /// True if osier has still to make it.
    pub lacks_namespace: bool,
    /// The layer that fences the namespace of a branch environment in.
    pub template: Option<String>,
    /// The address of a branch environment.
    pub address: Option<String>,
    /// Its key class.
    pub class: Option<String>,
    /// The target's commit.
    pub info: CommitInfo,
    /// Issue keys of the commit message.
    pub issues: Vec<String>,
    /// The composed revision; taken when the pass is over.
    pub composed: Option<Composed>,
    /// Digest over the inputs of all its objects.
    pub inputs: String,
    /// Opened objects, until their step is done.
    pub manifests: Manifests,
    /// What will be done.
    pub plan: Plan,
    /// True if a rollback or release is carried out for the first time.
    pub begins_hold: bool,
    /// How many environments `osier.yaml` has.
    pub environments: usize,
}

impl Prepared {
    /// What the revision says.
    pub fn desired(&self) -> &DesiredSet {
        const NONE: &DesiredSet = &DesiredSet { objects: BTreeMap::new() };
        self.composed.as_ref().map_or(NONE, |composed| composed.composition.current())
    }

    /// The kinds of what shall be and of what is kept.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        let kept = self.plan.kept.iter().map(|kept| kept.object.kind.clone());
        self.desired().kinds().into_iter().chain(kept).collect()
    }

    /// Notes the Jobs of the desired set: once the environment equals it, each ran or runs for its inputs. Checks are noted as they end.
    pub fn note_jobs(&self, jobs: &mut Vec<JobRun>) {
        let all = self.desired().of(Kind::new("batch", "Job"));
        for (object, desired) in all.filter(|(object, desired)| !checks::is_check(object, desired)) {
            let (name, inputs) = (object.name.to_string(), desired.inputs.to_string());
            jobs::note(jobs, JobRun { name, inputs, result: None });
        }
    }
}

/// What a pass begins with: the environment, the accepted tip, and today's entry of `osier.yaml`.
pub struct Start {
    /// The environment.
    pub subject: Subject,
    /// Tip of its branch: of the protected one, unless it is a branch environment.
    pub tip: GitId,
    /// Tip of the protected branch, whose `osier.yaml` counts.
    pub main: GitId,
    /// What `${osier.slug}` stands for.
    pub slug: String,
    /// What `${osier.branch}` stands for.
    pub branch: String,
    /// `osier.commit.<name>` of each followed repository.
    pub followed: Parameters,
    /// Its entry there: namespace, keys and mode are always today's.
    pub config: EnvironmentConfig,
    /// How issue keys look in commit messages.
    pub issues: Option<Issues>,
    /// How many environments `osier.yaml` has.
    pub environments: usize,
}

/// Looks at the environment and at the remote.
///
/// # Errors
/// The remote is not to be trusted, or `osier.yaml` has problems or lacks the environment.
pub async fn begin(world: &mut World, ask: &Ask) -> Result<Start, Error> {
    let subject = subject::read(world, &ask.environment).await?;
    let held = ask.hold.is_some() || world.memory[&subject.name].environment.spec.hold.is_some();
    start(world, ask, subject, held).await
}

/// What a pass begins with that goes to what was applied last; `None` if nothing was.
///
/// # Errors
/// As `begin`.
pub async fn again(world: &mut World, ask: &Ask) -> Result<Option<(Start, Choice)>, Error> {
    let subject = subject::read(world, &ask.environment).await?;
    let Some(applied) = world.memory[&subject.name].chain.applied.clone() else { return Ok(None) };
    let start = start(world, ask, subject, true).await?;
    let target = target::of(world, &start, &applied).await?;
    Ok(Some((start, Choice { target, begins: false })))
}

/// A `held` environment can go on from what is at hand.
async fn start(world: &World, ask: &Ask, subject: Subject, held: bool) -> Result<Start, Error> {
    let main = target::accept(world, &subject, ask, held).await?;
    let applied = world.memory[&subject.name].chain.applied.as_ref().filter(|_| held);
    let counted = applied.and_then(|record| counted(&subject, record));
    if let Some(branch) = subject.branch.clone() {
        return start_of_branch(world, ask, subject, &branch, (main, counted)).await;
    }
    let (_, today) = today(world, main, counted).await?;
    let config = target::entry(&today, &subject.name)?.clone();
    let (slug, environments) = (subject.name.clone(), today.environments.len());
    let (branch, followed) = (world.repository.spec.protected_branch.clone(), Parameters::new());
    Ok(Start { subject, tip: main, main, slug, branch, followed, config, issues: today.issues, environments })
}

/// An ordinary environment whose entry is made of the one in `branches` that its branch matches.
async fn start_of_branch(
    world: &World,
    ask: &Ask,
    subject: Subject,
    branch: &str,
    (main, counted): (GitId, Option<GitId>),
) -> Result<Start, Error> {
    let seen = target::branch(ask, branch, main)?;
    let (counts, today) = today(world, main, counted).await?;
    let (entry, slug) = target::branch_entry(&today, world.name(), &subject.name, branch)?;
    let config = entry.environment(subject.name.clone(), counts, &slug);
    let environments = today.environments.len() + retention::BRANCHES;
    let followed = followed(world, ask, &subject.name, branch);
    // of a repository that is not the configuration's nothing gets here but commit ids and the slug
    let branch = if seen.is_own { branch.to_owned() } else { slug.clone() };
    let issues = today.issues.clone();
    Ok(Start { subject, tip: seen.tip, main, slug, branch, followed, config, issues, environments })
}

/// The commits of followed repositories. One that was never seen by this process is where it was.
fn followed(world: &World, ask: &Ask, name: &str, branch: &str) -> Parameters {
    let head = world.memory.get(name).and_then(|memory| memory.chain.head.as_ref());
    let before = |key: &String| head?.spec.parameters.get(key).cloned();
    let followed = ask.tip.iter().flat_map(Known::followed);
    let commit = |(name, followed): (&String, &Followed)| {
        let key = format!("{COMMIT_OF}{name}");
        let commit = followed.commit(branch).map(|commit| commit.to_string()).or_else(|| before(&key))?;
        Some((key, commit))
    };
    followed.filter_map(commit).collect()
}

/// The commit whose `osier.yaml` counts, and what that says: the tip; while it has problems, the one that `counted` last, if there is one to
/// go on with: going back must work then.
async fn today(world: &World, tip: GitId, counted: Option<GitId>) -> Result<(GitId, Config), Error> {
    let at = |commit| Source::Mirror(world.mirror.clone(), commit);
    match (target::config(&at(tip)).await, counted) {
        (Err(Error::Blocked { message, .. }), Some(counted)) => {
            tracing::warn!("osier.yaml of {} counts, for an environment that is held: {message}", counted.short());
            Ok((counted, target::config(&at(counted)).await?))
        }
        (today, _) => Ok((tip, today?)),
    }
}

/// The commit of the protected branch whose `osier.yaml` counted for a Record. What fences a branch environment in is pinned to it.
fn counted(subject: &Subject, record: &Record) -> Option<GitId> {
    match subject.branch {
        Some(_) => split_layer(record.spec.layers.first()?).0,
        None => GitId::parse(&record.spec.commit),
    }
}

/// Reads git, keys and the cluster, and makes the plan.
///
/// # Errors
/// Why there is no plan; problems all at once.
pub async fn prepare(world: &mut World, ask: &Ask, start: Start) -> Result<Prepared, Error> {
    if ask.own_classes {
        subject::belongs(&world.keyring, &start.subject.name, &start.config)?;
    }
    let choice = target::choose(world, ask, &start).await?;
    towards(world, start, choice).await
}

/// The same for a target that was chosen.
///
/// # Errors
/// As `prepare`.
pub async fn towards(world: &mut World, start: Start, choice: Choice) -> Result<Prepared, Error> {
    let Choice { target, begins } = choice;
    let Compared { composed, inputs, plan, manifests, lacks_namespace } =
        compared(world, &start, &target, Keys::Needed).await?;
    let Start { subject, config, issues, environments, .. } = start;
    let commit = target.commit;
    let info = world.mirror.read(move |objects| objects.commit(commit)).await?;
    let issues = issues.map(|issues| issues.keys(&info.message)).unwrap_or_default();
    let EnvironmentConfig { namespace, keys: class, mode, isolation, .. } = config;
    let (template, address) = isolation.map(|it| (Some(it.template), it.address)).unwrap_or_default();
    let composed = Some(composed);
    Ok(Prepared {
        subject,
        target,
        mode,
        namespace,
        lacks_namespace,
        template,
        address,
        class,
        info,
        issues,
        composed,
        inputs,
        manifests,
        plan,
        begins_hold: begins,
        environments,
    })
}

/// The plan of a target for somebody who may hold none of its keys.
///
/// # Guarantees
/// Says of encrypted files what their ciphertext says, and so the same of a value that was only encrypted anew as of another one: the plan
/// is made as if no key were at hand. The keys only tell whether each file opens.
///
/// # Errors
/// Why there is no plan; problems all at once.
pub async fn keyless(world: &mut World, start: &Start, target: &Target) -> Result<Plan, Error> {
    Ok(compared(world, start, target, Keys::Withheld).await?.plan)
}

/// A target, compared with what is.
struct Compared {
    composed: Composed,
    inputs: String,
    plan: Plan,
    manifests: Manifests,
    lacks_namespace: bool,
}

async fn compared(world: &mut World, start: &Start, target: &Target, keys: Keys) -> Result<Compared, Error> {
    let Start { subject, config, .. } = start;
    subject::permit(&world.repository, &subject.name, config)?;
    subject::stayed(&world.memory[&subject.name].environment, config)?;
    let known = world.memory.get_mut(&subject.name).and_then(|memory| memory.composed.take());
    let (desired, there) =
        tokio::join!(desired(world, subject, target, config, known), is_there(world, subject, config));
    let (composed, before) = desired?;
    let live = if there? { Some(look(world, subject, config, &composed, before.as_ref()).await?) } else { None };
    let (live, lacks_namespace) = (live.clone().unwrap_or_default(), live.is_none());
    let inputs = history::inputs(composed.composition.current());
    let source = Source::Mirror(world.mirror.clone(), target.commit);
    let view = View {
        subject,
        class: config.keys.as_deref(),
        keys,
        source: &source,
        desired: composed.composition.current(),
        before: before.as_ref(),
        live: &live,
        // none has run in a namespace that is still to be made
        jobs: if lacks_namespace { Vec::new() } else { jobs(world, subject) },
        again: applied_again(world, subject, &inputs),
    };
    let (plan, manifests) = planned(world, &view).await?;
    Ok(Compared { composed, inputs, plan, manifests, lacks_namespace })
}

/// Plans a revision of a clone, or its working tree, against the cluster. For people: files that no key opens are compared as
/// ciphertext, and nothing is ever executed.
///
/// # Errors
/// Why there is no plan; problems all at once.
pub async fn outlook(world: &mut World, name: &str, source: &Source, commit: GitId) -> Result<Plan, Error> {
    let subject = subject::read(world, name).await?;
    let today = target::config(source).await?;
    let config = target::entry(&today, name)?.clone();
    subject::permit(&world.repository, name, &config)?;
    let branch = &world.repository.spec.protected_branch;
    let parameters = target::parameters(name, name, branch, &config.namespace, commit);
    let scope = desire::scope(Some(&world.repository), name, &config, &config.layers, &parameters);
    let composed = desire::whole(&world.outlines, source, commit, scope).await?;
    let before = predecessor(world, &subject, source, &config, &composed).await;
    let live = if is_there(world, &subject, &config).await? {
        look(world, &subject, &config, &composed, before.as_ref()).await?
    } else {
        Arc::default()
    };
    let inputs = history::inputs(composed.composition.current());
    let view = View {
        subject: &subject,
        class: config.keys.as_deref(),
        keys: Keys::IfAtHand,
        source,
        desired: composed.composition.current(),
        before: before.as_ref(),
        live: &live,
        jobs: jobs(world, &subject),
        again: applied_again(world, &subject, &inputs),
    };
    Ok(planned(world, &view).await?.0)
}

/// What was applied last, as far as the clone has its commit.
async fn predecessor(
    world: &mut World,
    subject: &Subject,
    source: &Source,
    config: &EnvironmentConfig,
    now: &Composed,
) -> Option<Before> {
    let record = world.memory.get(&subject.name)?.chain.applied.clone()?;
    let commit = GitId::parse(&record.spec.commit)?;
    let spec = record.spec;
    let scope = desire::scope(Some(&world.repository), &subject.name, config, &spec.layers, &spec.parameters);
    let then = desire::whole(&world.outlines, &source.at(commit), commit, scope).await.ok()?;
    Some(Before::all(&then, now))
}

/// Opens what the steps need and `prepare` did not have to open: workloads that restart, and what is repaired.
///
/// # Errors
/// Problems, all at once.
pub async fn open_the_rest(world: &World, prepared: &mut Prepared) -> Result<(), Error> {
    let steps = prepared.plan.steps.iter().filter(|step| step.verb != Verb::Delete).map(|step| &step.object);
    let rest: Vec<&ObjectId> = steps.filter(|object| !prepared.manifests.is_checked(object)).collect();
    let source = Source::Mirror(world.mirror.clone(), prepared.target.commit);
    let desired = prepared.composed.as_ref().map(|composed| composed.composition.current());
    let Some(desired) = desired.filter(|_| !rest.is_empty()) else { return Ok(()) };
    let generator = world.generator(&prepared.subject.environment_id);
    let mut opening =
        Opening::new(&source, &world.keyring, prepared.class.as_deref(), desired, &rest).with(Some(generator));
    for objects in rest.chunks(open::AT_ONCE) {
        for (object, manifest) in opening.open(objects).await? {
            prepared.manifests.keep(&object, Some(manifest));
        }
    }
    let problems = [opening.problems, opening.locked].concat();
    if problems.is_empty() { Ok(()) } else { Err(Error::problems(problems)) }
}

/// How many of the next `steps` go together: of those that have to be opened again only so many.
pub fn batch(steps: &[Step], kept: &Manifests) -> usize {
    let needs = |step: &&Step| step.verb != Verb::Delete && !step.stamps_only && !kept.has(&step.object);
    let last = steps.iter().enumerate().filter(|(_, step)| needs(step)).nth(open::AT_ONCE);
    last.map_or(steps.len(), |(index, _)| index)
}

/// The objects of some steps, as they were checked: those that are kept, and the others opened again.
pub async fn hand_out(
    world: &World,
    prepared: &Prepared,
    kept: &mut Manifests,
    steps: &[Step],
) -> BTreeMap<ObjectId, Manifest> {
    let mut manifests: BTreeMap<ObjectId, Manifest> =
        steps.iter().filter_map(|step| Some((step.object.clone(), kept.take(&step.object)?))).collect();
    let needed = steps.iter().filter(|step| step.verb != Verb::Delete && !step.stamps_only).map(|step| &step.object);
    let rest: BTreeSet<ObjectId> = needed.filter(|object| !manifests.contains_key(*object)).cloned().collect();
    let source = Source::Mirror(world.mirror.clone(), prepared.target.commit);
    // what does not open any more fails its step
    let generator = Some(world.generator(&prepared.subject.environment_id));
    let (class, desired) = (prepared.class.as_deref(), prepared.desired());
    if let Ok(opened) = open::open(&source, &world.keyring, class, desired, &rest, generator).await {
        manifests.extend(opened.manifests);
    }
    manifests
}

/// The composed target, moved on from what was applied last where that is known.
async fn desired(
    world: &World,
    subject: &Subject,
    target: &Target,
    config: &EnvironmentConfig,
    known: Option<Composed>,
) -> Result<(Composed, Option<Before>), Error> {
    let scope = |layers: &[String], parameters: &Parameters| {
        desire::scope(Some(&world.repository), &subject.name, config, layers, parameters)
    };
    let applied = &world.memory[&subject.name].chain.applied;
    let new = scope(&target.layers, &target.parameters);
    let source = |commit| Source::Mirror(world.mirror.clone(), commit);
    let known = match (known, applied) {
        (Some(known), _) => Some(known),
        (None, Some(record)) => match GitId::parse(&record.spec.commit) {
            // a predecessor that cannot be composed any more is none: then all kinds are listed, and every leaf shows as added
            Some(commit) => {
                let then = scope(&record.spec.layers, &record.spec.parameters);
                desire::whole(&world.outlines, &source(commit), commit, then).await.ok()
            }
            None => None,
        },
        (None, None) => None,
    };
    match known {
        Some(known)
            if known.composition.scope().layers == target.layers
                && known.composition.scope().namespace == config.namespace
                && known.composition.scope().generate == config.generate =>
        {
            let parameters = target.parameters.clone();
            let (composed, before) =
                desire::advance(&world.outlines, &world.mirror, known, target.commit, parameters).await?;
            Ok((composed, Some(before)))
        }
        known => {
            let composed = desire::whole(&world.outlines, &source(target.commit), target.commit, new).await?;
            let before = known.map(|known| Before::all(&known, &composed));
            Ok((composed, before))
        }
    }
}

/// False if the namespace is still to be made. What was found once is not asked again while it is watched.
async fn is_there(world: &World, subject: &Subject, config: &EnvironmentConfig) -> Result<bool, Error> {
    let is_known = watched(world, config).is_some() && world.memory[&subject.name].namespace_checked;
    if is_known { Ok(true) } else { place::is_there(world, subject, &config.namespace).await }
}

fn watched(world: &World, config: &EnvironmentConfig) -> Option<Arc<Watched>> {
    world.watched.clone().filter(|watched| watched.namespace() == config.namespace)
}

/// What the cluster has of the kinds that matter, from metadata lists alone.
///
/// The kinds are those of the desired set and of what was applied before; where that is not known for certain, all that the
/// Repository may use, so that nothing of ours is forgotten.
async fn look(
    world: &mut World,
    subject: &Subject,
    config: &EnvironmentConfig,
    composed: &Composed,
    before: Option<&Before>,
) -> Result<Arc<LiveSet>, Error> {
    let desired = composed.composition.current();
    let failed = world.memory[&subject.name]
        .chain
        .head
        .as_ref()
        .is_some_and(|head| history::result(head) != Some(RecordResult::Applied));
    let kinds = match before {
        Some(before) if !failed => before.kinds(desired),
        _ => composed.composition.scope().kinds.clone(),
    };
    let kinds: BTreeSet<Kind> = desired.kinds().into_iter().chain(kinds).collect();
    let Some(watched) = watched(world, config) else {
        let live = world.cluster.live(&config.namespace, &kinds, &subject.environment_id).await?;
        return Ok(Arc::new(live));
    };
    let live = match watched.look(&kinds).await {
        // we may have ended between making the namespace and binding ourselves in it
        Err(error) if error.reason() == Reason::Forbidden && subject.branch.is_some() => {
            place::take_rights(&world.cluster, &watched, &kinds).await?
        }
        live => live?,
    };
    if let Some(memory) = world.memory.get_mut(&subject.name) {
        memory.namespace_checked = true;
    }
    Ok(live)
}

/// The Jobs that the status notes.
fn jobs(world: &World, subject: &Subject) -> Vec<JobRun> {
    let status = world.memory[&subject.name].environment.status.as_ref();
    status.map(|status| status.jobs.clone()).unwrap_or_default()
}

/// True if the newest applied Record says the same of every object.
fn applied_again(world: &World, subject: &Subject, inputs: &str) -> bool {
    world.memory[&subject.name].chain.applied.as_ref().is_some_and(|applied| applied.spec.inputs == inputs)
}

/// What becomes of encrypted files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// A file that no key at hand opens ends the pass.
    Needed,
    /// Such a file is compared as ciphertext.
    IfAtHand,
    /// All of them are compared as ciphertext, and nothing is said of a value that was encrypted once. One that does not open ends the pass.
    Withheld,
}

/// What the steps between looking and planning share.
pub struct View<'a> {
    /// The environment.
    pub subject: &'a Subject,
    /// Its key class.
    pub class: Option<&'a str>,
    /// What becomes of encrypted files.
    pub keys: Keys,
    /// Where the files are.
    pub source: &'a Source,
    /// What the revision says.
    pub desired: &'a DesiredSet,
    /// What was applied last.
    pub before: Option<&'a Before>,
    /// What the cluster has.
    pub live: &'a LiveSet,
    /// The Jobs that ran.
    pub jobs: Vec<JobRun>,
    /// True if this is what was applied last: nothing is changed by it, only put right.
    pub again: bool,
}

impl View<'_> {
    /// True if it is in the cluster and somebody else's.
    pub fn foreign(&self, object: &ObjectId) -> bool {
        self.live.get(object).is_some_and(|live| !live.ownership.may_repair())
    }

    /// True if the new fingerprint of an object may be set beside that of the live one: not for somebody without keys, unless the live
    /// object was made of files that everybody can read, `predecessor`. Else a guess in git would be compared with a value that was secret.
    pub fn tells(&self, object: &ObjectId, predecessor: Option<&str>) -> bool {
        let live = || self.live.get(object).and_then(|live| live.stamps.inputs.as_deref().map(str::to_owned));
        self.keys != Keys::Withheld || predecessor.is_some() && predecessor == live().as_deref()
    }

    /// The objects `wanted` as they were applied last, if they are in the cluster and ours.
    pub fn predecessors(&self, wanted: &[&ObjectId]) -> DesiredSet {
        let there = |object: &&&ObjectId| self.live.get(object).is_some() && !self.foreign(object);
        let old = |object: &ObjectId| self.before.and_then(|before| before.of(object, self.desired)).cloned();
        DesiredSet {
            objects: wanted.iter().filter(there).filter_map(|object| Some(((*object).clone(), old(object)?))).collect(),
        }
    }
}

async fn planned(world: &World, view: &View<'_>) -> Result<(Plan, Manifests), Error> {
    let wanted = opening::to_open(view.desired, view.live, &view.jobs);
    let compared = compare::compare(world, view, &wanted).await?;
    let problems = match view.keys {
        Keys::Needed => [compared.problems, compared.locked].concat(),
        Keys::IfAtHand => compared.problems,
        Keys::Withheld => open::problems(view.source, &world.keyring, view.class, view.desired, &wanted).await?,
    };
    if !problems.is_empty() {
        return Err(Error::problems(problems));
    }
    let input = PlanInput {
        environment_id: &view.subject.environment_id,
        protected: view.subject.branch.is_none(),
        desired: view.desired,
        live: view.live,
        changes: &compared.changes,
        jobs_done: &view.jobs,
    };
    let plan = planner::plan(&input);
    let mut blocked = blocked::blocked(&input, &plan);
    if !view.again {
        blocked.extend(dangling::problems(&world.cluster, &world.outlines, &input, &plan).await?);
    }
    if blocked.is_empty() { Ok((plan, compared.manifests)) } else { Err(Error::problems(blocked)) }
}
