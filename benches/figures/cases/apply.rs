//! Environments on an API server: first apply, one commit after another, and a bare client beside them.

use std::time::{Duration, Instant};

use osier::reconcile::world::World;
use osier::reconcile::{Ask, reconcile};

use crate::cases::Size;
use crate::cases::bare::Bare;
use crate::cases::place::{self, Place, Shape};
use crate::cases::seen::Requests;
use crate::process::{Spread, count, cpu, memory, short, spread};
use crate::table::Row;

/// Commits that are timed, each beside one write of the bare client.
const ROUNDS: usize = 21;

/// One commit in a process that knows the environment.
struct Commit {
    time: Duration,
    cpu: Duration,
    requests: Requests,
    /// Read for outlines, and opened.
    files: (u64, u64),
}

/// First applies of the same objects: osier's and the bare client's.
struct Cold {
    osier: Vec<Duration>,
    bare: Vec<Duration>,
    cpu: Duration,
    /// Before and at its highest, in MiB.
    memory: (u64, u64),
}

/// All rows of an environment of `objects` objects.
pub async fn rows(objects: usize, size: Size) -> Vec<Row> {
    let (repeats, rounds) = match size {
        Size::Small => (1, 2),
        Size::Full if objects > 5_000 => (2, ROUNDS),
        Size::Full => (3, ROUNDS),
    };
    let shape = Shape { objects, environments: repeats, directories: 1, copies: repeats };
    let mut place = Place::new(place::api_server(size).await, "env", shape).await;
    place.repository.seed(&place.path("mirror"));
    let bare = Bare::new(&place).await;
    let (cold, mut world) = cold(&place, &bare, repeats).await;
    let (mut next, several) = (0, 10);
    let one = commits(&mut place, &mut world, &bare, &mut next, 1, rounds).await;
    let ten = commits(&mut place, &mut world, &bare, &mut next, several, 1).await;
    let start = fresh(&mut place, &mut next).await;
    let mut rows = requests((objects, several), &one.0, &ten.0, &start);
    if objects > 100 || size == Size::Small {
        rows.extend(times(objects, one));
        rows.extend(cold_rows(objects, cold));
    }
    rows
}

/// Applies the environments `0` to `repeats`, each beside the bare client; gives back the World of the last.
async fn cold(place: &Place, bare: &Bare, repeats: usize) -> (Cold, World) {
    let mut cold = Cold { osier: Vec::new(), bare: Vec::new(), cpu: Duration::ZERO, memory: (memory("VmRSS"), 0) };
    let mut last = None;
    for environment in 0..repeats {
        drop(last.take());
        let mut world = place.world().await;
        let (begin, used) = (Instant::now(), cpu());
        apply(place, &mut world, environment).await;
        cold.osier.push(begin.elapsed());
        if environment == 0 {
            cold.cpu = cpu() - used;
            cold.memory.1 = memory("VmHWM");
        }
        last = Some(world);
        let bodies = bare.bodies(place, environment).await;
        cold.bare.push(bare.create(place, environment, bodies).await);
    }
    (cold, last.expect("there is at least one"))
}

async fn apply(place: &Place, world: &mut World, environment: usize) {
    let settled = reconcile(world, &Ask::by_person(&place.environment(environment))).await;
    let settled = settled.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(settled.verdict.ready, "{}", settled.verdict.message);
}

/// Commits that change `changed` objects each, applied by a process that has applied before; after each, one write of the bare client.
async fn commits(
    place: &mut Place,
    world: &mut World,
    bare: &Bare,
    next: &mut usize,
    changed: usize,
    rounds: usize,
) -> (Vec<Commit>, Vec<Duration>) {
    let (mut commits, mut writes) = (Vec::new(), Vec::new());
    let mut known = place.seen().await;
    for _ in 0..rounds {
        *next += 1;
        place.commit(place.workload.changed(Some(0), *next * changed..(*next + 1) * changed, *next));
        let files = |world: &World| (world.outlines.files_read(), world.keyring.unwraps());
        let before = files(world);
        let (begin, used) = (Instant::now(), cpu());
        apply(place, world, place.environments - 1).await;
        let (time, used, after) = (begin.elapsed(), cpu() - used, files(world));
        let seen = place.seen().await;
        let requests = seen.since(&known);
        known = seen;
        commits.push(Commit { time, cpu: used, requests, files: (after.0 - before.0, after.1 - before.1) });
        writes.push(bare.write(place).await);
    }
    (commits, writes)
}

/// One commit applied by a process that starts with nothing but its kubeconfig and its mirror, as `osier apply` does.
async fn fresh(place: &mut Place, next: &mut usize) -> Commit {
    *next += 1;
    place.commit(place.workload.changed(Some(0), *next..*next + 1, *next));
    let (known, begin, used) = (place.seen().await, Instant::now(), cpu());
    let mut world = place.world().await;
    apply(place, &mut world, place.environments - 1).await;
    let (time, used) = (begin.elapsed(), cpu() - used);
    let requests = place.seen().await.since(&known);
    Commit { time, cpu: used, requests, files: (world.outlines.files_read(), world.keyring.unwraps()) }
}

fn requests((objects, several): (usize, usize), one: &[Commit], ten: &[Commit], start: &Commit) -> Vec<Row> {
    let row = |goal: &str, commits: &[Commit], changed: usize, process: &str| {
        let seen = &commits.iter().max_by_key(|commit| commit.requests.pass).expect("there is a commit").requests;
        let figure = format!("start {}, lists {}, pass {}", seen.start, seen.lists, seen.pass);
        Row::new(
            goal,
            format!("requests of a commit, N = {}, C = {changed}{process}", count(objects)),
            figure,
            seen.source,
        )
    };
    let files = |commits: &[Commit]| {
        let most = commits.iter().map(|commit| commit.files).max().unwrap_or_default();
        format!("{}, {}", most.0, most.1)
    };
    vec![
        row("G1", one, 1, ""),
        Row::new("", "  files read for outlines, opened", files(one), "most of all commits"),
        row("G1", ten, several, ""),
        Row::new("", "  files read for outlines, opened", files(ten), "one commit"),
        row("", std::slice::from_ref(start), 1, ", new process"),
    ]
}

fn times(objects: usize, (commits, writes): (Vec<Commit>, Vec<Duration>)) -> Vec<Row> {
    let how = format!("{} commits, interleaved, median (least to most)", commits.len());
    let of = |part: fn(&Commit) -> Duration| -> Spread { spread(commits.iter().map(part).collect()) };
    vec![
        Row::new(
            "G3",
            format!("apply of one object, N = {}", count(objects)),
            of(|commit| commit.time).to_string(),
            how,
        ),
        Row::new("", "  one write of a bare client", spread(writes).to_string(), "same run, JSON patch of data"),
        Row::new("", "  osier's CPU for it", of(|commit| commit.cpu).to_string(), "all its threads"),
    ]
}

fn cold_rows(objects: usize, cold: Cold) -> Vec<Row> {
    let Cold { osier, bare, cpu, memory } = cold;
    let repeats = osier.len();
    let (osier, bare) = (spread(osier), spread(bare));
    let ratio = osier.median.as_secs_f64() / bare.median.as_secs_f64();
    vec![
        Row::new(
            "G5",
            format!("first apply of {} objects", count(objects)),
            format!("{ratio:.2} x a bare client's POSTs"),
            format!("medians of {repeats}, interleaved, goal 1.15"),
        ),
        Row::new("", "  osier, bare client", format!("{osier}; {bare}"), "same bodies, 32 at once"),
        Row::new(
            "",
            "  osier's CPU, peak memory",
            format!("{}, {} MiB (before {})", short(cpu), memory.1, memory.0),
            "first of them; VmHWM",
        ),
    ]
}
