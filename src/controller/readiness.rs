//! When to say how the workloads of an environment stand.

use std::time::Duration;

use tokio::time::Instant;

use crate::reconcile::settle::Verdict;

/// Changes of many workloads come together.
const GATHER: Duration = Duration::from_millis(100);
/// What is not ready is said this often at most.
const SAY_AGAIN: Duration = Duration::from_secs(3);
/// A workload that is not ready for so long has a reason, which its pods tell. Most roll-outs are through by then.
const ASK_PODS: Duration = Duration::from_secs(5);

/// How the last pass ended, and what was said of its workloads since.
#[derive(Debug, Default)]
pub struct Readiness {
    /// The pass's verdict, if it applied the revision or waits for Jobs before that: else there is nothing that workloads could add.
    followed: Option<Verdict>,
    said: Option<(Verdict, Instant)>,
    /// Since when workloads are not ready.
    late: Option<Instant>,
    due: Option<Instant>,
}

impl Readiness {
    /// A pass begins: what it finds counts.
    pub fn begins(&mut self) {
        (self.followed, self.due) = (None, None);
    }

    /// A pass ended, and the conditions say `said` of it, which has how the workloads stood then.
    pub fn ended(&mut self, verdict: &Verdict, said: &Verdict, now: Instant) {
        self.followed = (verdict.is_applied() || verdict.waits()).then(|| verdict.clone());
        self.wrote(said, now);
        // the watches may have shown something meanwhile
        self.heard(now);
    }

    /// Some workload may stand otherwise.
    pub fn heard(&mut self, now: Instant) {
        if self.followed.is_some() {
            let soon = now + GATHER;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// When to look at the workloads.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How the last pass ended, to be judged by how the workloads stand now.
    pub fn followed(&self) -> Option<&Verdict> {
        self.followed.as_ref()
    }

    /// True if this is to be said now; else it is due later, or was said.
    pub fn is_news(&mut self, verdict: &Verdict, now: Instant) -> bool {
        self.note(verdict, now);
        let Some((said, at)) = &self.said else { return true };
        let earliest = *at + SAY_AGAIN;
        if said != verdict && !verdict.ready && now < earliest {
            self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
            return false;
        }
        said != verdict
    }

    /// The conditions say this now.
    pub fn wrote(&mut self, verdict: &Verdict, now: Instant) {
        self.note(verdict, now);
        self.said = Some((verdict.clone(), now));
    }

    /// True if it takes so long that pods shall say why.
    pub fn wants_pods(&self, now: Instant) -> bool {
        self.followed.is_some() && self.late.is_some_and(|since| since + ASK_PODS <= now)
    }

    fn note(&mut self, verdict: &Verdict, now: Instant) {
        self.late = if verdict.ready { None } else { self.late.or(Some(now)) };
        self.due = self.late.map(|since| since + ASK_PODS).filter(|at| *at > now && self.followed.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    fn verdict(ready: bool, message: &str) -> Verdict {
        Verdict { ready, reason: Reason::Applied, message: message.to_owned(), stalled: false }
    }

    #[test]
    fn ready_is_said_at_once_and_the_rest_now_and_then() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let [ready, one, two] = [verdict(true, ""), verdict(false, "0 of 2"), verdict(false, "1 of 2")];
        let mut readiness = Readiness::default();
        readiness.heard(at(0));
        assert_eq!(readiness.due(), None, "nothing was applied");
        readiness.ended(&ready, &one, at(0));
        assert_eq!(readiness.due(), Some(at(100)));
        assert!(!readiness.is_news(&one, at(100)));
        assert_eq!(readiness.due(), Some(at(5000)), "to ask the pods");
        assert!(!readiness.is_news(&two, at(200)));
        assert_eq!(readiness.due(), Some(at(3000)));
        assert!(readiness.is_news(&two, at(3000)));
        readiness.wrote(&two, at(3000));
        assert!(!readiness.wants_pods(at(4999)) && readiness.wants_pods(at(5000)));
        assert!(readiness.is_news(&ready, at(3001)));
        readiness.wrote(&ready, at(3001));
        assert!(!readiness.wants_pods(at(9000)) && readiness.due().is_none());
    }
}
