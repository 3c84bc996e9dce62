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
    let pairs = || lines(old).zip(lines(new));
    let (old_line, new_line, lines) = if lines(old).count().max(lines(new).count()) < 2 {
        (old, new, Vec::new())
    } else {
        let same = pairs().take_while(|(old, new)| old == new).count();
        let nth = |text| lines(text).nth(same).unwrap_or_default();
        (nth(old), nth(new), line_diff(old, new))
    };
    let start = window(old_line, new_line);
    Shown { old: Some(short(old_line, start)), new: Some(short(new_line, start)), lines }
}

/// Lines without their line feed; a carriage return stays, because it is a difference.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n')
}

/// Where to begin so that the first difference is seen.
fn window(old: &str, new: &str) -> usize {
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    if same < WIDTH * 2 / 3 { 0 } else { same - WIDTH / 3 }
}

fn line_diff(old: &str, new: &str) -> Vec<String> {
    if lines(old).count().max(lines(new).count()) > COMPARED {
        return Vec::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let groups = diff.grouped_ops(1);
    let changes = groups.iter().flatten().flat_map(|part| diff.iter_changes(part));
    let mut shown: Vec<String> = changes
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let end = if change.missing_newline() { " (no line end)" } else { "" };
            format!("{sign}{}{end}", short(lines(change.value()).next().unwrap_or_default(), 0))
        })
        .collect();
    if shown.len() > LINES {
        shown.truncate(LINES);
        shown.push(" …".to_owned());
    }
    shown
}

/// The first line from the character `start` on, invisible characters escaped, `…` where something is left out.
fn short(text: &str, start: usize) -> String {
    let line = lines(text).next().unwrap_or_default();
    let mut shown: String = line.chars().skip(start).take(WIDTH).map(visible).collect();
    if line.chars().count() > start + WIDTH || text.len() > line.len() + 1 {
        shown.push('…');
    } else if text.len() > line.len() {
        shown.push_str("\\n");
    }
    if start > 0 { format!("…{shown}") } else { shown }
}

/// Control characters would act on the terminal, the others make a line read as something else.
fn visible(character: char) -> String {
    let hidden =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if hidden || character.is_control() { character.escape_default().to_string() } else { character.to_string() }
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
