//! Crash everywhere: whatever request a pass dies at, the next ones bring the environment to the same end.
//!
//! Each story is told once undisturbed and then once for every request of its last pass and each way of dying. A new process
//! (empty memory, a minute later, `take_over`) goes on until nothing is written any more. Then the user's objects are those of the
//! undisturbed run, and so many creates and deletes were needed. osier's own Records may be more: those that were interrupted.
//! What a dead process left in the namespace of a branch is fenced in, and of an environment that is removed nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use osier::cluster::Cluster;
use osier::git::credentials::Credentials;
use osier::git::fetch::{Accepted, Fetch, Known};
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::keys::Keyring;
use osier::model::reason::Reason;
use osier::model::tree::GitId;
use osier::model::wire;
use osier::reconcile::removal::{self, Removal};
use osier::reconcile::settle::Verdict;
use osier::reconcile::world::World as Pass;
use osier::reconcile::{self, Ask, subject};
use osier::sandbox::faults::{Action, Fault, Match};
use osier::sandbox::{RequestLine, Sandbox};
use serde_json::{Value, json};

use crate::scenarios::script::{self, Item};
use crate::scenarios::world::World;
use crate::support::server::Server;

/// A pass that does not come to rest in so many goes never will.
const GOES: usize = 8;

/// A story: what is done up to the last pass, in the language of the scripts. `apply` runs a pass in this process, `make` one of the branch
/// `feature/x`, `remove` one without it; after `remove and make` it is back as soon as that pass died.
const STORIES: [(&str, &str); 10] = [
    ("first apply", include_str!("crash/first-apply.txt")),
    ("update", include_str!("crash/update.txt")),
    ("delete", include_str!("crash/delete.txt")),
    ("rename", include_str!("crash/rename.txt")),
    ("adopt", include_str!("crash/adopt.txt")),
    ("rollback", include_str!("crash/rollback.txt")),
    ("before", include_str!("crash/before.txt")),
    ("branch", include_str!("crash/branch.txt")),
    ("departure", include_str!("crash/departure.txt")),
    ("return", include_str!("crash/return.txt")),
];

/// The branch of the stories that have one.
const BRANCH: &str = "feature/x";

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// An environment of `osier.yaml` is made equal to its commit.
    Apply,
    /// That of a branch is made, or made equal.
    Make,
    /// It is removed.
    Remove,
}

impl Deed {
    fn of(line: &str) -> Option<Deed> {
        match line {
            "apply" => Some(Deed::Apply),
            "make" => Some(Deed::Make),
            "remove" | "remove and make" => Some(Deed::Remove),
            _ => None,
        }
    }
}

/// How a process dies at a request.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// The request was answered, the process dies right after it.
    After,
    /// The request never arrived.
    Before,
    /// The request took effect, its answer is lost, and nothing gets through from then on.
    AnswerLost,
}

/// What is left at the end.
#[derive(Debug, PartialEq)]
struct End {
    objects: Vec<Value>,
    creates: usize,
    deletes: usize,
}

impl End {
    /// True if this is the end of an undisturbed run as well. `comes_back`: what is still there when the branch does is not made again.
    fn equals(&self, undisturbed: &End, comes_back: bool) -> bool {
        let is_same = |one: usize, other: usize| one == other || comes_back && one < other;
        self.objects == undisturbed.objects
            && is_same(self.creates, undisturbed.creates)
            && is_same(self.deletes, undisturbed.deletes)
    }
}

/// A story whose commits are made once; each telling moves the branch over them.
struct Story {
    world: World,
    items: Vec<Item>,
    commits: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_everywhere() {
    let wanted = std::env::var("SCENARIO").ok();
    let stories = STORIES.into_iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == name));
    let told: Vec<_> = stories.map(|(name, text)| tokio::spawn(async move { everywhere(name, text).await })).collect();
    let (stories, mut points, mut violations) = (told.len(), 0, Vec::new());
    for told in told {
        let (count, found) = told.await.unwrap();
        points += count;
        violations.extend(found);
    }
    say(&format!("crash: {points} points in {stories} stories, violations {}", violations.len()));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Tells one story with every death at every request; gives the number of deaths and what was wrong after some.
async fn everywhere(name: &str, text: &str) -> (usize, Vec<String>) {
    let mut story = Story::new(name, text).await;
    let comes_back = story.comes_back();
    let (undisturbed, requests) = story.tell(None).await.unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut violations = Vec::new();
    let deaths = [Death::Before, Death::After, Death::AnswerLost];
    for (request, death) in (1..=requests).flat_map(|request| deaths.map(|death| (request, death))) {
        let why = match story.tell(Some((request, death))).await {
            Ok((end, _)) if end.equals(&undisturbed, comes_back) => continue,
            Ok((end, _)) => difference(&undisturbed, &end),
            Err(why) => why,
        };
        violations.push(format!("{name}, {death:?} request {request}: {why}"));
    }
    say(&format!("crash: {name}: {requests} requests, {} violations", violations.len()));
    (requests * deaths.len(), violations)
}

/// Past the test runner's capture: the figure belongs on the page of a passing run too.
fn say(line: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes()).expect("standard error is open");
}

impl Story {
    /// Makes the commits.
    async fn new(name: &str, text: &str) -> Story {
        let mut world = World::new(Server::sandbox().await).await;
        let items = script::parse(name, text);
        let mut commits = Vec::new();
        for item in &items {
            match item {
                Item::File(file) => world.write(file),
                Item::Command(command) if is_of_the_clone(&command.line) => {
                    run(&mut world, &command.line).await;
                    if command.line.starts_with("push ") {
                        commits.push(run(&mut world, "git rev-parse HEAD").await);
                    }
                }
                Item::Command(_) | Item::Prose(_) => {}
            }
        }
        Story { world, items, commits }
    }

    /// The line of the pass that dies.
    fn last(&self) -> &str {
        let Some(Item::Command(last)) = self.items.last() else { panic!("a story ends with a pass") };
        &last.line
    }

    /// True if the branch is back as soon as that pass died.
    fn comes_back(&self) -> bool {
        self.last().ends_with(" and make")
    }

    /// Tells it on an empty sandbox; its last pass dies as said. Gives the end, and the requests of the last pass if nothing disturbed it.
    async fn tell(&mut self, death: Option<(usize, Death)>) -> Result<(End, usize), String> {
        self.world.start_over().await;
        let sandbox = world_sandbox(&self.world);
        let deed = Deed::of(self.last()).expect("a story ends with a pass");
        self.begin(&sandbox).await?;
        sandbox.forget_requests();
        let home = self.world.name("shop");
        let mut requests = None;
        if let Some((request, death)) = death {
            die(&self.world, &sandbox, request, death, deed).await;
            is_fenced(&sandbox, &branch_environment(&home))?;
        } else if self.comes_back() {
            pass(&self.world, &sandbox, 0, deed).await?;
            requests = Some(sandbox.requests().len());
        }
        let deed = if self.comes_back() { Deed::Make } else { deed };
        let settled = settle(&self.world, &sandbox, deed).await?;
        if deed == Deed::Remove {
            is_empty(&sandbox, &branch_environment(&home))?;
        }
        let end = end(&home, &sandbox, death.map(|(_, death)| death));
        Ok((end, requests.unwrap_or(settled)))
    }

    /// Everything but the last pass.
    async fn begin(&mut self, sandbox: &Sandbox) -> Result<(), String> {
        let mut commits = self.commits.clone().into_iter();
        for item in &self.items[..self.items.len() - 1] {
            let Item::Command(command) = item else { continue };
            match command.line.as_str() {
                line if let Some(deed) = Deed::of(line) => pass(&self.world, sandbox, 0, deed).await?,
                line if line.starts_with("push ") => {
                    let commit = commits.next().expect("each push made a commit");
                    run(&mut self.world, &format!("git update-ref refs/heads/main {commit}")).await;
                }
                line if is_of_the_clone(line) => {}
                line => drop(run(&mut self.world, line).await),
            }
        }
        Ok(())
    }
}

/// What is done once, when the commits are made.
fn is_of_the_clone(line: &str) -> bool {
    Deed::of(line).is_none() && !["osier", "kubectl"].contains(&line.split(' ').next().unwrap_or_default())
}

/// Runs a line of a story, which has to succeed.
async fn run(world: &mut World, line: &str) -> String {
    if let Some(message) = line.strip_prefix("push ") {
        world.push(message).await;
        return String::new();
    }
    let line = world.names.real(line);
    let output = world.run(&line).await;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One process that dies at a request. Whether its pass fails says nothing: it is dead.
async fn die(world: &World, sandbox: &Sandbox, request: usize, death: Death, deed: Deed) {
    let nth = |on, action| Fault { on: Match::Nth(on), action };
    sandbox.set_faults(match death {
        Death::Before => vec![nth(request, Action::StopFromHere)],
        Death::After => vec![nth(request, Action::StopAfter)],
        Death::AnswerLost => vec![nth(request, Action::CommitThenBreak), nth(request + 1, Action::StopFromHere)],
    });
    pass(world, sandbox, 0, deed).await.ok();
    sandbox.set_faults(Vec::new());
}

/// New processes, each a minute after the last, until one writes nothing. Gives the requests of the first.
async fn settle(world: &World, sandbox: &Sandbox, deed: Deed) -> Result<usize, String> {
    let mut first = None;
    for go in 1..=GOES {
        let before = sandbox.requests().len();
        pass(world, sandbox, go, deed).await?;
        let requests = sandbox.requests().split_off(before);
        first.get_or_insert(requests.len());
        if !requests.iter().any(RequestLine::is_mutating) {
            return Ok(first.unwrap_or_default());
        }
    }
    Err(format!("still writing after {GOES} passes"))
}

/// One pass of a process that remembers nothing.
async fn pass(world: &World, sandbox: &Sandbox, minutes: usize, deed: Deed) -> Result<(), String> {
    // a pass holds what is not Send (a clone, a memory): it has a thread of its own
    let (sandbox, name, mirror) = (sandbox.clone(), world.name("shop"), world.path(&format!("mirror-{minutes}")));
    let url = world.path("clone").display().to_string();
    let keys = world.path(if deed == Deed::Apply { "keys" } else { "keys-branches" });
    let pass = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                // a process whose connection broke is dead: it tries nothing again
                () = connection_broke(&sandbox) => Err("the process died".to_owned()),
                ended = one_pass(sandbox.clone(), &name, mirror, &url, &keys, minutes, deed) => ended,
            }
        })
    };
    tokio::task::spawn_blocking(pass).await.map_err(|error| error.to_string())?
}

async fn connection_broke(sandbox: &Sandbox) {
    let before = sandbox.requests().len();
    while sandbox.requests()[before..].iter().all(|line| line.status != 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn one_pass(
    sandbox: Sandbox,
    name: &str,
    mirror: PathBuf,
    url: &str,
    keys: &Path,
    minutes: usize,
    deed: Deed,
) -> Result<(), String> {
    std::fs::create_dir_all(&mirror).map_err(|error| error.to_string())?;
    let cluster = Cluster::new(Client::new(sandbox.service(), "default"));
    let repository = cluster.repository(name).await.map_err(|error| said(&error))?;
    let fingerprint_key = cluster.fingerprint_key(&repository.spec.home).await.map_err(|error| said(&error))?;
    let remotes = Remotes::new(url, &[], Credentials::default()).map_err(|error| said(&error))?;
    let mirror = Mirror::open(&mirror, remotes).await.map_err(|error| said(&error))?;
    let keyring = Keyring::from_directory(keys).0;
    let now = [now_0, now_1, now_2, now_3, now_4, now_5, now_6, now_7, now_8][minutes];
    let mut pass = Pass::new(cluster, repository, mirror, keyring, fingerprint_key, now);
    let mut ask = Ask::by_person("staging");
    ask.take_over = true;
    if deed != Deed::Apply {
        ask.environment = branch_environment(name);
        let known = known(&pass.mirror).await?;
        if deed == Deed::Remove {
            return remove(&mut pass, &ask.environment, known.tip()).await;
        }
        let there = pass.cluster.environment(name, &ask.environment).await.map_err(|error| said(&error))?;
        if there.is_none() {
            let reference = format!("refs/heads/{BRANCH}");
            let made = pass.cluster.create_branch_environment(name, name, &ask.environment, &reference).await;
            made.map_err(|error| said(&error))?;
        }
        ask.tip = Some(known);
    }
    let settled = reconcile::reconcile(&mut pass, &ask).await.map_err(|error| said(&error))?;
    let is_well = settled.verdict.ready || settled.verdict.waits();
    if is_well { Ok(()) } else { Err(settled.verdict.message) }
}

fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(|cause| format!(": {cause}"));
    format!("{error}{}", causes.collect::<String>())
}

/// Name of the branch's environment and of its namespace.
fn branch_environment(repository: &str) -> String {
    wire::branch_namespace(&format!("{repository}-b"), "x", repository, &format!("refs/heads/{BRANCH}"))
}

/// What a look at the remote shows, with all branches.
async fn known(mirror: &Mirror) -> Result<Known, String> {
    let Fetch::Known(known) = mirror.fetch("main", Accepted::default()).await.map_err(|error| said(&error))? else {
        return Err("the remote says nothing".to_owned());
    };
    let looked = mirror.branches("main", known, |_| true).await.map_err(|error| said(&error))?;
    looked.map_err(|unknown| said(&unknown))?.ok_or_else(|| "the protected branch moved".to_owned())
}

/// What the task of the environment does once its branch is known to be gone.
async fn remove(pass: &mut Pass, name: &str, main: GitId) -> Result<(), String> {
    subject::read(pass, name).await.map_err(|error| said(&error))?;
    let terms = removal::terms(pass, name, main).await;
    for _ in 0..GOES {
        match removal::remove(pass, name, &terms).await.map_err(|error| said(&error))? {
            Removal::Deleting(_) => {}
            Removal::Kept(why) => return Err(why),
            Removal::Gone => {
                let message = "gone".to_owned();
                let verdict = Verdict { ready: false, reason: Reason::Gone, message, stalled: false };
                return removal::end(pass, name, &verdict, None).await.map_err(|error| said(&error));
            }
        }
    }
    Err(format!("the namespace is still there after {GOES} looks"))
}

/// A clock that stands still, so many minutes after the first.
macro_rules! clocks {
    ($($name:ident: $minutes:literal)*) => {
        $(fn $name() -> Timestamp {
            Timestamp::from_second(1_800_000_000 + 61 * $minutes).expect("in range")
        })*
    };
}
clocks!(now_0: 0 now_1: 1 now_2: 2 now_3: 3 now_4: 4 now_5: 5 now_6: 6 now_7: 7 now_8: 8);

fn world_sandbox(world: &World) -> Sandbox {
    match &world.server {
        Server::Sandbox(loopback) => loopback.sandbox.clone(),
        Server::Real(_) => unreachable!("this world has a sandbox"),
    }
}

/// The user's objects as far as two runs can be compared, and what was needed for them: everything that is not in the home namespace.
///
/// Of the requests without an answer the first took effect if the answer alone was lost; the others never arrived.
fn end(home: &str, sandbox: &Sandbox, death: Option<Death>) -> End {
    let user = |object: &Value| object["kind"] != "Event" && place(object).is_some_and(|place| place != home);
    let objects = sandbox.dump().into_iter().filter(user).map(comparable).collect();
    let requests = sandbox.requests();
    let lost = requests.iter().position(|line| line.status == 0).filter(|_| matches!(death, Some(Death::AnswerLost)));
    let count = |verb: &str| {
        let done = |(index, line): &(usize, &RequestLine)| {
            let took_effect = (200..300).contains(&line.status) || Some(*index) == lost;
            let is_users = !["", home].contains(&line.namespace.as_str()) || line.resource == "namespaces";
            line.verb == verb && is_users && took_effect
        };
        requests.iter().enumerate().filter(done).count()
    };
    End { objects, creates: count("create"), deletes: count("delete") }
}

/// The namespace that an object is in, or is.
fn place(object: &Value) -> Option<&str> {
    let field = if object["kind"] == "Namespace" { "name" } else { "namespace" };
    object["metadata"][field].as_str()
}

fn in_place(sandbox: &Sandbox, namespace: &str) -> Vec<Value> {
    sandbox.dump().into_iter().filter(|object| place(object) == Some(namespace)).collect()
}

/// Nothing of osier's is in the namespace of a branch before the template's fence is, wherever a process died.
fn is_fenced(sandbox: &Sandbox, namespace: &str) -> Result<(), String> {
    let found = in_place(sandbox, namespace);
    let is_there = found.iter().any(|object| object["kind"] == "NetworkPolicy");
    let ours = |object: &&Value| object["metadata"]["labels"]["osier.dev/environment"].is_string();
    match found.iter().filter(ours).find(|object| object["kind"] != "Namespace") {
        Some(object) if !is_there => Err(format!("without a fence: {}/{}", object["kind"], object["metadata"]["name"])),
        _ => Ok(()),
    }
}

/// Neither the namespace nor anything in it is left.
fn is_empty(sandbox: &Sandbox, namespace: &str) -> Result<(), String> {
    let found = in_place(sandbox, namespace);
    let named: Vec<String> =
        found.iter().map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"])).collect();
    if named.is_empty() { Ok(()) } else { Err(format!("left over: {}", named.join(", "))) }
}

/// Without what is another one in each run: ids, times, numbers of Records, digests of who owns which field since when.
fn comparable(mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        metadata[field] = json!(null);
    }
    for name in ["record", "fields", "inputs", "fingerprint", "environment", "config", "adopted-config"] {
        let name = format!("osier.dev/{name}");
        metadata["annotations"][&name] = json!(metadata["annotations"].get(&name).is_some());
    }
    metadata["labels"]["osier.dev/environment"] = json!(metadata["labels"].get("osier.dev/environment").is_some());
    let config = &mut object["spec"]["template"]["metadata"]["annotations"]["osier.dev/config"];
    *config = json!(config.is_string());
    object
}

/// The first few leaves that differ, by object.
fn difference(expected: &End, actual: &End) -> String {
    let [one, two] = [expected, actual].map(|end| {
        let mut leaves = BTreeMap::new();
        for object in &end.objects {
            let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            collect(object, format!("{}/{}", name(&object["kind"]), name(&object["metadata"]["name"])), &mut leaves);
        }
        leaves
    });
    let paths: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    let differing = paths.into_iter().filter(|path| one.get(*path) != two.get(*path));
    let differing: Vec<String> =
        differing.take(5).map(|path| format!("{path}: {:?} instead of {:?}", two.get(path), one.get(path))).collect();
    format!(
        "creates {} instead of {}, deletes {} instead of {}, {}",
        actual.creates,
        expected.creates,
        actual.deletes,
        expected.deletes,
        differing.join("; ")
    )
}

fn collect(value: &Value, path: String, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(name, below)| collect(below, format!("{path}.{name}"), leaves));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(index, below)| collect(below, format!("{path}[{index}]"), leaves));
        }
        leaf => drop(leaves.insert(path, leaf.clone())),
    }
}
