//! Asking a person, on a terminal only.

use std::io::{BufRead, IsTerminal};

use crate::cli::failure::Failure;
use crate::model::reason::Reason;

/// Goes on only if the person types `word`; `yes` answers for scripts.
///
/// # Errors
/// The answer is another one, or nobody can be asked.
pub fn confirm(yes: bool, question: &str, word: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(
            "nobody can be asked: stdin is no terminal",
            "pass --yes if you have seen the plan",
        ));
    }
    anstream::eprint!("{question} Type {word} to go on: ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| Failure::general(error, "pass --yes"))?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(Failure::new("not confirmed: nothing was changed", Reason::PolicyDenied, None))
}
