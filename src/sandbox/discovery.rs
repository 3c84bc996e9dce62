//! What the server says of itself: versions, groups and their kinds, in the aggregated and in the plain form.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::openapi;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::{Call, Form};
use crate::sandbox::store::State;

/// The answer to a path that names no objects.
pub enum Answer {
    Json(Value),
    /// JSON in a form of its own: the media type.
    Typed(Value, &'static str),
    Text(&'static str),
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers `/version`, `/api`, `/apis…`, `/openapi/v3…` and the health paths.
///
/// # Errors
///
/// 404, and 501 for what the real server has and the sandbox does not.
pub fn answer(state: &State, segments: &[String], call: &Call) -> Result<Answer, Refusal> {
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let aggregated = call.form == Form::Discovery;
    let json = match names.as_slice() {
        ["version"] => version(),
        ["readyz" | "livez" | "healthz", ..] => return Ok(Answer::Text("ok")),
        ["api"] if aggregated => return Ok(Answer::Typed(aggregate(state, str::is_empty), AGGREGATED)),
        ["apis"] if aggregated => return Ok(Answer::Typed(aggregate(state, |group| !group.is_empty()), AGGREGATED)),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let groups: Vec<Value> = groups(state).iter().filter(|g| !g.is_empty()).map(|g| group(state, g)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["api", version] => resources(state, "", version)?,
        ["apis", name] if groups(state).contains(&(*name).to_owned()) => {
            let mut group = group(state, name);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        ["apis", group, version] => resources(state, group, version)?,
        ["openapi", "v3"] => openapi::index(state),
        ["openapi", "v3", "api", version] => openapi::document(state, "", version)?,
        ["openapi", "v3", "apis", group, version] => openapi::document(state, group, version)?,
        ["openapi", "v2"] => return Err(Refusal::unserved("`/openapi/v2`; use `/openapi/v3`")),
        _ => return Err(Refusal::no_such_resource()),
    };
    Ok(Answer::Json(json))
}

/// The groups in the order of their names, the core group first.
fn groups(state: &State) -> Vec<String> {
    let mut groups: Vec<String> = state.kinds.iter().map(|kind| kind.group.clone()).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// The versions of a group, each with its kinds.
pub fn versions(state: &State, group: &str) -> Vec<(String, Vec<Arc<Kind>>)> {
    let mut versions: Vec<(String, Vec<Arc<Kind>>)> = Vec::new();
    for kind in state.kinds.iter().filter(|kind| kind.group == group) {
        match versions.iter_mut().find(|(version, _)| *version == kind.version) {
            Some((_, kinds)) => kinds.push(Arc::clone(kind)),
            None => versions.push((kind.version.clone(), vec![Arc::clone(kind)])),
        }
    }
    versions
}

/// All groups and versions that are served.
pub fn group_versions(state: &State) -> Vec<(String, String)> {
    let versions_of = |group: &String| {
        versions(state, group).into_iter().map(|(version, _)| (group.clone(), version)).collect::<Vec<_>>()
    };
    groups(state).iter().flat_map(versions_of).collect()
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "sandbox", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "osier/sandbox",
    })
}

fn group(state: &State, name: &str) -> Value {
    let versions: Vec<Value> = versions(state, name)
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn aggregate(state: &State, wanted: fn(&str) -> bool) -> Value {
    let items: Vec<Value> = groups(state)
        .iter()
        .filter(|group| wanted(group))
        .map(|group| {
            let versions: Vec<Value> = versions(state, group)
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> = kinds.iter().map(|kind| resource(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn resource(kind: &Kind) -> Value {
    let response = |name: &str| json!({"group": kind.group, "version": kind.version, "kind": name});
    let mut value = json!({
        "resource": kind.plural,
        "responseKind": response(&kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs(),
    });
    optional(&mut value, kind);
    let subresources: Vec<Value> = kind
        .subresources()
        .iter()
        .map(|name| {
            let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
            let answered = if *name == "scale" { scale } else { response(&kind.kind) };
            json!({"subresource": name, "responseKind": answered, "verbs": ["get", "patch", "update"]})
        })
        .collect();
    if !subresources.is_empty() {
        value["subresources"] = Value::Array(subresources);
    }
    value
}

fn optional(value: &mut Value, kind: &Kind) {
    if !kind.short_names.is_empty() {
        value["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        value["categories"] = json!(kind.categories);
    }
}

fn resources(state: &State, group: &str, version: &str) -> Result<Value, Refusal> {
    let found = versions(state, group).into_iter().find(|(name, _)| name == version);
    let (_, kinds) = found.ok_or_else(Refusal::no_such_resource)?;
    let mut resources = Vec::new();
    for kind in &kinds {
        let mut value = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": kind.verbs(),
        });
        optional(&mut value, kind);
        resources.push(value);
        for name in kind.subresources() {
            let mut sub = Map::new();
            sub.insert("name".into(), json!(format!("{}/{name}", kind.plural)));
            sub.insert("singularName".into(), json!(""));
            sub.insert("namespaced".into(), json!(kind.namespaced));
            sub.insert("verbs".into(), json!(["get", "patch", "update"]));
            sub.insert("kind".into(), json!(if name == "scale" { "Scale" } else { &kind.kind }));
            if name == "scale" {
                sub.insert("group".into(), json!("autoscaling"));
                sub.insert("version".into(), json!("v1"));
            }
            resources.push(Value::Object(sub));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}))
}
