//! How a pass ends: the conditions of the Environment, one status write, and only if something changes.

use jiff::Timestamp;

use crate::model::environment::{Condition, EnvironmentStatus, PlanStatus};
use crate::model::reason::Reason;
use crate::planning::health::{Cause, Health};
use crate::planning::plan::Plan;
use crate::reconcile::history::seconds;

/// What the conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True if the environment equals its target.
    pub ready: bool,
    /// One of the closed list.
    pub reason: Reason,
    /// A sentence.
    pub message: String,
    /// True if nothing but a person can help.
    pub stalled: bool,
}

impl Verdict {
    /// What the conditions say of an applied revision whose workloads stand so, or of one that waits for Jobs before it which do.
    ///
    /// kstatus' meaning: while it waits, Ready=False and Reconciling=True, and the reason stays what it was, for that is still true; once a controller has given up, Ready=False and Stalled=True with `CheckFailed`, or `QuotaExceeded` if that is why.
    #[must_use]
    pub fn with_health(&self, health: &Health) -> Verdict {
        let (why, reason, stalled) = match health {
            _ if !self.is_applied() && self.reason != Reason::CheckPending => return self.clone(),
            Health::Ready => return self.clone(),
            Health::Progressing(why) => (why, self.reason, false),
            Health::Failed(why) if why.cause == Cause::Quota => (why, Reason::QuotaExceeded, true),
            Health::Failed(why) => (why, Reason::CheckFailed, true),
        };
        let sentence = &why.sentence;
        let message = if stalled { sentence.clone() } else { format!("waiting for {sentence}") };
        Verdict { ready: false, reason, message: format!("{}; {message}", self.message), stalled }
    }

    /// True if the environment equals what it is meant to.
    pub fn is_applied(&self) -> bool {
        self.ready && matches!(self.reason, Reason::Applied | Reason::HeldBack)
    }

    /// True if what is applied is on its way to being ready, or a revision to being applied.
    pub fn waits(&self) -> bool {
        !self.ready && !self.stalled && matches!(self.reason, Reason::Applied | Reason::HeldBack | Reason::CheckPending)
    }
}

/// Ready, Reconciling and Stalled after a verdict; the time moves only where `status` changes.
pub fn conditions(before: &[Condition], verdict: &Verdict, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let truth = |value: bool| if value { "True" } else { "False" };
    [("Ready", truth(verdict.ready)), ("Reconciling", truth(verdict.waits())), ("Stalled", truth(verdict.stalled))]
        .into_iter()
        .map(|(kind, status)| {
            let same = before.iter().find(|condition| condition.kind == kind && condition.status == status);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.as_str().to_owned(),
                message: verdict.message.clone(),
                last_transition_time: same.map_or_else(|| seconds(now), |same| same.last_transition_time.clone()),
                observed_generation: generation,
            }
        })
        .collect()
}

/// True if this is the status of a branch environment that was removed.
pub fn is_gone(status: &EnvironmentStatus) -> bool {
    status.ready().is_some_and(|ready| ready.reason == Reason::Gone.as_str())
}

/// The digest and counts that `spec.allow` is about.
pub fn plan_status(plan: &Plan) -> PlanStatus {
    PlanStatus { digest: plan.digest.clone(), counts: plan.counts() }
}

/// The plan that the status shows: repairs, and nothing at all, are no news of an environment that was applied and stays so.
pub fn shown_plan(before: &EnvironmentStatus, plan: &Plan, verdict: &Verdict) -> Option<PlanStatus> {
    let is_news = verdict.reason == Reason::Observing || !plan.steps.iter().all(|step| step.repair);
    if before.is_applied() && verdict.ready && !is_news { before.plan.clone() } else { Some(plan_status(plan)) }
}

/// True if `after` names another commit and says nothing else that is new.
pub fn only_moved_on(before: &EnvironmentStatus, after: &EnvironmentStatus) -> bool {
    let without = |status: &EnvironmentStatus| {
        let mut status = EnvironmentStatus { commit: String::new(), attempted: String::new(), ..status.clone() };
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
        status
    };
    !before.commit.is_empty() && without(before) == without(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::health::Why;

    fn verdict(ready: bool) -> Verdict {
        Verdict { ready, reason: Reason::Applied, message: "at 4f2a91c".to_owned(), stalled: false }
    }

    #[test]
    fn another_commit_alone_says_nothing_new() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |commit: &str, verdict: &Verdict| EnvironmentStatus {
            commit: commit.to_owned(),
            conditions: conditions(&[], verdict, Some(1), now),
            ..EnvironmentStatus::default()
        };
        let moved = Verdict { message: "at 8d21f00".to_owned(), ..verdict(true) };
        assert!(only_moved_on(&at("4f2a91c", &verdict(true)), &at("8d21f00", &moved)));
        assert!(!only_moved_on(&at("4f2a91c", &verdict(true)), &at("8d21f00", &verdict(false))));
        assert!(!only_moved_on(&at("", &verdict(true)), &at("8d21f00", &moved)));
    }

    #[test]
    fn workloads_that_are_not_ready_show_as_kstatus_has_it() {
        let said = |health: &Health| {
            let verdict = verdict(true).with_health(health);
            let conditions = conditions(&[], &verdict, Some(1), Timestamp::UNIX_EPOCH);
            let statuses: Vec<&str> = conditions.iter().map(|condition| condition.status.as_str()).collect();
            format!("{} {}: {}", statuses.join(" "), verdict.reason, verdict.message)
        };
        let why = |cause| Why { sentence: "Deployment/api: 0 of 1 available".to_owned(), cause };
        assert_eq!(said(&Health::Ready), "True False False Applied: at 4f2a91c");
        assert_eq!(
            said(&Health::Progressing(why(Cause::Time))),
            "False True False Applied: at 4f2a91c; waiting for Deployment/api: 0 of 1 available"
        );
        assert_eq!(
            said(&Health::Failed(why(Cause::Named))),
            "False False True CheckFailed: at 4f2a91c; Deployment/api: 0 of 1 available"
        );
        assert_eq!(
            said(&Health::Failed(why(Cause::Quota))),
            "False False True QuotaExceeded: at 4f2a91c; Deployment/api: 0 of 1 available"
        );
        let pending = Verdict { reason: Reason::CheckPending, ..verdict(false) }
            .with_health(&Health::Progressing(why(Cause::Time)));
        let statuses =
            conditions(&[], &pending, Some(1), Timestamp::UNIX_EPOCH).into_iter().map(|condition| condition.status);
        assert_eq!(statuses.collect::<Vec<_>>(), ["False", "True", "False"]);
        assert_eq!(pending.message, "at 4f2a91c; waiting for Deployment/api: 0 of 1 available");
        let failed = Verdict { ready: false, reason: Reason::Forbidden, ..verdict(false) };
        assert_eq!(failed.with_health(&Health::Failed(why(Cause::Named))), failed, "that comes first");
    }

    #[test]
    fn times_move_only_with_the_status() {
        let [first, later] = [0, 60].map(|second| Timestamp::from_second(second).expect("in range"));
        let before = conditions(&[], &verdict(true), Some(1), first);
        let same = conditions(&before, &verdict(true), Some(1), later);
        assert_eq!(before, same);
        let other = conditions(&before, &verdict(false), Some(1), later);
        assert_eq!(
            (other[0].status.as_str(), other[0].last_transition_time.as_str()),
            ("False", "1970-01-01T00:01:00Z")
        );
        assert_eq!(other[2], before[2], "still not stalled");
    }
}
