//! The Plans that people ask for: answered one at a time beside the environments, so that no apply waits for one, and deleted after their time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::error::Error;
use crate::cluster::watch::Event;
use crate::controller::remote::Sight;
use crate::keys::watch::Loaded;
use crate::model::asked::{Answer, AskedPlan};
use crate::model::environment::{Environment, Lane};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::reconcile::answer::{answer, refused};
use crate::reconcile::world::World;
use crate::supervise::{Stop, contained};

/// Answers to one person within `WINDOW`: who looks at plans reads them.
const EACH: usize = 10;
/// Answers to all together within `WINDOW`.
const ALL: usize = 30;
/// How far back answers count.
const WINDOW: Duration = Duration::from_mins(1);
/// Longest time for one answer.
const LONGEST: Duration = Duration::from_mins(1);
/// Answered Plans that are kept; the oldest go first, refused ones before others. They take some megabytes of etcd at most.
const KEPT: usize = 100;
/// A Plan that cannot be read is there this long.
const UNREADABLE: Duration = Duration::from_hours(1);
/// When something is tried again that the API server did not do.
const AGAIN: Duration = Duration::from_secs(10);

/// What answers the Plans of one Repository.
pub struct Plans {
    world: World,
    inputs: Inputs,
    quota: Quota,
    known: BTreeMap<String, Known>,
}

/// What it hears of besides the Plans.
pub struct Inputs {
    /// Whose environments' Plans it answers: the other lane has neither their commits nor their rights.
    pub lane: Lane,
    /// What the remote said last.
    pub sight: watch::Receiver<Sight>,
    /// The grant.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// The identities.
    pub keys: watch::Receiver<Loaded>,
}

/// A Plan, and what has to be done about it.
struct Known {
    uid: String,
    version: String,
    created: Timestamp,
    due: Instant,
    /// The Plan, until it is answered.
    open: Option<Box<AskedPlan>>,
    is_refused: bool,
}

impl Plans {
    /// Nothing is known yet. `world` is for this alone.
    pub fn new(world: World, inputs: Inputs) -> Self {
        Self { world, inputs, quota: Quota::default(), known: BTreeMap::new() }
    }

    /// Answers and deletes until told to stop, or until nobody is left who tells of the Repository.
    pub async fn run(mut self, stop: Stop) {
        let mut events = self.world.cluster.watch_plans(self.world.home(), None);
        loop {
            let next = self.next();
            let due = async {
                match &next {
                    Some((_, due)) => sleep_until(*due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.requested() => return,
                changed = self.inputs.repository.changed() => if changed.is_err() { return },
                changed = self.inputs.sight.changed() => if changed.is_err() { return },
                Some(event) = events.next() => self.heard(event),
                () = due => {
                    let Some((name, _)) = next else { continue };
                    tokio::select! {
                        () = stop.requested() => return,
                        () = self.attend(&name) => {}
                    }
                }
            }
        }
    }

    /// What is due next, and when. Nothing can be answered before the remote was looked at.
    fn next(&self) -> Option<(String, Instant)> {
        let blind = {
            let sight = self.inputs.sight.borrow();
            sight.tip.is_none() && sight.trouble.is_none()
        };
        let known = self.known.iter().filter(|(_, known)| !(blind && known.open.is_some()));
        let next = known.min_by_key(|(_, known)| (known.due, known.created))?;
        Some((next.0.clone(), next.1.due))
    }

    fn heard(&mut self, event: Event<Result<AskedPlan, InvalidObject>>) {
        let mut found = match event {
            Event::Listed(found) => {
                self.known.clear();
                found
            }
            Event::Changed(found) => vec![found],
            Event::Gone(found) => {
                self.known.remove(name(&found));
                return;
            }
            Event::Broken(error) => {
                tracing::warn!(reason = error.reason().as_str(), "Plans cannot be watched: {error}");
                return;
            }
            Event::Restored => return,
        };
        found.sort_by_key(|found| self.created(found));
        for found in found {
            let plan = name(&found).to_owned();
            let known = self.known_of(found);
            self.known.insert(plan, known);
        }
        self.keep_the_newest();
    }

    fn known_of(&self, found: Result<AskedPlan, InvalidObject>) -> Known {
        let created = self.created(&found);
        let age = Duration::try_from((self.world.now)().duration_since(created)).unwrap_or_default();
        let (metadata, due, open, is_refused) = match found {
            Ok(plan) => {
                let end = plan.status.as_ref().and_then(|status| status.expires_at.clone());
                let is_refused = plan.status.as_ref().is_some_and(is_refused);
                let due = end.as_ref().map_or_else(Instant::now, |end| self.instant(end));
                let metadata = plan.metadata.clone();
                (metadata, due, end.is_none().then(|| Box::new(plan)), is_refused)
            }
            Err(invalid) => {
                tracing::error!(plan = invalid.metadata.name, "the Plan cannot be read: {}", invalid.error);
                (invalid.metadata, Instant::now() + UNREADABLE.saturating_sub(age), None, true)
            }
        };
        let (uid, version) = (metadata.uid.unwrap_or_default(), metadata.resource_version.unwrap_or_default());
        Known { uid, version, created, due, open, is_refused }
    }

    /// A Plan that does not say when it was made counts as made now.
    fn created(&self, found: &Result<AskedPlan, InvalidObject>) -> Timestamp {
        let metadata = match found {
            Ok(plan) => &plan.metadata,
            Err(invalid) => &invalid.metadata,
        };
        metadata.creation_timestamp.as_ref().map_or_else(self.world.now, |time| time.0)
    }

    /// When a time comes on our clock; an end that cannot be read has come.
    fn instant(&self, time: &str) -> Instant {
        let left = time.parse::<Timestamp>().map(|time| time.duration_since((self.world.now)()));
        Instant::now() + left.ok().and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
    }

    /// Lets go at once of what is too many.
    fn keep_the_newest(&mut self) {
        let mut closed: Vec<&mut Known> = self.known.values_mut().filter(|known| known.open.is_none()).collect();
        closed.sort_by_key(|known| (!known.is_refused, known.created));
        let surplus = closed.len().saturating_sub(KEPT);
        let now = Instant::now();
        closed.into_iter().take(surplus).for_each(|known| known.due = known.due.min(now));
    }

    /// Does what is due. What the API server did not do is tried again; what somebody changed meanwhile, the watch tells.
    async fn attend(&mut self, name: &str) {
        let Some(known) = self.known.get(name) else { return };
        let done = match known.open.clone() {
            Some(plan) => match self.is_ours(&plan).await {
                Ok(true) => self.answer(&plan).await,
                Ok(false) => return self.leave(name),
                Err(error) => Err(error),
            },
            None => {
                self.world.cluster.delete_plan(self.world.home(), name, &known.uid, &known.version).await.map(|()| None)
            }
        };
        match done {
            Ok(Some(plan)) => self.heard(Event::Changed(Ok(plan))),
            Ok(None) | Err(Error::Changed { .. }) => drop(self.known.remove(name)),
            Err(error) => {
                tracing::warn!(plan = name, reason = error.reason().as_str(), "{error}");
                if let Some(known) = self.known.get_mut(name) {
                    known.due = Instant::now() + AGAIN;
                }
            }
        }
    }

    /// True if the environment is of this lane. One that is not there yet is none of a branch's.
    async fn is_ours(&self, plan: &AskedPlan) -> Result<bool, Error> {
        let environment = self.world.cluster.environment(self.world.home(), &plan.spec.environment).await?;
        let lane = environment.as_ref().and_then(Environment::lane).unwrap_or(Lane::Protected);
        Ok(lane == self.inputs.lane)
    }

    /// The other lane answers. Its answer is news of the Plan.
    fn leave(&mut self, name: &str) {
        if let Some(known) = self.known.get_mut(name) {
            known.due = Instant::now() + UNREADABLE;
        }
    }

    async fn answer(&mut self, plan: &AskedPlan) -> Result<Option<AskedPlan>, Error> {
        let answer = match self.quota.take(&plan.spec.by, Instant::now()) {
            Ok(()) => self.look_into(plan).await,
            Err(why) => refused(Reason::QuotaExceeded, &why, "ask again in a minute", (self.world.now)()),
        };
        let ready = answer.conditions.first();
        let (reason, message) = ready.map(|ready| (ready.reason.as_str(), ready.message.as_str())).unwrap_or_default();
        tracing::info!(
            plan = plan.metadata.name,
            environment = plan.spec.environment,
            by = plan.spec.by,
            reason,
            "{message}"
        );
        Ok(Some(self.world.cluster.answer_plan(plan, &answer).await?))
    }

    /// Everything is read anew: what somebody asks is how it is now.
    async fn look_into(&mut self, plan: &AskedPlan) -> Answer {
        let now = (self.world.now)();
        let (tip, trouble) = {
            let sight = self.inputs.sight.borrow();
            (sight.tip.clone(), sight.trouble.clone())
        };
        let Some(tip) = tip else {
            let (reason, message) = trouble
                .map_or((Reason::RepositoryUnreachable, String::new()), |trouble| (trouble.reason, trouble.message));
            return refused(reason, &message, "", now);
        };
        self.world.memory.clear();
        self.world.repository = self.inputs.repository.borrow().clone();
        self.world.keyring = self.inputs.keys.borrow().keyring.clone();
        let answered = contained(timeout(LONGEST, answer(&mut self.world, &plan.spec, tip.known))).await;
        let (reason, message) = match answered {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => (Reason::ServerUnavailable, "the plan takes longer than a minute"),
            Err(_) => (Reason::Quarantined, "a mistake in osier ended the plan"),
        };
        refused(reason, message, "", now)
    }
}

fn name(found: &Result<AskedPlan, InvalidObject>) -> &str {
    let metadata = match found {
        Ok(plan) => &plan.metadata,
        Err(invalid) => &invalid.metadata,
    };
    metadata.name.as_deref().unwrap_or_default()
}

fn is_refused(answer: &Answer) -> bool {
    answer.conditions.iter().any(|condition| condition.status == "False")
}

/// Answers of the last minute: when, and to whom.
#[derive(Debug, Default)]
struct Quota(VecDeque<(Instant, String)>);

impl Quota {
    /// Takes one answer for somebody.
    fn take(&mut self, by: &str, now: Instant) -> Result<(), String> {
        self.0.retain(|(then, _)| now.duration_since(*then) < WINDOW);
        let own = self.0.iter().filter(|(_, other)| other == by).count();
        if own >= EACH {
            return Err(format!("{by} has asked for {EACH} plans within a minute"));
        }
        if self.0.len() >= ALL {
            return Err(format!("{ALL} plans were asked for within a minute"));
        }
        self.0.push_back((now, by.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_asks_a_lot_takes_no_answer_from_others() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let answered = (0..200).filter(|_| quota.take("ann", at(0)).is_ok()).count();
        assert_eq!(answered, EACH);
        assert_eq!(quota.take("bob", at(1)), Ok(()));
        let others = (0..200).filter(|number| quota.take(&format!("user-{number}"), at(2)).is_ok()).count();
        assert_eq!(others, ALL - EACH - 1);
        assert!(quota.take("ann", at(59)).is_err() && quota.take("ann", at(60)).is_ok());
    }
}
