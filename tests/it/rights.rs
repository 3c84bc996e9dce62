//! The service with the rights that the README names, and no others, on a server that checks them.

use std::fs;
use std::time::{Duration, Instant};

use osier::cluster::admission::admission;
use serde_json::json;

use crate::scenarios::script::File;
use crate::scenarios::service::{service, settle, until};
use crate::scenarios::world::World;
use crate::support::audit::AuditLine;
use crate::support::control_plane::User;
use crate::support::server::{PATIENCE, Server};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {namespace: shop-staging, layers: [base], keys: staging}\n";
const API: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  selector: {matchLabels: {app: api}}\n  template:\n    metadata: {labels: {app: api}}\n    spec: {containers: [{name: web, image: \"registry.example/web:1\", envFrom: [{configMapRef: {name: app}}]}]}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: canary-9d-password}\n";

/// The rules of the README for an account in a place.
pub fn rules(account: &str, place: &str) -> String {
    let readme = fs::read_to_string(README).unwrap();
    let rules = readme.split(&format!("\n# {account}, {place}\n")).nth(1).expect("the README has the heading");
    let is_rule = |line: &&str| line.starts_with("- ") || line.starts_with("  ");
    rules.lines().take_while(is_rule).collect::<Vec<&str>>().join("\n")
}

/// Binds rules to an account, in one namespace or everywhere.
pub async fn grant(world: &mut World, account: &str, name: &str, namespace: Option<&str>, rules: &str) {
    let (prefix, metadata) = match namespace {
        Some(namespace) => ("", format!("{{name: {name}, namespace: {namespace}}}")),
        None => ("Cluster", format!("{{name: {name}-{account}}}")),
    };
    let role = if namespace.is_some() { name.to_owned() } else { format!("{name}-{account}") };
    let group = "rbac.authorization.k8s.io";
    let text = format!(
        "apiVersion: {group}/v1\nkind: {prefix}Role\nmetadata: {metadata}\nrules:\n{rules}\n---\n\
         apiVersion: {group}/v1\nkind: {prefix}RoleBinding\nmetadata: {metadata}\n\
         roleRef: {{apiGroup: {group}, kind: {prefix}Role, name: {role}}}\n\
         subjects: [{{apiGroup: {group}, kind: User, name: {account}}}]\n"
    );
    create(world, &text).await;
}

pub async fn create(world: &mut World, text: &str) {
    fs::write(world.path("outside").join("objects.yaml"), text).unwrap();
    run(world, "kubectl create -f ../outside/objects.yaml").await;
}

pub async fn run(world: &mut World, line: &str) -> String {
    let line = world.names.real(line);
    let output = world.run(&line).await;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The admission policies for this world's home namespace and Repository alone: other tests run beside this one.
pub async fn guard(world: &mut World) {
    let home = world.name("shop");
    for mut object in admission() {
        let is_binding = object["kind"] == "ValidatingAdmissionPolicyBinding";
        if is_binding {
            let name = format!("{}-{home}", object["metadata"]["name"].as_str().unwrap());
            object["metadata"]["name"] = json!(name);
            let is_of_repositories = object["spec"]["policyName"] == "osier-repositories";
            object["spec"]["matchResources"] = if is_of_repositories {
                json!({"resourceRules": [{"apiGroups": ["osier.dev"], "apiVersions": ["*"], "operations": ["*"],
                    "resources": ["repositories/status"], "resourceNames": [home]}]})
            } else {
                json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": home}}})
            };
        }
        fs::write(world.path("outside").join("policy.json"), object.to_string()).unwrap();
        run(world, "kubectl apply --server-side --force-conflicts -f ../outside/policy.json").await;
    }
}

/// A world whose service has the README's rights.
pub async fn world() -> World {
    let mut world = World::new(Server::real()).await;
    world.account = User::person(&world.account.name.replace("service", "rights"));
    fs::copy(world.server.kubeconfig(&world.account), world.path("kubeconfig-service")).unwrap();
    let [home, target] = ["shop", "shop-staging"].map(|name| world.name(name));
    guard(&mut world).await;
    for (name, namespace, place) in [
        ("osier", None, "in the whole cluster"),
        ("osier-lease", Some(&*home), "in its own namespace"),
        ("osier-home", Some(&home), "in the home namespace"),
        ("osier-target", Some(&target), "in each namespace of an environment"),
    ] {
        let account = world.account.name.clone();
        grant(&mut world, &account, name, namespace, &rules("service", place)).await;
    }
    shop(&mut world);
    world
}

/// The files of one environment.
pub fn shop(world: &mut World) {
    for (path, classes, content) in
        [("osier.yaml", &[][..], CONFIG), ("base/api.yaml", &[], API), ("base/db.sops.yaml", &["staging"], SECRET)]
    {
        let encrypted_for = classes.iter().map(|class: &&str| (*class).to_owned()).collect();
        world.write(&File { path: path.to_owned(), encrypted_for, content: content.to_owned() });
    }
}

pub fn config(world: &mut World, name: &str, level: &str) {
    let content =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{LOG_LEVEL: {level}}}\n");
    world.write(&File { path: format!("base/{name}.yaml"), encrypted_for: Vec::new(), content });
}

/// Waits until a command says this; names are those of scripts.
pub async fn sees(world: &mut World, command: &str, wanted: &str) {
    let said = until(world, command, wanted).await;
    assert!(said.is_empty(), "{command}: {said}, not {wanted}");
}

pub async fn asked(world: &World) -> Vec<AuditLine> {
    let Server::Real(control_plane) = &world.server else { panic!("the sandbox checks no rights") };
    control_plane.audit(&world.account).await
}

/// Waits until the service has looked at pods, to say what keeps them.
pub async fn told_of_pods(world: &World) {
    let begun = Instant::now();
    while !asked(world).await.iter().any(|line| line.resource == "pods" && line.code == 200) {
        assert!(begun.elapsed() < PATIENCE, "nobody asks for pods");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub const LEVEL: &str = "kubectl get configmap app -n shop-staging -o jsonpath={.data.LOG_LEVEL}";
const REASON: &str = "kubectl get environment staging -n shop -o jsonpath={.status.conditions[0].reason}";

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough_for_the_service() {
    let mut world = world().await;
    let world = &mut world;
    first_state(world, "start").await;
    a_push_and_what_others_do(world).await;
    back_and_forth(world).await;
    told_of_pods(world).await;
    assert_eq!(service(world, "stop").await, "");
    let asked = asked(world).await;
    let refused: Vec<_> = asked.iter().filter(|line| line.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    world.scan().await;
}

/// What the service finds when it starts, applied.
pub async fn first_state(world: &mut World, start: &str) {
    config(world, "app", "info");
    config(world, "old", "info");
    world.push("the first state").await;
    service(world, start).await;
    assert_eq!(settle(world, "staging").await, "");
    sees(world, LEVEL, "info").await;
}

/// A push, an edit and a deletion by hand.
pub async fn a_push_and_what_others_do(world: &mut World) {
    config(world, "app", "debug");
    fs::remove_file(world.path("clone/base/old.yaml")).unwrap();
    world.push("a push").await;
    sees(world, LEVEL, "debug").await;
    sees(world, "kubectl get configmap old -n shop-staging --ignore-not-found", "").await;
    run(world, "kubectl patch configmap app -n shop-staging --type merge -p '{\"data\":{\"LOG_LEVEL\":\"mine\"}}'")
        .await;
    sees(world, LEVEL, "debug").await;
    run(world, "kubectl delete deployment api -n shop-staging").await;
    sees(world, "kubectl get deployment api -n shop-staging --ignore-not-found -o name", "deployment.apps/api").await;
}

/// A rollback and its release.
pub async fn back_and_forth(world: &mut World) {
    run(world, "osier rollback staging --to '#1' --reason 'it is loud' --yes").await;
    sees(world, LEVEL, "info").await;
    sees(world, REASON, "HeldBack").await;
    run(world, "osier release staging").await;
    sees(world, LEVEL, "debug").await;
    let events = "kubectl get events -n shop -o jsonpath={.items[*].reason} | tr ' ' '\\n' | sort -u | xargs";
    sees(world, events, "Applied HeldBack").await;
}
