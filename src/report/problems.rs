//! Problems, all of them, each with what to do.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::problem::Problem;
use crate::report::style::{BOLD, FAINT, RED, RESET};

/// One paragraph a problem, in the order of files and lines.
pub fn text(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in sorted(problems) {
        let place = place(problem);
        writeln!(text, "{RED}✗{RESET} {BOLD}{place}{RESET}  {}", problem.message).expect("a String takes everything");
        if !problem.hint.is_empty() {
            writeln!(text, "    {FAINT}fix:{RESET} {}", problem.hint).expect("a String takes everything");
        }
    }
    text
}

/// The same for programs.
pub fn json(problems: &[Problem]) -> Value {
    sorted(problems)
        .into_iter()
        .map(|problem| {
            let Problem { path, line, column, reason, message, hint } = problem;
            json!({"path": path, "line": line, "column": column, "reason": reason.as_str(), "message": message, "hint": hint})
        })
        .collect()
}

fn sorted(problems: &[Problem]) -> Vec<&Problem> {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort();
    sorted.dedup();
    sorted
}

fn place(problem: &Problem) -> String {
    match (problem.line, problem.column) {
        (0, _) => problem.path.clone(),
        (line, 0) => format!("{}:{line}", problem.path),
        (line, column) => format!("{}:{line}:{column}", problem.path),
    }
}
