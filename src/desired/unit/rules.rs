//! What a document must not say, as far as it can be told without a key.

use crate::desired::closest::closest;
use crate::desired::leaves::{self, DIRECTIVE};
use crate::desired::lists::{self, ENCRYPTED};
use crate::desired::names;
use crate::desired::outline::Leaves;
use crate::desired::unit::Shape;
use crate::desired::value::Value;
use crate::desired::yaml::{Content, Node, YamlError, has_hidden_characters};
use crate::model::object::Kind;
use crate::model::wire;

/// Written by the API server, or meaningless in another cluster.
const SERVER_FIELDS: [&str; 9] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "ownerReferences",
];
/// Everything that a ConfigMap or Secret can have.
const CONFIG_FIELDS: [&str; 7] = ["apiVersion", "kind", "metadata", "data", "binaryData", "immutable", DIRECTIVE];
const SECRET_FIELDS: [&str; 8] =
    ["apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable", DIRECTIVE];
/// kubectl's note of a whole object, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ENCRYPT_VALUES_ONLY: &str = "encrypt values only: `sops --decrypt --in-place {file}`, then \
    `sops --encrypt --encrypted-regex '^(data|stringData)$' --in-place {file}`";

/// A document and what was read of it.
pub struct Rules<'a> {
    /// The document.
    pub shape: &'a Shape<'a>,
    /// Its kind.
    pub kind: &'a Kind,
    /// Its name.
    pub name: &'a str,
    /// The document as Kubernetes reads it.
    pub value: &'a Value,
    /// Its leaves.
    pub leaves: &'a Leaves,
}

/// A field that osier reads without a key.
pub fn must_be_clear(node: &Node, field: &str) -> YamlError {
    let message = format!("`{field}` is encrypted: what an object is must be readable without a key");
    YamlError::at(node, message).hint(ENCRYPT_VALUES_ONLY)
}

impl Rules<'_> {
    /// Everything that is wrong.
    pub fn check(&self) -> Vec<YamlError> {
        let mut problems = Vec::new();
        self.metadata(&mut problems);
        self.labels("metadata", true, &mut problems);
        if let Some(template) = lists::pod_template(self.kind).filter(|template| !template.is_empty()) {
            self.labels(&format!("{template}metadata"), false, &mut problems);
        }
        self.status(&mut problems);
        directives(self.shape.node, &mut problems);
        if self.kind.is_config() {
            self.config_fields(&mut problems);
        }
        if self.kind.is_secret() {
            self.secret(&mut problems);
        }
        problems
    }

    fn node(&self, path: &str) -> &Node {
        let found = path.split('.').try_fold(self.shape.node, |node, key| node.get(key));
        found.unwrap_or(self.shape.node)
    }

    fn metadata(&self, problems: &mut Vec<YamlError>) {
        let node = self.node("metadata");
        if has_hidden_characters(self.name) {
            let message = format!("the name `{}` has invisible characters", self.name.escape_debug());
            problems.push(YamlError::at(self.node("metadata.name"), message).hint("type the name anew"));
        }
        for field in SERVER_FIELDS {
            if let Some(at) =
                node.get(field).filter(|_| !matches!(self.value.get(&["metadata", field]), Some(Value::Null)))
            {
                problems.push(YamlError::at(at, format!("`metadata.{field}` is not for git")).hint("remove the line"));
            }
        }
        if let Some(at) = node.get("generateName") {
            let hint = "it makes another object at every apply: remove it";
            problems.push(YamlError::at(at, "`metadata.generateName` beside a name").hint(hint));
        }
        if let Some(at) = node.get("namespace").filter(|at| at.text().is_some_and(|text| text.starts_with(ENCRYPTED))) {
            problems.push(must_be_clear(at, "metadata.namespace"));
        }
    }

    fn status(&self, problems: &mut Vec<YamlError>) {
        if matches!(self.value.get(&["status"]), Some(Value::Map(map)) if !map.is_empty()) {
            problems.push(YamlError::at(self.node("status"), "`status` is written by the cluster").hint("remove it"));
        }
    }

    /// Labels and annotations of the metadata at `path`: of the object itself, or of its pods.
    fn labels(&self, path: &str, own: bool, problems: &mut Vec<YamlError>) {
        for field in ["labels", "annotations"] {
            let path = format!("{path}.{field}");
            let at = self.node(&path);
            let nodes = leaves::entries(Some(at));
            match lists::at(self.value, &path) {
                None | Some(Value::Null) => {}
                Some(Value::Map(entries)) => {
                    for (key, value) in entries {
                        let at = nodes.get(key.as_str()).copied().unwrap_or(at);
                        let problem = syntax(field, key, value).or_else(|| self.reserved(field, own, key, value));
                        problems.extend(problem.map(|(message, hint)| YamlError::at(at, message).hint(hint)));
                        if value.text().is_some_and(|text| text.starts_with(ENCRYPTED)) {
                            problems.push(must_be_clear(at, &format!("{path}.{key}")));
                        }
                    }
                }
                Some(_) => problems.push(YamlError::at(at, format!("`{path}` must be a mapping"))),
            }
        }
    }

    fn reserved(&self, field: &str, own: bool, key: &str, value: &Value) -> Option<(String, String)> {
        if key == LAST_APPLIED {
            return Some((format!("annotation `{key}` is not for git"), "remove it".to_owned()));
        }
        let (prefix, _) = key.split_once('/')?;
        let is_ours = prefix == wire::GROUP || prefix.ends_with(".osier.dev");
        if !is_ours || (matches!(value, Value::Null) && own && field == "annotations") {
            return None;
        }
        let known = [wire::IGNORE, wire::PRUNE, wire::KEYS, wire::RECREATE, wire::RESTART, wire::RUN];
        if !own || field == "labels" || !known.contains(&key) {
            let near = closest(key, known).filter(|_| own && field == "annotations");
            let hint = near.map_or_else(|| "remove it".to_owned(), |near| format!("did you mean `{near}`?"));
            return Some((format!("`{key}` is osier's own: git cannot set it here"), hint));
        }
        let (fits, values): (bool, &[&str]) = match key {
            wire::PRUNE => (true, &["keep"]),
            wire::RECREATE => (true, &["allow"]),
            wire::KEYS => (self.kind.is_config(), &["shared"]),
            wire::RESTART => (lists::pod_template(self.kind).is_some(), &["never"]),
            wire::RUN => (*self.kind == Kind::new("batch", "Job"), &["before", "after-ready"]),
            _ => return ignored_paths(value),
        };
        if !fits {
            return Some((format!("`{key}` means nothing on a {}", self.kind.kind), "remove it".to_owned()));
        }
        let known = value.text().is_some_and(|text| values.contains(&text));
        (!known).then(|| (format!("unknown value of `{key}`"), format!("write `{}`", values.join("` or `"))))
    }

    fn config_fields(&self, problems: &mut Vec<YamlError>) {
        let known: &[&str] = if self.kind.is_secret() { &SECRET_FIELDS } else { &CONFIG_FIELDS };
        for (key, _) in self.shape.node.entries() {
            let name = key.text().unwrap_or_default();
            if known.contains(&name) || name == "status" {
                continue;
            }
            let hint = match closest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it".to_owned(),
            };
            let message = format!("a {} has no field `{}`", self.kind.kind, name.escape_debug());
            problems.push(YamlError::at(key, message).hint(hint));
        }
        for field in ["data", "stringData", "binaryData"] {
            if !matches!(self.value.get(&[field]), None | Some(Value::Map(_) | Value::Null)) {
                let error = YamlError::at(self.node(field), format!("`{field}` must be a mapping"));
                problems.push(error.hint("write `KEY: value` below it"));
            }
        }
    }

    /// Every value of a Secret is encrypted; empty strings and nulls, which sops leaves alone, excepted.
    fn secret(&self, problems: &mut Vec<YamlError>) {
        let mut clear = Vec::new();
        for field in ["data", "stringData"] {
            let at = self.node(field);
            let nodes = leaves::entries(Some(at));
            match self.value.get(&[field]) {
                Some(Value::Map(map)) => {
                    let values = map.iter().filter(|(_, value)| !is_empty(value));
                    clear.extend(values.filter(|(key, value)| !self.is_encrypted(key, value)).map(|(key, _)| {
                        (format!("{field}.{}", key.escape_debug()), nodes.get(key.as_str()).copied().unwrap_or(at))
                    }));
                }
                Some(Value::Text(text)) if !text.is_empty() => clear.push((field.to_owned(), at)),
                _ => {}
            }
        }
        if self.shape.encrypted {
            for (path, at) in clear {
                let message = format!("`{path}` of Secret `{}` is not encrypted", self.name.escape_debug());
                let hint = "let `encrypted_regex` of .sops.yaml cover it, then `sops --decrypt --in-place {file}` and \
                            `sops --encrypt --in-place {file}`";
                problems.push(YamlError::at(at, message).hint(hint));
            }
        } else if let Some((_, at)) = clear.first() {
            let message = format!("Secret `{}` is not encrypted", self.name.escape_debug());
            problems.push(YamlError::at(at, message).hint("sops --encrypt --in-place {file}"));
        }
    }

    fn is_encrypted(&self, key: &str, value: &Value) -> bool {
        let text = value.text().is_some_and(|text| text.starts_with(ENCRYPTED));
        text && self.leaves.get(format!("data.{key}").as_str()).is_none_or(|leaf| leaf.ciphertext.is_some())
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}

fn syntax(field: &str, key: &str, value: &Value) -> Option<(String, String)> {
    let what = if field == "labels" { "label" } else { "annotation" };
    let key_shown = key.escape_debug();
    if !names::is_qualified(key) {
        let hint = "at most 63 letters, digits, `-`, `_` and `.`, perhaps after a DNS name and `/`";
        return Some((format!("`{key_shown}` is no {what} key"), hint.to_owned()));
    }
    match value {
        Value::Null => None,
        Value::Text(text) if field == "annotations" || text.contains("${osier.") || text.starts_with(ENCRYPTED) => None,
        Value::Text(text) if names::is_label_value(text) => None,
        Value::Text(_) => {
            let hint = "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
            Some((format!("the value of label `{key_shown}` has characters that a label cannot have"), hint.to_owned()))
        }
        _ => Some((format!("the value of {what} `{key_shown}` must be a string"), "quote it".to_owned())),
    }
}

/// `osier.dev/ignore`: dotted paths with commas between them.
fn ignored_paths(value: &Value) -> Option<(String, String)> {
    let good = |path: &str| {
        let path = path.trim();
        let root = path.split(['.', '[']).next().unwrap_or_default();
        !path.is_empty() && !path.contains(char::is_whitespace) && !matches!(root, "apiVersion" | "kind" | "status")
    };
    let fine = value.text().is_some_and(|text| {
        text.split([',', ' ', '\n']).filter(|path| !path.is_empty()).all(good) && !text.trim().is_empty()
    });
    (!fine).then(|| {
        let hint = "write paths with commas between them, such as `spec.replicas, data.TOKEN`";
        (format!("unknown value of `{}`", wire::IGNORE), hint.to_owned())
    })
}

/// Directives of patches: only `$patch` is known.
fn directives(node: &Node, problems: &mut Vec<YamlError>) {
    const OTHERS: [&str; 3] = ["$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"];
    match &node.content {
        Content::Scalar { .. } => {}
        Content::List(items) => items.iter().for_each(|item| directives(item, problems)),
        Content::Map(entries) => {
            for (key, value) in entries {
                let name = key.text().unwrap_or_default();
                if name == DIRECTIVE && !matches!(value.text(), Some("delete" | "replace" | "merge")) {
                    problems.push(YamlError::at(value, "unknown `$patch`").hint("write `delete` or `replace`"));
                } else if OTHERS.iter().any(|other| name.starts_with(other)) {
                    let error = YamlError::at(key, format!("`{}` is not read", name.escape_debug()));
                    problems.push(error.hint("use `$patch: delete` or `$patch: replace`"));
                }
                directives(value, problems);
            }
        }
    }
}
