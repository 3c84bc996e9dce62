//! Paths of `osier.dev/ignore`: taken out of what is written, and found in managedFields.

use serde_json::Value;

/// Mappings whose keys may contain dots: below them the rest of a path is one key.
const FREE_KEYS: [&str; 5] = ["data.", "binaryData.", "stringData.", "metadata.annotations.", "metadata.labels."];

/// A dotted path, such as `spec.template.spec.containers[name=app].image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Field(String),
    Item(Vec<(String, String)>),
}

/// The paths of an `osier.dev/ignore` annotation: separated by commas or white space.
pub fn parse(annotation: &str) -> Vec<FieldPath> {
    let mut paths = Vec::new();
    let mut depth = 0;
    let split = annotation.split(|c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c.is_whitespace() || (c == ',' && depth == 0) // a comma in brackets is between the keys of one item
    });
    paths.extend(split.filter(|text| !text.is_empty()).map(FieldPath::parse));
    paths
}

impl FieldPath {
    /// Reads one dotted path.
    pub fn parse(text: &str) -> Self {
        let free = FREE_KEYS.iter().find_map(|map| Some((map.trim_end_matches('.'), text.strip_prefix(map)?)));
        let Some((map, key)) = free else { return Self(split(text).iter().flat_map(|part| parts(part)).collect()) };
        let fields = map.split('.').chain([key]);
        Self(fields.map(|field| Part::Field(field.to_owned())).collect())
    }

    /// True if a leaf path of managedFields is this path or below it.
    pub fn covers(&self, leaf: &str) -> bool {
        let path: Vec<String> = self.0.iter().map(Part::as_managed).collect();
        let path = path.join("\n");
        leaf.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'))
    }

    /// The key, if this is a key of `map`.
    pub fn key_of(&self, map: &str) -> Option<&str> {
        match &*self.0 {
            [Part::Field(first), Part::Field(key)] if first == map => Some(key),
            _ => None,
        }
    }

    /// Takes the field out of an object; nothing happens if it is not there.
    pub fn remove_from(&self, object: &mut Value) {
        let Some((last, parents)) = self.0.split_last() else { return };
        let Some(parent) = parents.iter().try_fold(object, |value, part| part.below(value)) else { return };
        match (last, parent) {
            (Part::Field(name), Value::Object(map)) => drop(map.remove(name)),
            (Part::Item(keys), Value::Array(items)) => items.retain(|item| !fits(keys, item)),
            _ => {}
        }
    }
}

impl Part {
    fn as_managed(&self) -> String {
        match self {
            Part::Field(name) => format!("f:{name}"),
            Part::Item(keys) => {
                let keys = keys.iter().map(|(name, value)| {
                    (name.clone(), value.parse::<i64>().map_or_else(|_| Value::from(value.as_str()), Value::from))
                });
                format!("k:{}", keys.collect::<Value>())
            }
        }
    }

    fn below<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Part::Field(name) => value.get_mut(name),
            Part::Item(keys) => value.as_array_mut()?.iter_mut().find(|item| fits(keys, item)),
        }
    }
}

/// Splits at dots outside brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        match (c, parts.last_mut()) {
            ('.', _) if depth == 0 => parts.push(String::new()),
            (_, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// `containers[name=app]` is a field and an item of it.
fn parts(text: &str) -> Vec<Part> {
    let (name, keys) = text.split_once('[').unwrap_or((text, ""));
    let mut parts = vec![Part::Field(name.to_owned())];
    let keys: Vec<_> = keys.trim_end_matches(']').split(',').filter_map(|key| key.split_once('=')).collect();
    if !keys.is_empty() {
        parts.push(Part::Item(keys.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()));
    }
    parts
}

fn fits(keys: &[(String, String)], item: &Value) -> bool {
    keys.iter().all(|(name, value)| match &item[name] {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == *value,
        Value::Null => name == "protocol" && value == "TCP", // the one key that Kubernetes defaults
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_fields_items_and_keys_with_dots() {
        let paths =
            parse("spec.replicas, data.app.conf\nspec.containers[name=app].ports[containerPort=80,protocol=TCP]");
        assert_eq!(paths.len(), 3);
        assert!(paths[0].covers("f:spec\nf:replicas"));
        assert!(!paths[0].covers("f:spec\nf:replicasX"));
        assert_eq!(paths[1].key_of("data"), Some("app.conf"));
        assert!(paths[2].covers(
            "f:spec\nf:containers\nk:{\"name\":\"app\"}\nf:ports\nk:{\"containerPort\":80,\"protocol\":\"TCP\"}\nf:name"
        ));
        let mut object = json!({"spec": {"replicas": 1, "containers": [{"name": "app", "ports": [{"containerPort": 80}, {"containerPort": 81}]}]},
            "data": {"app.conf": "x", "b": "y"}});
        for path in &paths {
            path.remove_from(&mut object);
        }
        let expected =
            json!({"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 81}]}]}, "data": {"b": "y"}});
        assert_eq!(object, expected);
    }
}
