//! What stays open: watches, the connections that carry them, and what they cost.

use crate::cases::Size;
use crate::cases::place::{self, Place, Shape};
use crate::cases::service::controller::Controller;
use crate::cases::service::{APPLIED, rest};
use crate::process::count;
use crate::table::Row;
use crate::workload::File;

/// Objects of each environment: a ConfigMap and a Secret.
const OBJECTS: usize = 2;

pub async fn rows(counts: &[usize], size: Size) -> Vec<Row> {
    let environments = counts[counts.len() - 1];
    let shape = Shape { objects: OBJECTS, environments, directories: 1, copies: 0 };
    let mut place = Place::bare(place::api_server(size).await, "env", shape).await;
    let files: Vec<File> = place.workload.files().chain([place.config(0..counts[0])]).collect();
    place.repository.commit(files.into_iter());
    let controller = Controller::start(&place, "service", &place::osier()).await;
    let mut rows = Vec::new();
    for environments in counts {
        let config = place.config(0..*environments);
        place.repository.commit(std::iter::once(config));
        controller.counts(APPLIED, *environments).await;
        rest(size).await;
        let seen = place.seen().await;
        let open = seen.requests.iter().filter(|request| request.verb == "watch" && request.is_open).count();
        rows.push(Row::new(
            "",
            format!("{} environments", count(*environments)),
            format!("{open} watches, {} connections, {} MiB", controller.connections(), controller.memory() >> 20),
            format!("{}; /proc, RssAnon", seen.source),
        ));
    }
    rows
}
