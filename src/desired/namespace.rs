//! `namespace.yaml` of a template: the labels and annotations that the namespace of a branch environment is made with.

use std::collections::BTreeMap;

use crate::desired::names;
use crate::desired::set::Parameters;
use crate::desired::variables;
use crate::desired::yaml::{self, Content, Node, YamlError};
use crate::model::problem::Problem;
use crate::model::tree::split_layer;
use crate::model::wire;

/// Its name in the directory of the template.
const FILE: &str = "namespace.yaml";

/// The variable that its name is.
const NAMESPACE: &str = "osier.namespace";

/// What a namespace is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels by key.
    pub labels: BTreeMap<String, String>,
    /// Annotations by key.
    pub annotations: BTreeMap<String, String>,
}

/// The path of the file, given the template's layer.
pub fn path(template: &str) -> String {
    format!("{}/{FILE}", split_layer(template).1)
}

/// Reads the file.
///
/// # Errors
/// Every mistake at once.
pub fn marks(path: &str, text: &str, parameters: &Parameters) -> Result<Marks, Vec<Problem>> {
    let placed = |errors: Vec<YamlError>| errors.into_iter().map(|error| error.problem(path)).collect::<Vec<_>>();
    let documents = yaml::parse(text).map_err(placed)?;
    let [document] = documents.as_slice() else {
        return Err(vec![Problem::new(path, "this file is one document, a Namespace")]);
    };
    let mut problems = Vec::new();
    let root = &document.node;
    for (field, value) in [("apiVersion", "v1"), ("kind", "Namespace")] {
        if root.get(field).and_then(Node::text) != Some(value) {
            problems.push(YamlError::at(root, format!("`{field}` is not `{value}`")).hint("this file is a Namespace"));
        }
    }
    let others =
        root.entries().iter().filter(|(key, _)| !matches!(key.text(), Some("apiVersion" | "kind" | "metadata")));
    let metadata = root.get("metadata");
    let fields = metadata.map(Node::entries).unwrap_or_default();
    let unknown = fields.iter().filter(|(key, _)| !matches!(key.text(), Some("name" | "labels" | "annotations")));
    for (key, _) in others.chain(unknown) {
        let hint = "only labels and annotations of the namespace are made from it";
        problems.push(YamlError::at(key, "this field is not read").hint(hint));
    }
    let name = metadata.and_then(|node| node.get("name"));
    let is_ours = |name: &Node| {
        let name = name.text().map(|text| variables::fill(text, parameters));
        name.as_deref() == parameters.get(NAMESPACE).map(String::as_str)
    };
    if let Some(name) = name.filter(|name| !is_ours(name)) {
        let error = YamlError::at(name, "the name is not for the template to choose");
        problems.push(error.hint("write `${osier.namespace}`"));
    }
    let mut of =
        |field: &str| metadata.and_then(|node| node.get(field)).map(|node| texts(node, parameters, &mut problems));
    let marks = Marks { labels: of("labels").unwrap_or_default(), annotations: of("annotations").unwrap_or_default() };
    for (key, value) in &marks.labels {
        if !names::is_label_value(value) {
            problems.push(YamlError::at(
                root,
                format!("the value of label `{key}` has characters that a label cannot have"),
            ));
        }
    }
    if problems.is_empty() { Ok(marks) } else { Err(placed(problems)) }
}

fn texts(node: &Node, parameters: &Parameters, problems: &mut Vec<YamlError>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    if !matches!(node.content, Content::Map(_)) {
        problems.push(YamlError::at(node, "this must be a mapping"));
    }
    for (key, value) in node.entries() {
        match (key.text(), value.text()) {
            (Some(key_text), Some(text)) if names::is_qualified(key_text) && !key_text.starts_with(wire::GROUP) => {
                texts.insert(key_text.to_owned(), variables::fill(text, parameters).into_owned());
            }
            (Some(key_text), Some(_)) if key_text.starts_with(wire::GROUP) => {
                problems.push(
                    YamlError::at(key, "osier's own labels and annotations are not for git").hint("remove the line"),
                );
            }
            (Some(key_text), Some(_)) => {
                problems.push(YamlError::at(
                    key,
                    format!("`{}` is no key of a label or annotation", key_text.escape_debug()),
                ));
            }
            _ => problems.push(YamlError::at(value, "the value must be a string").hint("quote it")),
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_variables() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  labels: {pod-security.kubernetes.io/enforce: restricted}\n  annotations: {example.com/branch: \"${osier.branch}\"}\n";
        let parameters = Parameters::from([("osier.branch".to_owned(), "feature/x".to_owned())]);
        let marks = marks("t/namespace.yaml", text, &parameters).unwrap();
        assert_eq!(marks.labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(marks.annotations["example.com/branch"], "feature/x");
    }

    #[test]
    fn nothing_else_is_read() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {osier.dev/repository: x, a b: c, e: \"f g\"}, finalizers: [x]}\nspec: {}\n";
        let problems = marks("t/namespace.yaml", text, &Parameters::new()).unwrap_err();
        assert_eq!(problems.len(), 6, "{problems:#?}");
    }
}
