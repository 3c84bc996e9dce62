//! Far more branches at once than there may be environments, beside a protected environment that goes on.

use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::branches::APPLIED;
use crate::cases::branches::site::Site;
use crate::cases::place;
use crate::cases::service::controller::Controller;
use crate::cases::service::observer::Observer;
use crate::cases::service::rest;
use crate::process::{count, short, spread};
use crate::support::control_plane::User;
use crate::table::Row;
use crate::workload::Changed;

/// Objects of each branch environment.
const OBJECTS: usize = 10;
/// Pushes to the protected branch, alone and beside the flood.
const PUSHES: usize = 40;
/// Between two of them: sooner would be a storm, also where the pass goes on for a while after the object was seen.
const REST: Duration = Duration::from_secs(1);

pub async fn rows(branches: usize, max: usize, size: Size) -> Vec<Row> {
    let pushes = if size == Size::Small { 2 } else { PUSHES };
    let server = place::api_server(size).await;
    let mut site = Site::new(&server, "flood", OBJECTS, max, 50).await;
    let commits = site.stage_plain(2 * pushes);
    let protected = Controller::start(&site.place, "service", &User::powerful("figures-protected")).await;
    let lane = site.branches(&place::osier()).await;
    let mut observer = Observer::start(&server, Some(&site.place.environment(0))).await;
    rest(size).await;
    let (alone, beside) = commits.split_at(pushes);
    let (alone, _) = pushed(&site, &mut observer, alone, &lane).await;
    let before = lane.memory();
    let begin = Instant::now();
    site.push_all(0..branches);
    let (beside, most) = pushed(&site, &mut observer, beside, &lane).await;
    let pushed = begin.elapsed();
    lane.counts(APPLIED, max).await;
    let applied = begin.elapsed();
    told(&site, branches).await;
    let told = begin.elapsed();
    rest(size).await;
    let ratio = spread(beside.clone()).median.as_secs_f64() / spread(alone.clone()).median.as_secs_f64();
    vec![
        Row::new(
            "",
            format!("{} branches at once, of {max} that may be", count(branches)),
            format!("all {max} applied after {}, all told after {}", short(applied), short(told)),
            "Environments listed; the others are CapReached",
        ),
        Row::new(
            "",
            "  protected push to applied: beside, alone",
            format!("{}; {}", spread(beside), spread(alone)),
            format!(
                "medians of {pushes} (least to most), in {}; ratio {ratio:.2}, goal 1.1; one machine for all",
                short(pushed)
            ),
        ),
        Row::new(
            "",
            "  memory of the lane",
            format!(
                "{} MiB before, {} at most, {} after; protected {}",
                before >> 20,
                most.max(lane.memory()) >> 20,
                lane.memory() >> 20,
                protected.memory() >> 20
            ),
            "RssAnon",
        ),
    ]
}

/// Times of pushes to the protected branch, and the most memory that the lane of branches had meanwhile.
async fn pushed(
    site: &Site,
    observer: &mut Observer,
    commits: &[(String, Changed)],
    lane: &Controller,
) -> (Vec<Duration>, u64) {
    let (mut times, mut most) = (Vec::new(), 0);
    for (commit, changed) in commits {
        tokio::time::sleep(REST).await;
        let begin = Instant::now();
        site.place.repository.push(commit);
        times.push(observer.applied(&site.place.environment(0), changed).await - begin);
        most = most.max(lane.memory());
    }
    (times, most)
}

/// Waits until each branch has its Environment, and each of these a condition.
async fn told(site: &Site, branches: usize) {
    let begun = Instant::now();
    let path = format!(
        "/apis/osier.dev/v1alpha1/namespaces/{}/environments?labelSelector=osier.dev/lane%3Dbranches",
        site.place.home()
    );
    loop {
        let list = site.look(&path).await;
        let told =
            list["items"].as_array().into_iter().flatten().filter(|item| !item["status"]["conditions"].is_null());
        if told.count() == branches {
            return;
        }
        assert!(begun.elapsed() < crate::cases::service::controller::PATIENCE, "not every branch has its Environment");
        // a list of them all costs the API server as much as many writes
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}
