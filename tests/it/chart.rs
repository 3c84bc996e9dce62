//! The chart: what the real helm makes of it, and that it says what the code says.

mod asked;
mod branch;
mod installed;
mod lanes;
mod people;
mod rights;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::expect_file;
use osier::cluster::admission::admission;
use osier::cluster::crds::crds;
use osier::desired::yaml;
use serde_json::{Value, json};

use crate::support::programs::program;

/// Where it lies.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/osier");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/chart");
/// The values files beside this one, each with what is rendered from it.
const VALUES: [&str; 4] = ["small", "full", "branches", "receiver"];

/// Values that are refused, and a piece of what is said. None leads to an object.
const REFUSED: &[(&str, &str)] = &[
    ("replica=2", "additional properties 'replica' not allowed"),
    ("lanes.production.keys=k", "additional properties 'production' not allowed"),
    ("lanes.all.keys=k", "/lanes': maxProperties"),
    ("lanes.protected=null", "/lanes': minProperties"),
    ("lanes.protected.keys=null", "missing property 'keys'"),
    ("lanes.protected.keys=Keys", "does not match pattern"),
    ("lanes.protected.replicas=0", "minimum: got 0, want 1"),
    ("lanes.protected.replicas=two", "got string, want integer"),
    ("lanes.protected.concurrency=65", "maximum: got 65, want 64"),
    ("lanes.protected.watch=pods", "value must be one of 'namespace', 'cluster'"),
    ("lanes.protected.prefixes[0]=shop", "additional properties 'prefixes' not allowed"),
    ("lanes.branches.keys=k", "missing property 'prefixes'"),
    ("lanes.branches.keys=k,lanes.branches.prefixes[0]=longer-than-twenty-one", "does not match pattern"),
    ("lanes.branches.keys=k,lanes.branches.prefixes[0]=", "does not match pattern"),
    ("repositories.shop.home=shop", "missing property 'namespaces'"),
    ("repositories.shop.home=Shop,repositories.shop.namespaces[0]=a", "does not match pattern"),
    (
        "repositories.s.home=s,repositories.s.namespaces[0]=a,repositories.s.people.admin[0]=user:x",
        "'admin' not allowed",
    ),
    (
        "repositories.s.home=s,repositories.s.namespaces[0]=a,repositories.s.people.viewer[0]=ann",
        "does not match pattern",
    ),
    ("kinds[0].plurals[0]=widgets", "missing property 'group'"),
    ("kinds[0].group=example.com", "missing property 'plurals'"),
    ("kinds[0].group=,kinds[0].plurals[0]=secrets", "value must be one of 'pods', 'podtemplates'"),
    ("kinds[0].group=,kinds[0].plurals[0]=serviceaccounts/token", "value must be one of 'pods', 'podtemplates'"),
    ("kinds[0].group=*,kinds[0].plurals[0]=secrets", "does not match pattern"),
    ("kinds[0].group=example.com,kinds[0].plurals[0]=*", "does not match pattern"),
    ("kinds[0].group=example.com,kinds[0].plurals[0]=widgets/scale", "does not match pattern"),
    ("kinds[0].group=rbac.authorization.k8s.io,kinds[0].plurals[0]=roles", "any of the group rbac.authorization"),
    ("kinds[0].group=osier.dev,kinds[0].plurals[0]=environments", "any of the group osier.dev"),
    (
        "repositories.a.home=h,repositories.a.namespaces[0]=x,repositories.b.home=h,repositories.b.namespaces[0]=y",
        "a and b have one home, h",
    ),
    (
        "repositories.a.home=h,repositories.a.namespaces[0]=x,repositories.b.home=i,repositories.b.namespaces[0]=x",
        "a and b have one namespace",
    ),
    (
        "repositories.s.home=h,repositories.s.namespaces[0]=x,repositories.s.webhookSecret=w",
        "s.webhookSecret is for the receiver",
    ),
    ("receiver.ingress.enabled=true", "minLength: got 0, want 1"),
    ("receiver.host=a.example,receiver.httpRoute.enabled=true", "minItems: got 0, want 1"),
    ("receiver.host=https://a.example", "does not match pattern"),
    ("image.digest=sha256:1", "does not match pattern"),
    ("networkPolicy.egressPorts[0]=0", "minimum: got 0, want 1"),
    ("logFormat=xml", "value must be one of 'text', 'json'"),
];

fn helm(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(program("helm")).args(arguments).env_clear().env("HOME", home.path()).output().unwrap()
}

fn template(arguments: &[&str]) -> Output {
    helm(&[&["template", "osier", CHART, "--namespace", "osier-system"], arguments].concat())
}

fn values(name: &str) -> String {
    format!("{HERE}/{name}.values.yaml")
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All documents of a stream, as kubectl reads them.
pub fn documents(text: &str) -> Vec<Value> {
    let parsed = yaml::parse(text).unwrap();
    let json = |document: &yaml::Document| yaml::kubernetes(&document.node).unwrap().to_json();
    parsed.iter().map(json).filter(|document| !document.is_null()).collect()
}

/// What is rendered from a values file.
pub fn rendered(name: &str) -> Vec<Value> {
    documents(&succeeded(template(&["--values", &values(name)])))
}

#[test]
fn every_values_file_passes_the_linter_and_renders_as_committed() {
    for name in VALUES {
        succeeded(helm(&["lint", "--strict", CHART, "--values", &values(name)]));
        expect_file![format!("{HERE}/{name}.yaml")].assert_eq(&succeeded(template(&["--values", &values(name)])));
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (set, wanted) in REFUSED {
        let output = template(&["--set", set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "{set}: {said}");
        assert!(output.stdout.is_empty(), "{set}");
    }
}

#[test]
fn the_definitions_are_those_of_the_code_and_outlive_the_release() {
    let objects = documents(&succeeded(template(&[])));
    for object in &objects {
        let is_kept = object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        assert_eq!(is_kept, object["kind"] == "CustomResourceDefinition", "{}", object["metadata"]);
    }
    for wanted in crds().into_iter().chain(admission()) {
        let (kind, name) = (&wanted["kind"], &wanted["metadata"]["name"]);
        let named = |object: &&Value| object["kind"] == *kind && object["metadata"]["name"] == *name;
        let mut found = objects.iter().find(named).cloned().unwrap_or_else(|| panic!("there is no {kind} {name}"));
        found["metadata"] = json!({"name": name});
        let text = |object: &Value| object.to_string().replace(":0.0", ":0"); // helm's reader of YAML
        assert!(text(&found) == text(&wanted), "{kind} {name} is another one");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = &documents(&fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap())[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
}

/// The one thing that a rendered argument cannot know here: where the volumes are.
fn on_this_machine(argument: &str, keys: &Path, data: &Path) -> String {
    match argument.split_once('=') {
        Some(("--keys", _)) => format!("--keys={}", keys.display()),
        Some(("--data", _)) => format!("--data={}", data.display()),
        _ => argument.to_owned(),
    }
}

/// Stands for the cluster that a pod is in; it is not asked for anything.
const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], \
    clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {token: none}}]}";

/// `--log-format` is `logFormat` in what is printed.
fn setting(argument: &str) -> String {
    let mut words = argument.trim_start_matches('-').split('-');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn every_argument_is_one_of_the_program() {
    let (keys, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(keys.path().join("staging.txt"), "").unwrap();
    let kubeconfig = keys.path().join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let mut processes = 0;
    for workload in VALUES.iter().flat_map(|name| rendered(name)) {
        let container = &workload["spec"]["template"]["spec"]["containers"][0];
        let Some(arguments) = container["args"].as_array() else { continue };
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        let arguments: Vec<String> = arguments.map(|text| on_this_machine(text, keys.path(), data.path())).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_osier"));
        command.args(&arguments).args(["--print-settings", "-o", "json"]).env_clear();
        let output = command.env("KUBECONFIG", &kubeconfig).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (name, value) in arguments[1..].iter().map(|argument| argument.split_once('=').unwrap()) {
            let printed = &settings[setting(name)];
            let words = printed.as_array().cloned().unwrap_or_else(|| vec![printed.clone()]);
            let words = words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned));
            let printed = words.collect::<Vec<_>>().join(",");
            assert_eq!(printed, value, "{name}: {settings}");
        }
        processes += 1;
    }
    assert!(processes > VALUES.len(), "{processes} processes: a lane each, and the receiver");
}

/// Metrics that alerts and the dashboard ask for, against the names in the code.
#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let code = include_str!("../../src/controller/metrics.rs");
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(format!("{CHART}/files/{file}")).unwrap();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let asked: Vec<&str> =
            text.split(|letter| !is_name(letter)).filter(|word| word.starts_with("osier_")).collect();
        assert!(asked.len() >= 8, "{file}: {asked:?}");
        for name in asked {
            let name = name.trim_start_matches("osier_");
            let endings = ["_total", "_bucket", "_count", "_sum"];
            let base = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
            assert!(code.contains(&format!("\"{base}\"")), "{file}: there is no metric osier_{name}");
        }
    }
}
