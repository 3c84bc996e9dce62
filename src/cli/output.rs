//! Data for programs on stdout.

use serde_json::{Value, json};

use crate::desired::yaml;
use crate::settings::Output;

/// Prints `value` with `apiVersion: cli.osier.dev/v1` as JSON or YAML.
pub fn data(format: Output, value: &Value) {
    let mut whole = json!({"apiVersion": "cli.osier.dev/v1"});
    if let (Some(whole), Some(fields)) = (whole.as_object_mut(), value.as_object()) {
        whole.extend(fields.clone());
    }
    match format {
        Output::Yaml => anstream::print!("{}", yaml::to_string(&whole)),
        Output::Json | Output::Text => anstream::println!("{whole:#}"),
    }
}
