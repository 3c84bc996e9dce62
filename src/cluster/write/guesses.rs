//! What the API server will note as ours on a new object whose defaults only it knows: what it noted on the last one that looked the same.
//!
//! The stamp that is sent then fits, and the second write that would put it right is saved: many environments have the same object.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::planning::live::FieldsDigest;

/// So many looks are remembered; beyond that all is learnt anew.
const MOST: usize = 4_096;

/// What an object looks like, its name and whatever its labels and annotations say apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look([u8; 32]);

/// Which fields were ours, by look.
#[derive(Default)]
pub struct Guesses(Mutex<HashMap<Look, FieldsDigest>>);

impl Look {
    /// The look of an object as it is sent.
    pub fn of(wire: &Value) -> Self {
        let mut hash = Sha256::new();
        feed(&mut hash, wire, Place::Top);
        Self(hash.finalize().into())
    }
}

impl Guesses {
    /// What was noted on the last one, if there was one.
    pub fn of(&self, look: &Look) -> Option<FieldsDigest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(look).copied()
    }

    /// Remembers what was noted.
    pub fn learn(&self, look: Look, fields: FieldsDigest) {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.len() >= MOST {
            guesses.clear();
        }
        guesses.insert(look, fields);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    /// The object's own metadata.
    Metadata,
    /// Labels or annotations: their keys are fields, their values are not.
    Marks,
    Elsewhere,
}

fn feed(hash: &mut Sha256, value: &Value, place: Place) {
    match value {
        Value::Object(fields) => {
            hash.update([b'{']);
            for (name, value) in fields {
                if place == Place::Metadata && (name == "name" || name == "namespace") {
                    continue;
                }
                text(hash, name);
                match (place, name.as_str()) {
                    (Place::Marks, _) => {}
                    (_, "labels" | "annotations") => feed(hash, value, Place::Marks),
                    (Place::Top, "metadata") => feed(hash, value, Place::Metadata),
                    _ => feed(hash, value, Place::Elsewhere),
                }
            }
            hash.update([b'}']);
        }
        Value::Array(items) => {
            hash.update([b'[']);
            for item in items {
                feed(hash, item, Place::Elsewhere);
            }
            hash.update([b']']);
        }
        other => text(hash, &other.to_string()),
    }
}

/// With its length, so that what follows is not taken for a part of it.
fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_marks_are_not_looked_at_and_all_else_is() {
        let object = |name: &str, mark: &str, spec: Value| json!({"kind": "A", "metadata": {"name": name, "namespace": name, "labels": {"a": mark}}, "spec": spec});
        let look = Look::of(&object("one", "x", json!({"name": "p", "ports": [1, 2]})));
        assert!(look == Look::of(&object("two", "y", json!({"name": "p", "ports": [1, 2]}))));
        for spec in [json!({"name": "q", "ports": [1, 2]}), json!({"name": "p", "ports": [12]}), json!({"name": "p"})] {
            assert!(look != Look::of(&object("one", "x", spec)));
        }
        let template =
            |value: &str| json!({"spec": {"template": {"metadata": {"annotations": {"osier.dev/config": value}}}}});
        assert!(Look::of(&template("a")) == Look::of(&template("b")));
    }

    #[test]
    fn no_more_is_remembered_than_is_bounded() {
        let guesses = Guesses::default();
        for number in 0..=MOST {
            guesses.learn(Look::of(&json!({"spec": number})), FieldsDigest::new("a"));
        }
        assert!(guesses.0.lock().unwrap().len() <= MOST);
        assert!(guesses.of(&Look::of(&json!({"spec": MOST}))).is_some());
    }
}
