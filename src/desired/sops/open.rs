//! Opening: every leaf in the order of the text, the MAC over all of them, then the values.

use std::collections::BTreeMap;

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256, Sha512};

use crate::desired::sops::cipher::{self, Refusal};
use crate::desired::sops::{DataKey, SopsFile, looks_encrypted, restore};
use crate::desired::value::Value;
use crate::desired::yaml::{self, Content, Node, SopsScalar, YamlError};
use crate::model::problem::Problem;
use crate::model::reason::Reason;

pub(super) fn open(file: &SopsFile, key: &DataKey) -> Result<Vec<Value>, Vec<Problem>> {
    let mut hash = Sha512::new();
    if file.metadata.mac_only_encrypted {
        // sops begins such a MAC with a constant, so that it never equals one over everything.
        hash.update(Sha256::digest(b"sops"));
    }
    let mut opening = Opening { file, key, hash, keys: vec![], tried: 0, forged: 0, problems: vec![] };
    let values = file.shapes.iter().filter_map(|shape| opening.value(&shape.node)).collect();
    opening.verify();
    if opening.problems.is_empty() { Ok(values) } else { Err(opening.problems) }
}

struct Opening<'a> {
    file: &'a SopsFile,
    key: &'a DataKey,
    hash: Sha512,
    /// Keys of mappings from the top: the path that binds a value; indexes are not in it.
    keys: Vec<String>,
    tried: usize,
    forged: usize,
    problems: Vec<Problem>,
}

impl Opening<'_> {
    /// Nothing where there is a problem.
    fn value(&mut self, node: &Node) -> Option<Value> {
        match &node.content {
            Content::Scalar { text, plain } => self.leaf(node, text, *plain),
            Content::List(items) => Some(Value::List(items.iter().filter_map(|item| self.value(item)).collect())),
            Content::Map(entries) => Some(self.map(entries)),
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Value {
        let mut map = BTreeMap::new();
        for (key, node) in entries {
            self.keys.push(key.text().unwrap_or_default().to_owned());
            let value = self.value(node);
            self.keys.pop();
            match (yaml::kubernetes_key(key), value) {
                (Ok(name), Some(value)) if !map.contains_key(&*name) => drop(map.insert(name.into_owned(), value)),
                (Ok(name), Some(_)) => {
                    self.unreadable(YamlError::at(key, format!("key `{name}` is here twice for Kubernetes")));
                }
                (Ok(_), None) => {}
                (Err(error), _) => self.unreadable(error),
            }
        }
        Value::Map(map)
    }

    fn leaf(&mut self, node: &Node, text: &str, plain: bool) -> Option<Value> {
        let encrypted = self.file.metadata.rule.encrypts(&self.keys).unwrap_or_else(|| looks_encrypted(text));
        if encrypted && looks_encrypted(text) {
            return self.encrypted(node, text);
        }
        if encrypted || !self.file.metadata.mac_only_encrypted {
            match self.file.format.scalar(text, plain) {
                SopsScalar::Null | SopsScalar::TooLarge => {}
                SopsScalar::Bool(value) => self.hash.update(cipher::boolean_text(value)),
                SopsScalar::Int(value) => self.hash.update(value.to_string()),
                SopsScalar::Float(value) => self.hash.update(cipher::float(value)),
                SopsScalar::Time(time) => self.hash.update(time),
                SopsScalar::Text => self.hash.update(text),
            }
        }
        yaml::kubernetes_scalar(node).map_err(|error| self.unreadable(error)).ok()
    }

    fn encrypted(&mut self, node: &Node, text: &str) -> Option<Value> {
        self.tried += 1;
        let place = format!("{}:", self.keys.join(":"));
        let refusal = match cipher::open(text, self.key, &place) {
            Ok(opened) => {
                self.hash.update(opened.hashed.expose());
                return Some(Value::Secret(opened.secret));
            }
            Err(refusal) => refusal,
        };
        self.forged += usize::from(refusal == Refusal::Forged);
        let what = match refusal {
            Refusal::Malformed => "is not a whole `ENC[…]` value",
            Refusal::Forged => "does not open: it was edited, or comes from another key or file",
            Refusal::Unfit => "holds what cannot be applied: not UTF-8, or a number out of range",
        };
        let problem = Problem::new(&self.file.path, format!("`{}` {what}", self.keys.join(".")));
        let problem = problem.at(node.line, node.column).hint(restore(&self.file.path));
        self.problems.push(problem.because(Reason::CannotDecrypt));
        None
    }

    fn unreadable(&mut self, error: YamlError) {
        self.problems.push(error.problem(&self.file.path));
    }

    fn verify(&mut self) {
        let metadata = &self.file.metadata;
        let path = &self.file.path;
        let problem = |message: &str, line| Problem::new(path, message).at(line, 0).because(Reason::CannotDecrypt);
        if self.tried > 1 && self.forged == self.tried {
            // One wrong key is one mistake, not one per value.
            let problem = problem("no value opens with the data key in `sops.age`", metadata.line);
            self.problems = vec![problem.hint(restore(path))];
        }
        if !self.problems.is_empty() {
            return;
        }
        let Ok(mac) = cipher::open(&metadata.mac, self.key, &metadata.last_modified) else {
            let message = "`sops.mac` does not open: it or `sops.lastmodified` was edited";
            return self.problems.push(problem(message, metadata.mac_line).hint(restore(path)));
        };
        if mac.hashed.expose() != HEXUPPER.encode(&self.hash.finalize_reset()).as_bytes() {
            let message = "the MAC does not fit: the file was changed without sops";
            let hint = format!(
                "look at `git log -p -- {path}`; if all is as you want it, `sops --rotate --ignore-mac -i {path}`"
            );
            self.problems.push(problem(message, metadata.mac_line).hint(hint));
        }
    }
}
