//! `docs/rights.md`: who asks for what, put together from the README's rights and the chart's roles. `tests/rights.rs` holds all requests of the
//! suite against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use expect_test::expect_file;
use serde_json::Value;

use crate::chart::asked::BESIDES;
use crate::chart::rendered;
use crate::chart::rights::{PLACES, Right, documented_of, rights};

const HEAD: &str = "\
# Who asks for what

The verbs that osier uses, kind by kind; the README says in which namespaces. Nobody needs more than what his column
says, and a request that is not in it fails the tests: they read the audit logs of all API servers that they used.

A service of both lanes has the first two columns. People have their own rights; their column is what the command line
can ask for in their names, applying without a service included, and most need less: the roles of the chart.
`record-…`, `hold`, `suspend`, `extend`, `approve` and `bind` are no requests: admission policies and the API server
ask whether somebody may. Whoever is asked may ask what a server serves, and who he is.

";
/// Which group has which of the kinds that rules name by several groups at once.
const GROUPS: [(&str, &[&str]); 6] = [
    ("apps", &["deployments", "statefulsets", "daemonsets"]),
    ("batch", &["jobs", "cronjobs"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("gateway.networking.k8s.io", &["httproutes"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("policy", &["poddisruptionbudgets"]),
];
/// Headings of the README for who applies by hand.
const BY_HAND: [&str; 4] = [
    "in the whole cluster",
    "in the home namespace",
    "in each namespace of an environment",
    "in osier's own namespace",
];
/// In the order of the columns: what changes nothing comes first.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

#[test]
fn the_table_of_rights_says_what_readme_and_chart_say() {
    let service = PLACES.iter().flat_map(|(place, _, _)| documented_of("service", place)).collect();
    let receiver = BY_HAND[..2].iter().flat_map(|place| documented_of("receiver", place)).collect();
    let by_hand = BY_HAND.iter().flat_map(|place| documented_of("apply", place));
    let of_branches = BESIDES.iter().flat_map(|place| documented_of("service", place)).chain(lane());
    let columns = [service, of_branches.collect(), receiver, by_hand.chain(roles()).collect()];
    expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rights.md")].assert_eq(&text(&columns));
}

/// What its admission policy asks of the lane of branches; the README names that of the other one.
fn lane() -> [Right; 1] {
    [("osier.dev".to_owned(), "environments".to_owned(), "record-branches".to_owned())]
}

/// The roles of people, but for the one in an environment: that is for kubectl.
fn roles() -> impl Iterator<Item = Right> {
    let names = ["osier-viewer", "osier-developer", "osier-operator", "osier-approver", "osier-repositories-viewer"];
    let is_role = move |object: &Value| {
        object["kind"] == "ClusterRole" && names.iter().any(|name| object["metadata"]["name"] == *name)
    };
    let roles: Vec<Value> = rendered("full").into_iter().filter(is_role).collect();
    assert_eq!(roles.len(), names.len());
    roles.into_iter().flat_map(|role| rights(&role["rules"]))
}

fn text(columns: &[BTreeSet<Right>]) -> String {
    let mut rows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (index, column) in columns.iter().enumerate() {
        for (group, resource, verb) in column.iter().filter(|right| exists(right)) {
            let cells =
                rows.entry((group.clone(), resource.clone())).or_insert_with(|| vec![String::new(); columns.len()]);
            cells[index] = sorted(&cells[index], verb);
        }
    }
    let mut text = HEAD.to_owned();
    text.push_str(
        "| group | kind | service | lane of branches, besides | receiver | people |\n|---|---|---|---|---|---|\n",
    );
    for ((group, resource), cells) in rows {
        writeln!(text, "| {group} | {resource} | {} |", cells.join(" | ")).unwrap();
    }
    text.replace("|  |", "| |").replace("|  |", "| |")
}

fn sorted(cell: &str, verb: &str) -> String {
    let place = |verb: &&str| (VERBS.iter().position(|known| known == verb).unwrap_or(VERBS.len()), verb.to_string());
    let mut verbs: Vec<&str> = cell.split(", ").filter(|verb| !verb.is_empty()).chain([verb]).collect();
    verbs.sort_by_key(place);
    verbs.join(", ")
}

/// A rule of several groups and kinds means pairs that there are none of.
fn exists((group, resource, _): &Right) -> bool {
    let own = GROUPS.iter().find(|(_, kinds)| kinds.contains(&resource.as_str())).map(|(group, _)| *group);
    let mixed = group.is_empty() || GROUPS.iter().any(|(known, _)| known == group);
    !mixed || own.unwrap_or_default() == group
}
