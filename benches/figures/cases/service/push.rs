//! From a push to the object in the cluster, as somebody who watches sees it; beside it what a fetch and a write take alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use osier::git::credentials::Credentials;
use osier::git::fetch::{Accepted, Fetch};
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::model::cleartext::Cleartext;
use serde_json::json;

use crate::cases::Size;
use crate::cases::bare::Bare;
use crate::cases::place::{self, Place, Shape, post};
use crate::cases::service::APPLIED;
use crate::cases::service::controller::{Controller, LOOK};
use crate::cases::service::observer::Observer;
use crate::process::{count, short, slope, spread};
use crate::support::control_plane::User;
use crate::support::server::{Server, request};
use crate::support::web::Web;
use crate::table::Row;
use crate::workload::Changed;

/// Pushes that are timed, of each kind of remote.
const ROUNDS: usize = 50;
/// Between pushes to one remote: sooner would be a storm, in which osier takes its time.
const REST: Duration = Duration::from_millis(300);
/// The Secret with the authority of the server of git.
const CREDENTIALS: &str = "figures-git";

/// One environment with its service and its remote.
struct Site {
    place: Place,
    controller: Controller,
    observer: Observer,
    bare: Bare,
    /// A mirror of our own, to time a fetch alone.
    yardstick: Mirror,
    /// Commits that are not pushed yet, the last one first.
    staged: Vec<(String, Changed)>,
    web: Option<Web>,
    /// Of the service until the last push.
    cpu: Duration,
}

/// One push and what stands beside it.
#[derive(Clone, Copy)]
struct Push {
    applied: Duration,
    /// Until the look that saw it began.
    poll: Duration,
    fetch: Duration,
    write: Duration,
    /// Of the service, since the push before.
    cpu: Duration,
}

pub async fn rows(counts: &[usize], size: Size) -> Vec<Row> {
    let rounds = if size == Size::Small { 2 } else { ROUNDS };
    let server = place::api_server(size).await;
    let mut sites = Vec::new();
    for &objects in counts {
        sites.push(Site::new(&server, objects, 2 * rounds).await);
    }
    let mut pushes: BTreeMap<usize, Vec<Push>> = BTreeMap::new();
    for _ in 0..rounds {
        for site in &mut sites {
            pushes.entry(site.place.workload.objects).or_default().push(site.push().await);
        }
    }
    // the middle one also over HTTPS
    let site = &mut sites[counts.len() / 2];
    site.move_to_https().await;
    let mut polled = Vec::new();
    for _ in 0..rounds {
        polled.push(site.push().await);
    }
    let mut rows: Vec<Row> = pushes.iter().flat_map(|(objects, pushes)| local(*objects, pushes)).collect();
    rows.extend(over_n(&pushes));
    rows.extend(https(counts[counts.len() / 2], &polled));
    rows
}

impl Site {
    async fn new(server: &Arc<Server>, objects: usize, rounds: usize) -> Self {
        let shape = Shape { objects, environments: 1, directories: 1, copies: 1 };
        let mut place = Place::new(Arc::clone(server), &format!("n{objects}"), shape).await;
        let directory = place.path("yardstick");
        place.repository.seed(&directory);
        let controller = Controller::start(&place, "service", &place::osier()).await;
        controller.counts(APPLIED, 1).await;
        let changes: Vec<Changed> =
            (1..=rounds).flat_map(|round| place.workload.changed(Some(0), round..round + 1, round)).collect();
        let commits = place.repository.stage(changes.iter().map(|changed| std::iter::once(changed.file.clone())));
        let bare = Bare::new(&place).await;
        bare.copy(&place, 0, &[("configmaps", "object-000000".to_owned())]).await;
        let remotes = Remotes::new(&place.repository.url(), &[], Credentials::default()).expect("a path is a place");
        let yardstick = Mirror::open(&directory, remotes).await.expect("a mirror opens");
        let observer = Observer::start(server, Some(&place.environment(0))).await;
        let staged = commits.into_iter().zip(changes).rev().collect();
        let cpu = controller.cpu();
        Self { place, controller, observer, bare, yardstick, staged, web: None, cpu }
    }

    async fn push(&mut self) -> Push {
        let (commit, changed) = self.staged.pop().expect("as many were staged as are pushed");
        tokio::time::sleep(REST).await;
        // what osier asked before is of no interest
        self.web.as_ref().map(Web::asked);
        let begin = Instant::now();
        self.place.repository.push(&commit);
        let applied = self.observer.applied(&self.place.environment(0), &changed).await - begin;
        let poll = self.web.as_ref().map_or(Duration::ZERO, |web| waited(web, begin));
        let fetch = self.fetch(&commit).await;
        let write = self.bare.write(&self.place).await;
        let cpu = self.controller.cpu();
        let cpu = cpu - std::mem::replace(&mut self.cpu, cpu);
        Push { applied, poll, fetch, write, cpu }
    }

    /// The fetch alone, with the code that osier uses.
    async fn fetch(&self, commit: &str) -> Duration {
        let begin = Instant::now();
        match self.yardstick.fetch("main", Accepted::default()).await.expect("the mirror is sound") {
            Fetch::Known(known) => assert_eq!(known.tip().to_string(), commit),
            Fetch::Unknown(unknown) => panic!("{unknown}"),
        }
        begin.elapsed()
    }

    /// From now on the remote is a server of git that is looked at every second.
    async fn move_to_https(&mut self) {
        let (place, web) = (&self.place, Web::start(self.place.folder()).await);
        let admin = place.server.client(&User::admin()).await;
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS},
            "data": {"ca.crt": STANDARD.encode(&web.authority)}});
        post(&admin, &format!("/api/v1/namespaces/{}/secrets", place.home()), secret).await;
        let url = format!("https://localhost:{}/remote", web.address.port());
        let spec = json!({"spec": {"url": url, "credentials": CREDENTIALS, "interval": "1s"}}).to_string();
        let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", place.name);
        let form = [("content-type", "application/merge-patch+json")];
        assert_eq!(request(&admin, Method::PATCH, &path, &form, spec).await.status, 200);
        let authority = Cleartext::new(web.authority.clone().into_bytes());
        let credentials = Credentials::from_secret(BTreeMap::from([("ca.crt".to_owned(), authority)]));
        let credentials = credentials.expect("a certificate is one");
        let remotes = Remotes::new(&url, &[], credentials).expect("the URL is one");
        self.yardstick.change_remotes(remotes).await.expect("the mirror is sound");
        while web.asked().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        self.controller.counts(APPLIED, 1).await;
        self.web = Some(web);
    }
}

/// How long a push waited until osier began the look that saw it: the one before the first pack. It may have been under way.
fn waited(web: &Web, pushed: Instant) -> Duration {
    let asked = web.asked();
    let look = asked.iter().take_while(|asked| asked.method != "POST").last();
    look.map_or(Duration::ZERO, |look| look.at.saturating_duration_since(pushed))
}

fn local(objects: usize, pushes: &[Push]) -> Vec<Row> {
    let of = |part: fn(&Push) -> Duration| spread(pushes.iter().map(part).collect());
    let (applied, fetch, write) = (of(|push| push.applied), of(|push| push.fetch), of(|push| push.write));
    let left = applied.median.saturating_sub(fetch.median + write.median * 2);
    vec![
        Row::new(
            "G3",
            format!("push to applied, one object, N = {}", count(objects)),
            format!("median {}", applied.tail()),
            format!("{} pushes, local remote, seen by a watch of another user", pushes.len()),
        ),
        Row::new(
            "",
            "  a fetch alone; a bare client's write",
            format!("{}; {}", fetch.tail(), write.tail()),
            "after each push, same run",
        ),
        Row::new(
            "",
            "  osier's CPU a push",
            short(
                pushes.iter().map(|push| push.cpu).sum::<Duration>() / u32::try_from(pushes.len()).expect("few pushes"),
            ),
            "mean, fetch and bookkeeping included",
        ),
        Row::new("G3", "  left for osier", short(left), "medians, less the fetch and two writes: the Record is first"),
    ]
}

fn over_n(pushes: &BTreeMap<usize, Vec<Push>>) -> Option<Row> {
    let median = |pushes: &[Push]| spread(pushes.iter().map(|push| push.applied).collect()).median.as_secs_f64();
    let points: Vec<(f64, f64)> =
        pushes.iter().map(|(objects, pushes)| ((*objects as f64).ln(), median(pushes).ln())).collect();
    let figure = (points.len() > 1).then(|| format!("{:.3}", slope(&points)))?;
    Some(Row::new("G3", "  slope over N, goal 0.1", figure, "fit of the medians' logarithms"))
}

fn https(objects: usize, pushes: &[Push]) -> Vec<Row> {
    let of = |part: fn(&Push) -> Duration| spread(pushes.iter().map(part).collect());
    let how = format!("{} pushes, git http-backend, TLS, looked at every second", pushes.len());
    vec![
        Row::new(
            "",
            format!("push to applied over HTTPS, N = {}", count(objects)),
            format!("median {}", of(|push| push.applied).tail()),
            how,
        ),
        Row::new(
            "",
            "  of that: until the look; from then on",
            format!("{}; {}", of(|push| push.poll).tail(), of(|push| push.applied.saturating_sub(push.poll)).tail()),
            "the server's clock of requests",
        ),
        Row::new("", "  a fetch alone", of(|push| push.fetch).tail(), "after each push, same run"),
    ]
}
