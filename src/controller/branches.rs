//! Which branch environments there shall be: told from the branches of the remote and the Environments that there are, never from events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::desired::config::Config;
use crate::desired::config::branches::BranchConfig;
use crate::git::fetch::Branches;
use crate::model::environment::{Condition, Environment, EnvironmentStatus, Lane};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::model::tree::GitId;
use crate::model::wire;
use crate::planning::life::{self, Facts};
use crate::reconcile::{retention, target};

/// Branches that may go at once, unless they are less than half: more looks like a mistake of the remote.
const FEW: usize = 10;

/// Days that the books of an environment are kept after its branch went, unless `caps.goneDays` of the Repository says otherwise: what a branch
/// did is asked for in the sprint after it.
const GONE_DAYS: u64 = 30;

/// What there shall be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Environments that are there and served, those included that are on their way out.
    pub served: BTreeSet<String>,
    /// Environments that are still to be made, by name with their full ref.
    pub missing: BTreeMap<String, String>,
    /// Environments that have to wait, by name: how many there may be.
    pub waiting: BTreeMap<String, u32>,
}

/// A branch that osier.yaml gives an environment.
struct Claim<'c> {
    entry: &'c BranchConfig,
    reference: String,
}

/// Calls the roll. Without an `osier.yaml` that can be read, those that are there are served.
pub fn roll(
    config: Option<&Config>,
    repository: &Repository,
    branches: &Branches,
    environments: &BTreeMap<String, Environment>,
    marks: impl Fn(&str) -> Option<String>,
    now: Timestamp,
) -> Roll {
    let ours: BTreeMap<&String, &Environment> =
        environments.iter().filter(|(_, environment)| environment.lane() == Some(Lane::Branches)).collect();
    let mut claims = config.map(|config| claims(config, repository, branches)).unwrap_or_default();
    let mut roll = Roll::default();
    let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
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
        let of_branch = environment.branch().and_then(|branch| config?.branch(branch));
        if let Some((entry, _)) = of_branch {
            *taken.entry(entry.line).or_default() += 1;
        }
        claims.remove(*name);
    }
    // those that wait are first served first
    let age = |name: &String| {
        let created = ours.get(name).and_then(|environment| environment.metadata.creation_timestamp.clone());
        (created.is_none(), created)
    };
    let mut claims: Vec<(String, Claim<'_>)> = claims.into_iter().collect();
    claims.sort_by_cached_key(|(name, _)| age(name));
    for (name, Claim { entry, reference }) in claims {
        let taken = taken.entry(entry.line).or_default();
        let max = entry.max.map_or(u32::MAX, u32::from);
        let is_free = *taken < max;
        if is_free {
            *taken += 1;
            roll.served.insert(name.clone());
        } else {
            roll.waiting.insert(name.clone(), max);
        }
        if !ours.contains_key(&name) {
            roll.missing.insert(name, reference);
        }
    }
    roll
}

fn claims<'c>(config: &'c Config, repository: &Repository, branches: &Branches) -> BTreeMap<String, Claim<'c>> {
    let this = repository.metadata.name.as_deref().unwrap_or_default();
    let others = branches.keys().filter(|branch| **branch != repository.spec.protected_branch);
    let claim = |branch: &String| {
        let (entry, slug) = config.branch(branch)?;
        let name = target::branch_environment(entry, &slug, this, branch);
        Some((name, Claim { entry, reference: format!("{}{branch}", wire::HEADS) }))
    };
    others.filter_map(claim).collect()
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
    let days = repository.spec.caps.get("goneDays").copied().unwrap_or(GONE_DAYS);
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
