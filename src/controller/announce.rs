//! What people are told of an environment in Kubernetes Events: what became otherwise, once, and never on the way of a pass.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::cluster::events::Announcement;
use crate::model::environment::{Environment, EnvironmentStatus};
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

    /// The conditions say this now; `record` was made for it, if any. Tells it if it is a record or another reason than before, or if another
    /// sentence says why nothing was applied.
    pub fn said(&mut self, environment: &Environment, verdict: &Verdict, record: Option<u64>) {
        let now = (verdict.reason.as_str().to_owned(), verdict.message.clone());
        let same = self.before.as_ref().is_some_and(|(reason, message)| {
            *reason == now.0 && (verdict.ready || verdict.waits() || *message == now.1)
        });
        self.before = Some(now);
        if same && record.is_none() || environment.metadata.uid.is_none() {
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
