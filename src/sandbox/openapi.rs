//! `/openapi/v3`, trimmed to what kubectl asks of it: the schemas, and which parameters a patch takes.

use serde_json::{Map, Value, json};

use crate::sandbox::discovery;
use crate::sandbox::kinds::{Definition, Kind};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema;
use crate::sandbox::store::State;

/// The documents that there are, one a group and version.
pub fn index(state: &State) -> Value {
    let mut paths = Map::new();
    for (group, version) in discovery::group_versions(state) {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        // The hash changes when the kinds of the group do; clients keep documents by it.
        let hash = format!("{}-{}", discovery::versions(state, &group).len(), state.kinds.len());
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
    }
    json!({"paths": paths})
}

/// The document of one group and version.
///
/// # Errors
///
/// 404.
pub fn document(state: &State, group: &str, version: &str) -> Result<Value, Refusal> {
    let found = discovery::versions(state, group).into_iter().find(|(name, _)| name == version);
    let (_, kinds) = found.ok_or_else(Refusal::no_such_resource)?;
    let mut schemas = schema::definitions().as_object().cloned().unwrap_or_default();
    let mut paths = Map::new();
    for kind in &kinds {
        if let Definition::Custom { schema, .. } = &kind.definition {
            schemas.insert(format!("{group}.{version}.{}", kind.kind), custom_schema(kind, schema));
        }
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        paths.insert(format!("{root}{scope}/{}/{{name}}", kind.plural), json!({"patch": patch(kind)}));
    }
    Ok(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.4"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn identity(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn patch(kind: &Kind) -> Value {
    let names = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
    let parameters: Vec<Value> =
        names.iter().map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind}})).collect();
    json!({
        "parameters": parameters,
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": identity(kind),
        "responses": {"200": {"description": "OK"}},
    })
}

/// A definition's schema without the sandbox's own marks.
fn custom_schema(kind: &Kind, schema: &Value) -> Value {
    let mut shown = unmarked(schema);
    shown["properties"]["metadata"] =
        json!({"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"});
    shown["x-kubernetes-group-version-kind"] = json!([identity(kind)]);
    shown
}

fn unmarked(node: &Value) -> Value {
    match node {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| !name.starts_with("x-sandbox-"));
            Value::Object(kept.map(|(name, value)| (name.clone(), unmarked(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(unmarked).collect()),
        other => other.clone(),
    }
}
