//! The definitions of osier's kinds, generated from the model, and the files that hold them.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::cluster::admission::admission;
use crate::desired::yaml;
use crate::model::asked::AskedPlan;
use crate::model::environment::Environment;
use crate::model::record::Record;
use crate::model::repository::Repository;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Path from the root of the project.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The CustomResourceDefinitions.
pub fn crds() -> Vec<Value> {
    let json = |crd| serde_json::to_value(crd).expect("definitions are plain data with string keys");
    [Repository::crd(), Environment::crd(), Record::crd(), AskedPlan::crd()].map(json).into()
}

/// Everything that `osier generate crds` writes, as files: definitions first, then the admission policies.
pub fn generated() -> Vec<Generated> {
    let of = |folder: &str, objects: Vec<Value>| {
        objects.iter().map(|object| Generated { path: path(folder, object), text: text(object) }).collect::<Vec<_>>()
    };
    [of("crds", crds()), of("admission", admission())].concat()
}

/// Everything that `osier generate crds` writes, as one stream of documents.
pub fn stream() -> String {
    generated().into_iter().map(|file| format!("---\n{}", file.text)).collect()
}

/// `policies/crds/records.yaml`, `policies/admission/osier-records-binding.yaml`.
fn path(folder: &str, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().trim_end_matches(".osier.dev");
    let suffix = if object["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding")) { "-binding" } else { "" };
    format!("policies/{folder}/{name}{suffix}.yaml")
}

fn text(object: &Value) -> String {
    let text = yaml::to_string(object).expect("definitions are plain data with string keys");
    if text.ends_with('\n') { text } else { text + "\n" }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    /// `UPDATE_EXPECT=1 cargo test generated` writes the files.
    #[test]
    fn generated_files_equal_the_committed_ones() {
        for Generated { path, text } in generated() {
            expect_file![format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))].assert_eq(&text);
        }
    }

    #[test]
    fn definitions_have_a_status_and_columns() {
        for crd in crds() {
            let version = &crd["spec"]["versions"][0];
            assert!(version["subresources"]["status"].is_object(), "{crd}");
            assert!(version["additionalPrinterColumns"].as_array().is_some_and(|columns| columns.len() >= 5), "{crd}");
        }
    }
}
