//! The one printer of errors: what was attempted, the causes, what to do.

use std::error::Error;
use std::fmt::Write;

use crate::report::style::{BOLD, RED, RESET};

/// `error:`, one `cause:` a link of the chain, `hint:`.
pub fn text(error: &dyn Error, hint: Option<&str>) -> String {
    let mut text = format!("{RED}{BOLD}error:{RESET} {error}\n");
    let mut cause = error.source();
    while let Some(link) = cause {
        writeln!(text, "cause: {link}").expect("a String takes everything");
        cause = link.source();
    }
    if let Some(hint) = hint {
        writeln!(text, "hint:  {hint}").expect("a String takes everything");
    }
    text
}
