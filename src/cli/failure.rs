//! How commands end: exit codes and the one way errors are printed.

use std::error::Error as StdError;
use std::fmt;

use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::report::style::count;
use crate::report::{failure, problems};

/// The good ends of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Done, or no differences: exit code 0.
    Nothing,
    /// Differences or findings (diff, plan, check): exit code 1.
    Differences,
}

impl Finding {
    /// 0 or 1.
    pub fn code(self) -> u8 {
        u8::from(self == Finding::Differences)
    }
}

/// The bad end of a command: everything that is printed to stderr, and the exit code.
///
/// 1 general, 2 usage (and any error of diff, plan and check), 4 cannot decrypt, 5 timed out, 6 refused.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn StdError + Send + Sync>,
    hint: Option<String>,
    problems: Vec<Problem>,
    code: u8,
    reason: Option<Reason>,
}

impl Failure {
    /// An error with its class and what to do.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>, reason: Reason, hint: Option<String>) -> Self {
        Self { error: error.into(), hint, problems: Vec::new(), code: code(reason), reason: Some(reason) }
    }

    /// A wrong argument.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: message.into().into(), hint: Some(hint.into()), problems: Vec::new(), code: 2, reason: None }
    }

    /// Something outside osier failed, such as writing a file.
    pub fn general(error: impl Into<Box<dyn StdError + Send + Sync>>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Some(hint.into()), problems: Vec::new(), code: 1, reason: None }
    }

    /// Mistakes in the repository, all of them.
    pub fn problems(message: impl Into<String>, problems: Vec<Problem>) -> Self {
        let all_keys = !problems.is_empty() && problems.iter().all(|problem| problem.reason == Reason::CannotDecrypt);
        let (code, reason) = if all_keys { (4, Some(Reason::CannotDecrypt)) } else { (1, None) };
        Self { error: message.into().into(), hint: None, problems, code, reason }
    }

    /// Settings that cannot be used, all of them.
    pub fn settings(problems: Vec<Problem>) -> Self {
        let error = format!("{} cannot be used", count(problems.len(), "setting")).into();
        Self { error, hint: None, problems, code: 2, reason: None }
    }

    /// What was waited for did not come in time: exit code 5.
    pub fn timed_out(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: message.into().into(), hint: Some(hint.into()), problems: Vec::new(), code: 5, reason: None }
    }

    /// The current directory cannot be read.
    pub fn current_directory(error: std::io::Error) -> Self {
        Self::general(error, "change to a directory that exists, or pass -C DIR")
    }

    /// In diff, plan and check every error is exit code 2: 1 means differences there. Who waited in vain has made none.
    #[must_use]
    pub fn in_diff_family(self) -> Self {
        Self { code: if self.code == 5 { 5 } else { 2 }, ..self }
    }

    /// Where rights or keys are lacking, the hint names the command that lets the service look.
    #[must_use]
    pub fn or_ask(self, command: &str) -> Self {
        if !matches!(self.reason, Some(Reason::Forbidden | Reason::CannotDecrypt)) {
            return self;
        }
        let hint = self.hint.map(|hint| format!("{hint}; or ")).unwrap_or_default();
        Self { hint: Some(format!("{hint}let the service look: {command}")), ..self }
    }

    /// Refused by osier itself: exit code 6.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { code: 6, ..self }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

fn code(reason: Reason) -> u8 {
    match reason {
        Reason::CannotDecrypt => 4,
        Reason::PolicyDenied
        | Reason::AdoptionHeld
        | Reason::MassDeletionHeld
        | Reason::ApprovalPending
        | Reason::HeldBack
        | Reason::Suspended
        | Reason::Forbidden
        | Reason::RepositorySuspicious
        | Reason::SignatureInvalid
        | Reason::NameTaken
        | Reason::HomeTaken
        | Reason::RecordForged
        | Reason::Interrupted => 6,
        _ => 1,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&problems::text(&self.problems))?;
        f.write_str(&failure::text(self.error.as_ref(), self.hint.as_deref()))
    }
}
