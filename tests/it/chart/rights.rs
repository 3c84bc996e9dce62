//! The service with the rights of the chart, which are those of the README and no others, on a server that helm installed it on.

use std::collections::BTreeSet;

use osier::desired::kinds;
use serde_json::{Value, json};

use crate::chart::asked::{self, BESIDES};
use crate::chart::installed::{self, ACCOUNT};
use crate::chart::people::subjects;
use crate::chart::{branch, documents, lanes, people, rendered};
use crate::rights::{a_push_and_what_others_do, back_and_forth, first_state, rules, run, sees, shop, told_of_pods};
use crate::scenarios::service::service;
use crate::scenarios::world::World;

/// The README's headings, and what the chart calls that role.
pub const PLACES: [(&str, &str, &str); 4] = [
    ("in the whole cluster", "ClusterRole", "osier-protected"),
    ("in its own namespace", "Role", "osier-protected"),
    ("in the home namespace", "Role", "osier-home-protected"),
    ("in each namespace of an environment", "ClusterRole", "osier-environment"),
];

/// Group, resource with its subresource, verb.
pub type Right = (String, String, String);

/// The rights of the README's service in a place.
pub fn documented(place: &str) -> BTreeSet<Right> {
    documented_of("service", place)
}

/// The rights of an account of the README in a place.
pub fn documented_of(account: &str, place: &str) -> BTreeSet<Right> {
    rights(&documents(&rules(account, place))[0])
}

/// Whatever names a rule is limited to: the README's are not.
pub fn rights(rules: &Value) -> BTreeSet<Right> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                rights.extend(words(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    rights
}

/// The service in an environment, and whoever applies by hand.
#[test]
fn every_kind_that_environments_may_have_is_in_the_readme() {
    let place = PLACES[3].0;
    for kind in kinds::allowed(&[]) {
        let name = kind.kind.to_lowercase();
        let plural = match name.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if name.ends_with('s') => format!("{name}es"),
            None => format!("{name}s"),
        };
        for (account, verb) in [("service", "watch"), ("service", "delete"), ("apply", "list"), ("apply", "patch")] {
            let right = (kind.group.to_string(), plural.clone(), verb.to_owned());
            assert!(documented_of(account, place).contains(&right), "{account}: {right:?}");
        }
    }
}

#[test]
fn the_chart_gives_the_rights_in_the_readme_and_no_others() {
    let objects = rendered("branches");
    let given = |kind: &str, name: &str| {
        let named = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        rights(&objects.iter().find(named).expect("the chart has the role")["rules"])
    };
    for (place, kind, name) in PLACES {
        assert_eq!(given(kind, name), documented(place), "{place}");
    }
    let besides = documented(BESIDES[0]);
    let all: BTreeSet<Right> = documented(PLACES[0].0).union(&besides).cloned().collect();
    assert_eq!(given("ClusterRole", "osier-branches"), all);
    // each lane has a verb of its own
    let record = |lane: &str| ("osier.dev".to_owned(), "environments".to_owned(), format!("record-{lane}"));
    let mut home = documented(PLACES[2].0);
    assert!(home.remove(&record("protected")) && home.insert(record("branches")));
    home.extend(documented(BESIDES[1]));
    assert_eq!(given("Role", "osier-home-branches"), home);
}

/// The receiver reads the one Secret that the Repository names.
#[test]
fn the_receiver_has_the_rights_in_the_readme_and_no_others() {
    let objects = rendered("receiver");
    for (place, kind) in [("in the whole cluster", "ClusterRole"), ("in the home namespace", "Role")] {
        let named = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == "osier-receiver";
        let rules = &objects.iter().find(named).expect("the chart has the role")["rules"];
        assert_eq!(rights(rules), documented_of("receiver", place), "{place}");
        assert!(kind == "ClusterRole" || rules[0]["resourceNames"] == json!(["shop-webhook"]), "{rules}");
    }
}

/// Roles that are bound in the whole cluster have no right on Secrets there.
#[test]
fn nobody_has_a_right_on_secrets_in_all_namespaces() {
    for objects in ["small", "full", "branches", "receiver"].map(rendered) {
        let bindings: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "ClusterRoleBinding").collect();
        assert!(!bindings.is_empty());
        for binding in bindings {
            let named = |object: &&Value| {
                object["kind"] == "ClusterRole" && object["metadata"]["name"] == binding["roleRef"]["name"]
            };
            let role = objects.iter().find(named).expect("the chart has the role");
            let secrets: Vec<Right> = rights(&role["rules"]).into_iter().filter(|right| right.1 == "secrets").collect();
            assert!(secrets.is_empty(), "{secrets:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_runs_as_helm_installs_it() {
    let mut world = installed::world(&subjects()).await;
    let world = &mut world;
    shop(world);
    pods_are_admitted(world).await;
    further_kinds_are_for_environments(world).await;
    first_state(world, "start --namespace osier-system").await;
    a_push_and_what_others_do(world).await;
    back_and_forth(world).await;
    people::do_what_their_roles_say(world).await;
    told_of_pods(world).await;
    assert_eq!(service(world, "stop").await, "");
    asked::is_documented(world, &world.account, "protected", |_| false).await;
    lanes::a_lane_of_branches_keeps_to_its_namespaces(world).await;
    branch::branches_come_and_go(world).await;
    what_was_applied_outlives_the_chart(world).await;
    world.scan().await;
}

/// The namespace enforces the restricted profile.
async fn pods_are_admitted(world: &mut World) {
    sees(world, "kubectl get pods -n osier-system -o name | xargs", "pod/osier-protected-0 pod/osier-protected-1")
        .await;
}

/// What `kinds` of the values adds.
async fn further_kinds_are_for_environments(world: &World) {
    let (environment, home) = (world.name("shop-staging"), world.name("shop"));
    for (namespace, wanted) in [(&*environment, true), (&home, false), ("default", false), ("", false)] {
        for verb in ["list", "patch"] {
            let may = installed::may(world, ACCOUNT, verb, "example.com/widgets", namespace).await;
            assert_eq!(may, wanted, "{verb} in {namespace:?}");
        }
    }
}

/// Definitions stay, and with them the books; nothing in the namespaces of environments was the chart's.
async fn what_was_applied_outlives_the_chart(world: &mut World) {
    let count = "kubectl get configmaps,secrets,deployments,environments,records -A -o name | grep -v -e helm -e osier-receiver | sort";
    let before = run(world, count).await;
    assert!(["configmap/app", "environment.osier.dev/staging"].iter().all(|name| before.contains(name)), "{before}");
    run(world, "helm uninstall osier -n osier-system").await;
    assert_eq!(run(world, count).await, before);
    installed::write_values(world, &json!({}));
    installed::upgrade(world, "new").await;
}
