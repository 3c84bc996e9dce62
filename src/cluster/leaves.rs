//! Leaf paths, straight from JSON: managedFields is the larger part of what the API server says about an object.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Leaf paths: the field names of FieldsV1 (`f:data`, `k:{"name":"app"}`) joined by line feeds. `.` entries do not count: whoever
/// wrote a map first owns it, which says nothing about its values.
pub type Leaves = BTreeSet<String>;

/// Reads the leaves of a FieldsV1 value, from bytes or from a JSON value.
///
/// # Errors
/// Something in it is neither a map nor null.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Leaves, D::Error> {
    let (mut path, mut found) = (String::new(), Vec::new());
    Below { path: &mut path, found: &mut found }.deserialize(deserializer)?;
    Ok(found.into_iter().collect())
}

/// What is below `path`.
struct Below<'a> {
    path: &'a mut String,
    found: &'a mut Vec<String>,
}

impl Below<'_> {
    fn leaf(self) {
        if !self.path.is_empty() {
            self.found.push(self.path.clone());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("fields")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf();
        Ok(())
    }

    /// A field with nothing but `.` is no leaf: it remains where somebody else took everything below.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let above = self.path.len();
        let mut is_empty = true;
        while let Some(is_map_itself) = map.next_key_seed(Name(self.path))? {
            is_empty = false;
            if is_map_itself {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Below { path: self.path, found: self.found })?;
            }
            self.path.truncate(above);
        }
        if is_empty {
            self.leaf();
        }
        Ok(())
    }
}

/// Appends a name to the path; true for `.`.
struct Name<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(name);
        Ok(name == ".")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_and_values_have_the_same_leaves() {
        let fields = json!({"f:data": {".": {}, "f:a.b": {}, "f:k": {}}, "f:spec": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}, "f:paused": null},
            "f:emptied": {".": {}}, "f:metadata": {}});
        let paths =
            ["f:data\nf:a.b", "f:data\nf:k", "f:metadata", "f:spec\nf:paused", "f:spec\nk:{\"name\":\"app\"}\nf:image"];
        assert_eq!(read(&fields).unwrap(), paths.map(str::to_owned).into());
        let text = fields.to_string();
        assert_eq!(read(&mut serde_json::Deserializer::from_str(&text)).unwrap(), read(&fields).unwrap());
        assert_eq!(read(&json!({})).unwrap(), Leaves::new());
        assert!(read(&json!({"f:a": [1]})).is_err());
    }
}
