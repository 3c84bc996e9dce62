//! Values for people, short enough for a line. Only cleartext comes here.

use similar::{ChangeTag, TextDiff};

use crate::desired::value::Value;
use crate::planning::diff::Found;

/// Most characters of a value: two of them and a path fit into two lines of a terminal.
const WIDTH: usize = 60;
/// Most lines of a diff of one value; more is for `git diff`.
const LINES: usize = 40;
/// Values of more lines are not compared line by line: that takes time by lines times differences.
const COMPARED: usize = 2_000;

/// What is shown of a leaf.
#[derive(Default)]
pub struct Shown {
    pub old: Option<String>,
    pub new: Option<String>,
    pub lines: Vec<String>,
}

/// Both sides of a leaf, neither of which is redacted.
pub fn show(old: Option<&Found>, new: Option<&Found>) -> Shown {
    match (old.map(text), new.map(text)) {
        (Some(old), Some(new)) if old != new => differing(&old, &new),
        // Values of two types that read the same, such as 1 and "1".
        (Some(_), Some(_)) if !matches!((old, new), (Some(old), Some(new)) if old.same(new)) => {
            Shown { old: old.map(json), new: new.map(json), lines: Vec::new() }
        }
        (old, new) => {
            Shown { old: old.map(|text| short(&text, 0)), new: new.map(|text| short(&text, 0)), lines: Vec::new() }
        }
    }
}

fn differing(old: &str, new: &str) -> Shown {
    if old.lines().count().max(new.lines().count()) < 2 {
        let start = window(old, new);
        return Shown { old: Some(short(old, start)), new: Some(short(new, start)), lines: Vec::new() };
    }
    let count = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let (old_line, new_line) = (old.lines().nth(count).unwrap_or_default(), new.lines().nth(count).unwrap_or_default());
    let start = window(old_line, new_line);
    Shown { old: Some(short(old_line, start)), new: Some(short(new_line, start)), lines: line_diff(old, new) }
}

/// Where to begin so that the first difference is seen.
fn window(old: &str, new: &str) -> usize {
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    if same < WIDTH * 2 / 3 { 0 } else { same - WIDTH / 3 }
}

fn line_diff(old: &str, new: &str) -> Vec<String> {
    if old.lines().count().max(new.lines().count()) > COMPARED {
        return Vec::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let groups = diff.grouped_ops(1);
    let changes = groups.iter().flatten().flat_map(|part| diff.iter_changes(part));
    let mut lines: Vec<String> = changes
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("{sign}{}", short(change.value().trim_end_matches('\n'), 0))
        })
        .collect();
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push(" …".to_owned());
    }
    lines
}

/// The first line from the character `start` on, control characters escaped, `…` where something is left out.
fn short(text: &str, start: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().skip(start).take(WIDTH).map(visible).collect();
    let only_line = text.len() <= line.len() + 1;
    if line.chars().count() > start + WIDTH || !only_line {
        shown.push('…');
    } else if text.ends_with('\n') {
        shown.push_str("\\n");
    }
    if start > 0 { format!("…{shown}") } else { shown }
}

fn visible(character: char) -> String {
    if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
}

fn text(found: &Found) -> String {
    match found {
        Found::Config(value) => match std::str::from_utf8(value.bytes.expose()) {
            Ok(text) if !value.binary => text.to_owned(),
            _ => "(binary)".to_owned(),
        },
        Found::Body(Value::Text(text)) => text.clone(),
        Found::Body(_) => json(found),
    }
}

fn json(found: &Found) -> String {
    match found {
        Found::Config(_) => text(found),
        Found::Body(value) => value.to_json().to_string(),
    }
}
