//! What a Repository's status says of one lane. Pure.

use jiff::Timestamp;

use crate::controller::remote::{Sight, Trouble};
use crate::controller::seat::Seat;
use crate::model::reason::Reason;
use crate::model::repository::{Repository, RepositoryStatus, UnknownFollow};
use crate::reconcile::settle::{self, Verdict};

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
    let lanes = seat.lanes(repository, tip.map(|tip| tip.to_string()), unknown(sight));
    let generation = repository.metadata.generation;
    let conditions = settle::conditions(&before.conditions, &verdict, generation, now);
    let status = RepositoryStatus { look_at: before.look_at.clone(), lanes, conditions };
    (repository.status.as_ref() != Some(&status)).then_some(status)
}

/// The followed repositories that cannot be read.
fn unknown(sight: &Sight) -> Vec<UnknownFollow> {
    let unknown = sight.followed.iter().filter_map(|(name, aside)| {
        let Trouble { reason, message } = aside.trouble.as_ref()?;
        Some(UnknownFollow { name: name.clone(), reason: reason.to_string(), message: message.clone() })
    });
    unknown.collect()
}
