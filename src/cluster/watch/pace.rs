//! How long a watch lives, and how long it rests when something is wrong.

use std::time::Duration;

use crate::cluster::call::{jittered, pause};
use crate::cluster::error::Error;
use crate::model::reason::Reason;

/// A refusal stands until somebody grants a right, which may just have been done: after the first few, asking seldom is enough.
const REFUSED: Duration = Duration::from_mins(1);

/// From this failure on a rest grows no longer: some eight seconds. A server that is back shall not be overlooked for long.
const LONGEST: u32 = 7;

/// How a watch fares.
#[derive(Default)]
pub(super) struct Pace {
    /// In a row.
    failures: u32,
    /// It was told that nothing can be heard.
    broken: bool,
}

/// How long the server shall keep a watch open, in whole seconds, where a request may take `timeout`.
///
/// With the usual 30 s that is 190 to 200 s: a watch is opened 19 times an hour at most, and not all watches at once.
pub(super) fn lifetime(timeout: Duration) -> Duration {
    Duration::from_secs((timeout * 6 + jittered(timeout * 2 / 3)).as_secs().max(1))
}

/// How much earlier or later than agreed the server may end a watch. One that lives longer is frozen, and one that lived so long was well
/// even if nothing happened.
pub(super) fn slack(timeout: Duration) -> Duration {
    timeout / 3
}

impl Pace {
    /// Notes that a watch was well: the next failure is a first one.
    pub(super) fn well(&mut self) {
        self.failures = 0;
    }

    /// Notes that nothing can be heard; true if that is news.
    pub(super) fn broken(&mut self) -> bool {
        !std::mem::replace(&mut self.broken, true)
    }

    /// Notes that it can be heard; true if that is news.
    pub(super) fn restored(&mut self) -> bool {
        std::mem::take(&mut self.broken)
    }

    /// Rests longer with each failure.
    pub(super) async fn rest(&mut self) {
        tokio::time::sleep(self.failed()).await;
    }

    /// How long to rest after an error; not less than what the server asks for.
    pub(super) fn after(&mut self, error: &Error, asked: Option<Duration>) -> Duration {
        let pause = self.failed();
        match (error.reason(), asked) {
            (Reason::ServerUnavailable, Some(asked)) => asked.min(REFUSED) + pause,
            (Reason::ServerUnavailable, None) => pause,
            _ if self.failures < LONGEST => pause,
            _ => jittered(REFUSED),
        }
    }

    fn failed(&mut self) -> Duration {
        self.failures = (self.failures + 1).min(LONGEST);
        pause(self.failures)
    }
}
