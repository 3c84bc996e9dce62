//! `osier.yaml`: which environments there are, and which layers make each.

pub mod branches;
mod generate;

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::desired::closest::closest;
use crate::desired::config::branches::{BranchConfig, MAIN};
use crate::desired::generate::Generate;
use crate::desired::isolation::Isolation;
use crate::desired::names;
use crate::desired::yaml::{self, Content, Node, YamlError};
use crate::model::problem::Problem;
use crate::model::wire;

const FIELDS: [&str; 6] = ["apiVersion", "kind", "environments", "branches", "shared", "issues"];
const ENVIRONMENT_FIELDS: [&str; 5] = ["namespace", "layers", "keys", "cluster", "mode"];
const ISSUES_FIELDS: [&str; 2] = ["pattern", "url"];
/// Fields that later versions know. They change what is safe, so they are refused rather than ignored.
const LATER: [&str; 4] = ["approval", "rollbackWhenUnhealthyFor", "parts", "missing"];

/// What `osier.yaml` of the protected branch says.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The long-lived environments by name.
    pub environments: BTreeMap<String, EnvironmentConfig>,
    /// Environments that live and die with a branch; of several entries that match a branch the first counts.
    #[schemars(default)]
    pub branches: Vec<BranchConfig>,
    /// Layers whose files may be encrypted for protected and branch key classes alike.
    #[schemars(default)]
    pub shared: Vec<String>,
    /// Issue keys in commit messages.
    #[schemars(default)]
    pub issues: Option<Issues>,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentConfig {
    /// The namespace that is kept equal.
    pub namespace: String,
    /// Directories from the root of the repository, lowest first: later ones override earlier ones.
    #[schemars(length(min = 1))]
    pub layers: Vec<String>,
    /// The key class that opens its files.
    #[schemars(default)]
    pub keys: Option<String>,
    /// The cluster it belongs to; absent: any.
    #[schemars(default)]
    pub cluster: Option<String>,
    /// Whether it is written or only compared.
    #[schemars(default)]
    pub mode: Mode,
    /// What a branch environment has to keep to.
    #[schemars(skip)]
    pub isolation: Option<Isolation>,
    /// What osier makes up for a branch environment.
    #[schemars(skip)]
    pub generate: Generate,
    /// Line of its name in `osier.yaml`, from 1.
    #[schemars(skip)]
    pub line: u32,
}

/// Whether an environment is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Mode {
    /// Planned and applied.
    #[default]
    Apply,
    /// Planned and compared; no user object is written.
    Observe,
}

/// How issue keys are found and linked.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Issues {
    /// Regular expression of an issue key.
    pub pattern: String,
    /// Address of an issue, with `{key}`.
    pub url: String,
}

impl Issues {
    /// The issue keys in a commit message, each once, in their order.
    pub fn keys(&self, message: &str) -> Vec<String> {
        // `parse` refuses a pattern that does not compile
        let Ok(pattern) = regex::Regex::new(&self.pattern) else { return Vec::new() };
        let mut keys: Vec<String> = Vec::new();
        for key in pattern.find_iter(message).map(|found| found.as_str()) {
            if !key.is_empty() && !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }
}

impl Config {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let documents = yaml::parse(text)
            .map_err(|errors| errors.into_iter().map(|error| error.problem(path)).collect::<Vec<_>>())?;
        let mut reader = Reader { problems: Vec::new() };
        let config = match documents.as_slice() {
            [document] => reader.config(&document.node),
            [] => {
                let problem = Problem::new(path, "the file is empty").hint("run `osier init`");
                return Err(vec![problem]);
            }
            [_, second, ..] => {
                reader.wrong(&second.node, "a second document", "osier.yaml is one document");
                Self::default()
            }
        };
        reader.problems.sort_by_key(|error| (error.line, error.column));
        let problems: Vec<Problem> = reader.problems.into_iter().map(|error| error.problem(path)).collect();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The entry for a branch and its slug, if there is one.
    pub fn branch(&self, name: &str) -> Option<(&BranchConfig, String)> {
        self.branches.iter().find_map(|entry| Some((entry, entry.slug(name)?)))
    }

    /// What `${osier.slug}` and the `{slug}` of addresses stand for: the `slug` of the branch `name`, with the hash unless no other name can
    /// have that slug by right.
    ///
    /// # Guarantees
    /// Depends on nothing but this file and the name, so that no push to another branch changes it; no two branches of a Repository have the
    /// same. Of all names with one slug the one counts that is just the beginning of a pattern and the slug, of the first such pattern.
    pub fn label(&self, name: &str, slug: &str, repository: &str) -> String {
        let patterns = self.branches.iter().flat_map(|entry| &entry.patterns);
        let mut names = patterns.map(|pattern| pattern.named(slug));
        let first = names.find(|name| self.branch(name).is_some_and(|(_, found)| found == slug));
        if first.as_deref() == Some(name) && !wire::ends_like_label(slug) {
            return slug.to_owned();
        }
        wire::branch_label(slug, repository, &format!("{}{name}", wire::HEADS))
    }

    /// JSON schema of the file, for editors.
    pub fn schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(Config).to_value();
        if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.insert("apiVersion".to_owned(), serde_json::json!({"const": wire::API_VERSION}));
            properties.insert("kind".to_owned(), serde_json::json!({"const": "Config"}));
        }
        if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
            required.splice(0..0, ["apiVersion".into(), "kind".into()]);
        }
        schema
    }
}

struct Reader {
    problems: Vec<YamlError>,
}

impl Reader {
    fn wrong(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(YamlError::at(node, message).hint(hint));
    }

    fn config(&mut self, root: &Node) -> Config {
        self.fields(root, "osier.yaml", &FIELDS);
        self.constant(root, "apiVersion", wire::API_VERSION);
        self.constant(root, "kind", "Config");
        let environments = self.environments(root);
        let branches = root.get("branches").map(|node| self.branches(node)).unwrap_or_default();
        let shared = root.get("shared").map(|node| self.layers(node, false)).unwrap_or_default();
        let issues = root.get("issues").and_then(|node| self.issues(node));
        Config { environments, branches, shared, issues }
    }

    fn constant(&mut self, root: &Node, field: &str, value: &str) {
        match root.get(field) {
            Some(node) if node.text() == Some(value) => {}
            Some(node) => self.wrong(node, format!("unknown `{field}`"), format!("write `{field}: {value}`")),
            None => self.wrong(root, format!("`{field}` is missing"), format!("add `{field}: {value}`")),
        }
    }

    /// Checks that `node` is a mapping of known fields.
    fn fields(&mut self, node: &Node, of: &str, known: &[&'static str]) {
        if !matches!(node.content, Content::Map(_)) {
            self.wrong(node, format!("{of} must be a mapping"), format!("fields: {}", known.join(", ")));
        }
        for (key, _) in node.entries() {
            let name = key.text().unwrap_or_default();
            if known.contains(&name) {
                continue;
            }
            if LATER.contains(&name) {
                self.wrong(key, format!("`{name}` is not supported by this version yet"), "remove it");
                continue;
            }
            let hint = match closest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("fields of {of}: {}", known.join(", ")),
            };
            self.wrong(key, format!("unknown field `{}`", name.escape_debug()), hint);
        }
    }

    fn environments(&mut self, root: &Node) -> BTreeMap<String, EnvironmentConfig> {
        const EXAMPLE: &str = "add `environments: {staging: {namespace: shop-staging, layers: [base]}}`";
        let mut environments: BTreeMap<String, EnvironmentConfig> = BTreeMap::new();
        let Some(node) = root.get("environments") else {
            self.wrong(root, "`environments` is missing", EXAMPLE);
            return environments;
        };
        if node.entries().is_empty() {
            self.wrong(node, "`environments` must name at least one", EXAMPLE);
        }
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            self.label(key, "the name of an environment");
            let Some(environment) = self.environment(name, key, value) else { continue };
            let twin = environments.iter().find(|(_, other)| collide(other, &environment));
            if let Some((other, _)) = twin {
                let namespace = value.get("namespace").unwrap_or(key);
                let message = format!("namespace `{}` is that of environment `{other}` already", environment.namespace);
                self.wrong(namespace, message, "give each environment a namespace of its own");
            }
            environments.insert(name.to_owned(), environment);
        }
        environments
    }

    fn environment(&mut self, name: &str, key: &Node, node: &Node) -> Option<EnvironmentConfig> {
        self.fields(node, &format!("environment `{name}`"), &ENVIRONMENT_FIELDS);
        for field in ["namespace", "layers"] {
            if node.get(field).is_none() {
                let problem = format!("environment `{name}` has no `{field}`");
                let hint = if field == "layers" { "add `layers: [base]`" } else { "add `namespace: NAME`" };
                self.wrong(key, problem, hint);
            }
        }
        let mut word = |field: &str| {
            let node = node.get(field)?;
            self.label(node, &format!("`{field}`"));
            node.text().map(str::to_owned)
        };
        let (namespace, keys, cluster) = (word("namespace"), word("keys"), word("cluster"));
        let mode = self.one_of(node, "mode", [("apply", Mode::Apply), ("observe", Mode::Observe)]);
        let layers = node.get("layers").map(|node| self.layers(node, false));
        if let (Some([]), Some(node)) = (layers.as_deref(), node.get("layers"))
            && matches!(&node.content, Content::List(items) if items.is_empty())
        {
            self.wrong(node, format!("environment `{name}` has no layers"), "name at least one directory");
        }
        Some(EnvironmentConfig {
            namespace: namespace?,
            layers: layers?,
            keys,
            cluster,
            mode,
            isolation: None,
            generate: Generate::new(),
            line: key.line,
        })
    }

    /// One of two words; the first is meant where there is none.
    fn one_of<T: Copy>(&mut self, node: &Node, field: &str, words: [(&str, T); 2]) -> T {
        let [(first, default), (second, _)] = words;
        let Some(node) = node.get(field) else { return default };
        if let Some((_, meant)) = words.iter().find(|(word, _)| node.text() == Some(word)) {
            return *meant;
        }
        self.wrong(node, format!("unknown `{field}`"), format!("write `{first}` or `{second}`"));
        default
    }

    fn label(&mut self, node: &Node, what: &str) {
        if !node.text().is_some_and(names::is_label) {
            let hint = "at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends";
            self.wrong(node, format!("{what} must be a DNS label"), hint);
        }
    }

    /// A list of directories, `pinned` ones of the protected branch among them if there may be such.
    fn layers(&mut self, node: &Node, pinned: bool) -> Vec<String> {
        let Content::List(items) = &node.content else {
            self.wrong(node, "layers must be a list of directories", "write `[base, envs/staging]`");
            return Vec::new();
        };
        let mut layers: Vec<String> = Vec::new();
        for item in items {
            let Some(layer) = self.layer(item, pinned) else { continue };
            let inside = |inner: &str, outer: &str| format!("{inner}/").starts_with(&format!("{outer}/"));
            match layers.iter().find(|other| inside(&layer, other) || inside(other, &layer)) {
                Some(other) if *other == layer => {
                    self.wrong(item, format!("layer `{layer}` is here twice"), "remove one");
                }
                Some(other) => {
                    let message = format!("layers `{other}` and `{layer}` contain one another");
                    self.wrong(item, message, "a file belongs to one layer: move one directory out of the other");
                }
                None => layers.push(layer),
            }
        }
        layers
    }

    fn layer(&mut self, node: &Node, pinned: bool) -> Option<String> {
        let Some(text) = node.text() else {
            self.wrong(node, "a layer must be a directory", "write its path from the root of the repository");
            return None;
        };
        let layer = text.strip_suffix('/').unwrap_or(text);
        let (main, layer) = layer.strip_prefix(MAIN).filter(|_| pinned).map_or(("", layer), |layer| (MAIN, layer));
        if layer.contains(':') {
            let message = format!("layer `{}` names a branch", layer.escape_debug());
            self.wrong(
                node,
                message,
                "name a directory of this repository; only layers in `branches` may begin with `main:`",
            );
        } else if yaml::has_hidden_characters(layer) || !layer.split('/').all(is_directory) {
            let hint = "write its path from the root of the repository, without `..` and names that begin with a dot";
            self.wrong(node, format!("layer `{}` is no directory of this repository", layer.escape_debug()), hint);
        } else {
            return Some(format!("{main}{layer}"));
        }
        None
    }

    fn issues(&mut self, node: &Node) -> Option<Issues> {
        self.fields(node, "`issues`", &ISSUES_FIELDS);
        let mut word = |field: &str| {
            let text = node.get(field).and_then(Node::text).map(str::to_owned);
            if text.is_none() {
                self.wrong(node, format!("`issues` has no `{field}`"), "add `pattern` and `url`, or remove `issues`");
            }
            text
        };
        let issues = Issues { pattern: word("pattern")?, url: word("url")? };
        if regex::Regex::new(&issues.pattern).is_err() {
            self.wrong(node.get("pattern")?, "`pattern` is no regular expression", "such as `[A-Z]+-[0-9]+`");
        }
        if !issues.url.contains("{key}") {
            self.wrong(node.get("url")?, "`url` has no `{key}`", "such as `https://tracker.example.com/browse/{key}`");
        }
        Some(issues)
    }
}

/// True if two environments would write one namespace.
fn collide(one: &EnvironmentConfig, other: &EnvironmentConfig) -> bool {
    let one_cluster = one.cluster.is_none() || other.cluster.is_none() || one.cluster == other.cluster;
    one.namespace == other.namespace && one_cluster
}

fn is_directory(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('\\')
}

#[cfg(test)]
mod tests;
