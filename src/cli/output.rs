//! Data for programs on stdout.

use serde_json::{Value, json};

use crate::desired::yaml;
use crate::model::wire;
use crate::settings::Output;

/// Prints `value` with its `apiVersion` as JSON or YAML.
pub fn data(format: Output, value: &Value) {
    let mut whole = json!({"apiVersion": wire::PRINTED_DATA});
    if let (Some(whole), Some(fields)) = (whole.as_object_mut(), value.as_object()) {
        whole.extend(fields.clone());
    }
    // JSON is YAML, so a value that the YAML writer refuses is printed as JSON
    match yaml::to_string(&whole) {
        Ok(text) if format == Output::Yaml => anstream::print!("{text}"),
        _ => anstream::println!("{whole:#}"),
    }
}

/// Prints the resolved settings of a long-running process; what is for people is YAML.
pub fn settings(format: Output, kind: &str, mut resolved: Value) {
    resolved["kind"] = kind.into();
    data(if format == Output::Text { Output::Yaml } else { format }, &resolved);
}
