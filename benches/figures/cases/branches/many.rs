//! What one more environment costs when there are many.

use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::branches::APPLIED;
use crate::cases::branches::site::Site;
use crate::cases::place;
use crate::cases::seen::Seen;
use crate::cases::service::observer::Observer;
use crate::cases::service::rest;
use crate::process::{count, spread};
use crate::table::Row;

/// Objects of each.
const OBJECTS: usize = 10;
/// Environments that are timed at each number.
const TIMED: usize = 3;

pub async fn rows(counts: &[usize], size: Size) -> Vec<Row> {
    let server = place::api_server(size).await;
    let last = counts[counts.len() - 1] + TIMED;
    let site = Site::new(&server, "many", OBJECTS, 10_000, last).await;
    let controller = site.branches(&place::osier()).await;
    let mut observer = Observer::start(&server, None).await;
    let (mut rows, mut there) = (Vec::new(), 0);
    for &number in counts {
        site.push_all(there..number - 1);
        there = number - 1;
        controller.counts(APPLIED, there).await;
        rest(size).await;
        let before = site.place.seen().await;
        let mut times: Vec<Duration> = Vec::new();
        for one in there..there + TIMED {
            let begin = Instant::now();
            site.push(one);
            times.push(site.complete(&mut observer, one).await - begin);
            controller.counts(APPLIED, one + 1).await;
        }
        there += TIMED;
        let seen = site.place.seen().await;
        let requests = asked(&seen, &before) as f64 / TIMED as f64;
        rest(size).await;
        let open = site
            .place
            .seen()
            .await
            .requests
            .iter()
            .filter(|request| request.verb == "watch" && request.is_open)
            .count();
        rows.push(Row::new(
            "G12",
            format!("environment {} of {OBJECTS} objects", count(number)),
            format!("{}, {requests:.1} requests", spread(times)),
            format!("of {TIMED}, from the push, seen by a watch; {}", seen.source),
        ));
        rows.push(Row::new(
            "",
            "  then",
            format!("{open} watches, {} connections, {} MiB", controller.connections(), controller.memory() >> 20),
            "/proc, RssAnon",
        ));
    }
    rows
}

/// Without what is asked for all environments together.
fn asked(seen: &Seen, before: &Seen) -> usize {
    let shared = |resource: &str| resource == "leases" || resource.starts_with("repositories");
    seen.after(before).iter().filter(|request| !shared(&request.resource)).count()
}
