//! One file: which files count, what is in one, and its outline.

mod entry;
mod rules;

use crate::desired::outline::{Leaves, Outline};
use crate::desired::sops::{self, SopsFile};
use crate::desired::value::Value;
use crate::desired::yaml::{self, Node, YamlError};
use crate::model::object::Kind;
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::model::tree::FileMode;
use crate::model::wire;

/// Most bytes of a file: what the API server takes of one object is little more.
pub const MAX_BYTES: usize = 1 << 20;
/// Most bytes of an encrypted file: base64 and an `ENC[…]` a value make it about three times as large.
pub const MAX_ENCRYPTED_BYTES: usize = 4 << 20;
/// Stands for the path of the file in problems of outlines, which do not know it.
pub const FILE: &str = "{file}";

/// True if the file at `path` counts: YAML and JSON files and `Kustomization`, but nothing whose name begins with a dot.
pub fn is_unit(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let counts = matches!(end, "yaml" | "yml" | "json") || name == "Kustomization";
    counts && !path.split('/').any(|part| part.starts_with('.'))
}

/// True if the file at `path` asks for kustomize.
pub fn is_kustomization(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("kustomization.yaml" | "kustomization.yml" | "Kustomization"))
}

/// The outline of a tree entry that is no file; `None` for files, whose bytes are to be read.
pub fn refused(mode: FileMode) -> Option<Outline> {
    let (message, hint) = match mode {
        FileMode::File => return None,
        FileMode::Symlink => ("a symbolic link", "put a copy of the file here, or move it to a layer that both share"),
        FileMode::Submodule => ("a submodule", "put the files themselves into this repository"),
    };
    Some(Outline { problems: vec![Problem::new("", message).hint(hint)], ..Outline::default() })
}

/// What a file contributes, without opening it.
///
/// Of `path` only the extension counts: the result belongs to the bytes.
pub fn outline(path: &str, blob_id: &str, bytes: &[u8]) -> Outline {
    let mut outline = Outline { bytes: bytes.len() as u64, ..Outline::default() };
    let stand_in = if path.ends_with(".json") { "{file}.json" } else { FILE };
    match Contents::read(stand_in, bytes) {
        Ok(contents) => {
            if let Contents::Encrypted(file) = &contents {
                outline.problems.extend(weaknesses(file));
            }
            for document in contents.documents(bytes, blob_id) {
                let (entry, problems) = entry::read(&document);
                outline.entries.extend(entry);
                outline.problems.extend(problems.into_iter().map(|error| error.problem("")));
            }
            outline.entries.shrink_to_fit();
        }
        Err(problems) => outline.problems = problems,
    }
    for problem in &mut outline.problems {
        problem.path.clear();
        problem.hint = problem.hint.replace("{file}.json", FILE);
    }
    outline.problems.sort();
    outline.problems.dedup();
    outline
}

/// The leaves of a document, by path; `value` is what it says without a key.
pub fn leaves_of(node: &Node, value: &Value) -> Leaves {
    let text = |field: &str| value.get(&[field]).and_then(Value::text).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    entry::leaves_of(&Kind::new(group, text("kind")), value, node).0
}

/// What a file holds.
pub enum Contents {
    /// Documents that everybody can read.
    Cleartext(Vec<yaml::Document>),
    /// A file of sops.
    Encrypted(SopsFile),
}

/// One document, as far as it can be read without a key.
pub struct Shape<'a> {
    /// Index in the file, from 0.
    pub index: usize,
    /// Line where it starts, from 1.
    pub line: u32,
    /// The document; encrypted leaves are `ENC[…]` texts.
    pub node: &'a Node,
    /// `wire::cleartext_content_id` or `wire::encrypted_content_id`.
    pub content_id: String,
    /// True if the file is encrypted.
    pub encrypted: bool,
}

impl Contents {
    /// Reads a file without opening it.
    ///
    /// # Errors
    /// Every mistake that keeps it from being read.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let limit = if bytes.len() > MAX_BYTES && mentions_sops(bytes) { MAX_ENCRYPTED_BYTES } else { MAX_BYTES };
        if bytes.len() > limit {
            let message = format!("the file has {} bytes, more than the {limit} that are read", bytes.len());
            return Err(vec![Problem::new(path, message).hint("split it into several files")]);
        }
        let text = yaml::utf8(bytes).map_err(|error| vec![error.problem(path)])?;
        let problems = |errors: Vec<YamlError>| errors.into_iter().map(|error| error.problem(path)).collect::<Vec<_>>();
        let documents = yaml::parse(text).map_err(problems)?;
        if sops::is_encrypted(&documents) {
            return SopsFile::of(path, text, documents).map(Self::Encrypted);
        }
        Ok(Self::Cleartext(documents))
    }

    /// The documents in order.
    pub fn documents(&self, bytes: &[u8], blob_id: &str) -> Vec<Shape<'_>> {
        match self {
            Self::Cleartext(documents) => {
                let shapes = documents.iter().enumerate().map(|(index, document)| Shape {
                    index,
                    line: document.line,
                    node: &document.node,
                    content_id: wire::cleartext_content_id(bytes.get(document.span.clone()).unwrap_or_default()),
                    encrypted: false,
                });
                shapes.collect()
            }
            Self::Encrypted(file) => encrypted_documents(file, blob_id),
        }
    }
}

/// The documents of an encrypted file in order.
fn encrypted_documents<'a>(file: &'a SopsFile, blob_id: &str) -> Vec<Shape<'a>> {
    let shapes = file.shape().iter().enumerate().map(|(index, shape)| Shape {
        index,
        line: shape.line,
        node: &shape.node,
        content_id: wire::encrypted_content_id(blob_id, index),
        encrypted: true,
    });
    shapes.collect()
}

/// What is wrong with the encryption of a file as a whole.
fn weaknesses(file: &SopsFile) -> Vec<Problem> {
    let problem = |message: String| Problem::new("", message).at(file.metadata_line(), 0);
    let mut problems = Vec::new();
    if file.mac_only_encrypted() {
        let message = "the MAC covers encrypted values only: everything else could be changed unnoticed";
        let hint = "take `mac_only_encrypted` out of .sops.yaml, then `sops --decrypt --in-place {file}` and \
                    `sops --encrypt --in-place {file}`";
        problems.push(problem(message.to_owned()).hint(hint));
    }
    if file.stanzas().is_empty() {
        let services = file.other_services().join(", ");
        let with = if services.is_empty() { String::new() } else { format!(" with {services}") };
        let message = format!("the file is encrypted{with}, and to no age recipient");
        let hint = "add an age recipient to .sops.yaml, then `sops updatekeys {file}`";
        problems.push(problem(message).hint(hint).because(Reason::CannotDecrypt));
    }
    problems
}

/// True if the bytes can be those of an encrypted file; decides on the limit before anything is parsed.
fn mentions_sops(bytes: &[u8]) -> bool {
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    has(b"sops") && has(b"ENC[AES256_GCM,")
}

#[cfg(test)]
mod tests;
