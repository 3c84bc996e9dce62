//! Label and field selectors.

use serde_json::Value;

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::Call;

/// Which objects a list or watch asks for.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads the selectors of a request.
    ///
    /// # Errors
    ///
    /// 400 for a selector that cannot be read, or one on a field that the kind does not offer.
    pub fn read(kind: &Kind, call: &Call) -> Result<Selector, Refusal> {
        let labels = call.query.get("labelSelector").map_or(Ok(Vec::new()), parse_labels)?;
        let fields = call.query.get("fieldSelector").map_or(Ok(Vec::new()), |text| parse_fields(kind, text))?;
        Ok(Selector { labels, fields })
    }

    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let labelled = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|v| v != value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        });
        labelled && self.fields.iter().all(|(path, equal, value)| (field(object, path) == *value) == *equal)
    }
}

fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').fold(object, |value, name| &value[name]);
    match found {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<(String, bool, String)>, Refusal> {
    let mut fields = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, true, value)
        } else {
            let why = format!("invalid selector: '{text}'; can't understand '{part}'");
            return Err(Refusal::bad_request(why));
        };
        if !offered(kind).contains(&path) {
            let names: Vec<String> = offered(kind).iter().map(|name| format!("{name:?}")).collect();
            let why = format!("{path:?} is not a known field selector: only {}", names.join(", "));
            return Err(Refusal::bad_request(why));
        }
        fields.push((path.to_owned(), equal, value.to_owned()));
    }
    Ok(fields)
}

fn offered(kind: &Kind) -> Vec<&'static str> {
    let own: &[&str] = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "Event") => {
            &["regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "reason", "type"]
        }
        ("", "Secret") => &["type"],
        ("", "Namespace") => &["status.phase"],
        ("", "Pod") => {
            &["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase"]
        }
        ("batch", "Job") => &["status.successful"],
        ("apps", "ReplicaSet") => &["status.replicas"],
        _ => &[],
    };
    ["metadata.name", "metadata.namespace"].into_iter().chain(own.iter().copied()).collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Refusal> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = first_part(rest);
        requirements.push(requirement(part.trim())?);
        rest = after.trim();
    }
    Ok(requirements)
}

/// Splits at the first comma outside of parentheses.
fn first_part(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn requirement(part: &str) -> Result<Requirement, Refusal> {
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    let refuse = |found: &str| {
        Refusal::bad_request(format!("unable to parse requirement: found '{found}', expected: identifier"))
    };
    if let Some((key, set)) = part.split_once('(') {
        let values = set.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = key.split_whitespace();
        return match (words.next(), words.next()) {
            (Some(key), Some("in")) => Ok(Requirement::In(key.to_owned(), values)),
            (Some(key), Some("notin")) => Ok(Requirement::NotIn(key.to_owned(), values)),
            _ => Err(refuse("(")),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        let (key, values) = one(key, value);
        return Ok(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        if value.contains('=') {
            return Err(refuse("="));
        }
        let (key, values) = one(key, value);
        return Ok(Requirement::In(key, values));
    }
    match part.strip_prefix('!') {
        Some(key) => Ok(Requirement::Absent(key.trim().to_owned())),
        None if part.is_empty() || part.contains(char::is_whitespace) => Err(refuse(part)),
        None => Ok(Requirement::Exists(part.to_owned())),
    }
}
