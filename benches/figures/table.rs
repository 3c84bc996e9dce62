//! The table of figures, 100 columns wide.

use serde::{Deserialize, Serialize};

/// Widths of goal, what and figure; the rest is how it was computed.
const WIDTHS: [usize; 3] = [4, 37, 30];
const HOW: usize = 23;

/// One figure.
#[derive(Serialize, Deserialize)]
pub struct Row {
    /// `G1` and so on, of the goals; empty if none is set.
    pub goal: String,
    pub what: String,
    pub figure: String,
    pub how: String,
}

impl Row {
    pub fn new(goal: &str, what: impl Into<String>, figure: impl Into<String>, how: impl Into<String>) -> Self {
        Self { goal: goal.to_owned(), what: what.into(), figure: figure.into(), how: how.into() }
    }
}

/// The lines of the table.
pub fn text(rows: &[Row]) -> String {
    let head = Row::new("goal", "what", "figure", "how");
    let rule = Row::new("----", "-".repeat(WIDTHS[1]), "-".repeat(WIDTHS[2]), "-".repeat(HOW));
    [&head, &rule].into_iter().chain(rows).map(line).collect()
}

fn line(row: &Row) -> String {
    let Row { goal, what, figure, how } = row;
    let columns = [(goal, WIDTHS[0]), (what, WIDTHS[1]), (figure, WIDTHS[2]), (how, HOW)];
    let wrapped = columns.map(|(text, width)| wrap(text, width));
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    let mut lines = String::new();
    for index in 0..height {
        let cells = columns
            .iter()
            .zip(&wrapped)
            .map(|((_, width), cell)| format!("{:<width$}", cell.get(index).map(String::as_str).unwrap_or_default()));
        lines.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        lines.push('\n');
    }
    lines
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line from the start");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}
