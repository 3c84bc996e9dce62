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
/// Width of a terminal that nobody made wider.
pub const COLUMNS: usize = 80;
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
        Word::Unknown => ('?', YELLOW, "changed or re-encrypted"),
        Word::Unchanged => (' ', FAINT, "unchanged"),
    }
}

/// `1 object`, `2 objects`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Names after a title, as many a line as fit, below one another.
pub fn listed(title: &str, names: &[String]) -> String {
    let mut lines = vec![title.to_owned()];
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { "," } else { "" };
        let Some(line) = lines.last_mut() else { continue };
        let first = line.trim().is_empty() || line == title;
        if !first && line.chars().count() + 1 + name.chars().count() + comma.len() > COLUMNS {
            lines.push(format!("{}{name}{comma}", " ".repeat(title.len())));
        } else {
            line.push_str(if first { "" } else { " " });
            line.push_str(name);
            line.push_str(comma);
        }
    }
    lines.join("\n")
}

/// What is the case and, after the first colon, why: each fits into a line of its own.
pub fn halves(message: &str) -> (&str, Option<&str>) {
    message.split_once(": ").map_or((message, None), |(what, why)| (what, Some(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_fit() {
        let names: Vec<String> = (1..=7).map(|number| format!("Deployment/service-{number}")).collect();
        let text = listed("Will restart: ", &names);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let expected = "Will restart: Deployment/service-1, Deployment/service-2, Deployment/service-3,
              Deployment/service-4, Deployment/service-5, Deployment/service-6,
              Deployment/service-7";
        assert_eq!(text, expected);
        let long = "x".repeat(90);
        assert_eq!(listed("A: ", &[long.clone(), "b".to_owned()]), format!("A: {long},\n   b"));
    }
}
