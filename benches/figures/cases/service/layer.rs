//! One commit to a layer that many environments share, and a small one elsewhere right after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::bare::{self, Bare};
use crate::cases::place::{self, Place, Shape};
use crate::cases::seen::Seen;
use crate::cases::service::controller::Controller;
use crate::cases::service::observer::Observer;
use crate::cases::service::{APPLIED, rest};
use crate::process::{count, short, spread};
use crate::table::Row;
use crate::workload::{Changed, File};

/// Objects of the shared layer that change, of a hundred that an environment has.
const CHANGED: usize = 20;
/// Commits to the layer, each beside the same writes of the bare client.
const ROUNDS: usize = 3;
/// Between the small commit alone and the large one: sooner would be a storm of pushes, in which osier takes its time.
const REST: Duration = Duration::from_millis(300);
/// The small commit comes so long after the large one.
const AFTER: Duration = Duration::from_millis(100);

/// What is known of the rounds.
#[derive(Default)]
struct Times {
    /// All of osier's writes, and the bare client's.
    osier: Vec<Duration>,
    bare: Vec<Duration>,
    /// The small commit without and beside the large one.
    alone: Vec<Duration>,
    beside: Vec<Duration>,
}

/// The environments that share the layer, and one that does not.
struct Site {
    place: Place,
    sharing: usize,
    /// Objects of the layer that change.
    changed: usize,
    bare: Bare,
    everywhere: Observer,
    aside: Observer,
}

pub async fn rows(sharing: usize, objects: usize, size: Size) -> Vec<Row> {
    let rounds = if size == Size::Small { 1 } else { ROUNDS };
    let mut site = Site::new(sharing, objects, size).await;
    let controller = Controller::start(&site.place, "service", &place::osier()).await;
    controller.counts(APPLIED, sharing + 1).await;
    let layer: Vec<Vec<Changed>> =
        (1..=rounds).map(|round| site.place.workload.changed(None, 0..site.changed, round)).collect();
    for environment in 0..sharing {
        let objects: Vec<_> = layer[0].iter().map(|changed| changed.object.clone()).collect();
        site.bare.copy(&site.place, environment, &objects).await;
    }
    rest(size).await;
    let (mut times, known) = (Times::default(), site.place.seen().await);
    for (round, changes) in layer.into_iter().enumerate() {
        site.round(round, changes, &mut times).await;
    }
    let seen = site.place.seen().await;
    table(&site, rounds, times, &known, &seen)
}

impl Site {
    async fn new(sharing: usize, objects: usize, size: Size) -> Self {
        let all = sharing + 1;
        let shape = Shape { objects, environments: all, directories: all, copies: sharing };
        let mut place = Place::bare(place::api_server(size).await, "env", shape).await;
        let (path, config) = place.config(0..all);
        let config = String::from_utf8(config).expect("it is a text");
        let own = format!("envs/{sharing:03}");
        let config = config.replace(&format!("[base, {own}]"), &format!("[{own}]"));
        let files: Vec<File> = place.workload.files().chain([(path, config.into_bytes())]).collect();
        place.repository.commit(files.into_iter());
        let (server, bare) = (Arc::clone(&place.server), Bare::new(&place).await);
        let aside = Observer::start(&server, Some(&place.environment(sharing))).await;
        Self {
            place,
            sharing,
            changed: CHANGED * objects / 100,
            bare,
            everywhere: Observer::start(&server, None).await,
            aside,
        }
    }

    async fn round(&mut self, round: usize, changes: Vec<Changed>, times: &mut Times) {
        let small =
            |version: usize| self.place.workload.changed(Some(self.sharing), version..version + 1, version).remove(0);
        let (alone, beside) = (small(2 * round + 1), small(2 * round + 2));
        let files = [
            vec![alone.file.clone()],
            changes.iter().map(|changed| changed.file.clone()).collect(),
            vec![beside.file.clone()],
        ];
        let commits = self.place.repository.stage(files.into_iter().map(Vec::into_iter));
        tokio::time::sleep(Duration::from_secs(1)).await;
        times.alone.push(self.small(&commits[0], &alone).await);
        tokio::time::sleep(REST).await;
        let begin = Instant::now();
        self.place.repository.push(&commits[1]);
        tokio::time::sleep(AFTER).await;
        times.beside.push(self.small(&commits[2], &beside).await);
        let wanted: HashMap<_, _> = (0..self.sharing)
            .flat_map(|environment| changes.iter().map(move |changed| (environment, changed.clone())))
            .map(|(environment, changed)| ((self.place.environment(environment), changed.object.clone()), changed))
            .collect();
        times.osier.push(self.everywhere.all_applied(wanted).await - begin);
        let patches = (0..self.sharing).map(|environment| self.place.bare_copy(environment));
        let patches = patches.flat_map(|namespace| changes.iter().map(move |changed| bare::like(changed, &namespace)));
        times.bare.push(self.bare.change(patches.collect()).await);
    }

    async fn small(&mut self, commit: &str, changed: &Changed) -> Duration {
        let begin = Instant::now();
        self.place.repository.push(commit);
        self.aside.applied(&self.place.environment(self.sharing), changed).await - begin
    }
}

fn table(site: &Site, rounds: usize, times: Times, known: &Seen, seen: &Seen) -> Vec<Row> {
    let Times { osier, bare, alone, beside } = times;
    let aside = site.place.environment(site.sharing);
    let is_object = |resource: &str| matches!(resource, "configmaps" | "secrets");
    let new = seen.after(known).iter().filter(|request| request.is_write() && is_object(&request.resource));
    let ours = |namespace: &str| namespace != aside && !namespace.contains("-bare-");
    let writes = new.filter(|request| ours(&request.namespace)).count();
    let all = site.sharing * site.changed;
    let (osier, bare) = (spread(osier), spread(bare));
    let rate = |time: Duration| format!("{:.0} a second", all as f64 / time.as_secs_f64());
    vec![
        Row::new(
            "",
            format!("a commit to a layer that {} environments share", site.sharing),
            format!("{} writes a commit", writes as f64 / rounds as f64),
            format!("goal {}: {} objects each; {}", count(all), site.changed, seen.source),
        ),
        Row::new(
            "",
            "  osier, a bare client",
            format!("{}, {}", rate(osier.median), rate(bare.median)),
            format!("medians of {rounds}, interleaved; from the push, seen by a watch"),
        ),
        Row::new("", "  time", format!("{osier}; {bare}"), "median (least to most)"),
        Row::new(
            "",
            "  a commit of one object elsewhere meanwhile",
            format!("{}; alone {}", short(spread(beside).median), short(spread(alone).median)),
            format!("medians; pushed {} after the other", short(AFTER)),
        ),
    ]
}
