//! One file opened: all its documents, with values.

use crate::desired::outline::Leaves;
use crate::desired::sops::{DataKey, SopsFile};
use crate::desired::unit::{self, Contents};
use crate::desired::value::Value;
use crate::desired::yaml;
use crate::model::problem::Problem;
use crate::model::reason::Reason;

/// One document of an opened file.
#[derive(Debug)]
pub struct Document {
    /// Index in the file, from 0, as in outlines.
    pub index: usize,
    /// Line where it starts, from 1.
    pub line: u32,
    /// The whole object; what was encrypted is `Value::Secret`.
    pub value: Value,
    /// Where its leaves are, by the paths of outlines.
    pub leaves: Leaves,
}

/// Opens a file with the data key that `keys` unwrapped; `None` for cleartext.
///
/// # Guarantees
/// The MAC of an encrypted file was verified over these bytes.
///
/// # Errors
/// `CannotDecrypt` without a key or with the wrong one, or if the file was changed without sops; no value is in any text.
pub fn open(path: &str, bytes: &[u8], data_key: Option<&DataKey>) -> Result<Vec<Document>, Vec<Problem>> {
    let contents = Contents::read(path, bytes)?;
    match (&contents, data_key) {
        (Contents::Encrypted(file), Some(key)) => open_encrypted(file, key),
        (Contents::Encrypted(_), None) => {
            let problem = Problem::new(path, "the file is encrypted, and no key at hand opens it");
            let hint = format!("add a recipient whose key osier has to .sops.yaml, then `sops updatekeys {path}`");
            Err(vec![problem.because(Reason::CannotDecrypt).hint(hint)])
        }
        (Contents::Cleartext(documents), _) => {
            let values = cleartext(path, documents)?;
            let documents = documents.iter().zip(values).enumerate().map(|(index, (document, value))| Document {
                index,
                line: document.line,
                leaves: unit::leaves_of(&document.node, &value),
                value,
            });
            Ok(documents.collect())
        }
    }
}

/// Opens an encrypted file that was read to unwrap its key.
///
/// # Guarantees
/// As `open`.
///
/// # Errors
/// As `open`.
pub fn open_encrypted(file: &SopsFile, data_key: &DataKey) -> Result<Vec<Document>, Vec<Problem>> {
    let values = file.open(data_key)?;
    let documents = file.shape().iter().zip(values).enumerate().map(|(index, (shape, value))| {
        let sealed = yaml::kubernetes(&shape.node);
        let leaves = sealed.map(|sealed| unit::leaves_of(&shape.node, &sealed)).unwrap_or_default();
        Document { index, line: shape.line, leaves, value }
    });
    Ok(documents.collect())
}

fn cleartext(path: &str, documents: &[yaml::Document]) -> Result<Vec<Value>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values = Vec::new();
    for document in documents {
        match yaml::kubernetes(&document.node) {
            Ok(value) => values.push(value),
            Err(errors) => problems.extend(errors.into_iter().map(|error| error.problem(path))),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}
