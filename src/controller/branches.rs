//! Which branch environments there shall be: told from the branches of the remote and the Environments that there are, never from events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::desired::config::Config;
use crate::desired::config::branches::BranchConfig;
use crate::git::fetch::Branches;
use crate::model::environment::{Condition, Environment, EnvironmentStatus, Lane};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::model::tree::GitId;
use crate::model::wire;
use crate::planning::life;
use crate::reconcile::target;

/// Branches that may go at once, unless they are less than half: more looks like a mistake of the remote.
const FEW: usize = 10;

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
            if rests(environment, branches, now) {
                claims.remove(*name);
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

/// True if the environment's time was over, and its branch has not moved since.
fn rests(environment: &Environment, branches: &Branches, now: Timestamp) -> bool {
    let life = environment.status.as_ref().and_then(|status| status.life.as_ref());
    let tip = environment.branch().and_then(|branch| branches.get(branch));
    let over = life.zip(tip).is_some_and(|(life, tip)| life.tip == tip.to_string() && life.over);
    said(environment, Reason::Gone) && over && !life::is_asked_for(environment.spec.expires.as_ref(), now)
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
