//! One changed file among many, from the new commit to the plan: no request, and nothing that grows with the files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use osier::desired::config::{EnvironmentConfig, Mode};
use osier::desired::set::{Desired, DesiredSet, Parameters};
use osier::git::credentials::Credentials;
use osier::git::fetch::{Accepted, Fetch};
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::keys::{self, Keyring};
use osier::model::cleartext::Cleartext;
use osier::model::object::ObjectId;
use osier::model::repository::{Repository as Grant, RepositorySpec};
use osier::model::tree::GitId;
use osier::model::wire::FingerprintKey;
use osier::planning::changes::{Change, Changes};
use osier::planning::live::{Live, LiveSet, Mark, Ownership, Stamps};
use osier::planning::plan::{Plan, PlanInput};
use osier::planning::{diff, fingerprint, immutable, opening, planner};
use osier::reconcile::desire::{self, Before, Composed, Outlines};
use osier::reconcile::open;
use osier::reconcile::source::Source;

use crate::process::{count, cpu, memory, short, spread};
use crate::repository::Repository;
use crate::table::Row;
use crate::workload::Workload;

/// Commits that are planned.
const ROUNDS: usize = 21;
const ENVIRONMENT_ID: &str = "figures";

/// CPU time and time of each round's steps.
#[derive(Default)]
struct Spent {
    advance: Vec<Duration>,
    open: Vec<Duration>,
    plan: Vec<Duration>,
    all: Vec<Duration>,
    time: Vec<Duration>,
    files: u64,
    opened: u64,
}

/// What is kept between rounds.
struct Pass {
    mirror: Mirror,
    keyring: Keyring,
    fingerprint_key: FingerprintKey,
    outlines: Outlines,
    live: LiveSet,
}

pub async fn rows(files: usize, directories: usize) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("there is room for a repository");
    let (remote, local, keys) =
        (folder.path().join("remote"), folder.path().join("mirror"), folder.path().join("keys"));
    for directory in [&remote, &keys] {
        std::fs::create_dir(directory).expect("there is room for a directory");
    }
    let (identity, recipient) = keys::generate();
    std::fs::write(keys.join("figures.txt"), identity.expose()).expect("there is room for keys");
    // half of the objects in the base, the other half and a twentieth in each directory
    let objects = files * 100 / (50 + 55 * directories);
    let recipient = recipient.parse().expect("osier makes a recipient of age");
    let workload = Workload { objects, directories, recipient };
    let mut repository = Repository::new(&remote);
    repository.commit(workload.files());
    repository.seed(&local);

    let remotes = Remotes::new(&repository.url(), &[], Credentials::default()).expect("a path is a place");
    let mirror = Mirror::open(&local, remotes).await.expect("a mirror opens");
    let fingerprint_key = FingerprintKey(Cleartext::new(vec![7; 32]));
    let (keyring, _) = Keyring::from_directory(&keys);
    let mut pass = Pass { mirror, keyring, fingerprint_key, outlines: Outlines::default(), live: LiveSet::default() };
    let first = fetch(&pass.mirror).await;
    let source = Source::Mirror(pass.mirror.clone(), first);
    let begin = Instant::now();
    let mut composed = desire::whole(&pass.outlines, &source, first, scope(first)).await.expect("no problems");
    let cold = (begin.elapsed(), pass.outlines.files_read());
    pass.live = live(composed.composition.current());
    let mut spent = Spent::default();
    for round in 1..=ROUNDS {
        repository.commit(workload.changed(Some(0), round..round + 1, round).into_iter().map(|changed| changed.file));
        let commit = fetch(&pass.mirror).await;
        composed = pass.round(composed, commit, &mut spent).await;
    }
    table(&workload, cold, spent)
}

impl Pass {
    async fn round(&mut self, old: Composed, commit: GitId, spent: &mut Spent) -> Composed {
        let (begin, files, opened) = (Instant::now(), self.outlines.files_read(), self.keyring.unwraps());
        let start = cpu();
        let advanced = desire::advance(&self.outlines, &self.mirror, old, commit, parameters(commit)).await;
        let (composed, before) = advanced.expect("no problems");
        let advanced = cpu();
        let desired = composed.composition.current();
        let wanted: BTreeSet<ObjectId> = opening::to_open(desired, &self.live, &[]).into_iter().cloned().collect();
        let looked = cpu();
        let changes = self.changes(commit, desired, &before, &wanted).await;
        let changed = cpu();
        let input = PlanInput {
            environment_id: ENVIRONMENT_ID,
            protected: true,
            desired,
            live: &self.live,
            changes: &changes,
            jobs_done: &[],
        };
        let plan = planner::plan(&input);
        let end = cpu();
        spent.time.push(begin.elapsed());
        spent.advance.push(advanced - start);
        spent.open.push(changed - looked);
        spent.plan.push((looked - advanced) + (end - changed));
        spent.all.push(end - start);
        spent.files += self.outlines.files_read() - files;
        spent.opened += self.keyring.unwraps() - opened;
        assert_eq!(plan.steps.len(), 1, "one changed object");
        assert!(!plan.steps[0].stamps_only, "a changed value");
        self.carry_out(&plan);
        composed
    }

    /// As `reconcile::prepare` compares objects with their predecessors.
    async fn changes(&self, commit: GitId, now: &DesiredSet, before: &Before, wanted: &BTreeSet<ObjectId>) -> Changes {
        let source = Source::Mirror(self.mirror.clone(), commit);
        let was = |object: &ObjectId| Some((object.clone(), before.of(object, now)?.clone()));
        let then = DesiredSet { objects: wanted.iter().filter_map(was).collect() };
        let new = open::open(&source, &self.keyring, None, now, wanted, None).await.expect("files are there").manifests;
        let old =
            open::open(&source, &self.keyring, None, &then, wanted, None).await.expect("files are there").manifests;
        let change = |object: &ObjectId| {
            let (old, new) = (old.get(object), new.get(object));
            let change = Change {
                predecessor: then.objects.get(object).map(|desired| desired.inputs.to_string()),
                fingerprint: new.and_then(|new| fingerprint::fingerprint(&self.fingerprint_key, ENVIRONMENT_ID, new)),
                leaves: diff::changes(old, new).into(),
                immutable: old.zip(new).map(|(old, new)| immutable::immutable(old, new)).unwrap_or_default(),
            };
            (object.clone(), change)
        };
        Changes { objects: wanted.iter().map(change).collect() }
    }

    fn carry_out(&mut self, plan: &Plan) {
        for step in &plan.steps {
            let live = self.live.get_mut(&step.object).expect("every object is live");
            live.stamps.inputs = Some(step.inputs.as_str().into());
            live.stamps.fingerprint = step.fingerprint.as_deref().map(Into::into);
        }
    }
}

async fn fetch(mirror: &Mirror) -> GitId {
    match mirror.fetch("main", Accepted::default()).await.expect("the mirror is sound") {
        Fetch::Known(known) => known.tip(),
        Fetch::Unknown(unknown) => panic!("{unknown}"),
    }
}

fn parameters(commit: GitId) -> Parameters {
    osier::reconcile::target::parameters("figures", "figures", "main", "figures", commit)
}

fn scope(commit: GitId) -> osier::desired::compose::Scope {
    let caps = BTreeMap::from([("files".to_owned(), 200_000), ("bytes".to_owned(), 1 << 30)]);
    let spec = serde_json::json!({"url": "", "home": "", "caps": caps});
    let spec: RepositorySpec = serde_json::from_value(spec).expect("the fields have defaults");
    let entry = EnvironmentConfig {
        namespace: "figures".to_owned(),
        layers: Workload::layers(0),
        keys: None,
        cluster: None,
        isolation: None,
        generate: BTreeMap::new(),
        mode: Mode::Apply,
        line: 0,
    };
    desire::scope(Some(&Grant::new("figures", spec)), "figures", &entry, &entry.layers, &parameters(commit))
}

/// The cluster as the apply of a desired set leaves it.
fn live(desired: &DesiredSet) -> LiveSet {
    let mut live = LiveSet::default();
    for kind in desired.kinds() {
        let objects = desired.objects.iter().filter(|(object, _)| object.kind == kind);
        live.replace(&kind, objects.map(|(object, desired)| (object.clone(), applied(desired))).collect());
    }
    live
}

fn applied(desired: &Desired) -> Live {
    Live {
        uid: "1c2d3e4f-0000-0000-0000-000000000000".into(),
        resource_version: "1".into(),
        ownership: Ownership { label: Mark::Ours, annotation: Mark::Ours, entry: true },
        stamps: Stamps {
            inputs: Some(desired.inputs.as_str().into()),
            fingerprint: Some(desired.inputs.as_str().into()),
            record: Some(1),
            fields_fit: true,
        },
        created_by_post: true,
        ..Live::default()
    }
}

fn table(workload: &Workload, cold: (Duration, u64), spent: Spent) -> Vec<Row> {
    let Spent { advance, open, plan, all, time, files, opened } = spent;
    let rounds = time.len();
    let what = format!(
        "plan of one change, {} files, {} objects in its environment",
        count(workload.count()),
        count(workload.objects)
    );
    let parts = [advance, open, plan].map(|all| short(spread(all).median));
    let each = |total: u64| format!("{:.1}", total as f64 / rounds as f64);
    vec![
        Row::new("G10", &what, format!("CPU {}", spread(all)), format!("{rounds} commits, median (least to most)")),
        Row::new("", "  of that: desired set, files, plan", parts.join(", "), "medians of CPU"),
        Row::new("", "  time", format!("{}", spread(time)), "without fetch; requests 0: it has no client"),
        Row::new(
            "",
            "  files read for outlines, opened",
            format!("{}, {}", each(files), each(opened)),
            "mean a commit",
        ),
        Row::new(
            "",
            "  first composition, files, memory",
            format!(
                "{}, {}, {} MiB",
                short(cold.0),
                count(usize::try_from(cold.1).unwrap_or_default()),
                memory("VmHWM")
            ),
            "time; peak of the process",
        ),
    ]
}
