//! Why the environment of a branch is not there.

use crate::cli::failure::Failure;
use crate::cluster::Cluster;
use crate::controller::branches;
use crate::desired::config::Config;
use crate::desired::config::branches::When;
use crate::git::worktree::Worktree;
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::model::tree::GitId;

/// What there is to say of an environment that nobody knows anything of.
pub const NOT_YET: &str = "osier has not made it yet";

/// A branch, and the name of the environment that it would have.
pub struct Branch<'a> {
    /// The branch.
    pub branch: &'a str,
    /// Its environment.
    pub name: &'a str,
    /// Its commit.
    pub commit: GitId,
    /// `osier.yaml`.
    pub config: &'a Config,
    /// The protected branch, as the clone has it.
    pub main: Option<GitId>,
}

/// What to say as long as the environment of a branch is not there. Best effort: a clone that lacks commits says nothing of them.
///
/// # Errors
/// It will not be there, as the branch is: it changes nothing that one is made for. The API server failed.
pub async fn why(
    cluster: &Cluster,
    clone: &Worktree,
    repository: &Repository,
    of: &Branch<'_>,
) -> Result<String, Failure> {
    let Branch { branch, name, .. } = *of;
    if !changes_nothing(clone, repository, of) {
        return Ok(NOT_YET.to_owned());
    }
    let there = cluster.environment(&repository.spec.home, name).await?;
    if there.is_some_and(|it| !branches::said(&it, Reason::Gone)) {
        // it has begun, and stays
        return Ok(NOT_YET.to_owned());
    }
    let protected = &repository.spec.protected_branch;
    let why = format!("it changes nothing in its own layers since it left {protected} (`when: changed`)");
    if repository.spec.follows.is_empty() {
        let message = format!("`{branch}` has no environment: {why}");
        let hint = format!("change something there, or let its entry in osier.yaml of {protected} say `when: always`");
        return Err(Failure::general(message, hint));
    }
    Ok(format!("is made once a followed repository has `{branch}`: {why}"))
}

/// True if the service, too, finds that the branch has no environment of its own accord.
fn changes_nothing(clone: &Worktree, repository: &Repository, of: &Branch<'_>) -> bool {
    let Some((entry, _)) = of.config.branch(of.branch).filter(|(entry, _)| entry.when == When::Changed) else {
        return false;
    };
    let changes = |main| clone.objects(|objects| objects.changes_since_fork(of.commit, main, &entry.own_layers())).ok();
    // what the service has seen of the protected branch is nearer to what it says than what the clone has
    let lanes = repository.status.iter().flat_map(|status| &status.lanes);
    let seen = lanes.filter_map(|lane| lane.tip.as_deref()).next_back().and_then(GitId::parse);
    seen.and_then(changes).or_else(|| of.main.and_then(changes)) == Some(false)
}
