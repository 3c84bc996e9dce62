//! Which branch environments there shall be: told from the branches of the remote and the Environments that there are, never from events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::desired::config::Config;
use crate::desired::config::branches::BranchConfig;
use crate::git::fetch::Branches;
use crate::model::environment::{Condition, Environment, EnvironmentStatus, Lane};
use crate::model::reason::Reason;
use crate::model::repository::{Repository, RepositoryCaps};
use crate::model::tree::GitId;
use crate::model::wire;
use crate::planning::life::{self, Facts};
use crate::reconcile::{retention, target};

/// Branches that may go at once, unless they are less than half: more looks like a mistake of the remote.
const FEW: usize = 10;

/// Days that the books of an environment are kept after its branch went, unless `caps.goneDays` of the Repository says otherwise: what a branch
/// did is asked for in the sprint after it.
const GONE_DAYS: u64 = 30;

/// What the roll is called from.
pub struct Scene<'a> {
    /// `osier.yaml` of the protected branch; `None` if it cannot be read.
    pub config: Option<&'a Config>,
    /// The grant.
    pub repository: &'a Repository,
    /// The branches that are to have an environment, wherever they are.
    pub branches: &'a Branches,
    /// The Environments that there are.
    pub environments: &'a BTreeMap<String, Environment>,
    /// Whose the branches are, as far as that is known. Those of nobody who is known count against no cap of an author, and where they wait they
    /// are one author's: who hides gains nothing by it.
    pub authors: &'a BTreeMap<String, String>,
    /// The time.
    pub now: Timestamp,
}

/// What there shall be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Environments that are there and served, those included that are on their way out.
    pub served: BTreeSet<String>,
    /// Environments that are still to be made, by name with their full ref.
    pub missing: BTreeMap<String, String>,
    /// Environments that have to wait, by name, and what for.
    pub waiting: BTreeMap<String, Cap>,
}

/// A cap that is reached, of so many.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cap {
    /// `max` of the entry of `branches`.
    #[error("this entry of `branches` may have {0} at a time: one has to go first")]
    Entry(u64),
    /// `caps.branchEnvironmentsPerAuthor` of the Repository.
    #[error("{author} may have {max} at a time: one has to go first")]
    Author {
        /// Whose.
        author: String,
        /// How many.
        max: u64,
    },
    /// `caps.branchEnvironments` of the Repository.
    #[error("the Repository may have {0} of branches at a time: one has to go first")]
    Repository(u64),
}

/// A branch that osier.yaml gives an environment.
struct Claim<'a> {
    entry: &'a BranchConfig,
    reference: String,
    author: &'a str,
}

/// The author of those of whom none is known. No address is empty.
const NOBODY: &str = "";

/// Environments that there are, as caps count them.
#[derive(Default)]
struct Taken<'a> {
    all: u64,
    /// By the line of the entry.
    entries: BTreeMap<u32, u64>,
    authors: BTreeMap<&'a str, u64>,
}

impl<'a> Taken<'a> {
    fn add(&mut self, entry: Option<&BranchConfig>, author: Option<&'a str>) {
        self.all += 1;
        if let Some(entry) = entry {
            *self.entries.entry(entry.line).or_default() += 1;
        }
        if let Some(author) = author {
            *self.authors.entry(author).or_default() += 1;
        }
    }

    fn has(&self, author: &str) -> u64 {
        self.authors.get(author).copied().unwrap_or_default()
    }

    /// The cap that keeps one more from being made: of several the one that its author can do most about.
    fn reached(&self, claim: &Claim<'_>, caps: &RepositoryCaps) -> Option<Cap> {
        let author = claim.author;
        let by_author = caps.branch_environments_per_author.filter(|_| author != NOBODY);
        if let Some(max) = by_author.filter(|max| self.has(author) >= *max) {
            return Some(Cap::Author { author: author.to_owned(), max });
        }
        let of_entry = self.entries.get(&claim.entry.line).copied().unwrap_or_default();
        if let Some(max) = claim.entry.max.map(|max| u64::from(max.get())).filter(|max| of_entry >= *max) {
            return Some(Cap::Entry(max));
        }
        caps.branch_environments.filter(|max| self.all >= *max).map(Cap::Repository)
    }
}

/// Calls the roll. Without an `osier.yaml` that can be read, those that are there are served. Whoever is there stays, whatever a cap says by now.
///
/// Of those that wait for room, those have it first that were given it before and have not begun: `has_room`, or an Environment that was told
/// nothing yet. So nobody is pushed out by somebody who came later.
pub fn roll(scene: &Scene<'_>, marks: impl Fn(&str) -> Option<String>, has_room: impl Fn(&str) -> bool) -> Roll {
    let Scene { config, repository, environments, now, .. } = *scene;
    let ours: BTreeMap<&String, &Environment> =
        environments.iter().filter(|(_, environment)| environment.lane() == Some(Lane::Branches)).collect();
    let mut claims = config.map(|config| claims(config, scene)).unwrap_or_default();
    let mut roll = Roll::default();
    let mut taken = Taken::default();
    for (name, environment) in &ours {
        let has_ended = said(environment, Reason::Gone) || config.is_none();
        if is_idle(environment) && (claims.contains_key(*name) || has_ended) {
            let entry = claims.get(*name).map(|claim| claim.entry);
            if entry.is_some_and(|entry| is_over(environment, entry, &marks, now)) {
                claims.remove(*name);
                // one that waited has still to be told that it waits for nothing
                if !said(environment, Reason::Gone) {
                    roll.served.insert((*name).clone());
                }
            }
            continue;
        }
        roll.served.insert((*name).clone());
        let branch = environment.branch().unwrap_or_default();
        let entry = config.and_then(|config| config.branch(branch)).map(|(entry, _)| entry);
        // one whose branch is gone is nobody's any more
        taken.add(entry, claims.remove(*name).map(|claim| claim.author));
    }
    let age = |name: &String| {
        let created = ours.get(name).and_then(|environment| environment.metadata.creation_timestamp.clone());
        (created.is_none(), created)
    };
    let mut claims: Vec<(String, Claim<'_>)> = claims.into_iter().collect();
    claims.sort_by_cached_key(|(name, _)| age(name));
    let unmade = claims.iter().filter(|(name, _)| !ours.contains_key(name));
    roll.missing = unmade.map(|(name, claim)| (name.clone(), claim.reference.clone())).collect();
    let is_given = |name: &String| ours.get(name).is_some_and(|it| ready(it).is_none()) || has_room(name);
    let (given, others): (Vec<_>, Vec<_>) = claims.into_iter().partition(|(name, _)| is_given(name));
    let caps = &repository.spec.caps;
    for (name, claim) in given {
        roll.admit(name, &claim, &mut taken, caps);
    }
    roll.admit_in_turn(others, &mut taken, caps);
    roll
}

impl Roll {
    /// Gives room to an environment, or has it wait.
    fn admit<'a>(&mut self, name: String, claim: &Claim<'a>, taken: &mut Taken<'a>, caps: &RepositoryCaps) {
        if let Some(cap) = taken.reached(claim, caps) {
            self.waiting.insert(name, cap);
        } else {
            taken.add(Some(claim.entry), Some(claim.author));
            self.served.insert(name);
        }
    }

    /// The next is always one of the author who has the fewest environments, and of several the one that has waited longest: the many of one keep
    /// nobody else waiting. `claims` are in the order of their age.
    fn admit_in_turn<'a>(&mut self, claims: Vec<(String, Claim<'a>)>, taken: &mut Taken<'a>, caps: &RepositoryCaps) {
        let mut lines: BTreeMap<&str, VecDeque<(usize, String, Claim<'a>)>> = BTreeMap::new();
        for (place, (name, claim)) in claims.into_iter().enumerate() {
            lines.entry(claim.author).or_default().push_back((place, name, claim));
        }
        let mut turns: BTreeSet<(u64, usize, &str)> =
            lines.iter().map(|(author, line)| (taken.has(author), line[0].0, *author)).collect();
        while let Some((_, _, author)) = turns.pop_first() {
            let Some(line) = lines.get_mut(author) else { continue };
            if let Some((_, name, claim)) = line.pop_front() {
                self.admit(name, &claim, taken, caps);
            }
            turns.extend(line.front().map(|(place, ..)| (taken.has(author), *place, author)));
        }
    }
}

fn claims<'a>(config: &'a Config, scene: &Scene<'a>) -> BTreeMap<String, Claim<'a>> {
    let this = scene.repository.metadata.name.as_deref().unwrap_or_default();
    let others = scene.branches.keys().filter(|branch| **branch != scene.repository.spec.protected_branch);
    let claim = |branch: &String| {
        let (entry, slug) = config.branch(branch)?;
        let name = target::branch_environment(entry, &slug, this, branch);
        let author = scene.authors.get(branch).map_or(NOBODY, String::as_str);
        Some((name, Claim { entry, reference: format!("{}{branch}", wire::HEADS), author }))
    };
    others.filter_map(claim).collect()
}

/// Environments whose time was over before their branch went, which they have still to be told: a branch of that name that comes back is another
/// one, whatever commit it is at.
pub fn outlived(environments: &BTreeMap<String, Environment>, is_gone: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let is_over = |it: &Environment| {
        let life = it.status.as_ref().and_then(|status| status.life.as_ref());
        said(it, Reason::Gone) && life.is_some_and(|life| life.over)
    };
    // nothing is written while it is suspended
    let found = environments.iter().filter(|(_, it)| is_over(it) && it.spec.suspend.is_none());
    found.filter(|(_, it)| it.branch().is_some_and(&is_gone)).map(|(name, _)| name.clone()).collect()
}

/// Why no environment is removed now: too many branches are gone at once, and nobody has said that the tip may be gone on from.
pub fn too_many_gone(
    repository: &Repository,
    tip: GitId,
    branches: &Branches,
    environments: &BTreeMap<String, Environment>,
) -> Option<String> {
    let there = |environment: &&Environment| !is_idle(environment);
    let followed: Vec<&str> = environments.values().filter(there).filter_map(Environment::branch).collect();
    let gone = followed.iter().filter(|branch| !branches.contains_key(**branch)).count();
    let tip = tip.to_string();
    let is_allowed = repository.spec.allow.iter().any(|allow| allow.tip.as_ref() == Some(&tip));
    (gone > FEW.max(followed.len() / 2) && !is_allowed).then(|| {
        let all = followed.len();
        format!("{gone} of {all} branches are gone at once: an administrator adds `tip: {tip}` to the Repository's `spec.allow` if that is meant")
    })
}

/// Environments whose branch is gone, and whose books need not be kept any longer, the oldest first; and when the next one comes to that.
pub fn forgotten(
    repository: &Repository,
    environments: &BTreeMap<String, Environment>,
    is_gone: impl Fn(&str) -> bool,
    now: Timestamp,
) -> (Vec<String>, Option<Timestamp>) {
    let days = repository.spec.caps.gone_days.unwrap_or(GONE_DAYS);
    let kept = SignedDuration::from_hours(
        i64::try_from(days).unwrap_or(i64::MAX / 3600).saturating_mul(24).min(i64::MAX / 3600),
    );
    let left = |it: &&Environment| it.branch().is_some_and(&is_gone);
    let gone = environments.values().filter(left).filter(|it| said(it, Reason::Gone));
    let mut gone: Vec<(Timestamp, &str)> =
        gone.filter_map(|it| Some((ended(it)?, it.metadata.name.as_deref()?))).collect();
    gone.sort_unstable();
    let surplus = gone.len().saturating_sub(retention::BRANCHES);
    let due = |ended: &Timestamp| ended.checked_add(kept).unwrap_or(Timestamp::MAX);
    let is_due = |(index, (ended, _)): &(usize, &(Timestamp, &str))| *index < surplus || due(ended) <= now;
    let forgotten: Vec<String> =
        gone.iter().enumerate().filter(is_due).map(|(_, (_, name))| (*name).to_owned()).collect();
    let next = gone.get(forgotten.len()).map(|(ended, _)| due(ended));
    (forgotten, next)
}

/// When an environment that is gone was removed.
fn ended(environment: &Environment) -> Option<Timestamp> {
    environment.status.as_ref()?.ended.as_ref()?.parse().ok()
}

/// True if the environment's time is over, and neither a push nor a person has brought it back.
fn is_over(
    environment: &Environment,
    entry: &BranchConfig,
    marks: impl Fn(&str) -> Option<String>,
    now: Timestamp,
) -> bool {
    let life = environment.status.as_ref().and_then(|status| status.life.as_ref());
    let said = environment.spec.expires.as_ref();
    let Some(tip) = environment.branch().and_then(marks) else {
        // nobody knows whether it was pushed to
        return life.is_some_and(|life| life.over) && !life::is_asked_for(said, now);
    };
    life::outlook(life, &Facts { tip: &tip, lives: entry.lives, said, now }).over.is_some()
}

/// True if the environment has not begun yet, waits to begin, or has ended.
pub fn is_idle(environment: &Environment) -> bool {
    ready(environment).is_none() || said(environment, Reason::CapReached) || said(environment, Reason::Gone)
}

/// True if its conditions have this reason.
pub fn said(environment: &Environment, reason: Reason) -> bool {
    ready(environment).is_some_and(|ready| ready.reason == reason.as_str())
}

fn ready(environment: &Environment) -> Option<&Condition> {
    environment.status.as_ref().and_then(EnvironmentStatus::ready)
}

#[cfg(test)]
mod tests;
