//! What the service asked of the API server: `$ requests`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use tokio::time::sleep;

use crate::scenarios::world::World;
use crate::support::server::Server;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The requests from here on are counted.
pub async fn begin(world: &mut World) {
    world.requests_seen = settled(world).await.len();
}

/// The service's requests since `begin`, a line a verb and kind, without what comes by the clock: renewals of the Lease, watches
/// that are opened anew, the look at pods that are late, and the Repository's status, which waits for others; only those in whose
/// line is `of`.
pub async fn so_far(world: &World, of: &str) -> String {
    let by_the_clock = |(verb, resource): &(String, String)| {
        verb == "watch" || ["leases", "pods", "repositories/status"].contains(&resource.as_str())
    };
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    for request in settled(world).await.into_iter().skip(world.requests_seen).filter(|request| !by_the_clock(request)) {
        *counts.entry(request).or_default() += 1;
    }
    let mut text = String::new();
    for ((verb, resource), count) in counts {
        if format!("{verb} {resource}").contains(of) {
            writeln!(text, "{count} {verb} {resource}").unwrap();
        }
    }
    if text.is_empty() { "none\n".to_owned() } else { text }
}

/// What a request did can be seen a moment before the request itself is noted.
async fn settled(world: &World) -> Vec<(String, String)> {
    let mut requests = all(world).await;
    loop {
        sleep(LOOK).await;
        let more = all(world).await;
        if more.len() == requests.len() {
            return more;
        }
        requests = more;
    }
}

/// Verb and resource of each request. On the sandbox, which knows no accounts, those of commands are among them.
async fn all(world: &World) -> Vec<(String, String)> {
    match &world.server {
        Server::Sandbox(sandbox) => {
            let requests = sandbox.sandbox.requests();
            let own = requests.into_iter().filter(|line| line.user_agent.starts_with("osier"));
            own.map(|line| (line.verb.to_owned(), line.resource)).collect()
        }
        Server::Real(control_plane) => {
            let requests = control_plane.audit(&world.account).await;
            let resource = |resource: &str, subresource: &str| match subresource {
                "" => resource.to_owned(),
                _ => format!("{resource}/{subresource}"),
            };
            requests.into_iter().map(|line| (line.verb, resource(&line.resource, &line.subresource))).collect()
        }
    }
}
