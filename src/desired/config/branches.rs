//! `branches:` of `osier.yaml`: which branches get an environment, and what is in it.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;

use crate::desired::config::{EnvironmentConfig, Mode, Reader};
use crate::desired::generate::Generate;
use crate::desired::isolation::{Allow, Isolation};
use crate::desired::names;
use crate::desired::value::Value;
use crate::desired::yaml::{self, Content, Node};
use crate::model::tree::{GitId, pinned};
use crate::model::wire;

/// Before a layer: its directory is read from the protected branch, whatever the branch says.
pub const MAIN: &str = "main:";
/// Longest prefix of a namespace: with a slug and the hash it fits into a DNS label.
const PREFIX: usize = 20;
const FIELDS: [&str; 12] =
    ["match", "layers", "keys", "when", "lives", "max", "url", "namespace", "generate", "grace", "volumes", "allow"];
const ALLOW_FIELDS: [&str; 5] = ["labels", "annotations", "fields", "ingressClasses", "gateways"];
/// Stands for the slug in `url`.
const SLUG: &str = "{slug}";
const NAMESPACE_FIELDS: [&str; 2] = ["prefix", "template"];

/// Branches that match, and the environment that each of them gets.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct BranchConfig {
    /// Names of branches: `*` stands for a part of a name without slash, `**` for any.
    #[schemars(rename = "match", with = "Vec<String>", length(min = 1))]
    pub patterns: Vec<Pattern>,
    /// Directories, lowest first; with `main:` before it, one of the protected branch instead of the branch's own.
    #[schemars(length(min = 1))]
    pub layers: Vec<String>,
    /// The key class that opens its files.
    #[schemars(default)]
    pub keys: Option<String>,
    /// Which of the branches get one.
    #[schemars(default)]
    pub when: When,
    /// How long it lives after the service saw the newest commit of its branch, such as `72h`; without it, as long as the branch.
    #[schemars(default, with = "Option<String>")]
    pub lives: Option<Duration>,
    /// How many environments there may be at a time.
    #[schemars(default)]
    pub max: Option<NonZeroU32>,
    /// Its address, with `{slug}`: Ingresses and routes may have its host, and those below it, and no others.
    #[schemars(default)]
    pub url: Option<String>,
    /// Its namespace.
    pub namespace: BranchNamespace,
    /// Entries of Secrets that are random in each environment, as long as it says, and stay the same for its life: `Secret/NAME.ENTRY`.
    #[schemars(default, with = "std::collections::BTreeMap<String, u32>")]
    pub generate: Generate,
    /// How long the branch has to be gone before the environment is, such as `1m`.
    #[schemars(default, with = "Option<String>")]
    pub grace: Option<Duration>,
    /// What becomes of its volumes at its end.
    #[schemars(default)]
    pub volumes: Volumes,
    /// What is granted beyond what every branch environment may have.
    #[schemars(default)]
    pub allow: Allow,
    /// Line where it begins in `osier.yaml`, from 1.
    #[schemars(skip)]
    pub line: u32,
}

/// Which branches get an environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum When {
    /// All that match.
    #[default]
    Always,
    /// Those that change something in their layers, and those of followed repositories.
    Changed,
}

/// What becomes of volumes when their environment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Volumes {
    /// A PersistentVolumeClaim keeps the environment until somebody deletes it.
    #[default]
    Keep,
    /// They go with it.
    Delete,
}

/// The namespaces of branch environments.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BranchNamespace {
    /// What their names begin with.
    #[schemars(length(max = PREFIX))]
    pub prefix: String,
    /// Directory of the protected branch: quota, limits, network policies, role bindings, and labels in its `namespace.yaml`.
    pub template: String,
}

/// Names of branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    literal: String,
    rest: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `*`
    Part,
    /// `**`
    Anything,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let literal = text.split('*').next().unwrap_or_default().to_owned();
        let mut rest = Vec::new();
        let mut chars = text.get(literal.len()..)?.chars().peekable();
        while let Some(c) = chars.next() {
            rest.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => Token::Anything,
                '*' => Token::Part,
                c => Token::Char(c),
            });
        }
        let stars = rest.windows(2).any(|pair| !pair.iter().any(|token| matches!(token, Token::Char(_))));
        let forbidden = |c: char| c.is_control() || " ~^:?[\\".contains(c);
        let bad = text.is_empty() || stars || yaml::has_hidden_characters(text) || text.contains(forbidden);
        (!bad).then_some(Self { literal, rest })
    }

    /// The name that is the pattern's literal beginning and what may follow it.
    pub(super) fn named(&self, rest: &str) -> String {
        format!("{}{rest}", self.literal)
    }

    /// What follows the pattern's literal beginning, if the name matches.
    ///
    /// It takes time in proportion to both lengths, whatever they say.
    fn rest_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(&self.literal)?;
        // at[i]: the first i tokens match what was read so far
        let mut at = vec![false; self.rest.len() + 1];
        at[0] = true;
        self.skip(&mut at);
        for c in rest.chars() {
            let mut next = vec![false; at.len()];
            for (i, token) in self.rest.iter().enumerate().filter(|(i, _)| at[*i]) {
                match token {
                    Token::Char(known) => next[i + 1] |= *known == c,
                    Token::Part => next[i] |= c != '/',
                    Token::Anything => next[i] = true,
                }
            }
            self.skip(&mut next);
            at = next;
        }
        at.last().copied().unwrap_or_default().then_some(rest)
    }

    /// Stars match nothing, too.
    fn skip(&self, at: &mut [bool]) {
        for (i, _) in self.rest.iter().enumerate().filter(|(_, token)| !matches!(token, Token::Char(_))) {
            at[i + 1] |= at[i];
        }
    }
}

impl BranchConfig {
    /// The layers that are read from the branch itself.
    pub fn own_layers(&self) -> Vec<String> {
        self.layers.iter().filter(|layer| !layer.starts_with(MAIN)).cloned().collect()
    }

    /// The slug of a branch, if it matches.
    pub fn slug(&self, branch: &str) -> Option<String> {
        self.patterns.iter().find_map(|pattern| pattern.rest_of(branch)).map(wire::branch_slug)
    }

    /// The environment of one branch, as if `osier.yaml` named it; `main:` is this commit of the protected branch, and `label` what its
    /// address has for `{slug}`.
    pub fn environment(&self, namespace: String, main: GitId, label: &str) -> EnvironmentConfig {
        let template = pinned(main, &self.namespace.template);
        let address = self.url.as_ref().map(|url| url.replace(SLUG, label));
        let host = address.as_ref().and_then(|address| host(address)).map(str::to_owned);
        let layer =
            |layer: &String| layer.strip_prefix(MAIN).map_or(layer.clone(), |directory| pinned(main, directory));
        EnvironmentConfig {
            namespace,
            layers: std::iter::once(template.clone()).chain(self.layers.iter().map(layer)).collect(),
            keys: self.keys.clone(),
            cluster: None,
            mode: Mode::Apply,
            isolation: Some(Isolation { template, address, host, subjects: None, allow: self.allow.clone() }),
            generate: self.generate.clone(),
            line: self.line,
        }
    }
}

impl Reader {
    pub(super) fn branches(&mut self, node: &Node) -> Vec<BranchConfig> {
        let Content::List(items) = &node.content else {
            self.wrong(node, "`branches` must be a list", "begin each entry with `- match: [\"feature/**\"]`");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.branch(item)).collect()
    }

    fn branch(&mut self, node: &Node) -> Option<BranchConfig> {
        self.fields(node, "an entry of `branches`", &FIELDS);
        for (field, example) in [
            ("match", "[\"feature/**\"]"),
            ("layers", "[main:base, branches]"),
            ("namespace", "{prefix: shop-b, template: policies/branch-namespace}"),
        ] {
            if node.get(field).is_none() {
                self.wrong(
                    node,
                    format!("an entry of `branches` has no `{field}`"),
                    format!("add `{field}: {example}`"),
                );
            }
        }
        let patterns = node.get("match").map(|node| self.patterns(node));
        let layers = node.get("layers").map(|node| self.branch_layers(node));
        let keys = node.get("keys").and_then(|node| {
            self.label(node, "`keys`");
            node.text().map(str::to_owned)
        });
        let when = self.one_of(node, "when", [("always", When::Always), ("changed", When::Changed)]);
        let max = node.get("max").and_then(|node| self.max(node));
        let namespace = node.get("namespace").and_then(|node| self.branch_namespace(node));
        let mut pinned = layers.iter().flatten().filter_map(|layer| layer.strip_prefix(MAIN));
        let template = namespace.as_ref().map(|namespace| &namespace.template);
        if template.is_some_and(|template| pinned.any(|layer| overlap(layer, template))) {
            self.wrong(node, "the template is in a layer, or a layer in it", "give it a directory of its own");
        }
        let lives = node.get("lives").and_then(|node| self.lives(node));
        let grace = node.get("grace").and_then(|node| self.duration(node, "grace"));
        let volumes = self.one_of(node, "volumes", [("keep", Volumes::Keep), ("delete", Volumes::Delete)]);
        let url = node.get("url").and_then(|node| self.url(node));
        let generate = node.get("generate").map(|node| self.generate(node)).unwrap_or_default();
        let allow = node.get("allow").map(|node| self.allow(node)).unwrap_or_default();
        let (patterns, layers, namespace, line) = (patterns?, layers?, namespace?, node.line);
        Some(BranchConfig {
            patterns,
            layers,
            keys,
            when,
            lives,
            max,
            url,
            namespace,
            generate,
            grace,
            volumes,
            allow,
            line,
        })
    }

    fn lives(&mut self, node: &Node) -> Option<Duration> {
        let lives = self.duration(node, "lives")?;
        if lives.is_zero() {
            self.wrong(node, "`lives` must be longer than nothing", "such as `lives: 72h`, or leave it out");
        }
        Some(lives)
    }

    fn duration(&mut self, node: &Node, field: &str) -> Option<Duration> {
        let said = node.text().and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let said = said.and_then(|duration| Duration::try_from(duration).ok());
        if said.is_none() {
            self.wrong(
                node,
                format!("`{field}` must be a duration"),
                format!("such as `{field}: 1m` or `{field}: 72h`"),
            );
        }
        said
    }

    fn url(&mut self, node: &Node) -> Option<String> {
        let url = node.text().filter(|url| host(url).is_some_and(|host| names::is_subdomain(&host.replace(SLUG, "x"))));
        let url = url.filter(|url| host(url).is_some_and(|host| host.contains(SLUG)));
        if url.is_none() {
            self.wrong(
                node,
                "`url` must be an address whose host has `{slug}`",
                "such as `https://{slug}.preview.example.com`",
            );
        }
        url.map(str::to_owned)
    }

    fn allow(&mut self, node: &Node) -> Allow {
        self.fields(node, "`allow`", &ALLOW_FIELDS);
        let mut words = |field: &str| match node.get(field).map(|node| (node, &node.content)) {
            None => Vec::new(),
            Some((_, Content::List(items))) if items.iter().all(|item| item.text().is_some()) => {
                items.iter().filter_map(Node::text).map(str::to_owned).collect()
            }
            Some((node, _)) => {
                self.wrong(node, format!("`{field}` must be a list of names"), format!("such as `{field}: [team]`"));
                Vec::new()
            }
        };
        let [labels, annotations, fields, ingress_classes, gateways] = ALLOW_FIELDS.map(&mut words);
        let is_gateway = |name: &String| {
            name.split_once('/').is_some_and(|(place, name)| names::is_label(place) && names::is_subdomain(name))
        };
        if let Some(node) = node.get("gateways").filter(|_| !gateways.iter().all(is_gateway)) {
            self.wrong(node, "`gateways` must name each with its namespace", "such as `gateways: [gateways/public]`");
        }
        Allow { labels, annotations, fields, ingress_classes, gateways }
    }

    fn branch_layers(&mut self, node: &Node) -> Vec<String> {
        if matches!(&node.content, Content::List(items) if items.is_empty()) {
            self.wrong(node, "an entry of `branches` has no layers", "name at least one directory");
        }
        self.layers(node, true)
    }

    fn patterns(&mut self, node: &Node) -> Vec<Pattern> {
        const EXAMPLE: &str = "such as `match: [\"feature/**\", \"fix/*\"]`";
        let Content::List(items) = &node.content else {
            self.wrong(node, "`match` must be a list of names of branches", EXAMPLE);
            return Vec::new();
        };
        if items.is_empty() {
            self.wrong(node, "`match` is empty", EXAMPLE);
        }
        let mut patterns = Vec::new();
        for item in items {
            match item.text().and_then(Pattern::parse) {
                Some(pattern) => patterns.push(pattern),
                None => self.wrong(item, "this is no name of a branch, with `*` and `**`", EXAMPLE),
            }
        }
        patterns
    }

    fn max(&mut self, node: &Node) -> Option<NonZeroU32> {
        let max = match yaml::kubernetes_scalar(node) {
            Ok(Value::Int(max)) => u32::try_from(max).ok().and_then(NonZeroU32::new),
            _ => None,
        };
        if max.is_none() {
            self.wrong(node, "`max` must be a number from 1", "such as `max: 20`");
        }
        max
    }

    fn branch_namespace(&mut self, node: &Node) -> Option<BranchNamespace> {
        self.fields(node, "`namespace`", &NAMESPACE_FIELDS);
        for (field, example) in [("prefix", "shop-b"), ("template", "policies/branch-namespace")] {
            if node.get(field).is_none() {
                self.wrong(node, format!("`namespace` has no `{field}`"), format!("add `{field}: {example}`"));
            }
        }
        let template = node.get("template").and_then(|node| self.layer(node, false));
        let at = node.get("prefix")?;
        let prefix = at.text().filter(|text| names::is_label(text) && text.len() <= PREFIX);
        if prefix.is_none() {
            let hint = "at most 20 lower-case letters, digits and `-`, with a letter or digit at both ends";
            self.wrong(at, "`prefix` must be the beginning of a namespace's name", hint);
        }
        Some(BranchNamespace { prefix: prefix?.to_owned(), template: template? })
    }
}

/// The host of an address, without its port.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    rest.split(['/', ':', '?', '#']).next().filter(|host| !host.contains('@'))
}

fn overlap(one: &str, other: &str) -> bool {
    let inside = |inner: &str, outer: &str| format!("{inner}/").starts_with(&format!("{outer}/"));
    inside(one, other) || inside(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_branches() {
        let cases = [
            ("feature/**", "feature/a/b", Some("a/b")),
            ("feature/**", "feature/", Some("")),
            ("feature/**", "features/a", None),
            ("feature/*", "feature/a", Some("a")),
            ("feature/*", "feature/a/b", None),
            ("fix/*-urgent", "fix/a-urgent", Some("a-urgent")),
            ("fix/*-urgent", "fix/a-urgent-", None),
            ("**/x", "a/b/x", Some("a/b/x")),
            ("**", "main", Some("main")),
            ("exactly", "exactly", Some("")),
            ("exactly", "exactlyy", None),
            ("*a*a*a*b", &"a".repeat(4_000), None),
        ];
        for (pattern, name, rest) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().rest_of(name), rest, "{pattern} {name}");
        }
        for bad in ["", "***", "a b", "a:b", "a\u{200b}", "a?"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }
}
