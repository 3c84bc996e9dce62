//! Fault plans: which request fails, and how.

use std::time::Duration;

use http::StatusCode;

use crate::sandbox::RequestLine;
use crate::sandbox::refusal::Refusal;

/// One planned fault. The first of a plan that fits a request is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which request.
    pub on: Match,
    /// What happens to it.
    pub action: Action,
}

/// Which request a fault meets. Numbers count from 1, from when the plan was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The n-th request.
    Nth(usize),
    /// The n-th request that creates, changes or deletes.
    NthMutating(usize),
    /// The n-th event of all watches together: it can be lost, or the watch that would tell it breaks.
    NthEvent(usize),
    /// Every request with this verb for this resource (`deployments`, `deployments/status`) and, if given, name.
    Call {
        /// As [`RequestLine::verb`].
        verb: &'static str,
        /// As [`RequestLine::resource`].
        resource: String,
        /// The object's name; any, if `None`.
        name: Option<String>,
    },
}

/// What happens to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answered with this status code, not executed.
    Refuse(u16),
    /// The connection breaks, not executed.
    Break,
    /// Executed, then the connection breaks.
    CommitThenBreak,
    /// Executed, then answered with this status code.
    CommitThen(u16),
    /// Executed after this time.
    Delay(Duration),
    /// Executed, then half of the answer arrives.
    CutShort,
    /// This, but only the first time; then the fault is over.
    Once(Box<Action>),
    /// A read is answered as it would have been so many changes before; anything else as ever.
    Stale(u64),
    /// A watch opens, says nothing and never ends.
    Freeze,
    /// A watch opens and says that its resourceVersion is forgotten.
    Forget,
    /// A watch opens and says something that is no JSON.
    Babble,
    /// An event is not told.
    Lose,
    /// This request and all later ones get a connection error.
    StopFromHere,
    /// This request is executed and answered, all later ones get a connection error.
    StopAfter,
}

/// A plan and how far it is.
#[derive(Debug, Default)]
pub struct Plan {
    faults: Vec<Fault>,
    requests: usize,
    mutating: usize,
    events: usize,
    stopped: bool,
}

impl Plan {
    /// A plan of which nothing has happened yet.
    pub fn new(faults: Vec<Fault>) -> Plan {
        Plan { faults, ..Plan::default() }
    }

    /// True once nothing is answered any more.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Counts a request and says what shall happen to it.
    pub fn meet(&mut self, line: &RequestLine) -> Option<Action> {
        if self.stopped {
            return Some(Action::Break);
        }
        self.requests += 1;
        self.mutating += usize::from(line.is_mutating());
        let met = self.faults.iter().position(|fault| match &fault.on {
            Match::Nth(n) => self.requests == *n,
            Match::NthMutating(n) => line.is_mutating() && self.mutating == *n,
            Match::NthEvent(_) => false,
            Match::Call { verb, resource, name } => {
                line.verb == *verb && line.resource == *resource && name.as_ref().is_none_or(|n| *n == line.name)
            }
        });
        let action = met.map(|at| match self.faults[at].action.clone() {
            Action::Once(action) => {
                self.faults.remove(at);
                *action
            }
            action => action,
        });
        self.stopped = matches!(action, Some(Action::StopFromHere | Action::StopAfter));
        action
    }

    /// Counts an event and says what shall happen to it.
    pub fn meet_event(&mut self) -> Option<Action> {
        self.events += 1;
        self.faults.iter().find(|fault| fault.on == Match::NthEvent(self.events)).map(|fault| fault.action.clone())
    }
}

/// The answer that stands for a status code.
pub fn refusal(code: u16, line: &RequestLine) -> Refusal {
    let about = crate::sandbox::refusal::Named {
        group: line.group.clone(),
        kind: line.resource.clone(),
        name: line.name.clone(),
    };
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match code {
        401 => Refusal::new(status, "Unauthorized", "Unauthorized"),
        403 => Refusal::forbidden(&about, "User \"sandbox\" cannot do that: a planned fault"),
        409 if line.verb == "create" => Refusal::already_exists(&about),
        409 => Refusal::modified(&about),
        410 => Refusal::expired("The provided resource version is too old: a planned fault".to_owned()),
        422 => Refusal::new(status, "Invalid", "is invalid: a planned fault"),
        429 => Refusal::new(status, "TooManyRequests", "the server has received too many requests: a planned fault"),
        500 => Refusal::new(status, "InternalError", "Internal error occurred: a planned fault"),
        503 => Refusal::new(status, "ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => Refusal::new(status, "Timeout", "Timeout: request did not complete within the allotted timeout"),
        _ => Refusal::new(status, "", "a planned fault"),
    }
}
