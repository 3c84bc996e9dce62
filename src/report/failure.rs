//! The one printer of errors: what was attempted, the causes, what to do.

use std::error::Error;
use std::fmt::Write;

use crate::report::style::{BOLD, RED, RESET};

/// `error:`, one `cause:` a link of the chain, `hint:`.
pub fn text(error: &dyn Error, hint: Option<&str>) -> String {
    let mut text = format!("{RED}{BOLD}error:{RESET} {error}\n");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        let words = link.to_string();
        // libraries repeat a cause in the text of the error above it
        if !said.ends_with(&words) {
            writeln!(text, "cause: {words}").expect("a String takes everything");
        }
        said = words;
        cause = link.source();
    }
    if let Some(hint) = hint {
        writeln!(text, "hint:  {hint}").expect("a String takes everything");
    }
    text
}
