//! What a Repository's status says of one lane. Pure.

use jiff::Timestamp;

use crate::controller::remote::Sight;
use crate::model::reason::Reason;
use crate::model::repository::{LaneStatus, Repository, RepositoryStatus};
use crate::reconcile::settle::{self, Verdict};

/// Who serves a lane, and how it can be seen that he still does.
#[derive(Clone, Debug)]
pub struct Seat {
    /// `protected` or `branches`.
    pub lane: &'static str,
    /// Namespace and name of the Lease, with a slash.
    pub lease: String,
    /// The account that holds it.
    pub account: String,
}

/// The status as it should be; `None` if it is.
pub fn of(repository: &Repository, sight: &Sight, seat: &Seat, now: Timestamp) -> Option<RepositoryStatus> {
    let before = repository.status.clone().unwrap_or_default();
    let tip = sight.tip.as_ref().map(|tip| tip.known.tip());
    let verdict = match (&sight.trouble, tip) {
        (Some(trouble), _) => {
            Verdict { ready: false, reason: trouble.reason, message: trouble.message.clone(), stalled: false }
        }
        (None, Some(tip)) => {
            let message = format!("{} is at {}", repository.spec.protected_branch, tip.short());
            Verdict { ready: true, reason: Reason::Applied, message, stalled: false }
        }
        (None, None) => return None,
    };
    let others = before.lanes.iter().filter(|lane| lane.lane != seat.lane);
    let noted = before.lanes.iter().find(|lane| lane.lane == seat.lane).and_then(|lane| lane.tip.clone());
    let ours = LaneStatus {
        lane: seat.lane.to_owned(),
        tip: tip.map(|tip| tip.to_string()).or(noted),
        lease: Some(seat.lease.clone()),
        account: Some(seat.account.clone()),
    };
    let mut lanes: Vec<LaneStatus> = others.cloned().chain([ours]).collect();
    lanes.sort_by(|one, other| one.lane.cmp(&other.lane));
    let generation = repository.metadata.generation;
    let conditions = settle::conditions(&before.conditions, &verdict, generation, now);
    let status = RepositoryStatus { look_at: before.look_at.clone(), lanes, conditions };
    (repository.status.as_ref() != Some(&status)).then_some(status)
}
