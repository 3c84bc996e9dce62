//! The few marks and colours. `anstream` drops the colours where stdout is no terminal or `NO_COLOR` is set.

use crate::planning::changes::Word;
use crate::planning::plan::Verb;

/// Green.
pub const GREEN: &str = "\x1b[32m";
/// Yellow.
pub const YELLOW: &str = "\x1b[33m";
/// Red.
pub const RED: &str = "\x1b[31m";
/// Faint.
pub const FAINT: &str = "\x1b[2m";
/// Bold.
pub const BOLD: &str = "\x1b[1m";
/// Ends each of them.
pub const RESET: &str = "\x1b[0m";
/// Stands for a value that is withheld; it has the same width for every value.
pub const DOTS: &str = "••••••";

/// One character in the first column, and its colour.
pub fn verb(verb: Verb) -> (char, &'static str) {
    match verb {
        Verb::Create => ('+', GREEN),
        Verb::Update => ('~', YELLOW),
        Verb::Adopt => ('&', YELLOW),
        Verb::Recreate => ('!', RED),
        Verb::Delete => ('-', RED),
    }
}

/// One character in front of a leaf, its colour and its word.
pub fn word(word: Word) -> (char, &'static str, &'static str) {
    match word {
        Word::Added => ('+', GREEN, "added"),
        Word::Changed => ('~', YELLOW, "changed"),
        Word::Removed => ('-', RED, "removed"),
        Word::Reencrypted => ('=', FAINT, "re-encrypted, same value"),
        Word::Unknown => ('?', YELLOW, "other ciphertext, value unknown without a key"),
        Word::Unchanged => (' ', FAINT, "unchanged"),
    }
}

/// `1 object`, `2 objects`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
