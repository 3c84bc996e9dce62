//! Crash everywhere: whatever request a pass dies at, the next ones bring the environment to the same end.
//!
//! Each story is told once undisturbed and then once for every request of its last pass and each way of dying. A new process
//! (empty memory, a minute later, `take_over`) goes on until nothing is written any more. Then the user's objects are those of the
//! undisturbed run, and so many creates and deletes were needed. osier's own Records may be more: those that were interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use osier::cluster::Cluster;
use osier::git::credentials::Credentials;
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::keys::Keyring;
use osier::reconcile::world::World as Pass;
use osier::reconcile::{self, Ask};
use osier::sandbox::faults::{Action, Fault, Match};
use osier::sandbox::{RequestLine, Sandbox};
use serde_json::{Value, json};

use crate::scenarios::script::{self, Item};
use crate::scenarios::world::{KEYS, World};
use crate::support::server::Server;

/// A pass that does not come to rest in so many goes never will.
const GOES: usize = 8;

/// A story: what is done up to the last pass, in the language of the scripts. `apply` runs a pass in this process.
const STORIES: [(&str, &str); 7] = [
    ("first apply", include_str!("crash/first-apply.txt")),
    ("update", include_str!("crash/update.txt")),
    ("delete", include_str!("crash/delete.txt")),
    ("rename", include_str!("crash/rename.txt")),
    ("adopt", include_str!("crash/adopt.txt")),
    ("rollback", include_str!("crash/rollback.txt")),
    ("before", include_str!("crash/before.txt")),
];

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
    let (undisturbed, requests) = story.tell(None).await.unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut violations = Vec::new();
    let deaths = [Death::Before, Death::After, Death::AnswerLost];
    for (request, death) in (1..=requests).flat_map(|request| deaths.map(|death| (request, death))) {
        let why = match story.tell(Some((request, death))).await {
            Ok((end, _)) if end == undisturbed => continue,
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

    /// Tells it on an empty sandbox; its last pass dies as said. Gives the end, and the requests of the last pass if nothing disturbed it.
    async fn tell(&mut self, death: Option<(usize, Death)>) -> Result<(End, usize), String> {
        self.world.start_over().await;
        let sandbox = world_sandbox(&self.world);
        let mut commits = self.commits.clone().into_iter();
        let last = self.items.len() - 1;
        for item in self.items[..last].iter().cloned() {
            let Item::Command(command) = item else { continue };
            match command.line.as_str() {
                "apply" => pass(&self.world, &sandbox, 0).await?,
                line if line.starts_with("push ") => {
                    let commit = commits.next().expect("each push made a commit");
                    run(&mut self.world, &format!("git update-ref refs/heads/main {commit}")).await;
                }
                line if is_of_the_clone(line) => {}
                line => drop(run(&mut self.world, line).await),
            }
        }
        sandbox.forget_requests();
        if let Some((request, death)) = death {
            die(&self.world, &sandbox, request, death).await;
        }
        let requests = settle(&self.world, &sandbox).await?;
        Ok((end(&self.world, &sandbox, death.map(|(_, death)| death)), requests))
    }
}

/// What is done once, when the commits are made.
fn is_of_the_clone(line: &str) -> bool {
    !["apply", "osier", "kubectl"].contains(&line.split(' ').next().unwrap_or_default())
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
async fn die(world: &World, sandbox: &Sandbox, request: usize, death: Death) {
    let nth = |on, action| Fault { on: Match::Nth(on), action };
    sandbox.set_faults(match death {
        Death::Before => vec![nth(request, Action::StopFromHere)],
        Death::After => vec![nth(request, Action::StopAfter)],
        Death::AnswerLost => vec![nth(request, Action::CommitThenBreak), nth(request + 1, Action::StopFromHere)],
    });
    pass(world, sandbox, 0).await.ok();
    sandbox.set_faults(Vec::new());
}

/// New processes, each a minute after the last, until one writes nothing. Gives the requests of the first.
async fn settle(world: &World, sandbox: &Sandbox) -> Result<usize, String> {
    let mut first = None;
    for go in 1..=GOES {
        let before = sandbox.requests().len();
        pass(world, sandbox, go).await?;
        let requests = sandbox.requests().split_off(before);
        first.get_or_insert(requests.len());
        if !requests.iter().any(RequestLine::is_mutating) {
            return Ok(first.unwrap_or_default());
        }
    }
    Err(format!("still writing after {GOES} passes"))
}

/// One pass of a process that remembers nothing.
async fn pass(world: &World, sandbox: &Sandbox, minutes: usize) -> Result<(), String> {
    // a pass holds what is not Send (a clone, a memory): it has a thread of its own
    let (sandbox, name, mirror) = (sandbox.clone(), world.name("shop"), world.path(&format!("mirror-{minutes}")));
    let url = world.path("clone").display().to_string();
    let pass = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                // a process whose connection broke is dead: it tries nothing again
                () = connection_broke(&sandbox) => Err("the process died".to_owned()),
                ended = one_pass(sandbox.clone(), &name, mirror, &url, minutes) => ended,
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

async fn one_pass(sandbox: Sandbox, name: &str, mirror: PathBuf, url: &str, minutes: usize) -> Result<(), String> {
    std::fs::create_dir_all(&mirror).map_err(|error| error.to_string())?;
    let cluster = Cluster::new(Client::new(sandbox.service(), "default"));
    let said = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(error.source(), |cause| cause.source()).map(|cause| format!(": {cause}"));
        format!("{error}{}", causes.collect::<String>())
    };
    let repository = cluster.repository(name).await.map_err(|error| said(&error))?;
    let fingerprint_key = cluster.fingerprint_key(&repository.spec.home).await.map_err(|error| said(&error))?;
    let remotes = Remotes::new(url, &[], Credentials::default()).map_err(|error| said(&error))?;
    let mirror = Mirror::open(&mirror, remotes).await.map_err(|error| said(&error))?;
    let keyring = Keyring::from_directory(KEYS.as_ref()).0;
    let now = [now_0, now_1, now_2, now_3, now_4, now_5, now_6, now_7, now_8][minutes];
    let mut pass = Pass::new(cluster, repository, mirror, keyring, fingerprint_key, now);
    let mut ask = Ask::by_person("staging");
    ask.take_over = true;
    let settled = reconcile::reconcile(&mut pass, &ask).await.map_err(|error| said(&error))?;
    let is_well = settled.verdict.ready || settled.verdict.waits();
    if is_well { Ok(()) } else { Err(settled.verdict.message) }
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

/// The user's objects as far as two runs can be compared, and what was needed for them.
///
/// Of the requests without an answer the first took effect if the answer alone was lost; the others never arrived.
fn end(world: &World, sandbox: &Sandbox, death: Option<Death>) -> End {
    let namespace = world.name("shop-staging");
    let user = |object: &Value| object["metadata"]["namespace"] == namespace.as_str() && object["kind"] != "Event";
    let objects = sandbox.dump().into_iter().filter(user).map(comparable).collect();
    let requests = sandbox.requests();
    let lost = requests.iter().position(|line| line.status == 0).filter(|_| matches!(death, Some(Death::AnswerLost)));
    let count = |verb: &str| {
        let done = |(index, line): &(usize, &RequestLine)| {
            let took_effect = (200..300).contains(&line.status) || Some(*index) == lost;
            line.verb == verb && line.namespace == namespace && took_effect
        };
        requests.iter().enumerate().filter(done).count()
    };
    End { objects, creates: count("create"), deletes: count("delete") }
}

/// Without what is another one in each run: ids, times, numbers of Records, digests of who owns which field since when.
fn comparable(mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace"] {
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
