//! The lane of branches: which environments there are to be, those that have to wait, and those whose books go.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::controller::branches::{self, Cap, Roll, Scene};
use crate::controller::environment::heads::Heads;
use crate::controller::remote::{Sight, Tip};
use crate::controller::repository::Lead;
use crate::controller::statuses::Place;
use crate::desired::config::Config;
use crate::git::fetch::Known;
use crate::model::environment::{Environment, EnvironmentStatus};
use crate::model::reason::{Reason, Retry};
use crate::model::tree::GitId;
use crate::model::wire;
use crate::reconcile::settle::{self, Verdict};
use crate::reconcile::source::Source;
use crate::reconcile::world::World;
use crate::reconcile::{retention, target};

/// Environments of branches that are made, or told that they have to wait, before somebody else has a turn.
const AT_ONCE: usize = 20;
/// For telling those that have to wait, one part of the time in so many is taken: nobody waits for that, and where the API server is slow others
/// need it more.
const ONE_IN: u32 = 5;
/// Between two attempts to make them.
const FAILED: Duration = Duration::from_secs(5);
/// Between two looks for namespaces whose Environment somebody deleted.
const RECOVER: Duration = Duration::from_hours(1);
/// Between two attempts to forget an environment: nobody waits for that.
const FORGET_AGAIN: Duration = Duration::from_mins(5);
/// Longest time until the next look at what is to be forgotten.
const LONGEST: Duration = Duration::from_hours(24);

impl Lead<'_> {
    /// The environments of branches, which are their namespaces' names; those that are missing are made first.
    pub(super) async fn of_branches(&mut self, world: &World, tip: &Tip) -> Option<BTreeMap<String, String>> {
        self.recover(world).await;
        let mut roll = self.roll(&tip.known).await?;
        self.show_queue(&roll, &tip.known);
        self.unmade.retain(|name| roll.missing.contains_key(name));
        let mut begins: Vec<_> = roll.missing.iter().filter(|(name, _)| !roll.waiting.contains_key(*name)).collect();
        // one that is refused again and again is in nobody's way
        begins.sort_by_key(|(name, _)| self.unmade.contains(*name));
        let is_more = begins.len() > AT_ONCE;
        let mut went_well = true;
        for (name, reference) in begins.into_iter().take(AT_ONCE) {
            let made = self.make(world, name, reference).await;
            went_well &= made.is_ok();
            if made == Err(Retry::Later) {
                break;
            }
        }
        if !went_well {
            self.look_again(Instant::now() + FAILED);
        } else if is_more {
            self.look_again(Instant::now());
        }
        if !is_more {
            self.queue(world, &roll).await;
        }
        let known = |environment: &Environment| {
            let branch = environment.branch().unwrap_or_default();
            !branches::is_idle(environment) || tip.known.has(branch).is_some()
        };
        // of what waits and is nowhere to be seen nobody knows whether it is gone
        roll.served.retain(|name| self.environments.get(name).is_some_and(known));
        self.forget(world, &tip.known).await;
        Some(roll.served.into_iter().map(|name| (name.clone(), name)).collect())
    }

    /// Makes the Environments of those that have to wait, and tells them so: some now, and the others after a pause that is as much longer as the
    /// API server took.
    async fn queue(&mut self, world: &World, roll: &Roll) {
        let untold: Vec<(&String, &Cap)> = roll.waiting.iter().filter(|(name, cap)| !self.is_told(name, cap)).collect();
        let begun = Instant::now();
        if begun >= self.queue_at {
            let mut went_well = true;
            for (name, cap) in untold.iter().take(AT_ONCE) {
                let made = match roll.missing.get(*name) {
                    Some(reference) => self.make(world, name, reference).await.is_ok(),
                    None => true,
                };
                went_well &= made && self.waits(world, name, cap).await;
            }
            let pause = if went_well { begun.elapsed() * (ONE_IN - 1) } else { FAILED };
            self.queue_at = Instant::now() + pause;
            if went_well && untold.len() <= AT_ONCE {
                return;
            }
        }
        if !untold.is_empty() {
            self.look_again(self.queue_at);
        }
    }

    /// Makes the Environments anew that somebody deleted while their namespaces are there: what is left goes on, or goes, as every other.
    async fn recover(&mut self, world: &World) {
        if self.is_listed && Instant::now() >= self.recover_at {
            let went_well = self.recovered(world).await;
            self.recover_at = Instant::now() + if went_well { RECOVER } else { FAILED };
        }
        self.look_again(self.recover_at);
    }

    async fn recovered(&mut self, world: &World) -> bool {
        let places = match world.cluster.places(world.home(), world.name()).await {
            Ok(places) => places,
            Err(error) => {
                tracing::warn!(
                    reason = error.reason().as_str(),
                    "the namespaces of branches cannot be listed: {error}"
                );
                return false;
            }
        };
        let mut went_well = true;
        for (name, reference) in places {
            if !self.environments.contains_key(&name) {
                tracing::warn!(environment = name, reference, "has a namespace and no Environment: it is made anew");
                went_well &= self.make(world, &name, &reference).await.is_ok();
            }
        }
        went_well
    }

    /// Has the commits of those that have to wait show it. Nobody is named there: a cap of an author is that of who sees it.
    fn show_queue(&self, roll: &Roll, known: &Known) {
        let branch = |name: &String| {
            let made = self.environments.get(name).and_then(Environment::branch);
            made.or_else(|| roll.missing.get(name)?.strip_prefix(wire::HEADS))
        };
        let repository = self.repository.borrow().clone();
        let follows = repository.spec.follows.iter().any(|follow| follow.statuses.is_some());
        let is_told = follows || repository.spec.statuses.is_some();
        let waiting = roll.waiting.iter().filter(|_| is_told);
        let waiting = waiting.filter_map(|(name, cap)| Some((name, cap, branch(name)?)));
        let places = waiting.flat_map(|(name, cap, branch)| {
            let places: Vec<Place> = Heads::new(Some(branch), known).places(true).collect();
            let why = match cap {
                Cap::Author { max, .. } => Cap::Author { author: "its author".to_owned(), max: *max },
                cap => cap.clone(),
            };
            places.into_iter().map(move |place| (name.as_str(), place, why.to_string()))
        });
        self.statuses.wait(places);
    }

    /// Makes an Environment. If that fails: whether the API server may be what fails, and not this one alone.
    async fn make(&mut self, world: &World, name: &str, reference: &str) -> Result<(), Retry> {
        match world.cluster.create_branch_environment(world.home(), world.name(), name, reference).await {
            Ok(environment) => {
                self.environments.insert(name.to_owned(), environment);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(environment = name, reason = error.reason().as_str(), "cannot be made: {error}");
                self.unmade.insert(name.to_owned());
                Err(error.retry())
            }
        }
    }

    fn look_again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    /// What there shall be; `None` while that cannot be known.
    async fn roll(&mut self, known: &Known) -> Option<Roll> {
        let repository = self.repository.borrow().clone();
        // who is there already is not to wait for somebody who is heard of first
        if !self.is_listed || !self.sight.borrow().asked_all(&repository.spec.follows) {
            return None;
        }
        let everywhere = known.branches_anywhere()?;
        // one that cannot be read begins nothing and ends nothing, and each environment says what is wrong with it
        let config = target::config(&Source::Mirror(self.mirror.clone(), known.tip())).await.ok();
        let wanted = self.changed.wanted(self.mirror, config.as_ref(), known, &self.environments).await?;
        let call = |lead: &Self, authors: &BTreeMap<String, String>| {
            let (config, environments) = (config.as_ref(), &lead.environments);
            let (repository, branches, now) = (&repository, &wanted, (lead.follower.clock)());
            let scene = Scene { config, repository, branches, environments, authors, now };
            branches::roll(&scene, |branch| known.mark(branch), |name| lead.running.contains_key(name))
        };
        // whose the branches are counts only where somebody has to wait, or may have to for his own
        let is_queued = repository.spec.caps.branch_environments_per_author.is_some()
            || self.environments.values().any(|environment| branches::said(environment, Reason::CapReached));
        let uncontested = (!is_queued).then(|| call(self, &BTreeMap::new())).filter(|roll| roll.waiting.is_empty());
        let mut roll = if let Some(roll) = uncontested {
            roll
        } else {
            let authors = self.authors_of(config.as_ref(), known).await;
            call(self, &authors)
        };
        roll.served.extend(branches::outlived(&self.environments, |branch| known.has(branch) == Some(false)));
        let held = branches::too_many_gone(&repository, known.tip(), &everywhere, &self.environments);
        self.removals.send_if_modified(|before| std::mem::replace(before, held.clone()) != held);
        Some(roll)
    }

    /// Whose the branches are. Of those that only followed repositories have no commit is read.
    async fn authors_of(&mut self, config: Option<&Config>, known: &Known) -> BTreeMap<String, String> {
        let (Some(config), Some(own)) = (config, known.branches()) else { return BTreeMap::new() };
        let claimed = own.iter().filter(|(branch, _)| config.branch(branch).is_some());
        let tips: BTreeMap<&str, GitId> = claimed.map(|(branch, tip)| (branch.as_str(), *tip)).collect();
        self.authors.of(self.mirror, tips).await
    }

    /// True if the environment has been told what it waits for.
    fn is_told(&self, name: &str, cap: &Cap) -> bool {
        let status = self.environments.get(name).and_then(|environment| environment.status.as_ref());
        let ready = status.and_then(EnvironmentStatus::ready);
        ready.is_some_and(|ready| ready.reason == Reason::CapReached.as_str() && ready.message == cap.to_string())
    }

    /// Deletes the books of one environment whose branch went long ago, if there is one. Nobody knows that of any branch while the remote cannot
    /// be read.
    async fn forget(&mut self, world: &World, known: &Known) {
        let troubled =
            |sight: &Sight| sight.trouble.is_some() || sight.followed.values().any(|aside| aside.trouble.is_some());
        if troubled(&self.sight.borrow()) {
            return;
        }
        let now = (self.follower.clock)();
        let is_gone = |branch: &str| known.has(branch) == Some(false);
        let (forgotten, next) = branches::forgotten(&self.repository.borrow(), &self.environments, is_gone, now);
        let mut next = next.map(|next| next.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        if let Some(name) = forgotten.first() {
            // the watch tells of it, and then comes the next
            match retention::forget(world, name).await {
                Ok(()) => tracing::info!(environment = name, "its branch went long ago, and now its records did"),
                Err(error) => {
                    tracing::warn!(
                        environment = name,
                        reason = error.reason().as_str(),
                        "cannot be forgotten: {error}"
                    );
                    next = Some(FORGET_AGAIN);
                }
            }
        }
        if let Some(next) = next {
            self.look_again(Instant::now() + next.min(LONGEST));
        }
    }

    /// Says that an environment has to wait until another one is gone; false if it could not be said.
    async fn waits(&mut self, world: &World, name: &str, cap: &Cap) -> bool {
        let Some(environment) = self.environments.get(name) else { return true };
        let verdict = Verdict { ready: false, reason: Reason::CapReached, message: cap.to_string(), stalled: false };
        let before = environment.status.clone().unwrap_or_default();
        let now = (self.follower.clock)();
        let conditions = settle::conditions(&before.conditions, &verdict, environment.metadata.generation, now);
        let status = EnvironmentStatus { conditions, ..before };
        match world.cluster.write_environment_status(environment, &status).await {
            Ok(environment) => {
                self.environments.insert(name.to_owned(), environment);
                true
            }
            Err(error) => {
                tracing::warn!(
                    environment = name,
                    reason = error.reason().as_str(),
                    "the conditions could not be written"
                );
                false
            }
        }
    }
}
