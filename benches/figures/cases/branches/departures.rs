//! Many branches are deleted at once, and as many stay.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::cases::Size;
use crate::cases::branches::APPLIED;
use crate::cases::branches::site::{Site, TEMPLATE};
use crate::cases::place;
use crate::cases::service::controller::PATIENCE;
use crate::cases::service::rest;
use crate::process::{count, short};
use crate::table::Row;

/// Objects of each environment.
const OBJECTS: usize = 4;

pub async fn rows(branches: usize, size: Size) -> Vec<Row> {
    let server = place::api_server(size).await;
    let site = Site::new(&server, "gone", OBJECTS, 10_000, 50).await;
    let controller = site.branches(&place::osier()).await;
    // one that comes back is one that stays
    let (all, again) = (2 * branches + 2, branches..branches + 1);
    site.push_all(0..all);
    controller.counts(APPLIED, all).await;
    rest(size).await;
    let before = site.place.seen().await;
    let begin = Instant::now();
    site.delete_all(0..branches + 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    site.push_all(again);
    let leaving: BTreeSet<String> = (0..branches).map(|number| site.environment(number)).collect();
    let left = namespaces_gone(&site, &leaving).await;
    let took = begin.elapsed();
    rest(size).await;
    let seen = site.place.seen().await;
    let deletes = seen.after(&before).iter().filter(|request| request.verb == "delete");
    let wrong = deletes.filter(|request| request.resource != "namespaces" || !leaving.contains(&request.name)).count();
    let mut lacking = 0;
    for number in branches..all {
        lacking += OBJECTS + TEMPLATE - there(&site, &site.environment(number)).await.min(OBJECTS + TEMPLATE);
    }
    vec![
        Row::new(
            "",
            format!("{} branches deleted, of {}", count(branches), count(all)),
            format!("all gone after {}", short(took)),
            "namespaces listed; a grace of 2 s, then the namespace controller's own pace",
        ),
        Row::new(
            "",
            "  deletes that were wrong, what is left, what others lack",
            format!("{wrong}, {left}, {lacking}"),
            format!("{}, objects counted; one branch came back within the grace", seen.source),
        ),
    ]
}

/// Waits until none of them is there any more; how many are after that was given up.
async fn namespaces_gone(site: &Site, leaving: &BTreeSet<String>) -> usize {
    let begun = Instant::now();
    loop {
        let list = site.look("/api/v1/namespaces").await;
        let names = list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str());
        let left = names.filter(|name| leaving.contains(*name)).count();
        if left == 0 || begun.elapsed() > PATIENCE {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Objects of the environment that are in a namespace.
async fn there(site: &Site, namespace: &str) -> usize {
    let mut count = 0;
    for path in [
        "/api/v1/*/configmaps",
        "/api/v1/*/secrets",
        "/api/v1/*/resourcequotas",
        "/api/v1/*/limitranges",
        "/apis/networking.k8s.io/v1/*/networkpolicies",
    ] {
        let path = path.replace('*', &format!("namespaces/{namespace}")) + "?labelSelector=osier.dev/environment";
        count += site.look(&path).await["items"].as_array().map_or(0, Vec::len);
    }
    count
}
