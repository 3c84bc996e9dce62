//! Nothing happens: what the service asks, and what it costs; then the same while others write elsewhere.

use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::bare::{self, Bare};
use crate::cases::place::{self, Place, Shape};
use crate::cases::seen::by_verb;
use crate::cases::service::controller::Controller;
use crate::cases::service::{APPLIED, rest};
use crate::process::{count, short};
use crate::table::Row;

/// How long nothing happens, and how long others write.
const WINDOWS: [Duration; 2] = [Duration::from_mins(5), Duration::from_mins(1)];
/// Namespaces of others.
const OTHERS: usize = 4;
/// Others write so many at once, so often: 200 a second.
const BURST: (usize, Duration) = (10, Duration::from_millis(50));

/// What a window showed.
struct Window {
    time: Duration,
    /// Besides watches that are opened again and the Lease.
    others: usize,
    by_verb: String,
    cpu: Duration,
    /// RssAnon at the end, in bytes.
    memory: u64,
    source: &'static str,
}

pub async fn rows(environments: usize, objects: usize, size: Size) -> Vec<Row> {
    let [quiet, busy] = if size == Size::Small { [Duration::from_secs(1); 2] } else { WINDOWS };
    let shape = Shape { objects, environments, directories: environments, copies: OTHERS.min(environments) };
    let place = Place::new(place::api_server(size).await, "env", shape).await;
    let controller = Controller::start(&place, "service", &place::osier()).await;
    controller.counts(APPLIED, environments).await;
    rest(size).await;
    let (alone, ()) = window(&place, &controller, tokio::time::sleep(quiet)).await;
    let bare = Bare::new(&place).await;
    for other in 0..shape.copies {
        bare.copy(&place, other, &[("configmaps", "object-000000".to_owned())]).await;
    }
    let (beside, written) = window(&place, &controller, write_elsewhere(&place, &bare, shape.copies, busy)).await;
    let what = format!("{environments} environments x {objects} objects");
    let mut rows = of(&format!("steady state, {what}"), "G2", alone);
    let rate = written as f64 / beside.time.as_secs_f64();
    rows.extend(of(&format!("  beside {rate:.0} writes a second elsewhere"), "G8", beside));
    rows
}

async fn window<T>(place: &Place, controller: &Controller, happens: impl Future<Output = T>) -> (Window, T) {
    let (known, used, begin) = (place.seen().await, controller.cpu(), Instant::now());
    let result = happens.await;
    let (time, cpu, memory) = (begin.elapsed(), controller.cpu() - used, controller.memory());
    let seen = place.seen().await;
    let new = seen.after(&known);
    let is_expected = |verb: &str, resource: &str| verb == "watch" || resource == "leases";
    let others = new.iter().filter(|request| !is_expected(&request.verb, &request.resource)).count();
    (Window { time, others, by_verb: by_verb(new), cpu, memory, source: seen.source }, result)
}

/// Changes objects in namespaces that are nobody's business, and says how many.
async fn write_elsewhere(place: &Place, bare: &Bare, namespaces: usize, time: Duration) -> usize {
    let begin = Instant::now();
    let mut beat = tokio::time::interval(BURST.1);
    let mut written = 0;
    while begin.elapsed() < time {
        beat.tick().await;
        let patch = |index: usize| bare::first(&place.bare_copy(index % namespaces), &(written + index).to_string());
        bare.change((0..BURST.0).map(patch).collect()).await;
        written += BURST.0;
    }
    written
}

fn of(what: &str, goal: &str, window: Window) -> Vec<Row> {
    let Window { time, others, by_verb, cpu, memory, source } = window;
    let share = cpu.as_secs_f64() / time.as_secs_f64() * 100.0;
    vec![
        Row::new(goal, what, format!("{others} requests besides Lease and watches"), format!("in {}", short(time))),
        Row::new("", "  requests by verb", by_verb, source),
        Row::new(
            "",
            "  CPU, memory",
            format!(
                "{} ({share:.2} % of a core), {} KiB",
                short(cpu),
                count(usize::try_from(memory >> 10).unwrap_or(0))
            ),
            "of the process; RssAnon",
        ),
    ]
}
