//! The values of a ConfigMap or Secret: merged key by key, decoded.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::desired::manifest::{ConfigValue, Origin};
use crate::desired::merge::{File, directive};
use crate::desired::names;
use crate::desired::set::Parameters;
use crate::desired::value::{SecretKind, Value};
use crate::desired::variables;
use crate::model::cleartext::Cleartext;
use crate::model::object::Kind;
use crate::model::problem::Problem;

/// The values so far, and where each was set.
pub struct Values<'a> {
    is_secret: bool,
    parameters: &'a Parameters,
    /// By key.
    pub values: BTreeMap<String, ConfigValue>,
    /// By `data.KEY` and `binaryData.KEY`.
    pub origins: BTreeMap<String, Origin>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl<'a> Values<'a> {
    /// None yet.
    pub fn new(kind: &Kind, parameters: &'a Parameters) -> Self {
        Self {
            is_secret: kind.is_secret(),
            parameters,
            values: BTreeMap::new(),
            origins: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the values out of a document and puts them on top of those below.
    pub fn take(&mut self, document: &mut Value, file: File<'_>) {
        let Value::Map(map) = document else { return };
        let mut seen = BTreeSet::new();
        for field in if self.is_secret { ["data", "stringData"] } else { ["data", "binaryData"] } {
            match map.remove(field) {
                Some(Value::Map(entries)) => {
                    if matches!(directive(&entries), Some("delete" | "replace")) {
                        self.clear(field);
                    }
                    if directive(&entries) == Some("delete") {
                        continue;
                    }
                    for (key, value) in entries.into_iter().filter(|(key, _)| key != crate::desired::leaves::DIRECTIVE)
                    {
                        if !seen.insert(key.clone()) && !self.is_secret {
                            let message = format!("key `{}` is in `data` and in `binaryData`", key.escape_debug());
                            self.problem(field, &key, file, message, "remove one of the two");
                        }
                        self.entry(field, key, value, file);
                    }
                }
                Some(Value::Null) => self.clear(field),
                _ => {}
            }
        }
    }

    /// Removes everything that is of `field`.
    fn clear(&mut self, field: &str) {
        let binary = field == "binaryData";
        self.values.retain(|_, value| value.binary != binary);
        let prefix = if binary { "binaryData." } else { "data." };
        self.origins.retain(|path, _| !path.starts_with(prefix));
    }

    fn entry(&mut self, field: &str, key: String, value: Value, file: File<'_>) {
        let binary = field == "binaryData";
        if matches!(value, Value::Null) {
            self.forget(&key);
            return;
        }
        if !names::is_config_key(&key) {
            let message = format!("`{}` cannot be a key", key.escape_debug());
            self.problem(field, &key, file, message, "use letters, digits, `-`, `_` and `.`, at most 253");
        }
        match self.decode(field, value) {
            Ok((bytes, encrypted)) => {
                // `stringData` over `data` of one document overrides nothing.
                let overridden = self.forget(&key).filter(|origin| origin.path != file.path);
                let path = format!("{}.{key}", if binary { "binaryData" } else { "data" });

                self.origins.insert(path.clone(), file.origin(&path, overridden));
                let redacted = encrypted || self.is_secret;
                self.values.insert(key, ConfigValue { bytes: Cleartext::new(bytes), redacted, binary });
            }
            Err((message, hint)) => {
                self.problem(field, &key, file, format!("`{field}.{}` {message}", key.escape_debug()), hint);
            }
        }
    }

    fn forget(&mut self, key: &str) -> Option<Origin> {
        self.values.remove(key);
        let binary = self.origins.remove(&format!("binaryData.{key}"));
        self.origins.remove(&format!("data.{key}")).or(binary)
    }

    /// The bytes that a pod sees, and whether they were encrypted in git.
    fn decode(&self, field: &str, mut value: Value) -> Result<(Vec<u8>, bool), (String, String)> {
        if let Value::Secret(secret) = &value
            && let Some((message, hint)) = variables::encrypted_mistake(secret)
        {
            return Err((format!("has {message}"), hint));
        }
        variables::fill_value(&mut value, self.parameters);
        let (bytes, encrypted) = match &value {
            Value::Text(text) => (Zeroizing::new(text.clone().into_bytes()), false),
            Value::Secret(secret) if secret.kind == SecretKind::Text => {
                (Zeroizing::new(secret.bytes.expose().to_vec()), true)
            }
            Value::Secret(_) => return Err(("is encrypted as a number or boolean".to_owned(), "quote it".to_owned())),
            Value::Map(_) | Value::List(_) => {
                return Err(("must be a string".to_owned(), "write a block of text with `|`".to_owned()));
            }
            _ => return Err(("must be a string".to_owned(), quoted(&value))),
        };
        if (field == "data" && self.is_secret) || field == "binaryData" {
            let wrong = || {
                let hint =
                    "encode it with `base64`, or use `stringData` in a Secret and `data` in a ConfigMap for text";
                ("is no base64".to_owned(), hint.to_owned())
            };
            return Ok((base64(&bytes).ok_or_else(wrong)?, encrypted));
        }
        Ok((bytes.to_vec(), encrypted))
    }

    fn problem(&mut self, field: &str, key: &str, file: File<'_>, message: String, hint: impl Into<String>) {
        let field = if self.is_secret { "data" } else { field };
        let line = file.leaves.get(format!("{field}.{key}").as_str()).map_or(file.line, |leaf| leaf.line);
        self.problems.push(Problem::new(file.path, message).at(line, 0).hint(hint));
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("quote it: `\"{number}\"`"),
        Value::Bool(word) => format!("quote it: `\"{word}\"`"),
        _ => "quote it".to_owned(),
    }
}

/// Standard base64, line breaks ignored, as Go reads it.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let joined: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect());
    STANDARD.decode(joined.as_slice()).ok()
}
