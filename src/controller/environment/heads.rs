//! The commits that an environment is made of, and which of them show how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::controller::environment::Task;
use crate::controller::remote::Tip;
use crate::controller::statuses::Place;
use crate::git::fetch::Known;
use crate::model::environment::Environment;
use crate::model::reason::Reason;
use crate::model::tree::GitId;
use crate::reconcile::ignored;
use crate::supervise::pace::spread;

/// All environments of branches are looked at again after a push to the protected branch, which its own are waited for.
const AFTER_MAIN: Duration = Duration::from_secs(2);

/// The commits that an environment is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Tip of the protected branch.
    pub main: GitId,
    /// Tip of the environment's own branch, if the repository has it.
    pub own: Option<GitId>,
    /// True if that could not be fetched.
    unfetched: bool,
    /// What counts of each followed repository.
    followed: BTreeMap<String, GitId>,
    /// Those of them that have the environment's branch.
    sharing: BTreeSet<String>,
}

impl Heads {
    /// Those of the environment of a branch, or of one of the protected branch.
    pub fn new(branch: Option<&str>, known: &Known) -> Self {
        let (followed, sharing) = (BTreeMap::new(), BTreeSet::new());
        let mut heads = Self { main: known.tip(), own: None, unfetched: false, followed, sharing };
        let Some(branch) = branch else { return heads };
        heads.unfetched = known.unfetched(branch).is_some();
        heads.own = known.branches().and_then(|branches| branches.get(branch).copied());
        for (name, followed) in known.followed() {
            heads.followed.extend(followed.commit(branch).map(|commit| (name.clone(), commit)));
            heads.sharing.extend(followed.branch(branch).map(|_| name.clone()));
        }
        heads
    }

    /// Where the protected branch was before, if nothing else has moved.
    fn moved_from(&self, before: &Self) -> Option<GitId> {
        (Self { main: before.main, ..self.clone() } == *before).then_some(before.main)
    }

    /// The commits of the environment's own branch, wherever it is; of one of the protected branch that is the tip.
    pub fn places(&self, is_of_branch: bool) -> impl Iterator<Item = Place> {
        let Self { main, own, followed, sharing, .. } = self;
        let own = own.or_else(|| (!is_of_branch).then_some(*main)).map(|commit| Place { follow: None, commit });
        let sharing = followed.iter().filter(|(name, _)| sharing.contains(*name));
        let sharing = sharing.map(|(name, commit)| Place { follow: Some(name.clone()), commit: *commit });
        own.into_iter().chain(sharing)
    }
}

impl Task {
    pub(super) fn heads(&self, tip: &Tip) -> Heads {
        Heads::new(self.inputs.environment.borrow().as_ref().and_then(Environment::branch), &tip.known)
    }

    /// Takes the tips as they are now, and notes when a pass is due for them. The environment of a branch leaves the protected branch's own the
    /// precedence if nothing but that branch has moved, and has nothing to do if nothing that it takes from there is another.
    pub(super) async fn hears_of_push(&mut self) {
        let Some(tip) = self.inputs.sight.borrow_and_update().tip.clone() else { return };
        let heads = self.heads(&tip);
        if Some(&heads) == self.attended.as_ref() {
            return;
        }
        let is_of_branch = self.inputs.environment.borrow().as_ref().is_some_and(|it| it.reference().is_some());
        let mut due = self.storm.due(Instant::now());
        if let Some(main) = self.attended.as_ref().filter(|_| is_of_branch).and_then(|before| heads.moved_from(before))
        {
            if heads.own.is_some() && !ignored::has_moved(&self.world, &self.name, main, heads.main).await {
                self.attended = Some(heads);
                return;
            }
            due += spread(AFTER_MAIN);
        }
        self.push_due = Some(self.push_due.map_or(due, |before| before.min(due)));
    }

    /// True if the environment is a branch's, and nothing of it is there yet.
    pub(super) fn makes_it(&self) -> bool {
        let environment = self.inputs.environment.borrow();
        let is_empty = |it: &Environment| it.status.as_ref().is_none_or(|status| status.commit.is_empty());
        environment.as_ref().is_some_and(|it| it.reference().is_some() && is_empty(it))
    }

    /// True if the environment is one of this cluster that has never looked at this commit.
    pub(super) fn is_new(&self, place: &Place, before: Option<&Heads>) -> bool {
        let environment = self.inputs.environment.borrow();
        let Some(environment) = environment.as_ref() else { return false };
        // a branch has an Environment because this cluster makes it one
        let Some(status) = &environment.status else { return environment.reference().is_some() };
        let others = [Reason::Elsewhere, Reason::Orphaned].map(Reason::as_str);
        let is_ours = status.ready().is_some_and(|ready| !others.contains(&ready.reason.as_str()));
        is_ours
            && match &place.follow {
                None => status.attempted != place.commit.to_string(),
                // what a process before this one has looked at is not known
                Some(name) => before.is_some_and(|before| before.followed.get(name) != Some(&place.commit)),
            }
    }

    /// The commits that forges are told of: those of the environment's own branch, as long as there is one.
    pub(super) fn told_of(&self) -> Vec<Place> {
        let Some(heads) = &self.attended else { return Vec::new() };
        heads.places(self.inputs.environment.borrow().as_ref().is_some_and(|it| it.reference().is_some())).collect()
    }
}
