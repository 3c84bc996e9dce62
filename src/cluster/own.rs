//! What osier's own kinds have in common: their paths, and the way from JSON to a type and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::model::wire::API_VERSION;

/// Query of every write of osier's own objects.
pub(super) const WRITE: &str = "?fieldManager=osier";

/// Path of osier's objects of one kind in a namespace.
pub(super) fn collection(namespace: &str, plural: &str) -> String {
    format!("/apis/{API_VERSION}/namespaces/{}/{plural}", encoded(namespace))
}

/// A typed object.
pub(super) fn typed<T: DeserializeOwned>(what: &str, object: Value) -> Result<T, Error> {
    serde_json::from_value(object).map_err(|error| Error::Malformed { what: what.to_owned(), why: error.to_string() })
}

/// The JSON of a typed object.
pub(super) fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value)
        .expect("the fields of osier's kinds are strings, numbers, lists and maps with string keys")
}

/// The merge patch that makes `old` equal `new`: what is the same is left out, what is gone is null.
pub(super) fn merge_diff(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let set = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let set =
        set.map(|(name, value)| (name.clone(), old.get(name).map_or(value.clone(), |old| merge_diff(old, value))));
    Value::Object(gone.chain(set).collect::<Map<String, Value>>())
}

impl Cluster {
    /// Every object of a list, page by page. One that cannot be read is logged and left out, so that it cannot hide the others.
    pub(super) async fn list_own<T: DeserializeOwned + Send>(&self, path: &str, query: &str) -> Result<Vec<T>, Error> {
        let read = |item: Value| {
            let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let object = typed(path, item);
            Ok(object.inspect_err(|error| tracing::warn!(name, %error, "left out of the list")).ok())
        };
        let (found, _) = self.pages(path, query, WHOLE, &read).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// One object; `None` if there is none.
    pub(super) async fn get_own<T: DeserializeOwned>(&self, path: String, what: &str) -> Result<Option<T>, Error> {
        let found = self.get_opt(&Call::get(path, WHOLE), || format!("read {what}")).await?;
        found.map(|object| typed(what, object)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_diff_says_only_what_differs() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": 1});
        let new = json!({"a": 1, "b": {"c": 1, "d": 3}, "e": [2]});
        assert_eq!(merge_diff(&old, &new), json!({"b": {"d": 3}, "e": [2], "f": null}));
        assert_eq!(merge_diff(&new, &new), json!({}));
        assert_eq!(merge_diff(&Value::Null, &new), new);
    }
}
