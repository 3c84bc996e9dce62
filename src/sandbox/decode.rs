//! Reading a body as kube-apiserver's Go types read it: wrong types refused, unknown fields dropped, empty optional
//! fields left out, and the zero values and defaults that always stand filled in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::sandbox::kinds::Kind;
use crate::sandbox::quantity;
use crate::sandbox::schema::Schema;

/// Optional strings that are pointers in Go: empty is a value of its own.
const EMPTY_COUNTS: [&str; 4] = ["storageClassName", "ingressClassName", "volumeAttributesClassName", "holderIdentity"];

/// A body as read, and the fields that the kind does not have.
pub struct Decoded {
    pub object: Value,
    pub unknown: Vec<String>,
}

/// Reads a value as an object of the kind.
///
/// # Errors
///
/// What the Go decoder says, without the words around it.
pub fn decode(kind: &Kind, value: &Value) -> Result<Decoded, String> {
    let mut reader =
        Reader { custom: kind.is_custom(), unknown: Vec::new(), path: Vec::new(), types: vec![kind.kind.clone()] };
    let mut object = reader.object(kind.schema(), value)?;
    let map = object.as_object_mut().ok_or_else(|| reader.mismatch(value, "map"))?;
    map.insert("kind".into(), Value::String(kind.kind.clone()));
    map.insert("apiVersion".into(), Value::String(kind.api_version()));
    map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if kind.is("", "Secret") {
        fold_string_data(map);
    }
    Ok(Decoded { object, unknown: reader.unknown })
}

/// The object of a kind before anything is set: what Go writes for its zero value.
pub fn zero(kind: &Kind) -> Value {
    let mut zero = if kind.is_custom() { Value::Object(Map::new()) } else { zero_of(kind.schema()) };
    zero["metadata"] = Value::Object(Map::new());
    zero
}

fn zero_of(schema: Schema) -> Value {
    let mut zero = Map::new();
    for (name, field) in schema.fields() {
        match field.attribute("default") {
            Some(Value::Object(_)) => drop(zero.insert(name.to_owned(), zero_of(field))),
            Some(default) if schema.requires(name) => drop(zero.insert(name.to_owned(), default.clone())),
            None if schema.requires(name) => drop(zero.insert(name.to_owned(), Value::Null)),
            _ => {}
        }
    }
    Value::Object(zero)
}

/// `stringData` is for writing only: its values go into `data`.
fn fold_string_data(secret: &mut Map<String, Value>) {
    let Some(Value::Object(cleartext)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
    for (key, value) in cleartext {
        data[key] = Value::String(STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

struct Reader {
    custom: bool,
    unknown: Vec<String>,
    path: Vec<String>,
    /// The Go types on the way to here.
    types: Vec<String>,
}

impl Reader {
    fn object(&mut self, schema: Schema, value: &Value) -> Result<Value, String> {
        let Value::Object(map) = value else { return Err(self.mismatch(value, "map")) };
        let depth = self.types.len();
        self.types.extend(schema.definition_name().map(str::to_owned));
        let mut read = Map::new();
        for (name, below) in map {
            if below.is_null() && !(self.custom && self.path.is_empty() && name != "metadata") {
                continue;
            }
            self.path.push(name.clone());
            match schema.child(name) {
                Some(child) if self.custom && self.path[0] != "metadata" => {
                    if let Some(kept) = self.pruned(child, below) {
                        read.insert(name.clone(), kept);
                    }
                }
                Some(child) => {
                    let kept = self.value(child, below)?;
                    if schema.declared(name).is_none() || schema.requires(name) || !is_left_out(name, child, &kept) {
                        read.insert(name.clone(), kept);
                    }
                }
                None if schema.is_open() => drop(read.insert(name.clone(), below.clone())),
                None if self.custom && matches!(name.as_str(), "apiVersion" | "kind") => {}
                None => self.unknown.push(self.path.join(".")),
            }
            self.path.pop();
        }
        if !self.custom {
            self.fill(schema, &mut read)?;
        }
        self.types.truncate(depth);
        Ok(Value::Object(read))
    }

    /// Puts in what Go writes even when it was not given: structs, required zero values, and defaults.
    fn fill(&mut self, schema: Schema, read: &mut Map<String, Value>) -> Result<(), String> {
        for (name, field) in schema.fields().filter(|(name, _)| *name != "managedFields") {
            let Some(default) = field.attribute("default") else { continue };
            let is_zero = default == "" || default == 0 || default == false;
            if read.contains_key(name) || (is_zero && !schema.requires(name)) {
                continue;
            }
            let value = if default.is_object() { self.object(field, default)? } else { default.clone() };
            read.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn value(&mut self, schema: Schema, value: &Value) -> Result<Value, String> {
        let wanted = schema.text("type");
        match (wanted, value) {
            (Some("object"), _) => self.object(schema, value),
            (Some("array"), Value::Array(list)) => {
                let Some(items) = schema.items() else { return Ok(value.clone()) };
                list.iter().map(|item| self.value(items, item)).collect::<Result<_, _>>().map(Value::Array)
            }
            (Some("string"), Value::String(text)) => match schema.text("format") {
                Some("byte") => STANDARD.decode(text).map(|_| value.clone()).map_err(|e| base64_fault(&e)),
                _ => Ok(value.clone()),
            },
            (Some("integer"), Value::Number(number)) if number.is_i64() => Ok(value.clone()),
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) => Ok(value.clone()),
            (Some(wanted), _) => Err(self.mismatch(value, go_type(wanted, schema))),
            (None, _) => Ok(quantity_text(schema, value)),
        }
    }

    /// What a custom resource keeps of a value: the fields that its schema knows.
    fn pruned(&mut self, schema: Schema, value: &Value) -> Option<Value> {
        match value {
            Value::Object(map) => {
                let mut kept = Map::new();
                for (name, below) in map {
                    self.path.push(name.clone());
                    match schema.child(name) {
                        Some(child) => {
                            if let Some(rest) = self.pruned(child, below) {
                                kept.insert(name.clone(), rest);
                            }
                        }
                        None if schema.is_open() => drop(kept.insert(name.clone(), below.clone())),
                        None => self.unknown.push(self.path.join(".")),
                    }
                    self.path.pop();
                }
                Some(Value::Object(kept))
            }
            Value::Array(list) => match schema.items() {
                Some(items) => Some(Value::Array(list.iter().filter_map(|item| self.pruned(items, item)).collect())),
                None => Some(value.clone()),
            },
            Value::Null if !schema.flag("nullable") => None,
            other => Some(other.clone()),
        }
    }

    fn mismatch(&self, value: &Value, wanted: &str) -> String {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let field = self
            .path
            .iter()
            .fold(self.types.last().cloned().unwrap_or_default(), |path, name| format!("{path}.{name}"));
        let field = if self.free_map_value() { field.rsplit_once('.').map_or("", |f| f.0).to_owned() } else { field };
        format!("json: cannot unmarshal {got} into Go struct field {field} of type {wanted}")
    }

    /// The Go decoder names the map, not its key.
    fn free_map_value(&self) -> bool {
        matches!(
            self.path.iter().rev().nth(1).map(String::as_str),
            Some("data" | "stringData" | "labels" | "annotations" | "binaryData" | "matchLabels")
        )
    }
}

fn is_left_out(name: &str, schema: Schema, value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            name.ends_with("Replicas")
                && name != "minReplicas"
                && number.as_i64() == Some(0)
                && name != "terminatingReplicas"
        }
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && schema.attribute("additionalProperties").is_some(),
        Value::String(text) => text.is_empty() && !EMPTY_COUNTS.contains(&name),
        _ => false,
    }
}

/// Quantities may be written as numbers and are kept as text.
fn quantity_text(schema: Schema, value: &Value) -> Value {
    let is_quantity = schema.attribute("oneOf").is_some() && schema.text("format") != Some("int-or-string");
    match value {
        Value::Number(number) if is_quantity => Value::String(quantity::canonical(&number.to_string())),
        Value::String(text) if is_quantity => Value::String(quantity::canonical(text)),
        other => other.clone(),
    }
}

fn go_type<'a>(wanted: &'a str, schema: Schema<'a>) -> &'a str {
    match (wanted, schema.text("format")) {
        ("integer", Some(format)) => format,
        ("boolean", _) => "bool",
        ("array", _) => "[]string",
        _ => wanted,
    }
}

fn base64_fault(fault: &base64::DecodeError) -> String {
    let at = match fault {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(length) => length.saturating_sub(length % 4),
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}
