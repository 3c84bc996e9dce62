//! From the push of a new branch to its whole environment, beside a bare client that makes the same.

use std::time::{Duration, Instant};

use osier::git::credentials::Credentials;
use osier::git::fetch::{Accepted, Fetch};
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;

use crate::cases::Size;
use crate::cases::bare::Bare;
use crate::cases::branches::site::{Site, TEMPLATE, template_bodies};
use crate::cases::place;
use crate::cases::seen::by_verb;
use crate::cases::service::controller::Controller;
use crate::cases::service::observer::Observer;
use crate::cases::service::rest;
use crate::process::{count, spread};
use crate::support::control_plane::User;
use crate::table::Row;

/// Environments that are timed, of each size.
const ROUNDS: usize = 20;
/// Between two of them: sooner would be a storm.
const REST: Duration = Duration::from_millis(500);

/// Environments of one size, with a service of their own.
struct OfOneSize {
    site: Site,
    user: User,
    observer: Observer,
    bare: Bare,
    /// A mirror that is behind as osier's is.
    yardstick: Mirror,
    osier: Vec<Duration>,
    fetch: Vec<Duration>,
    alone: Vec<Duration>,
    _controller: Controller,
}

pub async fn rows(counts: &[usize], size: Size) -> Vec<Row> {
    let rounds = if size == Size::Small { 2 } else { ROUNDS };
    let server = place::api_server(size).await;
    let mut all = Vec::new();
    for &objects in counts {
        let site = Site::new(&server, &format!("k{objects}"), objects, 1_000, 2 * rounds).await;
        let yardstick = yardstick(&site).await;
        let user = User::powerful(&format!("figures-osier-{objects}"));
        let controller = site.branches(&user).await;
        let observer = Observer::start(&server, None).await;
        let bare = Bare::new(&site.place).await;
        let (osier, fetch, alone) = (Vec::new(), Vec::new(), Vec::new());
        all.push(OfOneSize { site, user, observer, bare, yardstick, osier, fetch, alone, _controller: controller });
    }
    rest(size).await;
    for round in 0..rounds {
        for one in &mut all {
            one.round(round).await;
        }
    }
    rest(size).await;
    let mut rows = Vec::new();
    for one in all {
        rows.extend(one.rows(rounds).await);
    }
    rows
}

impl OfOneSize {
    async fn round(&mut self, round: usize) {
        tokio::time::sleep(REST).await;
        let begin = Instant::now();
        self.site.push(round);
        self.osier.push(self.site.complete(&mut self.observer, round).await - begin);
        self.fetch.push(self.look(round).await);
        let copy = format!("{}-bare-{round}", self.site.place.name);
        let mut bodies = template_bodies(&copy);
        bodies.extend(self.bare.bodies_of(&self.site.environment(round), &copy).await);
        assert_eq!(bodies.len(), self.site.place.workload.objects + TEMPLATE);
        self.alone.push(self.bare.make(&copy, bodies).await);
    }

    /// The look at the remote and the fetch alone, with the code that osier uses.
    async fn look(&self, round: usize) -> Duration {
        let begin = Instant::now();
        let main = self.yardstick.fetch("main", Accepted::default()).await.expect("the mirror is sound");
        let Fetch::Known(main) = main else { panic!("{main:?}") };
        let known = self.yardstick.branches("main", main, |_| true).await.expect("the mirror is sound");
        let known = known.expect("the remote answers").expect("nobody pushes to main");
        let branches = known.branches().expect("they were asked for");
        assert_eq!(branches[&Site::branch(round)].to_string(), self.site.commit(round));
        begin.elapsed()
    }

    async fn rows(self, rounds: usize) -> Vec<Row> {
        let objects = self.site.place.workload.objects;
        let seen = crate::cases::seen::Seen::of(&self.site.place.server, &self.user).await;
        let ours = |namespace: &str| namespace.starts_with(&format!("{}-", self.site.place.name));
        let bookkeeping = |resource: &str| resource == "leases" || resource.starts_with("repositories");
        let writes: Vec<_> = seen
            .requests
            .into_iter()
            .filter(|request| request.is_write() && !bookkeeping(&request.resource))
            .filter(|request| request.resource == "namespaces" || ours(&request.namespace))
            .filter(|request| request.name != "osier-fingerprint")
            .collect();
        let per = writes.len() as f64 / rounds as f64;
        let (osier, fetch, bare) = (spread(self.osier), spread(self.fetch), spread(self.alone));
        let over = |time: Duration| time.as_secs_f64() / bare.median.as_secs_f64();
        let (ratio, without) = (over(osier.median), over(osier.median.saturating_sub(fetch.median)));
        let objects = objects + TEMPLATE;
        vec![
            Row::new(
                "G11",
                format!("new branch, {} objects and {TEMPLATE} of the template", count(objects - TEMPLATE)),
                format!("{per:.1} writes, K + T + {:.1}", per - objects as f64),
                format!(
                    "goal K + T + 6, a service account's binding included, which is none of these; {}",
                    seen.source
                ),
            ),
            Row::new(
                "G11",
                "  from the push to all objects",
                osier.to_string(),
                format!("goal 250 ms at 50; of {rounds}, seen by a watch"),
            ),
            Row::new(
                "",
                "  a bare client's K + T + 1 writes",
                bare.to_string(),
                format!("same run, interleaved; ratio {ratio:.2}, without the fetch {without:.2}, goal 1.3"),
            ),
            Row::new(
                "",
                "  the look at the remote and the fetch alone",
                fetch.to_string(),
                "its code, in a mirror of its own",
            ),
            Row::new("", "  its writes", by_verb(&writes), seen.source),
        ]
    }
}

async fn yardstick(site: &Site) -> Mirror {
    let directory = site.place.path("yardstick");
    site.place.repository.seed(&directory);
    let remotes = Remotes::new(&site.place.repository.url(), &[], Credentials::default()).expect("a path is a place");
    Mirror::open(&directory, remotes).await.expect("a mirror opens")
}
