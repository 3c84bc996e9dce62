//! The roles of people.

use std::fmt::Write;

use expect_test::expect;
use serde_json::{Value, json};

use crate::chart::installed::may;
use crate::rights::{LEVEL, run, sees};
use crate::scenarios::world::World;
use crate::support::control_plane::User;

/// A person for each role, and one without.
const PEOPLE: [&str; 5] = ["viewer", "developer", "operator", "approver", "nobody"];
/// What is asked about in the home namespace.
const RIGHTS: [(&str, &str); 16] = [
    ("get", "osier.dev/environments"),
    ("list", "osier.dev/records"),
    ("watch", "osier.dev/plans"),
    ("list", "/events"),
    ("create", "osier.dev/plans"),
    ("patch", "osier.dev/environments"),
    ("extend", "osier.dev/environments"),
    ("hold", "osier.dev/environments"),
    ("suspend", "osier.dev/environments"),
    ("approve", "osier.dev/environments"),
    ("create", "osier.dev/environments"),
    ("patch", "osier.dev/environments/status"),
    ("delete", "osier.dev/records"),
    ("record-protected", "osier.dev/environments"),
    ("get", "/secrets"),
    ("list", "/secrets"),
];
/// What they do, and how it ends.
const DEEDS: &[(&str, &str, i32)] = &[
    ("viewer", "get", 0),
    ("viewer", "history staging", 0),
    ("viewer", "why staging", 0),
    ("viewer", "suspend staging --reason tea", 6),
    ("viewer", "plan staging --in-cluster", 2),
    ("nobody", "get", 6),
    ("developer", "plan staging --in-cluster", 0),
    ("developer", "rollback staging --to '#1' --dry-run --in-cluster", 0),
    ("developer", "hold staging --reason tea", 6),
    ("approver", "suspend staging --reason tea", 6),
    ("approver", "approve staging abcdefghijklmnopqrstuvwxyz --reason fine", 0),
    ("operator", "suspend staging --reason tea", 0),
    ("operator", "resume staging", 0),
    ("operator", "hold staging --reason tea", 0),
    ("operator", "release staging", 0),
];

/// What they do with the environment of `feature/y`, and how it ends. At last it is gone and asked for again.
const DEEDS_ON_A_BRANCH: &[(&str, &str, i32)] = &[
    ("viewer", "env list", 0),
    ("viewer", "env show feature/y", 0),
    ("viewer", "env wait feature/y --applied", 0),
    ("viewer", "env open feature/y", 0),
    ("viewer", "env extend feature/y --for 1h", 6),
    ("viewer", "env delete feature/y --yes", 6),
    ("approver", "env expire feature/y", 6),
    ("nobody", "env show feature/y", 6),
    ("developer", "env extend feature/y --for 1h", 0),
    ("developer", "env wait feature/y --applied", 0),
    ("developer", "env open feature/y", 0),
    ("developer", "env delete feature/y --yes", 0),
    ("developer", "env open feature/y", 0),
];

/// Who has which role, as the chart's values say it.
pub fn subjects() -> Value {
    let one = |role: &str| json!([format!("user:{role}-1")]);
    json!({"viewer": one("viewer"), "developer": one("developer"), "operator": one("operator"), "approver": one("approver")})
}

/// Each role has its rights and no others, and they are enough for what it is for.
pub async fn do_what_their_roles_say(world: &mut World) {
    let home = world.name("shop");
    let mut table = String::new();
    for person in PEOPLE {
        let mut allowed = Vec::new();
        for (verb, resource) in RIGHTS {
            if may(world, &format!("{person}-1"), verb, resource, &home).await {
                allowed.push(format!("{verb} {}", resource.split_once('/').unwrap().1));
            }
        }
        writeln!(table, "{person}: {}", allowed.join(", ")).unwrap();
    }
    expect![[r#"
        viewer: get environments, list records, watch plans, list events
        developer: get environments, list records, watch plans, list events, create plans, patch environments, extend environments
        operator: get environments, list records, watch plans, list events, create plans, patch environments, extend environments, hold environments, suspend environments, approve environments
        approver: get environments, list records, watch plans, list events, create plans, patch environments, approve environments
        nobody: 
    "#]].assert_eq(&table);
    done(world, DEEDS).await;
    // without a right on Secrets a rollback is asked for by the object itself
    let hold = "{\"spec\":{\"hold\":{\"to\":\"#1\",\"by\":\"operator-1\",\"reason\":\"tea\"}}}";
    let patch = format!("patch environment staging -n shop --type merge -p '{hold}'");
    let operator = as_person(world, "operator");
    run(world, &format!("kubectl {operator} {patch}")).await;
    sees(world, LEVEL, "info").await;
    run(world, &format!("osier {operator} release staging")).await;
    sees(world, LEVEL, "debug").await;
}

/// They see the environments of branches, and the developer says when one ends.
pub async fn say_when_a_branch_ends(world: &mut World) {
    done(world, DEEDS_ON_A_BRANCH).await;
}

async fn done(world: &mut World, deeds: &[(&str, &str, i32)]) {
    for (person, deed, code) in deeds {
        let output = world.run(&format!("osier {} {deed}", as_person(world, person))).await;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(*code), "{person}: osier {deed}: {said}");
    }
}

fn as_person(world: &World, person: &str) -> String {
    format!("--kubeconfig {}", world.server.kubeconfig(&User::person(&format!("{person}-1"))).display())
}
