//! The reading of a document as kubectl makes it: Go's YAML v2 into JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use data_encoding::BASE64;

use crate::desired::value::Value;
use crate::desired::yaml::resolve::{Dialect, Plain, resolve};
use crate::desired::yaml::{Content, Node, YamlError};

const CORE: &str = "tag:yaml.org,2002:";

pub(super) fn read(node: &Node) -> Result<Value, Vec<YamlError>> {
    let mut errors = vec![];
    let value = value(node, &mut errors);
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}

pub(super) fn scalar(node: &Node) -> Result<Value, YamlError> {
    let Content::Scalar { text, plain } = &node.content else {
        return Err(YamlError::at(node, "a single value is wanted here"));
    };
    let resolved = match node.tag.as_deref() {
        None if *plain => resolve(text, Dialect::V2),
        None => Plain::Text,
        Some(tag) => match tag.strip_prefix(CORE) {
            Some("binary") => return binary(node, text),
            Some(kind) => tagged(node, kind, text)?,
            None => Plain::Text,
        },
    };
    Ok(match resolved {
        Plain::Null => Value::Null,
        Plain::Bool(value) => Value::Bool(value),
        Plain::Int(value) => Value::Int(value),
        #[allow(clippy::cast_precision_loss, reason = "the API server reads such integers as floats too")]
        Plain::Large(value) => Value::Float(value as f64),
        Plain::Float(value) if !value.is_finite() => {
            return Err(YamlError::at(node, "JSON has no such number").hint("quote it if text is meant"));
        }
        Plain::Float(value) => Value::number(value),
        Plain::Time(_) | Plain::Text => Value::Text(text.clone()),
    })
}

pub(super) fn key(node: &Node) -> Result<Cow<'_, str>, YamlError> {
    if let (Content::Scalar { text, plain }, None) = (&node.content, &node.tag)
        && (!plain || resolve(text, Dialect::V2) == Plain::Text)
    {
        return Ok(Cow::Borrowed(text));
    }
    match scalar(node)? {
        Value::Text(text) => Ok(Cow::Owned(text)),
        Value::Bool(value) => Ok(Cow::Owned(value.to_string())),
        Value::Int(value) if !written_as_float(node) => Ok(Cow::Owned(value.to_string())),
        _ => Err(YamlError::at(node, "a key is no text").hint("quote the key")),
    }
}

/// kubectl shortens keys that are floats; that is never what was meant.
fn written_as_float(node: &Node) -> bool {
    matches!(resolve(node.text().unwrap_or_default(), Dialect::V2), Plain::Float(_))
}

fn value(node: &Node, errors: &mut Vec<YamlError>) -> Value {
    match &node.content {
        Content::Scalar { .. } => scalar(node).unwrap_or_else(|error| {
            errors.push(error);
            Value::Null
        }),
        Content::List(items) => Value::List(items.iter().map(|item| value(item, errors)).collect()),
        Content::Map(entries) => {
            let mut map = BTreeMap::new();
            fill(&mut map, entries, errors);
            Value::Map(map)
        }
    }
}

/// Sets the entries in the order of the text, as kubectl does: a `<<` below a key overrides it.
fn fill(map: &mut BTreeMap<String, Value>, entries: &[(Node, Node)], errors: &mut Vec<YamlError>) {
    let mut own: HashSet<Cow<'_, str>> = HashSet::with_capacity(entries.len());
    for (name, node) in entries {
        if is_merge(name) {
            merge(map, node, errors);
            continue;
        }
        match key(name) {
            Ok(key) if own.contains(&key) => {
                let error = YamlError::at(name, format!("key `{key}` is here twice for Kubernetes"));
                errors.push(error.hint("remove one of the two, or quote both"));
            }
            Ok(key) => {
                map.insert(key.clone().into_owned(), value(node, errors));
                own.insert(key);
            }
            Err(error) => errors.push(error),
        }
    }
}

fn is_merge(key: &Node) -> bool {
    let Content::Scalar { text, plain } = &key.content else { return false };
    let is_meant = key.tag.as_deref().map_or(*plain, |tag| tag == "tag:yaml.org,2002:merge");
    is_meant && text == "<<"
}

/// Earlier items of a list win, so they are set last.
fn merge(map: &mut BTreeMap<String, Value>, node: &Node, errors: &mut Vec<YamlError>) {
    let sources = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Map(_) | Content::Scalar { .. } => std::slice::from_ref(node),
    };
    for source in sources.iter().rev() {
        match &source.content {
            Content::Map(entries) => fill(map, entries, errors),
            Content::List(_) | Content::Scalar { .. } => {
                errors.push(YamlError::at(source, "`<<` merges mappings only"));
            }
        }
    }
}

/// A scalar with a tag of the core schema: the text must be of that type.
fn tagged(node: &Node, kind: &str, text: &str) -> Result<Plain, YamlError> {
    let resolved = resolve(text, Dialect::V2);
    match (kind, resolved) {
        ("bool", value @ Plain::Bool(_))
        | ("int", value @ (Plain::Int(_) | Plain::Large(_)))
        | ("float", value @ (Plain::Float(_) | Plain::Int(_)))
        | ("null", value @ Plain::Null) => Ok(value),
        ("bool" | "int" | "float" | "null", _) => Err(YamlError::at(node, format!("the value is no `!!{kind}`"))),
        _ => Ok(Plain::Text),
    }
}

fn binary(node: &Node, text: &str) -> Result<Value, YamlError> {
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(compact.as_bytes());
    let bytes = bytes.map_err(|_| YamlError::at(node, "the value of `!!binary` is not base64"))?;
    String::from_utf8(bytes)
        .map(Value::Text)
        .map_err(|_| YamlError::at(node, "the value of `!!binary` is not UTF-8").hint("use `binaryData` with base64"))
}
