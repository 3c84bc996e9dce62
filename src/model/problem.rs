//! Mistakes in the repository that a developer can mend.

use std::fmt;

use crate::model::reason::Reason;

/// One mistake: where it is, what is wrong, what to do. It never carries a value of an encrypted file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path in the repository, with `/`.
    pub path: String,
    /// Line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column, from 1; 0 where the whole line is meant.
    pub column: u32,
    /// `ProblemsFound`, `CannotDecrypt` or `PolicyDenied`.
    pub reason: Reason,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What to do, or empty.
    pub hint: String,
}

impl Problem {
    /// A mistake of the whole file `path`.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: 0,
            column: 0,
            reason: Reason::ProblemsFound,
            message: message.into(),
            hint: String::new(),
        }
    }

    /// Places it at a line and column, both from 1 (0: unknown).
    #[must_use]
    pub fn at(self, line: u32, column: u32) -> Self {
        Self { line, column, ..self }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Says that it is of another class than `ProblemsFound`.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

/// `path:line:column: message`, without the hint.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.line > 0 && self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}
