//! ResourceQuotas that count objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::store::{Key, State};

/// Refuses an object that a quota of its namespace leaves no room for.
///
/// # Errors
///
/// 403 `exceeded quota`.
pub fn admit(state: &mut State, kind: &Kind, key: &Key, object: &Value) -> Result<(), Refusal> {
    let Some(quotas) = quotas(state, &key.namespace) else { return Ok(()) };
    for (name, quota) in &quotas {
        let names = counted_names(kind, object);
        let hard = quota["spec"]["hard"].as_object().into_iter().flatten();
        let mut asked = BTreeMap::new();
        for (counter, limit) in hard.filter(|(counter, _)| names.contains(counter)) {
            let limit: u64 = limit.as_str().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            let used = state.list(kind, Some(&key.namespace)).filter(|(_, o)| counted_names(kind, o).contains(counter));
            let used = used.count() as u64;
            if used + 1 > limit {
                asked.insert(counter.clone(), (used, limit));
            }
        }
        if !asked.is_empty() {
            let list = |show: fn(&(u64, u64)) -> u64| {
                let parts = asked.iter().map(|(counter, counts)| format!("{counter}={}", show(counts)));
                parts.collect::<Vec<_>>().join(",")
            };
            let why = format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                list(|_| 1),
                list(|(used, _)| *used),
                list(|(_, limit)| *limit)
            );
            return Err(Refusal::forbidden(&kind.named(&key.name), &why));
        }
    }
    Ok(())
}

/// The quota as it is shown: with what is used now.
pub fn with_usage(state: &State, quota: &Value) -> Value {
    let namespace = quota["metadata"]["namespace"].as_str().unwrap_or_default();
    let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
    let mut used = Map::new();
    for counter in hard.keys() {
        let kinds = state.kinds.iter();
        let count = kinds
            .map(|kind| {
                state.list(kind, Some(namespace)).filter(|(_, o)| counted_names(kind, o).contains(counter)).count()
            })
            .sum::<usize>();
        used.insert(counter.clone(), json!(count.to_string()));
    }
    let mut shown = quota.clone();
    shown["status"] = json!({"hard": hard, "used": used});
    shown
}

fn quotas(state: &State, namespace: &str) -> Option<Vec<(String, Value)>> {
    let kind = state.kinds.iter().find(|kind| kind.is("", "ResourceQuota"))?;
    let found: Vec<(String, Value)> =
        state.list(kind, Some(namespace)).map(|(key, object)| (key.name.clone(), Value::clone(object))).collect();
    (!found.is_empty()).then_some(found)
}

/// Kinds of the core group that quotas count under their bare plural too.
const PLAIN: [&str; 6] = ["configmaps", "secrets", "pods", "services", "persistentvolumeclaims", "resourcequotas"];

/// The names under which quotas count an object.
fn counted_names(kind: &Kind, object: &Value) -> Vec<String> {
    let qualified = if kind.group.is_empty() { kind.plural.clone() } else { format!("{}.{}", kind.plural, kind.group) };
    let mut names = vec![format!("count/{qualified}")];
    if kind.group.is_empty() && PLAIN.contains(&kind.plural.as_str()) {
        names.push(kind.plural.clone());
    }
    if kind.is("", "Service") {
        match object["spec"]["type"].as_str() {
            Some("NodePort") => names.push("services.nodeports".to_owned()),
            Some("LoadBalancer") => names.push("services.loadbalancers".to_owned()),
            _ => {}
        }
    }
    names
}
