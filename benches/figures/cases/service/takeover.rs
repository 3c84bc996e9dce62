//! The leader dies in the middle of a first apply, and another one goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::cases::Size;
use crate::cases::place::{self, Place, Shape};
use crate::cases::seen::{Request, Seen};
use crate::cases::service::controller::Controller;
use crate::cases::service::observer::{Observer, Sighting};
use crate::cases::service::{APPLIED, rest};
use crate::process::{count, short};
use crate::support::control_plane::User;
use crate::table::Row;
use crate::workload::{File, Object};

const LEADING: &str = "osier_leading{lane=\"protected\"}";

pub async fn rows(objects: usize, size: Size) -> Vec<Row> {
    let shape = Shape { objects, environments: 1, directories: 1, copies: 0 };
    let mut place = Place::bare(place::api_server(size).await, "env", shape).await;
    let files: Vec<File> = place.workload.files().chain([place.config(0..1)]).collect();
    // of each layer one file, so that there is something to lead
    let small = files.iter().filter(|(path, _)| path.contains("osier.yaml") || path.contains("/object-000000."));
    place.repository.commit(small.cloned().collect::<Vec<_>>().into_iter());
    let waiting = User::powerful("figures-waiting");
    let first = Controller::start(&place, "first", &place::osier()).await;
    first.counts(LEADING, 1).await;
    first.counts(APPLIED, 1).await;
    let second = Controller::start(&place, "second", &waiting).await;
    rest(size).await;
    let namespace = place.environment(0);
    let mut observer = Observer::start(&place.server, Some(&namespace)).await;
    place.repository.commit(files.into_iter());
    let mut there: BTreeSet<Object> = BTreeSet::from([("configmaps", "object-000000".to_owned())]);
    while there.len() < objects * 2 / 5 {
        there.insert(observer.next(is_made).await.object);
    }
    let killed = Instant::now();
    first.kill();
    let before = there.len();
    while there.len() < objects {
        there.insert(observer.next(is_made).await.object);
    }
    let whole = killed.elapsed();
    second.counts(APPLIED, 1).await;
    let converged = killed.elapsed();
    let seen = match size {
        Size::Small => vec![place.seen().await],
        Size::Full => vec![place.seen().await, Seen::of(&place.server, &waiting).await],
    };
    let Creates { doubled, wrong, refused } = creates(&place, &seen);
    vec![
        Row::new(
            "",
            format!("leader killed with {} of {} objects made", count(before), count(objects)),
            format!("{} to applied", short(converged)),
            "kill -9, another one waits; a Lease lasts 15 s",
        ),
        Row::new("", "  all objects there", short(whole), "seen by a watch"),
        Row::new("", "  creates: doubled, wrong, refused", format!("{doubled}, {wrong}, {refused}"), seen[0].source),
    ]
}

fn is_made(sighting: &Sighting) -> bool {
    !sighting.is_gone && sighting.object.1.starts_with("object-")
}

/// How the creation of objects went.
struct Creates {
    /// Objects that were created more than once.
    doubled: usize,
    /// Objects that are not in the repository.
    wrong: usize,
    /// Requests that found the object there.
    refused: usize,
}

fn creates(place: &Place, seen: &[Seen]) -> Creates {
    let wanted: BTreeSet<(String, String)> =
        place.workload.objects().map(|(plural, name)| (plural.to_owned(), name)).collect();
    let all = seen.iter().flat_map(|seen| &seen.requests);
    let namespace = place.environment(0);
    // the sandbox does not name what is created
    let is_create = |request: &&Request| request.verb == "create" && !request.name.is_empty();
    let creates = all.filter(|request| request.namespace == namespace).filter(is_create);
    let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut refused = 0;
    for request in creates {
        match request.code {
            201 => *made.entry((request.resource.clone(), request.name.clone())).or_default() += 1,
            _ => refused += 1,
        }
    }
    Creates {
        doubled: made.values().filter(|times| **times > 1).count(),
        wrong: made.keys().filter(|object| !wanted.contains(object)).count(),
        refused,
    }
}
