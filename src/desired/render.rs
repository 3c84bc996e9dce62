//! One object from its opened documents: merged, variables filled in, values decoded, checked.

mod check;
mod values;

use std::collections::BTreeMap;

use crate::desired::isolation::Breach;
use crate::desired::leaves::{self, Place};
use crate::desired::manifest::{Manifest, Origin};
use crate::desired::merge::{File, Merge};
use crate::desired::open::Document;
use crate::desired::render::values::Values;
use crate::desired::set::{Desired, Parameters, Source};
use crate::desired::value::Value;
use crate::desired::variables;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::reason::Reason;

/// Makes the object from its documents, which come in the order of `desired.sources`; `parameters` are all of the environment's.
///
/// # Guarantees
/// Every leaf has an origin. No problem tells an encrypted value.
///
/// # Errors
/// Everything that the API server would refuse and that can be told without it, each at its line.
pub fn render(
    object: &ObjectId,
    desired: &Desired,
    documents: Vec<(Source, Document)>,
    parameters: &Parameters,
) -> Result<Manifest, Vec<Problem>> {
    let start = desired.sources.first().map(|source| (source.path.to_string(), source.line)).unwrap_or_default();
    let mut merge = Merge::new(&object.kind);
    let mut values = Values::new(&object.kind, parameters);
    for (source, document) in documents {
        let Document { line, mut value, leaves, .. } = document;
        let file = File { path: &source.path, line, leaves: &leaves };
        if object.kind.is_config() {
            values.take(&mut value, file);
        }
        merge.add(value, file);
    }
    let Merge { value: mut body, mut origins, .. } = merge;
    let mut problems = encrypted_variables(object, &body, &origins, &start);
    variables::fill_value(&mut body, parameters);
    strip(&mut body, &mut origins);
    origins.extend(values.origins);
    problems.extend(values.problems);
    let manifest = Manifest {
        object: object.clone(),
        api_version: desired.api_version.to_string(),
        body,
        values: values.values,
        origins,
    };
    problems.extend(check::check(&manifest, &start));
    problems.extend(breaches(&manifest, desired, &start));
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(manifest) } else { Err(problems) }
}

/// What a branch environment may not have; of the template's objects all sources are the template's.
fn breaches(manifest: &Manifest, desired: &Desired, start: &(String, u32)) -> Vec<Problem> {
    let Some(isolation) = &desired.isolation else { return Vec::new() };
    let fenced = desired.sources.iter().all(|source| source.layer == isolation.template);
    let problem = |breach: Breach| {
        let problem = problem_at(&manifest.origins, start, &breach.path, breach.message);
        problem.hint(breach.hint).because(Reason::PolicyDenied)
    };
    isolation.breaches(manifest, fenced).into_iter().map(problem).collect()
}

/// The problem at a leaf: at its origin, or at the nearest below, or at the start of the object.
fn problem_at(
    origins: &BTreeMap<String, Origin>,
    start: &(String, u32),
    path: &str,
    message: impl Into<String>,
) -> Problem {
    let exact = origins.get(path);
    let below = || origins.range(path.to_owned()..).next().filter(|(found, _)| found.starts_with(path));
    match exact.or_else(|| below().map(|(_, origin)| origin)) {
        Some(origin) => Problem::new(&origin.path, message).at(origin.line, 0),
        None => Problem::new(&start.0, message).at(start.1, 0),
    }
}

/// Variables in encrypted values that cannot be filled in.
fn encrypted_variables(
    object: &ObjectId,
    body: &Value,
    origins: &BTreeMap<String, Origin>,
    start: &(String, u32),
) -> Vec<Problem> {
    let mut problems = Vec::new();
    leaves::each(&object.kind, &Place::default(), body, None, &mut |leaf| {
        let mistake = secret_mistake(leaf.value);
        problems.extend(mistake.map(|(message, hint)| {
            problem_at(origins, start, &leaf.path, format!("`{}` has {message}", leaf.path)).hint(hint)
        }));
    });
    problems
}

fn secret_mistake(value: &Value) -> Option<(&'static str, String)> {
    match value {
        Value::Secret(secret) => variables::encrypted_mistake(secret),
        Value::List(items) => items.iter().find_map(secret_mistake),
        Value::Map(map) => map.values().find_map(secret_mistake),
        _ => None,
    }
}

/// Takes away what `Manifest` says elsewhere, and an empty status.
fn strip(body: &mut Value, origins: &mut BTreeMap<String, Origin>) {
    let Value::Map(map) = body else { return };
    for field in ["apiVersion", "kind", "status"] {
        map.remove(field);
        origins.remove(field);
    }
    let Some(Value::Map(metadata)) = map.get_mut("metadata") else { return };
    for field in ["name", "namespace"] {
        metadata.remove(field);
        origins.remove(&format!("metadata.{field}"));
    }
    if metadata.is_empty() {
        map.remove("metadata");
    }
}

#[cfg(test)]
mod tests;
