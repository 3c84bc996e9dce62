//! The forms in which objects are answered: whole, as metadata only, or as a table.

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::read::{self, List};
use crate::sandbox::request::Form;
use crate::sandbox::table;

const META: &str = "meta.k8s.io/v1";

/// One object.
pub fn object(kind: &Kind, form: Form, object: &Value, now: jiff::Timestamp) -> Value {
    match form {
        Form::Json | Form::Discovery | Form::Unacceptable => object.clone(),
        Form::Metadata => metadata_only(object),
        Form::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table::table(kind, &[object], &metadata, now, true)
        }
    }
}

/// One object of a watch; only the first table of a watch has column definitions.
pub fn watched(kind: &Kind, form: Form, object: &Value, now: jiff::Timestamp, first: bool) -> Value {
    match form {
        Form::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table::table(kind, &[object], &metadata, now, first)
        }
        other => self::object(kind, other, object, now),
    }
}

/// A list.
pub fn list(kind: &Kind, form: Form, list: &List, now: jiff::Timestamp) -> Value {
    match form {
        Form::Json | Form::Discovery | Form::Unacceptable => read::to_json(kind, list),
        Form::Metadata => {
            let items: Vec<Value> = list.items.iter().map(|item| metadata_only(item)).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": list.metadata,
                "items": if items.is_empty() { Value::Null } else { Value::Array(items) },
            })
        }
        Form::Table => {
            let items: Vec<&Value> = list.items.iter().map(AsRef::as_ref).collect();
            table::table(kind, &items, &list.metadata, now, true)
        }
    }
}

pub fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": object["metadata"]})
}
