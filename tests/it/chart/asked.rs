//! What the accounts of the chart asked for, by the server's audit log, against the README's tables.

use std::collections::BTreeSet;

use crate::chart::installed::OWN;
use crate::chart::rights::{PLACES, Right, documented, documented_of};
use crate::scenarios::world::World;
use crate::support::audit::AuditLine;
use crate::support::control_plane::User;
use crate::support::server::Server;

/// The headings of what a lane of branches may do besides.
pub const BESIDES: [&str; 2] =
    ["in the whole cluster for branch environments, besides", "in the home namespace for branch environments, besides"];

/// The account of the receiver.
const RECEIVER: &str = "system:serviceaccount:osier-system:osier-receiver";

/// Everybody may ask what a server serves, which names no resource, and who he is; the rest is in the table, namespace by namespace.
///
/// Panics if anything else was asked for, or refused that is not `expected` to be.
pub async fn is_documented(world: &World, account: &User, lane: &str, expected: impl Fn(&AuditLine) -> bool) {
    let Server::Real(control_plane) = &world.server else { panic!("the sandbox checks no rights") };
    let [cluster, own, home, target] = PLACES.map(|(place, _, _)| documented(place));
    let besides: BTreeSet<Right> =
        if lane == "branches" { BESIDES.iter().flat_map(|place| documented(place)).collect() } else { BTreeSet::new() };
    let [home_name, target_name] = ["shop", "shop-staging"].map(|name| world.name(name));
    let prefix = format!("{}-", world.name("shop-b"));
    let (mut lines, mut used) = (0, BTreeSet::new());
    for line in control_plane.audit(account).await {
        assert!(line.code != 403 || expected(&line), "refused: {line:?}");
        let there = match line.namespace.as_str() {
            OWN => &own,
            name if name == home_name => &home,
            name if name == target_name && lane == "protected" => &target,
            name if name.starts_with(&prefix) && lane == "branches" => &target,
            _ => &cluster,
        };
        let right = right(&line);
        let is_everybodys = right.1.is_empty() || right.1 == "selfsubjectreviews";
        let is_documented = [there, &cluster, &besides].iter().any(|rights| rights.contains(&right));
        assert!(is_everybodys || is_documented, "the README has no such right: {line:?}");
        lines += 1;
        used.insert(right);
    }
    println!("{lane}: {lines} requests, {} rights used", used.len());
    assert!(lines > 0, "the lane {lane} asked for nothing");
}

/// The receiver asked for nothing but what is its own in the README, namespace or not; nothing was refused to it.
pub async fn of_receiver_is_documented(world: &World) {
    let Server::Real(control_plane) = &world.server else { panic!("the sandbox checks no rights") };
    let [cluster, home] = [PLACES[0].0, PLACES[2].0].map(|place| documented_of("receiver", place));
    let lines = control_plane.audit(&User::person(RECEIVER)).await;
    for line in &lines {
        let right = right(line);
        let there = if line.namespace.is_empty() { &cluster } else { &home };
        assert!(line.code != 403 && (right.1.is_empty() || there.contains(&right)), "{line:?}");
        assert!(line.namespace.is_empty() || line.namespace == world.name("shop"), "{line:?}");
    }
    let looks = lines.iter().filter(|line| line.subresource == "status" && line.code == 200).count();
    assert!(looks >= 2, "it asked for {looks} looks");
}

/// As tables of rights name it.
fn right(line: &AuditLine) -> Right {
    let AuditLine { group, resource, subresource, verb, .. } = line;
    let resource = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
    (group.clone(), resource, verb.clone())
}
