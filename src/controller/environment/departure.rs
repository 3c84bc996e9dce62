//! The end of an environment: of one whose branch is gone, which is seen twice, some time apart, and of one whose time is over. Nothing is deleted
//! that comes back meanwhile.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::events::Announcement;
use crate::controller::branches::said;
use crate::controller::environment::Task;
use crate::controller::remote::Tip;
use crate::model::environment::Life;
use crate::model::reason::Reason;
use crate::planning::life::{self, Facts, Outlook};
use crate::reconcile::ignored;
use crate::reconcile::removal::{self, Removal, Terms};
use crate::reconcile::settle::Verdict;

/// Between two questions whether the remote was looked at again, or whether the namespace is gone.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two questions whether somebody has taken away what keeps the environment.
const KEPT: Duration = Duration::from_secs(10);

/// Since when the branch is known to be gone.
#[derive(Debug, Default)]
pub struct Departure(Option<Instant>);

impl Departure {
    /// How long to wait still, given when the remotes were looked at, the one longest ago and the one last; `None` if all were seen without
    /// the branch twice, `grace` apart.
    fn wait(&mut self, (oldest, newest): (Instant, Instant), grace: Duration, now: Instant) -> Option<Duration> {
        let end = *self.0.get_or_insert(newest) + grace;
        (oldest < end).then(|| end.saturating_duration_since(now).max(AGAIN))
    }
}

impl Task {
    /// True if the remotes were looked at and none has the environment's branch.
    pub(super) fn has_lost_its_branch(&self, tip: &Tip) -> bool {
        let environment = self.world.memory.get(&self.name).map(|memory| &memory.environment);
        let branch = environment.and_then(|environment| environment.branch());
        branch.is_some_and(|branch| tip.known.has(branch) == Some(false))
    }

    /// The branch is there.
    pub(super) fn stays(&mut self) {
        self.departure = Departure::default();
    }

    /// What the status of a branch environment is to keep: of its life, and what its branch changed in vain. Once the life is over, one step
    /// towards the end, with what came of it.
    pub(super) async fn lives(&mut self, tip: &Tip) -> ControlFlow<Reason, (Option<Life>, Vec<String>)> {
        let environment = self.world.memory.get(&self.name).map(|memory| memory.environment.clone());
        let Some(environment) = environment else { return ControlFlow::Continue((None, Vec::new())) };
        let before = environment.status.as_ref().and_then(|status| status.life.as_ref());
        let Some((branch, mark)) = environment.branch().and_then(|branch| Some((branch, tip.known.mark(branch)?)))
        else {
            return ControlFlow::Continue((before.cloned(), Vec::new()));
        };
        let terms = removal::terms(&self.world, &self.name, tip.known.tip()).await;
        let now = (self.world.now)();
        let said = environment.spec.expires.as_ref();
        let Outlook { life, over, is_near, again } =
            life::outlook(before, &Facts { tip: &mark, lives: terms.lives, said, now });
        self.end_due = again.map(|again| Instant::now() + again.duration_since(now).try_into().unwrap_or_default());
        if is_near {
            let ends = life.as_ref().and_then(|life| life.ends.clone()).unwrap_or_default();
            let message = format!("it ends at {ends}, unless somebody pushes to `{}` or extends it", terms.branch);
            self.announcer.tell(&environment, Announcement { normal: true, reason: Reason::Expiring, message });
        }
        let Some(why) = over else {
            let own = tip.known.branches().and_then(|branches| branches.get(branch).copied());
            let ignored = match own {
                Some(own) => ignored::of(&self.world, own, tip.known.tip(), terms.template).await,
                None => Vec::new(),
            };
            return ControlFlow::Continue((life, ignored));
        };
        let gone = format!("gone until the next push to `{}`: {why}", terms.branch);
        self.life = life;
        ControlFlow::Break(self.removes(&terms, gone).await)
    }

    /// One step towards the end, after the branch.
    pub(super) async fn departs(&mut self, tip: &Tip) -> Reason {
        let terms = removal::terms(&self.world, &self.name, tip.known.tip()).await;
        let sight = self.inputs.sight.borrow().clone();
        // a look since then may have shown the branch again
        let is_newest = sight.tip.as_ref().is_some_and(|newest| newest.known == tip.known);
        let looks = sight.looks().filter(|_| is_newest).unwrap_or((tip.seen, tip.seen));
        let wait = self.departure.wait(looks, terms.grace, Instant::now());
        let held = self.inputs.removals.borrow().clone();
        if self.world.memory.get(&self.name).is_some_and(|memory| said(&memory.environment, Reason::Gone)) {
            // its time was over before: there is nothing to warn of, and nothing to hold
            if let Some(wait) = wait.or(held.is_some().then_some(KEPT)) {
                self.pace.went_well(Some(wait));
                return Reason::Gone;
            }
        }
        if let Some(wait) = wait {
            let message =
                format!("branch `{}` is gone, and the environment follows unless it comes back", terms.branch);
            return self.expires(message, wait).await;
        }
        if let Some(held) = held {
            let verdict = Verdict { ready: false, reason: Reason::MassDeletionHeld, message: held, stalled: true };
            self.say(&verdict).await;
            self.pace.went_well(Some(KEPT));
            return verdict.reason;
        }
        let gone = format!("branch `{}` is gone, and so is the environment", terms.branch);
        self.removes(&terms, gone).await
    }

    async fn removes(&mut self, terms: &Terms, gone: String) -> Reason {
        match removal::remove(&mut self.world, &self.name, terms).await {
            Ok(Removal::Gone) => self.ends(gone).await,
            Ok(Removal::Deleting(message)) => {
                let verdict = Verdict { ready: false, reason: Reason::NamespaceTerminating, message, stalled: false };
                self.say(&verdict).await;
                self.pace.went_well(Some(AGAIN));
                verdict.reason
            }
            Ok(Removal::Kept(message)) => self.expires(message, KEPT).await,
            Err(error) => {
                tracing::warn!(environment = self.name, reason = error.reason().as_str(), "{error}");
                let verdict =
                    Verdict { ready: false, reason: error.reason(), message: error.sentence(), stalled: false };
                self.say(&verdict).await;
                self.pace.failed();
                error.reason()
            }
        }
    }

    async fn expires(&mut self, message: String, again: Duration) -> Reason {
        let verdict = Verdict { ready: false, reason: Reason::Expiring, message, stalled: false };
        self.report(&verdict, 0);
        self.say(&verdict).await;
        self.pace.went_well(Some(again));
        verdict.reason
    }

    async fn ends(&mut self, message: String) -> Reason {
        let verdict = Verdict { ready: false, reason: Reason::Gone, message, stalled: false };
        self.announce(&verdict, None);
        match removal::end(&mut self.world, &self.name, &verdict, self.life.take()).await {
            Ok(()) => self.pace.went_well(None),
            Err(error) => {
                tracing::warn!(environment = self.name, reason = error.reason().as_str(), "{error}");
                self.pace.failed();
            }
        }
        tracing::info!(environment = self.name, "{}", verdict.message);
        verdict.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sightings_some_time_apart() {
        let (grace, first) = (Duration::from_mins(1), Instant::now());
        let mut departure = Departure::default();
        let after = |seconds| first + Duration::from_secs(seconds);
        assert_eq!(departure.wait((first, first), grace, first), Some(grace));
        // the time is over, but nobody has looked again
        assert_eq!(departure.wait((first, first), grace, after(100)), Some(AGAIN));
        // one that was looked at says nothing of the other
        assert_eq!(departure.wait((after(59), after(100)), grace, after(100)), Some(AGAIN));
        assert_eq!(departure.wait((after(60), after(61)), grace, after(61)), None);
        // what was seen of one long ago does not count as the first sighting of both
        let mut departure = Departure::default();
        assert_eq!(departure.wait((first, after(500)), grace, after(500)), Some(grace));
        assert_eq!(departure.wait((after(501), after(502)), grace, after(502)), Some(Duration::from_secs(58)));
    }
}
