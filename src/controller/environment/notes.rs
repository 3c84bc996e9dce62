//! What forges are told of an environment.

use std::sync::Arc;

use crate::controller::environment::Task;
use crate::controller::statuses::{Note, Place};
use crate::model::environment::EnvironmentStatus;
use crate::model::reason::Reason;
use crate::model::tree::GitId;
use crate::reconcile::Settled;
use crate::reconcile::error::Error;
use crate::reconcile::settle::Verdict;
use crate::report::comment::{self, Comment};

/// What pull requests are told beside the conditions.
#[derive(Default)]
pub struct Noted {
    /// The plan of the last revision that changed something, in so far as this process saw it.
    plan: Option<Arc<str>>,
    /// The problems of the last pass.
    problems: Arc<str>,
}

impl Noted {
    /// A pass begins.
    pub(super) fn begins(&mut self) {
        self.problems = Arc::default();
    }

    /// It ended early.
    pub(super) fn blocked(&mut self, error: &Error) {
        if let Error::Blocked { problems, .. } = error {
            self.problems = comment::problems(problems);
        }
    }
}

impl Task {
    /// The plan that the pass carried out, if it was one of a revision.
    pub(super) fn note_plan(&mut self, settled: &Settled) {
        let commit = self.status().and_then(|status| GitId::parse(&status.attempted));
        let plan = comment::plan(&settled.plan, &commit.map(|commit| commit.short()).unwrap_or_default());
        self.noted.plan = plan.or(self.noted.plan.take());
    }

    /// Has the forges show how the environment stands.
    pub(super) fn tell_forges(&self, verdict: &Verdict) {
        let places = self.told_of();
        let address = self.status().and_then(|status| status.address.as_deref());
        for place in places.clone() {
            self.inputs.statuses.said(&self.name, place, verdict, address);
        }
        let branch = self.world.memory.get(&self.name).and_then(|memory| memory.environment.branch());
        let Some(branch) = branch.filter(|_| !matches!(verdict.reason, Reason::Elsewhere | Reason::Orphaned)) else {
            return;
        };
        if places.is_empty() {
            // the branch is gone everywhere, but perhaps not each pull request
            let follows = self.world.repository.spec.follows.iter().map(|follow| Some(follow.name.clone()));
            for follow in follows.chain([None]) {
                self.inputs.statuses.noted(follow, self.note(branch, None, verdict));
            }
        }
        for Place { follow, commit } in places {
            self.inputs.statuses.noted(follow, self.note(branch, Some(commit), verdict));
        }
    }

    fn note(&self, branch: &str, commit: Option<GitId>, verdict: &Verdict) -> Note {
        let status = self.status().cloned().unwrap_or_default();
        let short = |commit: &str| GitId::parse(commit).map(|commit| commit.short());
        let is_there = !matches!(verdict.reason, Reason::Gone | Reason::NamespaceTerminating);
        let equals = short(&status.commit).filter(|_| is_there && status.commit != status.attempted);
        let ends = status.life.and_then(|life| life.ends).filter(|_| is_there);
        let comment = Comment {
            environment: self.name.clone(),
            reason: verdict.reason,
            waits: verdict.waits(),
            commit: commit.map(|commit| commit.short()),
            equals,
            address: status.address.filter(|_| is_there && !status.commit.is_empty()),
            ends,
            problems: self.noted.problems.clone(),
            plan: self.noted.plan.clone(),
        };
        Note { branch: branch.to_owned(), comment }
    }

    fn status(&self) -> Option<&EnvironmentStatus> {
        self.world.memory.get(&self.name)?.environment.status.as_ref()
    }
}
