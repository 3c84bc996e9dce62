//! Differences between two revisions, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::object::ObjectId;
use crate::planning::changes::{LeafChange, Word};
use crate::report::plan::{Detail, leaf_json, leaves_text, object_json};
use crate::report::style::{GREEN, RED, RESET, YELLOW, count};

/// One object that is not the same on both sides.
pub struct Difference {
    /// Which.
    pub object: ObjectId,
    /// Its leaves, unchanged ones included.
    pub leaves: Vec<LeafChange>,
}

impl Difference {
    fn mark(&self) -> (char, &'static str) {
        let all = |word: Word| self.leaves.iter().all(|leaf| leaf.word == word);
        match (all(Word::Added), all(Word::Removed)) {
            (true, _) => ('+', GREEN),
            (_, true) => ('-', RED),
            _ => ('~', YELLOW),
        }
    }
}

/// Object by object, then a line that counts them.
pub fn text(differences: &[Difference], detail: Detail) -> String {
    let mut text = String::new();
    for difference in differences {
        let (mark, colour) = difference.mark();
        writeln!(text, "{colour}{mark} {}{RESET}", difference.object.short()).expect("a String takes everything");
        leaves_text(&mut text, &difference.leaves, 28, detail);
    }
    let ends = if differences.is_empty() {
        "no differences".to_owned()
    } else {
        format!("\n{}", differing(differences.len()))
    };
    writeln!(text, "{ends}").expect("a String takes everything");
    text
}

/// The same for programs.
pub fn json(differences: &[Difference]) -> Value {
    let leaves = |difference: &Difference| {
        let changed = difference.leaves.iter().filter(|leaf| leaf.word != Word::Unchanged);
        changed.map(leaf_json).collect::<Vec<_>>()
    };
    differences
        .iter()
        .map(|difference| json!({"object": object_json(&difference.object), "changes": leaves(difference)}))
        .collect()
}

fn differing(number: usize) -> String {
    let verb = if number == 1 { "differs" } else { "differ" };
    format!("{} {verb}.", count(number, "object"))
}
