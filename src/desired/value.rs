//! The typed tree of a document, after both readings (sops' and Kubernetes') are done.

use std::collections::BTreeMap;

use crate::model::cleartext::Cleartext;

/// Bytes that an entry of a map takes beside its texts: itself in nodes that are half full, and what two allocations cost.
pub const ENTRY: usize = 160;

/// A typed tree whose encrypted leaves cannot be printed or compared.
///
/// Everything that was encrypted in git is `Secret`, whatever the kind of the object.
#[derive(Debug)]
pub enum Value {
    /// `null`
    Null,
    /// true or false
    Bool(bool),
    /// an integer
    Int(i64),
    /// a number that is no integer
    Float(f64),
    /// cleartext in git
    Text(String),
    /// a leaf that is encrypted in git
    Secret(Secret),
    /// a mapping, keys sorted
    Map(BTreeMap<String, Value>),
    /// a sequence
    List(Vec<Value>),
}

impl Value {
    /// A tree of cleartext, such as a live object.
    pub fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(truth),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            serde_json::Value::Object(fields) => {
                Self::Map(fields.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        }
    }

    /// A number: an integer where it is one, as the API server sees it.
    pub fn number(value: f64) -> Self {
        // 2^63 as a float; below it every integral float is exactly an i64.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) {
            #[allow(clippy::cast_possible_truncation, reason = "integral and in range")]
            return Self::Int(value as i64);
        }
        Self::Float(value)
    }

    /// The value at a path of mapping keys.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| match value {
            Self::Map(map) => map.get(*key),
            _ => None,
        })
    }

    /// Cleartext text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        let below = match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::Secret(secret) => secret.bytes.size(),
            Self::Map(map) => map.iter().map(|(key, value)| key.len() + value.size()).sum(),
            Self::List(items) => items.iter().map(Value::size).sum(),
        };
        ENTRY + below
    }

    /// The JSON that goes to the API server. **It exposes secrets**: this is the one place that turns decrypted leaves
    /// into JSON, for a request body that is dropped after it was sent.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Secret(secret) => secret.to_json(),
            Self::Map(map) => map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
            Self::List(items) => items.iter().map(Value::to_json).collect(),
        }
    }
}

/// A decrypted leaf.
#[derive(Debug)]
pub struct Secret {
    /// What the bytes say when they are written to JSON.
    pub kind: SecretKind,
    /// For `Text` the string itself (UTF-8), for the others their decimal or `true`/`false` form.
    pub bytes: Cleartext,
}

impl Secret {
    fn to_json(&self) -> serde_json::Value {
        let text = String::from_utf8_lossy(self.bytes.expose());
        match self.kind {
            SecretKind::Text => text.into(),
            SecretKind::Int => text.parse::<i64>().map_or(serde_json::Value::Null, Into::into),
            SecretKind::Float => text.parse::<f64>().map_or(serde_json::Value::Null, Into::into),
            SecretKind::Bool => (text == "true").into(),
        }
    }
}

/// The type of a decrypted leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// a string
    Text,
    /// an integer
    Int,
    /// a float
    Float,
    /// a boolean
    Bool,
}
