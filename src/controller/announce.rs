//! What people are told of an environment in Kubernetes Events: what became otherwise, once, and never on the way of a pass.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::cluster::events::Announcement;
use crate::model::environment::{Environment, EnvironmentStatus};
use crate::model::reason::Reason;
use crate::reconcile::settle::Verdict;

/// Announcements that wait for the API server; what comes beyond is dropped: the conditions say it, too.
const QUEUE: usize = 16;

/// Notices what becomes otherwise.
pub struct Announcer {
    queue: mpsc::Sender<(Environment, Announcement)>,
    /// Reason and message that the condition Ready had before the pass.
    before: Option<(String, String)>,
}

/// What is still to be told.
pub type Announcements = mpsc::Receiver<(Environment, Announcement)>;

impl Announcer {
    /// One that has noticed nothing yet, and what it will have to tell.
    pub fn new() -> (Self, Announcements) {
        let (queue, announcements) = mpsc::channel(QUEUE);
        (Self { queue, before: None }, announcements)
    }

    /// A pass begins with this Environment.
    pub fn begins(&mut self, environment: &Environment) {
        let ready = environment.status.as_ref().and_then(EnvironmentStatus::ready);
        self.before = ready.map(|ready| (ready.reason.clone(), ready.message.clone()));
    }

    /// The conditions say this now; `record` was made for it, if any. Tells it if the reason is another than before, if another sentence says
    /// why nothing was applied, or if a person's hold led to another record. That a push was applied is no news: its Record says so.
    pub fn said(&mut self, environment: &Environment, verdict: &Verdict, record: Option<u64>) {
        let now = (verdict.reason.as_str().to_owned(), verdict.message.clone());
        let before = self.before.replace(now);
        let is_news = is_news(before.as_ref(), verdict) || record.is_some() && verdict.reason == Reason::HeldBack;
        if !is_news || environment.metadata.uid.is_none() {
            return;
        }
        let record = record.map(|number| format!("record #{number}: ")).unwrap_or_default();
        self.tell(
            environment,
            Announcement {
                normal: verdict.ready || verdict.waits(),
                reason: verdict.reason,
                message: format!("{record}{}", verdict.message),
            },
        );
    }

    /// Tells something that is no verdict.
    pub fn tell(&self, environment: &Environment, announcement: Announcement) {
        if self.queue.try_send((environment.clone(), announcement)).is_err() {
            tracing::debug!("an Event is dropped: too many are waiting");
        }
    }
}

/// Tells, one after the other, as far as the API server takes it.
pub async fn announce(mut announcements: Announcements, cluster: &Arc<Cluster>, now: fn() -> Timestamp) {
    while let Some((environment, announcement)) = announcements.recv().await {
        if let Err(error) = cluster.announce(&environment, &announcement, now()).await {
            tracing::debug!(reason = error.reason().as_str(), "an Event could not be written: {error}");
        }
    }
}

/// True if people have something to learn: all of this costs a request, so a push that goes as it should tells nothing.
fn is_news(before: Option<&(String, String)>, verdict: &Verdict) -> bool {
    let is_well = verdict.ready || verdict.waits();
    match before {
        None => verdict.reason != Reason::Applied || !is_well,
        Some((reason, message)) => *reason != verdict.reason.as_str() || !is_well && *message != verdict.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_as_it_should_is_no_news() {
        let verdict = |reason, message: &str| Verdict {
            ready: matches!(reason, Reason::Applied | Reason::HeldBack),
            reason,
            message: message.to_owned(),
            stalled: false,
        };
        let told = |before: Option<Verdict>, now: &Verdict| {
            is_news(before.map(|before| (before.reason.as_str().to_owned(), before.message)).as_ref(), now)
        };
        let applied = verdict(Reason::Applied, "equals 4f2a91c");
        let problem = verdict(Reason::ProblemsFound, "1 problem");
        assert!(!told(None, &applied) && !told(Some(verdict(Reason::Applied, "equals 8d21f00")), &applied));
        let waiting = Verdict { ready: false, ..applied.clone() };
        assert!(!told(None, &waiting) && !told(Some(applied.clone()), &waiting));
        assert!(
            told(None, &problem) && told(Some(applied.clone()), &problem) && !told(Some(problem.clone()), &problem)
        );
        assert!(told(Some(verdict(Reason::ProblemsFound, "2 problems")), &problem) && told(Some(problem), &applied));
        let held = verdict(Reason::HeldBack, "held at 4f2a91c");
        assert!(told(Some(applied), &held) && !told(Some(verdict(Reason::HeldBack, "held at 8d21f00")), &held));
    }
}
