//! Does an answer have what a row expects of it?

use serde_json::Value;

/// The first difference between what is expected and what is there, with its path; `None` if all that is expected is there.
///
/// Objects and lists may have more than is expected. Strings in angle brackets are predicates; `README.md` lists them.
pub fn difference(expected: &Value, actual: Option<&Value>) -> Option<String> {
    compare(expected, actual, "").err()
}

fn compare(expected: &Value, actual: Option<&Value>, path: &str) -> Result<(), String> {
    if let Some(predicate) = expected.as_str().and_then(|text| text.strip_prefix('<')?.strip_suffix('>')) {
        return check(predicate, actual).map_err(|why| format!("{path}: {why}"));
    }
    let Some(actual) = actual else {
        return Err(format!("{path}: is absent, expected {expected}"));
    };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            expected.iter().try_for_each(|(key, value)| compare(value, actual.get(key), &format!("{path}.{key}")))
        }
        (Value::Array(expected), Value::Array(actual)) => list(expected, actual, path),
        _ if expected == actual => Ok(()),
        _ => Err(format!("{path}: is {actual}, expected {expected}")),
    }
}

/// Each expected element is somewhere in the list; `<only>` among them says that there are no others.
fn list(expected: &[Value], actual: &[Value], path: &str) -> Result<(), String> {
    let (only, elements): (Vec<&Value>, Vec<&Value>) = expected.iter().partition(|value| *value == "<only>");
    for element in &elements {
        let differences: Vec<String> =
            actual.iter().filter_map(|value| compare(element, Some(value), &format!("{path}[]")).err()).collect();
        if differences.len() == actual.len() {
            return Err(format!("{path}: no element like {element}: {}", differences.join("; ")));
        }
    }
    if !only.is_empty() && actual.len() != elements.len() {
        return Err(format!("{path}: has {} elements, expected {}", actual.len(), elements.len()));
    }
    Ok(())
}

fn check(predicate: &str, actual: Option<&Value>) -> Result<(), String> {
    let (word, argument) = predicate.split_once(' ').unwrap_or((predicate, ""));
    let text = || match actual {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let holds = match word {
        "absent" => actual.is_none_or(Value::is_null),
        "any" => actual.is_some_and(|value| !value.is_null()),
        "has" => text().contains(argument),
        "not" => actual.is_some() && text() != argument,
        "length" => length(actual) == argument.parse().ok(),
        "keys" => keys(actual) == argument.split_whitespace().collect::<Vec<_>>(),
        _ => panic!("`<{predicate}>` is no predicate"),
    };
    if holds { Ok(()) } else { Err(format!("is {}, expected <{predicate}>", actual.unwrap_or(&Value::Null))) }
}

fn length(actual: Option<&Value>) -> Option<usize> {
    match actual? {
        Value::Array(list) => Some(list.len()),
        Value::Object(object) => Some(object.len()),
        Value::String(text) => Some(text.len()),
        _ => None,
    }
}

fn keys(actual: Option<&Value>) -> Vec<&str> {
    let mut keys: Vec<&str> =
        actual.and_then(Value::as_object).map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default();
    keys.sort_unstable();
    keys
}
