//! The columns that a CustomResourceDefinition says (`additionalPrinterColumns`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::table::cells::age;

pub fn definitions(columns: &Value) -> Vec<Value> {
    let name = json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0});
    let own = columns.as_array().into_iter().flatten().map(|column| {
        json!({
            "name": column["name"], "type": column["type"],
            "format": column["format"].as_str().unwrap_or_default(),
            "description": column["description"].as_str().unwrap_or_default(),
            "priority": column["priority"].as_i64().unwrap_or_default(),
        })
    });
    let plain = json!({"name": "Age", "type": "date", "format": "", "description": "", "priority": 0});
    let age = columns.is_null().then_some(plain);
    std::iter::once(name).chain(own).chain(age).collect()
}

pub fn row(columns: &Value, object: &Value, now: Timestamp) -> Vec<Value> {
    let own = columns.as_array().into_iter().flatten().map(|column| {
        let found = find(object, column["jsonPath"].as_str().unwrap_or_default());
        match (column["type"].as_str(), found) {
            (_, None) => Value::Null,
            (Some("date"), Some(value)) => json!(age(&value, now)),
            (Some("string"), Some(value)) if !value.is_string() => json!(value.to_string()),
            (_, Some(value)) => value,
        }
    });
    let created = columns.is_null().then(|| json!(age(&object["metadata"]["creationTimestamp"], now)));
    std::iter::once(object["metadata"]["name"].clone()).chain(own).chain(created).collect()
}

/// The part of JSONPath that printer columns use: names, escaped dots, indices and `[?(@.name=="value")]`.
fn find(object: &Value, path: &str) -> Option<Value> {
    let mut value = object;
    let mut rest = path.trim_start_matches(['$']);
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = inside.split_once(']')?;
            value = select(value, step)?;
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (name, after) = segment(rest);
        value = value.get(&name)?;
        rest = after;
    }
    Some(value.clone()).filter(|value| !value.is_null())
}

fn select<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    let list = value.as_array();
    if let Ok(index) = step.parse::<usize>() {
        return list?.get(index);
    }
    if let Some(condition) = step.strip_prefix("?(@.").and_then(|condition| condition.strip_suffix(')')) {
        let (name, wanted) = condition.split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return list?.iter().find(|item| item[name.trim()] == wanted);
    }
    value.get(step.trim_matches(['"', '\'']))
}

fn segment(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = path.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &path[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}
