//! One document becomes an entry of the outline.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::leaves::{self, Found, Place};
use crate::desired::lists::ENCRYPTED;
use crate::desired::merge::directive;
use crate::desired::outline::{Entry, Leaf, Leaves};
use crate::desired::packed::Packed;
use crate::desired::references;
use crate::desired::unit::Shape;
use crate::desired::unit::rules::{self, Rules};
use crate::desired::value::Value;
use crate::desired::variables::{self, Variable};
use crate::desired::yaml::{self, Node, YamlError};
use crate::model::digest;
use crate::model::object::Kind;
use crate::model::wire::GROUP;

/// Fields that say what an object is; they are no leaves.
const IDENTITY: [&str; 4] = ["apiVersion", "kind", "metadata.name", "metadata.namespace"];

/// The entry of a document, if it names an object, and what is wrong with it.
pub fn read(shape: &Shape<'_>) -> (Option<Entry>, Vec<YamlError>) {
    let value = match yaml::kubernetes(shape.node) {
        Ok(value) => value,
        Err(errors) => return (None, errors),
    };
    let Value::Map(map) = &value else {
        let hint = "an object has `apiVersion`, `kind` and `metadata.name`";
        return (None, vec![YamlError::at(shape.node, "a document must be a mapping").hint(hint)]);
    };
    let mut problems = Vec::new();
    let Some((api_version, kind, name)) = identity(shape, &value, &mut problems) else { return (None, problems) };
    let (leaves, mistakes) = leaves_of(&kind, &value, shape.node);
    problems.extend(mistakes);
    let rules = Rules { shape, kind: &kind, name: &name, value: &value, leaves: &leaves };
    problems.extend(rules.check());
    let entry = Entry {
        index: shape.index,
        line: shape.line,
        api_version: api_version.into(),
        name: name.into(),
        namespace: namespace(shape.node, &value),
        content_id: shape.content_id.clone(),
        encrypted: shape.encrypted,
        leaves: Packed::new(&leaves, |path| !IDENTITY.contains(&path)),
        variables: variables_of(shape.node, &mut problems),
        removes: removes(&kind, &value),
        references: references::of(&kind, &value),
        referring: references::fields(&kind, &value),
        annotations: annotations(&value),
        replaces: directive(map) == Some("replace"),
        deletes: directive(map) == Some("delete"),
        kind,
    };
    (Some(entry), problems)
}

/// The leaves of an object by path, and mistakes in lists that Kubernetes keys. Values under `stringData` count as `data`.
pub fn leaves_of(kind: &Kind, value: &Value, node: &Node) -> (Leaves, Vec<YamlError>) {
    let mut leaves: BTreeMap<String, Leaf> = BTreeMap::new();
    let mut mistakes: BTreeMap<String, YamlError> = BTreeMap::new();
    leaves::each(kind, &Place::default(), value, Some(node), &mut |found| {
        let at = found.node.unwrap_or(node);
        let path = canonical(kind, &found.path);
        if let Some((item, message, hint)) = list_mistake(&path, leaves.contains_key(&path)) {
            mistakes.entry(item).or_insert_with(|| YamlError::at(at, message).hint(hint));
        }
        // `stringData` comes after `data` and wins.
        leaves.insert(path, Leaf { line: at.line, ciphertext: ciphertext(&found, at) });
    });
    let leaves = leaves.into_iter().map(|(path, leaf)| (path.into(), leaf)).collect();
    (leaves, mistakes.into_values().collect())
}

/// The path of a leaf as the API server keeps it.
pub fn canonical(kind: &Kind, path: &str) -> String {
    match path.strip_prefix("stringData.") {
        Some(key) if kind.is_secret() => format!("data.{key}"),
        _ => path.to_owned(),
    }
}

/// A keyed list with two items of one key, or an item without it.
fn list_mistake(path: &str, twice: bool) -> Option<(String, String, &'static str)> {
    let end = path.rfind(']')?;
    let item = path.get(..=end)?;
    if twice {
        let message = format!("`{item}` is here twice");
        return Some((item.to_owned(), message, "remove one of the two, or rename it"));
    }
    let (list, key) = item.split_once('[')?;
    let index = key.split_once(']').map_or(key, |(index, _)| index);
    index.parse::<usize>().ok()?;
    let message = format!("an item of `{list}` lacks the field that identifies it");
    Some((format!("{list}[{index}]"), message, "add it in cleartext, such as `name`"))
}

fn ciphertext(found: &Found<'_>, at: &Node) -> Option<[u8; 16]> {
    let mut texts = Vec::new();
    match found.value {
        Value::List(_) => encrypted_texts(at, &mut texts),
        _ => texts.extend(at.text().filter(|text| text.starts_with(ENCRYPTED))),
    }
    (!texts.is_empty()).then(|| digest::short(texts))
}

fn encrypted_texts<'a>(node: &'a Node, texts: &mut Vec<&'a str>) {
    match &node.content {
        yaml::Content::Scalar { text, .. } => texts.extend(text.starts_with(ENCRYPTED).then_some(text.as_str())),
        yaml::Content::List(items) => items.iter().for_each(|item| encrypted_texts(item, texts)),
        yaml::Content::Map(entries) => entries.iter().for_each(|(_, value)| encrypted_texts(value, texts)),
    }
}

/// `apiVersion`, kind and name; or the mistakes, where one of them cannot be told.
fn identity(shape: &Shape<'_>, value: &Value, problems: &mut Vec<YamlError>) -> Option<(String, Kind, String)> {
    let mut field = |path: &[&str]| {
        let dotted = path.join(".");
        let place = path.iter().try_fold(shape.node, |node, key| node.get(key)).unwrap_or(shape.node);
        match value.get(path) {
            Some(Value::Text(text)) if text.starts_with(ENCRYPTED) => {
                problems.push(rules::must_be_clear(place, &dotted));
                None
            }
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            None | Some(Value::Null | Value::Text(_)) => {
                let error = YamlError::at(place, format!("a document without `{dotted}`"));
                problems.push(error.hint(missing(path, value)));
                None
            }
            Some(_) => {
                problems.push(YamlError::at(place, format!("`{dotted}` must be a string")).hint("quote it"));
                None
            }
        }
    };
    let (api_version, kind) = (field(&["apiVersion"]), field(&["kind"]));
    if kind.as_deref() == Some("List") || (value.get(&["items"]).is_some() && kind.as_ref()?.ends_with("List")) {
        let error = YamlError::at(shape.node, "`kind: List` is not read");
        *problems = vec![error.hint("write the items as documents of their own, with `---` between them")];
        return None;
    }
    let name = field(&["metadata", "name"]);
    let (api_version, kind, name) = (api_version?, kind?, name?);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Some((api_version.clone(), Kind::new(group, &kind), name))
}

fn missing(path: &[&str], value: &Value) -> &'static str {
    match path {
        ["apiVersion"] => "add `apiVersion: v1`, or that of its kind",
        ["kind"] => "add `kind: ConfigMap`, or what it is",
        _ if value.get(&["metadata", "generateName"]).is_some() => {
            "`generateName` makes another object at every apply: write `name` instead"
        }
        _ => "add `metadata: {name: NAME}`",
    }
}

/// The keys of a ConfigMap or Secret that a document takes away from lower layers.
fn removes(kind: &Kind, value: &Value) -> BTreeSet<String> {
    let mut removed = BTreeSet::new();
    let fields = if kind.is_config() { &["data", "stringData", "binaryData"][..] } else { &[] };
    for field in fields {
        let place = if *field == "binaryData" { "binaryData" } else { "data" };
        match value.get(&[*field]) {
            Some(Value::Null) => drop(removed.insert(place.to_owned())),
            Some(Value::Map(map)) => {
                removed.extend(matches!(directive(map), Some("delete" | "replace")).then(|| place.to_owned()));
                let nulls = map.iter().filter(|(_, value)| matches!(value, Value::Null));
                removed.extend(nulls.map(|(key, _)| format!("{place}.{key}")));
            }
            _ => {}
        }
    }
    removed
}

fn namespace(node: &Node, value: &Value) -> Option<(String, u32)> {
    let text = value.get(&["metadata", "namespace"])?.text()?;
    let line = node.get("metadata").and_then(|node| node.get("namespace")).map_or(node.line, |node| node.line);
    Some((text.to_owned(), line))
}

/// osier's annotations; a null is an empty one, so that it takes that of a lower layer away.
fn annotations(value: &Value) -> BTreeMap<String, String> {
    let Some(Value::Map(annotations)) = value.get(&["metadata", "annotations"]) else { return BTreeMap::new() };
    let ours = annotations.iter().filter(|(key, _)| key.split_once('/').is_some_and(|(prefix, _)| prefix == GROUP));
    ours.map(|(key, value)| (key.clone(), value.text().unwrap_or_default().to_owned())).collect()
}

/// The variables of all values; those in keys and misspelt ones are mistakes.
fn variables_of(node: &Node, problems: &mut Vec<YamlError>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_variables(node, &mut names, problems);
    names
}

fn collect_variables(node: &Node, names: &mut BTreeSet<String>, problems: &mut Vec<YamlError>) {
    match &node.content {
        yaml::Content::Scalar { text, .. } => {
            for variable in variables::uses(text) {
                match variable {
                    Variable::Known(name) => {
                        names.insert(name.to_owned());
                    }
                    Variable::Unknown(written) => {
                        let (message, hint) = variables::mistake(written);
                        problems.push(YamlError::at(node, message).hint(hint));
                    }
                }
            }
        }
        yaml::Content::List(items) => items.iter().for_each(|item| collect_variables(item, names, problems)),
        yaml::Content::Map(entries) => {
            for (key, value) in entries {
                if key.text().is_some_and(|key| !variables::uses(key).is_empty()) {
                    let error = YamlError::at(key, "a variable in a key, where none is filled in");
                    problems.push(error.hint("use it in the value"));
                }
                collect_variables(value, names, problems);
            }
        }
    }
}
