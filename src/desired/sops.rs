//! Encrypted files in the format of sops: what can be told without a key, and opening them with the data key.
//!
//! Pure: the data key comes from `keys`. The format is that of getsops/sops 3.13 (`sops.go`, `aes/cipher.go`, `stores/`).

mod cipher;
mod metadata;
mod open;

use std::ops::Range;

use crate::desired::sops::metadata::{Metadata, Rule};
use crate::desired::value::Value;
use crate::desired::yaml::{self, Content, Document, Node, SopsScalar};
use crate::model::cleartext::Cleartext;
use crate::model::problem::Problem;

/// Most memory for the names of leaves: 100,000 of them six levels deep take half of it.
const MAX_NAMES: usize = 1 << 26;

/// The 32 bytes that a file's values are encrypted with.
#[derive(Debug)]
pub struct DataKey(Cleartext);

/// An encrypted file, as committed.
#[derive(Debug)]
pub struct SopsFile {
    path: String,
    format: Format,
    shapes: Vec<Shape>,
    metadata: Metadata,
}

/// One document of an encrypted file, without its values.
#[derive(Debug)]
pub struct Shape {
    /// Line of its first node, from 1.
    pub line: u32,
    /// Bytes of its text in the file, the `sops` block included.
    pub span: Range<usize>,
    /// The document without the `sops` block; encrypted leaves are `ENC[…]` texts.
    pub node: Node,
    /// Its leaves in the order of the text.
    pub leaves: Vec<Leaf>,
}

/// Name and place of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Keys of mappings and indexes of sequences from the top.
    pub path: Vec<String>,
    /// Line of the value, from 1.
    pub line: u32,
    /// Column of the value, from 1.
    pub column: u32,
    /// How it stands in the file.
    pub state: LeafState,
}

/// How a value stands in an encrypted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafState {
    /// `ENC[…]`
    Encrypted,
    /// readable by everybody
    Cleartext,
    /// An empty string or null, which sops does not encrypt.
    Empty,
}

/// The data key wrapped for one age recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// `age1…` or `ssh-ed25519 …`, as the file says; nothing proves it before the stanza is opened.
    pub recipient: String,
    /// An armored age file.
    pub armored: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
}

impl DataKey {
    /// A data key, if these are 32 bytes.
    pub fn new(bytes: Cleartext) -> Option<Self> {
        (bytes.expose().len() == 32).then_some(Self(bytes))
    }
}

/// True if the documents were encrypted by sops, even if the `sops` block is gone: then `SopsFile::parse` says so.
pub fn is_encrypted(documents: &[Document]) -> bool {
    documents.iter().any(|document| document.node.get("sops").is_some() || first_encrypted(&document.node).is_some())
}

impl SopsFile {
    /// Reads an encrypted file without opening it; `.json` by JSON's rules, anything else as a YAML stream.
    ///
    /// # Guarantees
    /// Every value is encrypted or not as the file's own rule says; there are no aliases, tags or merge keys.
    ///
    /// # Errors
    /// Every mistake that can be told without a key.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = yaml::utf8(bytes).map_err(|error| vec![error.problem(path)])?;
        match yaml::parse(text) {
            Ok(documents) => Self::of(path, text, documents),
            Err(errors) => {
                Format::of(path).check(path, text)?;
                Err(errors.into_iter().map(|error| error.problem(path)).collect())
            }
        }
    }

    /// The same for a text whose documents were read already.
    ///
    /// # Errors
    /// As `parse`.
    pub fn of(path: &str, text: &str, documents: Vec<Document>) -> Result<Self, Vec<Problem>> {
        let format = Format::of(path);
        format.check(path, text)?;
        let metadata = metadata(path, &documents)?;
        let rule = &metadata.rule;
        let mut check = Check { path, format, rule, names: vec![], size: 0, leaves: vec![], problems: vec![] };
        let shapes = documents.into_iter().map(|document| check.document(document));
        // Of an empty document sops leaves its block.
        let shapes =
            shapes.filter(|shape| !matches!(&shape.node.content, Content::Map(map) if map.is_empty())).collect();
        let problems = check.problems;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { path: path.to_owned(), format, shapes, metadata })
    }

    /// Opens the file: decrypts, verifies the MAC over what is committed, then reads cleartext leaves as Kubernetes does.
    ///
    /// # Guarantees
    /// One value per document of `shape`; every leaf that is encrypted in git is `Value::Secret`.
    ///
    /// # Errors
    /// `CannotDecrypt` at each value that does not open; where all open, at `sops.mac` if the file was changed
    /// without sops: a key deleted, a cleartext or old value put in, `lastmodified` edited.
    pub fn open(&self, key: &DataKey) -> Result<Vec<Value>, Vec<Problem>> {
        open::open(self, key)
    }

    /// What can be told without a key, document by document.
    pub fn shape(&self) -> &[Shape] {
        &self.shapes
    }

    /// Path of the file in the repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The wrapped data keys.
    pub fn stanzas(&self) -> &[Stanza] {
        &self.metadata.stanzas
    }

    /// The age recipients that the file names, in its order.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.metadata.stanzas.iter().map(|stanza| stanza.recipient.as_str())
    }

    /// Key services that can open the file beside age, by sops' names (`pgp`, `kms`, …).
    pub fn other_services(&self) -> &[String] {
        &self.metadata.other_services
    }

    /// True if the MAC covers encrypted values only, so that cleartext ones can be changed by anybody.
    pub fn mac_only_encrypted(&self) -> bool {
        self.metadata.mac_only_encrypted
    }

    /// Line of the `sops` block.
    pub fn metadata_line(&self) -> u32 {
        self.metadata.line
    }
}

/// Text looks as if sops had encrypted it.
fn looks_encrypted(text: &str) -> bool {
    text.starts_with("ENC[AES256_GCM,")
}

/// sops turns a comment among the items of a sequence into an item, and back when it decrypts. The MAC takes no comments,
/// so making a comment of a value breaks it.
fn drop_comments(node: &mut Node) {
    let is_comment =
        |node: &Node| node.text().is_some_and(|text| looks_encrypted(text) && text.ends_with(",type:comment]"));
    match &mut node.content {
        Content::Scalar { .. } => {}
        Content::Map(entries) => entries.iter_mut().for_each(|(_, value)| drop_comments(value)),
        Content::List(items) => {
            items.retain(|item| !is_comment(item));
            items.iter_mut().for_each(drop_comments);
        }
    }
}

fn first_encrypted(node: &Node) -> Option<&Node> {
    match &node.content {
        Content::Scalar { text, .. } => looks_encrypted(text).then_some(node),
        Content::List(items) => items.iter().find_map(first_encrypted),
        Content::Map(entries) => entries.iter().find_map(|(_, value)| first_encrypted(value)),
    }
}

/// sops writes its block into every document and reads that of the first.
fn metadata(path: &str, documents: &[Document]) -> Result<Metadata, Vec<Problem>> {
    let block = documents.first().and_then(|document| document.node.get("sops"));
    let Some(block) = block else {
        let line = documents.iter().find_map(|document| first_encrypted(&document.node)).map_or(0, |node| node.line);
        let problem = Problem::new(path, "the values are encrypted but the `sops` block is missing").at(line, 0);
        return Err(vec![problem.hint(restore(path))]);
    };
    metadata::read(path, block)
}

/// What mends a file that sops itself cannot read any more.
fn restore(path: &str) -> String {
    format!("take the file back with `git checkout COMMIT -- {path}`, then change it with `sops edit {path}`")
}

struct Check<'a> {
    path: &'a str,
    format: Format,
    rule: &'a Rule,
    names: Vec<String>,
    /// Of the names of all leaves so far.
    size: usize,
    leaves: Vec<Leaf>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn document(&mut self, document: Document) -> Shape {
        let Document { mut node, line, span } = document;
        match &mut node.content {
            Content::Map(entries) => entries.retain(|(key, _)| key.text() != Some("sops")),
            Content::List(_) | Content::Scalar { .. } => self.problem(&node, "sops wants a mapping here"),
        }
        drop_comments(&mut node);
        self.node(&node, &mut vec![]);
        Shape { line, span, node, leaves: std::mem::take(&mut self.leaves) }
    }

    /// `keys` is the path as sops counts it: without indexes.
    fn node(&mut self, node: &Node, keys: &mut Vec<String>) {
        if node.alias || node.tag.is_some() {
            return self.problem(node, "an alias or tag in an encrypted file");
        }
        match &node.content {
            Content::Scalar { text, plain } => self.leaf(node, text, *plain, keys),
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.names.push(index.to_string());
                    self.node(item, keys);
                    self.names.pop();
                }
            }
            Content::Map(entries) => {
                for (key, value) in entries {
                    let Some(name) = self.key(key) else { continue };
                    self.names.push(name.clone());
                    keys.push(name);
                    self.node(value, keys);
                    keys.pop();
                    self.names.pop();
                }
            }
        }
    }

    fn key(&mut self, key: &Node) -> Option<String> {
        let Content::Scalar { text, plain } = &key.content else { return None };
        if key.alias || key.tag.is_some() || (*plain && text == "<<") {
            self.problem(key, "an alias, tag or merge key in an encrypted file");
            return None;
        }
        if yaml::sops_scalar(text, *plain) != SopsScalar::Text {
            self.problem(key, format!("key `{}` is no string", text.escape_debug()));
            return None;
        }
        Some(text.clone())
    }

    fn leaf(&mut self, node: &Node, text: &str, plain: bool, keys: &[String]) {
        let before = self.size;
        self.size += self.names.iter().map(|name| name.len() + size_of::<[String; 2]>()).sum::<usize>();
        if self.size > MAX_NAMES {
            if before <= MAX_NAMES {
                self.problem(node, "too many values under too long names");
            }
            return;
        }
        let scalar = self.format.scalar(text, plain);
        let is_encrypted = looks_encrypted(text);
        let wanted = self.rule.encrypts(keys);
        let name = self.names.join(".");
        let state = match scalar {
            SopsScalar::Null => LeafState::Empty,
            SopsScalar::Text if text.is_empty() => LeafState::Empty,
            _ if is_encrypted => LeafState::Encrypted,
            _ => LeafState::Cleartext,
        };
        match (state, wanted) {
            (LeafState::Cleartext, Some(true)) => {
                self.problem(node, format!("`{name}` is not encrypted, but the file's own rule wants it to be"));
            }
            (LeafState::Encrypted, Some(false)) => {
                self.problem(node, format!("`{name}` is encrypted, but the file's own rule leaves it in clear"));
            }
            _ if scalar == SopsScalar::TooLarge => self.problem(node, format!("`{name}` is over 64 bits signed")),
            _ => {}
        }
        let Node { line, column, .. } = *node;
        self.leaves.push(Leaf { path: self.names.clone(), line, column, state });
    }

    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path, message).at(node.line, node.column).hint(restore(self.path)));
    }
}

impl Format {
    /// `.json` is JSON, everything else a YAML stream.
    fn of(path: &str) -> Self {
        let is_json = path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("json"));
        if is_json { Self::Json } else { Self::Yaml }
    }

    /// JSON by its own rules: what reads as YAML may not be.
    fn check(self, path: &str, text: &str) -> Result<(), Vec<Problem>> {
        if self == Self::Json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
        {
            let place = [error.line(), error.column()].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
            return Err(vec![Problem::new(path, "not JSON").at(place[0], place[1]).hint(restore(path))]);
        }
        Ok(())
    }

    /// The type that sops gives a scalar: in JSON, large integers are floats.
    fn scalar(self, text: &str, plain: bool) -> SopsScalar {
        match yaml::sops_scalar(text, plain) {
            SopsScalar::TooLarge if self == Self::Json => text.parse().map_or(SopsScalar::TooLarge, SopsScalar::Float),
            scalar => scalar,
        }
    }
}

#[cfg(test)]
mod tests;
