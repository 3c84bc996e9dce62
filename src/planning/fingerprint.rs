//! The fingerprint of an opened ConfigMap or Secret.

use crate::desired::manifest::Manifest;
use crate::desired::value::Value;
use crate::model::wire::{self, FingerprintKey};

/// The `osier.dev/fingerprint` stamp of a ConfigMap or Secret, over its type and decoded values; `None` for other kinds.
///
/// The type of a Secret without one is `Opaque`, of a ConfigMap it is empty.
pub fn fingerprint(key: &FingerprintKey, environment_id: &str, manifest: &Manifest) -> Option<String> {
    let kind = &manifest.object.kind;
    if !kind.is_config() {
        return None;
    }
    let values = manifest.values.iter().map(|(name, value)| (name.as_str(), value.bytes.expose()));
    let secret_type = if kind.is_secret() { secret_type(manifest) } else { "" };
    Some(wire::fingerprint(key, environment_id, &manifest.object, secret_type, values))
}

fn secret_type(manifest: &Manifest) -> &str {
    let text = match manifest.body.get(&["type"]) {
        Some(Value::Text(text)) => text,
        Some(Value::Secret(secret)) => std::str::from_utf8(secret.bytes.expose()).unwrap_or_default(),
        _ => "",
    };
    if text.is_empty() { "Opaque" } else { text }
}
