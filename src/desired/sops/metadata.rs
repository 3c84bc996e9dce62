//! The `sops` block.

use std::sync::{Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

use crate::desired::sops::{Stanza, restore};
use crate::desired::yaml::{Content, Node};
use crate::model::problem::Problem;
use crate::model::reason::Reason;

/// Other services whose keys sops can wrap the data key with.
const SERVICES: [&str; 6] = ["pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault"];
/// Most recipients: each may cost an attempt to unwrap.
const MAX_STANZAS: usize = 100;
/// Longest regular expression and largest automaton, so that a file cannot cost more than its size.
const MAX_REGEX: (usize, usize) = (1 << 10, 1 << 20);

/// How many compiled expressions are remembered: the files of a repository share a few rules.
const MAX_REMEMBERED: usize = 16;
/// Compiling one takes longer than everything else that is done with a small file.
static REMEMBERED: Mutex<Vec<Regex>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) line: u32,
    pub(super) stanzas: Vec<Stanza>,
    pub(super) other_services: Vec<String>,
    pub(super) last_modified: String,
    pub(super) mac: String,
    pub(super) mac_line: u32,
    pub(super) mac_only_encrypted: bool,
    pub(super) rule: Rule,
}

/// Which leaves are encrypted.
#[derive(Debug)]
pub(super) enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
    /// By comments, which nothing authenticates: the form of each value counts, and the MAC proves it.
    Comments,
}

impl Rule {
    /// Whether a leaf at this path of keys is encrypted; nothing where the path does not decide.
    pub(super) fn encrypts(&self, keys: &[String]) -> Option<bool> {
        match self {
            Self::UnencryptedSuffix(suffix) => Some(!keys.iter().any(|key| key.ends_with(suffix))),
            Self::EncryptedSuffix(suffix) => Some(keys.iter().any(|key| key.ends_with(suffix))),
            Self::UnencryptedRegex(regex) => Some(!keys.iter().any(|key| regex.is_match(key))),
            Self::EncryptedRegex(regex) => Some(keys.iter().any(|key| regex.is_match(key))),
            Self::Comments => None,
        }
    }
}

pub(super) fn read(path: &str, block: &Node) -> Result<Metadata, Vec<Problem>> {
    let mut reader = Reader { path, block, problems: vec![] };
    let Content::Map(_) = block.content else {
        reader.problem(block, "the `sops` block is no mapping");
        return Err(reader.problems);
    };
    let groups = reader.list("key_groups");
    if let Some(group) = groups.first() {
        let hint = format!("use one group of age recipients: `sops updatekeys {path}` after changing `.sops.yaml`");
        let problem = Problem::new(path, "key groups (Shamir) are not supported yet").at(group.line, group.column);
        reader.problems.push(problem.hint(hint).because(Reason::CannotDecrypt));
    }
    let mac = block.get("mac");
    let metadata = Metadata {
        line: block.line,
        stanzas: reader.stanzas(),
        other_services: SERVICES.map(str::to_owned).into_iter().filter(|name| !reader.list(name).is_empty()).collect(),
        last_modified: reader.required("lastmodified"),
        mac: reader.required("mac"),
        mac_line: mac.map_or(block.line, |mac| mac.line),
        mac_only_encrypted: reader.flag("mac_only_encrypted"),
        rule: reader.rule(),
    };
    if reader.problems.is_empty() { Ok(metadata) } else { Err(reader.problems) }
}

struct Reader<'a> {
    path: &'a str,
    block: &'a Node,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path, message).at(node.line, node.column).hint(restore(self.path)));
    }

    /// A text that is neither missing nor empty.
    fn text(&self, name: &str) -> Option<(&'a Node, &'a str)> {
        let node = self.block.get(name)?;
        node.text().filter(|text| !text.is_empty()).map(|text| (node, text))
    }

    fn required(&mut self, name: &str) -> String {
        if let Some((_, text)) = self.text(name) {
            return text.to_owned();
        }
        self.problem(self.block, format!("`sops.{name}` is missing"));
        String::new()
    }

    fn list(&self, name: &str) -> &'a [Node] {
        match self.block.get(name).map(|node| &node.content) {
            Some(Content::List(items)) => items,
            _ => &[],
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some((node, text)) = self.text(name) else { return false };
        if let Some(value) = super::cipher::boolean(text) {
            return value;
        }
        self.problem(node, format!("`sops.{name}` is neither true nor false"));
        false
    }

    fn stanzas(&mut self) -> Vec<Stanza> {
        let items = self.list("age");
        if let Some(node) = items.get(MAX_STANZAS) {
            self.problem(node, format!("more than {MAX_STANZAS} recipients"));
            return vec![];
        }
        let mut stanzas = vec![];
        for item in items {
            let text = |name| item.get(name).and_then(Node::text).map(str::to_owned);
            match (text("recipient"), text("enc")) {
                (Some(recipient), Some(armored)) => stanzas.push(Stanza { recipient, armored }),
                _ => self.problem(item, "an entry of `sops.age` lacks `recipient` or `enc`"),
            }
        }
        stanzas
    }

    fn rule(&mut self) -> Rule {
        let names = [
            "unencrypted_suffix",
            "encrypted_suffix",
            "unencrypted_regex",
            "encrypted_regex",
            "unencrypted_comment_regex",
            "encrypted_comment_regex",
        ];
        let found: Vec<_> = names.into_iter().filter_map(|name| self.text(name).map(|text| (name, text))).collect();
        if let Some((name, (node, _))) = found.get(1) {
            self.problem(node, format!("`sops.{name}` is a second rule for what is encrypted"));
        }
        match found.first() {
            None => Rule::UnencryptedSuffix("_unencrypted".to_owned()),
            Some(("unencrypted_suffix", (_, text))) => Rule::UnencryptedSuffix((*text).to_owned()),
            Some(("encrypted_suffix", (_, text))) => Rule::EncryptedSuffix((*text).to_owned()),
            Some(("unencrypted_regex", (node, text))) => {
                self.regex(node, text).map_or(Rule::Comments, Rule::UnencryptedRegex)
            }
            Some(("encrypted_regex", (node, text))) => {
                self.regex(node, text).map_or(Rule::Comments, Rule::EncryptedRegex)
            }
            Some(_) => Rule::Comments,
        }
    }

    fn regex(&mut self, node: &Node, text: &str) -> Option<Regex> {
        let regex = compiled(text);
        if regex.is_none() {
            self.problem(node, "the rule's regular expression cannot be read");
        }
        regex
    }
}

fn compiled(text: &str) -> Option<Regex> {
    let remembered = || REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = remembered().iter().find(|regex| regex.as_str() == text) {
        return Some(regex.clone());
    }
    let within = text.len() <= MAX_REGEX.0;
    let regex = within.then(|| RegexBuilder::new(text).size_limit(MAX_REGEX.1).build().ok()).flatten()?;
    let mut remembered = remembered();
    remembered.truncate(MAX_REMEMBERED - 1);
    remembered.insert(0, regex.clone());
    Some(regex)
}
