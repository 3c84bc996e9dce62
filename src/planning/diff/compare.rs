//! Comparing decrypted values, which nothing else does.

use crate::desired::manifest::ConfigValue;
use crate::desired::value::{Secret, SecretKind, Value};

/// True if a pod would see the same bytes.
pub fn same_bytes(one: &ConfigValue, two: &ConfigValue) -> bool {
    one.bytes.expose() == two.bytes.expose()
}

/// True if both make the same JSON, whichever of their leaves are encrypted.
pub fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Map(one), Value::Map(two)) => {
            one.len() == two.len()
                && one.iter().all(|(key, value)| two.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::List(one), Value::List(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (one, two) => match (scalar(one), scalar(two)) {
            (Some(one), Some(two)) => one == two,
            _ => false,
        },
    }
}

/// True if any leaf was encrypted.
pub fn has_secret(value: &Value) -> bool {
    match value {
        Value::Secret(_) => true,
        Value::Map(map) => map.values().any(has_secret),
        Value::List(items) => items.iter().any(has_secret),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
    }
}

#[derive(PartialEq)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
}

fn scalar(value: &Value) -> Option<Scalar<'_>> {
    Some(match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Int(value) => Scalar::Int(*value),
        Value::Float(value) => Scalar::Float(*value),
        Value::Text(text) => Scalar::Text(text.as_bytes()),
        Value::Secret(secret) => decrypted(secret),
        Value::Map(_) | Value::List(_) => return None,
    })
}

/// Numbers as `Value::number` gives them, so that `1.0` is `1`; what does not parse stays text.
fn decrypted(secret: &Secret) -> Scalar<'_> {
    let bytes = secret.bytes.expose();
    let parsed = std::str::from_utf8(bytes).ok().and_then(|text| match secret.kind {
        SecretKind::Text => None,
        SecretKind::Bool => text.parse().ok().map(Scalar::Bool),
        SecretKind::Int => text.parse().ok().map(Scalar::Int),
        SecretKind::Float => text.parse().ok().map(|number| match Value::number(number) {
            Value::Int(number) => Scalar::Int(number),
            _ => Scalar::Float(number),
        }),
    });
    parsed.unwrap_or(Scalar::Text(bytes))
}
