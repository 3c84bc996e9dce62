//! More and more objects: memory of the service after it has applied them, and after it was started again beside them.

use std::time::{Duration, Instant};

use osier::model::object::Kind;
use osier::planning::live::LiveSet;

use crate::cases::Size;
use crate::cases::place::{self, Place, Shape};
use crate::cases::seen::by_verb;
use crate::cases::service::controller::Controller;
use crate::cases::service::{APPLIED, PASSES, rest};
use crate::process::{count, memory_of, short, slope};
use crate::table::Row;
use crate::workload::File;

/// Times that the live objects are listed to see what they take.
const ROUNDS: usize = 20;

/// What was seen of one number of objects.
struct Stage {
    objects: usize,
    /// RssAnon in bytes after the apply and after the restart.
    memory: [u64; 2],
    /// From the start of the process until each environment was looked at.
    restart: Duration,
    /// Besides the Lease.
    writes: usize,
    decrypts: f64,
    requests: String,
    source: &'static str,
}

/// Each environment has as many objects as the first of `counts`.
pub async fn rows(counts: &[usize], size: Size) -> Vec<Row> {
    let each = counts[0];
    let environments = counts[counts.len() - 1] / each;
    let shape = Shape { objects: each, environments, directories: environments, copies: 0 };
    let mut place = Place::bare(place::api_server(size).await, "env", shape).await;
    let files: Vec<File> = place.workload.files().chain([place.config(0..1)]).collect();
    place.repository.commit(files.into_iter());
    let mut controller = Controller::start(&place, "service", &place::osier()).await;
    let mut stages = Vec::new();
    for objects in counts {
        let environments = objects / each;
        let config = place.config(0..environments);
        place.repository.commit(std::iter::once(config));
        controller.counts(APPLIED, environments).await;
        rest(size).await;
        let applied = controller.memory();
        // the first restart says at once what would else be said within a minute: that a commit changed nothing here
        (controller, _) = again(&place, controller, environments).await;
        rest(size).await;
        let known = place.seen().await;
        let restart;
        (controller, restart) = again(&place, controller, environments).await;
        rest(size).await;
        let seen = place.seen().await;
        let new = seen.after(&known);
        stages.push(Stage {
            objects: *objects,
            memory: [applied, controller.memory()],
            restart,
            writes: new.iter().filter(|request| request.is_write() && request.resource != "leases").count(),
            decrypts: controller.metric("osier_decrypts_total").await,
            requests: by_verb(new),
            source: seen.source,
        });
    }
    let mut rows: Vec<Row> = stages.iter().flat_map(|stage| of(stage, each)).collect();
    rows.push(memory(&stages));
    controller.stop();
    rows.push(live_set(&place, environments).await);
    rows
}

/// What is kept of the live objects alone. The first half of the lists fills the room that is left of other work, so that what the second adds
/// is what it holds.
async fn live_set(place: &Place, environments: usize) -> Row {
    let cluster = place.world().await.cluster;
    let kinds = ["ConfigMap", "Secret"].map(|kind| Kind::new("", kind)).into();
    let mut sets: Vec<LiveSet> = Vec::new();
    let mut before = 0;
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            before = memory_of("self", "RssAnon");
        }
        for environment in 0..environments {
            let name = place.environment(environment);
            let found = cluster.environment(&place.home(), &name).await.expect("the API server answers");
            let id = found.and_then(|found| found.status).expect("it was applied").id;
            sets.push(cluster.live(&name, &kinds, &id).await.expect("the API server answers"));
        }
    }
    let objects: usize = sets.iter().skip(sets.len() / 2).map(LiveSet::len).sum();
    let each = memory_of("self", "RssAnon").saturating_sub(before) / objects as u64;
    let how = format!("RssAnon, of {} in this process", count(objects));
    Row::new("G7", "  of that the live objects, goal 300", format!("{each} bytes"), how)
}

/// Stops the service and starts it anew, until it has looked at each environment.
async fn again(place: &Place, controller: Controller, environments: usize) -> (Controller, Duration) {
    controller.stop();
    let begin = Instant::now();
    let controller = Controller::start(place, "service", &place::osier()).await;
    controller.counts(PASSES, environments).await;
    (controller, begin.elapsed())
}

fn of(stage: &Stage, each: usize) -> Vec<Row> {
    let Stage { objects, memory, restart, writes, decrypts, requests, source } = stage;
    let mebibytes = memory.map(|bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
    vec![
        Row::new(
            "G7",
            format!("memory at {} objects", count(*objects)),
            format!("{} MiB, after a restart {}", mebibytes[0], mebibytes[1]),
            format!("RssAnon; environments of {}, half of it a shared base", count(each)),
        ),
        Row::new(
            "G6",
            "  restart with all of them in sync",
            format!("{}, writes {writes}, decrypts {decrypts}", short(*restart)),
            "until each environment was looked at; writes besides the Lease",
        ),
        Row::new("", "  its requests", requests, *source),
    ]
}

fn memory(stages: &[Stage]) -> Row {
    let fit = |which: usize| {
        let points: Vec<(f64, f64)> =
            stages.iter().map(|stage| (stage.objects as f64, stage.memory[which] as f64)).collect();
        format!("{:.0}", slope(&points))
    };
    let figure = format!("{} bytes, after a restart {}", fit(0), fit(1));
    Row::new("G7", "  memory an object, goal 1,024", figure, "slope of a straight line")
}
