//! Which commit the environment shall equal: the branch's tip, or what a person holds it at.

use jiff::Timestamp;

use crate::desired::config::branches::BranchConfig;
use crate::desired::config::{Config, EnvironmentConfig};
use crate::desired::set::Parameters;
use crate::git::content::Content;
use crate::git::fetch::{Accepted, Unknown};
use crate::git::objects::CommitInfo;
use crate::model::environment::{Hold, HoldStatus};
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordKind};
use crate::model::tree::GitId;
use crate::model::wire;
use crate::reconcile::error::Error;
use crate::reconcile::prepare::Start;
use crate::reconcile::source::Source;
use crate::reconcile::subject::Subject;
use crate::reconcile::world::World;
use crate::reconcile::{Ask, history, hold};

/// Path of the file that says which environments there are.
pub const CONFIG_PATH: &str = "osier.yaml";
/// `osier.yaml` is a page; more is a mistake.
const CONFIG_BYTES: u64 = 1 << 20;
/// Commits that a rollback is said to take back: a page of them.
const TAKEN_BACK: usize = 20;

/// What the environment shall equal, and why.
#[derive(Clone, Debug)]
pub struct Target {
    /// Full commit id.
    pub commit: GitId,
    /// Full ref that it was seen through.
    pub reference: String,
    /// Layers, lowest first.
    pub layers: Vec<String>,
    /// Parameters by name.
    pub parameters: Parameters,
    /// Why there will be a Record.
    pub kind: RecordKind,
    /// Who asked, empty for a push.
    pub by: String,
    /// Why, as that person said.
    pub reason: String,
    /// The hold as it is carried out.
    pub hold: Option<HoldStatus>,
    /// Why the tip is not applied, if it is not.
    pub held_back: Option<String>,
}

/// A target, and whether it is new.
pub struct Choice {
    /// What the environment shall equal.
    pub target: Target,
    /// True if a rollback is carried out for the first time.
    pub begins: bool,
}

/// Looks at the remote and takes the tip of the protected branch, if it continues what was accepted before.
///
/// For an environment that is `held` the tip that was accepted before will do while the remote is unreachable or suspicious: going back
/// must work then.
///
/// # Errors
/// `RepositoryUnreachable`, `RepositorySuspicious`: everything stays as it is.
pub async fn accept(world: &World, subject: &Subject, ask: &Ask, held: bool) -> Result<GitId, Error> {
    let spec = &world.repository.spec;
    let lanes = world.repository.status.iter().flat_map(|status| &status.lanes);
    let noted = lanes.filter(|lane| lane.lane == "protected").find_map(|lane| lane.tip.as_deref());
    // a branch may be rewritten: what was seen of it says nothing of the protected branch
    let seen = world.memory[&subject.name].newest_commit().filter(|_| subject.branch.is_none());
    let allowed = spec.allow.iter().rev().find_map(|allow| allow.tip.as_deref());
    let accepted = Accepted { last: noted.or(seen).and_then(GitId::parse), allowed: allowed.and_then(GitId::parse) };
    let looked = match &ask.tip {
        Some(known) => continued(world, known.tip(), seen.and_then(GitId::parse)).await?,
        None => world.mirror.fetch(&spec.protected_branch, accepted).await?.into(),
    };
    match looked {
        Ok(tip) => Ok(tip),
        Err(unknown) if held => {
            let tip = at_hand(world, accepted.last).await.ok_or_else(|| unknown.clone())?;
            tracing::warn!("{unknown}: going on from {}, for an environment that is held", tip.short());
            Ok(tip)
        }
        Err(unknown) => Err(unknown.into()),
    }
}

/// What a look at the remotes showed of a branch.
pub struct Seen {
    /// Its tip; that of the protected branch where a followed repository alone has it.
    pub tip: GitId,
    /// True if the repository itself has the branch.
    pub is_own: bool,
}

/// A branch, as the look at the remotes showed it; a rewritten one is followed.
///
/// # Errors
/// `Expiring` if it is gone; `RepositoryUnreachable` if nobody knows, or its tip could not be fetched; `PolicyDenied` to a person who has not looked.
pub fn branch(ask: &Ask, branch: &str, main: GitId) -> Result<Seen, Error> {
    let Some((known, branches)) = ask.tip.as_ref().and_then(|known| Some((known, known.branches()?))) else {
        let hint = "push to the branch; `osier wait` follows it".to_owned();
        return Err(Error::blocked(Reason::PolicyDenied, "a branch environment is the service's to apply", hint));
    };
    if let Some(unknown) = known.unfetched(branch) {
        return Err(unknown.clone().into());
    }
    if let Some(tip) = branches.get(branch) {
        return Ok(Seen { tip: *tip, is_own: true });
    }
    match known.has(branch) {
        Some(true) => Ok(Seen { tip: main, is_own: false }),
        Some(false) => {
            let hint = "push the branch again to keep the environment";
            Err(Error::blocked(Reason::Expiring, format!("branch `{branch}` is gone"), hint))
        }
        None => {
            let unseen = known.followed().iter().filter(|(_, followed)| followed.branches.is_none());
            let unseen: Vec<String> = unseen.map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("branch `{branch}` is nowhere, but {} could not be read yet", unseen.join(", "));
            let hint = "see `kubectl describe repository`: until then everything stays as it is";
            Err(Error::blocked(Reason::RepositoryUnreachable, message, hint))
        }
    }
}

/// A tip that was seen a moment ago continues what this environment has seen, or is allowed all the same.
async fn continued(world: &World, tip: GitId, seen: Option<GitId>) -> Result<Result<GitId, Unknown>, Error> {
    match seen {
        Some(accepted) if !continues(world, tip, accepted).await? => {
            let branch = world.repository.spec.protected_branch.clone();
            Ok(Err(Unknown::NotDescendant { branch, tip, accepted }))
        }
        _ => Ok(Ok(tip)),
    }
}

/// True if the tip goes on from `accepted`, or from a tip that an administrator allowed since then. What the mirror lacks is in no history of its.
///
/// # Errors
/// The mirror cannot be read.
pub async fn continues(world: &World, tip: GitId, accepted: GitId) -> Result<bool, Error> {
    let allowed = world.repository.spec.allow.iter().rev().find_map(|allow| allow.tip.as_deref());
    let allowed = allowed.and_then(GitId::parse);
    let found = world.mirror.read(move |objects| {
        let is = |from, to, wanted| objects.is_ancestor(from, to).is_ok_and(|found| found == wanted);
        // what was gone on from once does not allow that what came after it is taken back
        let since = |it: GitId| it == tip || is(it, tip, true) && is(it, accepted, false);
        Ok(is(accepted, tip, true) || allowed.is_some_and(since))
    });
    Ok(found.await?)
}

/// The newest tip that the mirror has and that was accepted: its own branch, unless that is behind what was accepted elsewhere.
async fn at_hand(world: &World, accepted: Option<GitId>) -> Option<GitId> {
    let branch = world.repository.spec.protected_branch.clone();
    let found = world.mirror.read(move |objects| {
        let tip = objects.resolve(&branch);
        match (tip, accepted) {
            (Ok(tip), Some(accepted)) if objects.is_ancestor(accepted, tip)? => Ok(tip),
            (_, Some(accepted)) => objects.commit(accepted).map(|_| accepted),
            (tip, None) => tip,
        }
    });
    found.await.ok()
}

/// Chooses between the tip, an older commit that was asked for, and what a person holds the environment at.
///
/// # Errors
/// `osier.yaml` has problems or lacks the environment; the hold or the revision names nothing that may be applied.
pub async fn choose(world: &mut World, ask: &Ask, start: &Start) -> Result<Choice, Error> {
    let Start { subject, tip, .. } = start;
    let tip = *tip;
    let memory = &world.memory[&subject.name];
    let before = memory.environment.status.as_ref().and_then(|status| status.hold.clone());
    let hold = ask.hold.clone().or_else(|| memory.environment.spec.hold.clone());
    let Some(hold) = hold else {
        let commit = older(world, tip, ask).await?;
        let mut target = revision(world, start, commit).await?;
        if before.is_some_and(|before| !before.ended) {
            target.kind = RecordKind::Release;
        }
        return Ok(Choice { target, begins: false });
    };
    let records = world.cluster.records(world.home(), &subject.name).await?;
    let mut target = held(world, start, &records, &hold, "the hold names").await?;
    let commit = target.commit;
    let applied = world.memory[&subject.name].chain.applied.as_ref();
    let elsewhere = applied.is_none_or(|applied| {
        applied.spec.commit != commit.to_string() || applied.spec.parameters != target.parameters
    });
    let begins = elsewhere && !before.as_ref().is_some_and(|before| before.carries_out(&hold));
    let status = hold_status(&hold, before.as_ref(), commit, applied);
    let ended = !status.rejected.is_empty() && {
        target.held_back = still_held(world, start, &target, &status).await?;
        target.held_back.is_none()
    };
    if ended || status.ended {
        // `start` may have an older entry, which serves only what is held
        self::config(&Source::Mirror(world.mirror.clone(), start.main)).await?;
        let mut target = revision(world, start, older(world, tip, ask).await?).await?;
        target.hold = Some(HoldStatus { ended: true, ..status });
        return Ok(Choice { target, begins: false });
    }
    if ask.revision.is_some() {
        let hint = format!("end the hold first: osier release {}", subject.name);
        return Err(Error::blocked(Reason::HeldBack, "the environment is held, so no other revision is applied", hint));
    }
    target.held_back = target.held_back.or_else(|| Some(format!("held by {}: {}", hold.by, hold.reason)));
    target.hold = Some(status);
    Ok(Choice { target, begins })
}

/// Reads and checks `osier.yaml` of one revision.
///
/// # Errors
/// `Blocked` with all problems, or what kept it from being read.
pub async fn config(source: &Source) -> Result<Config, Error> {
    let hint = "make it with `osier init`, or add it on the protected branch";
    let bytes = match source.file(CONFIG_PATH, CONFIG_BYTES).await? {
        Content::File { bytes, .. } => bytes,
        Content::Missing => return Err(Error::blocked(Reason::ProblemsFound, "there is no osier.yaml", hint)),
        Content::NotAFile | Content::TooLarge { .. } => {
            return Err(Error::blocked(Reason::ProblemsFound, "osier.yaml is not a plain file of at most 1 MiB", hint));
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Error::blocked(Reason::ProblemsFound, "osier.yaml is not UTF-8", "save it as UTF-8"));
    };
    Config::parse(CONFIG_PATH, &text).map_err(Error::problems)
}

/// The entry of one environment.
///
/// # Errors
/// `Orphaned` if there is none: nothing is pruned by that.
pub fn entry<'c>(config: &'c Config, name: &str) -> Result<&'c EnvironmentConfig, Error> {
    config.environments.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.environments.keys().map(String::as_str).collect();
        let message = format!("environment `{name}` is not in osier.yaml");
        Error::blocked(Reason::Orphaned, message, format!("it has: {}", names.join(", ")))
    })
}

/// The entry for a branch, and what `${osier.slug}` stands for there.
///
/// # Errors
/// `Orphaned` if there is none, or if it makes an environment of another name by now: nothing is pruned by that.
pub fn branch_entry<'c>(
    config: &'c Config,
    repository: &str,
    name: &str,
    branch: &str,
) -> Result<(&'c BranchConfig, String), Error> {
    let Some((entry, slug)) = config.branch(branch) else {
        let message = format!("no entry of `branches` in osier.yaml matches `{branch}`");
        return Err(Error::blocked(Reason::Orphaned, message, "let one match it again, or delete the branch"));
    };
    let namespace = branch_environment(entry, &slug, repository, branch);
    if namespace != name {
        let message = format!("`{branch}` makes `{namespace}` by osier.yaml now");
        return Err(Error::blocked(Reason::Orphaned, message, "delete the branch, or put the `prefix` back"));
    }
    Ok((entry, config.label(branch, &slug, repository)))
}

/// Name and namespace of the environment of a branch.
pub fn branch_environment(entry: &BranchConfig, slug: &str, repository: &str, branch: &str) -> String {
    wire::branch_namespace(&entry.namespace.prefix, slug, repository, &format!("{}{branch}", wire::HEADS))
}

/// The parameters of an environment; its slug is its name if it is one of the protected branch.
pub fn parameters(name: &str, slug: &str, branch: &str, namespace: &str, commit: GitId) -> Parameters {
    [
        ("branch", branch),
        ("slug", slug),
        ("namespace", namespace),
        ("commit", &commit.to_string()),
        ("environment", name),
    ]
    .into_iter()
    .map(|(key, value)| (format!("osier.{key}"), value.to_owned()))
    .collect()
}

/// The tip, or the ancestor of it that was asked for.
async fn older(world: &World, tip: GitId, ask: &Ask) -> Result<GitId, Error> {
    let Some(revision) = ask.revision.clone() else { return Ok(tip) };
    let text = revision.clone();
    let (commit, before) = world
        .mirror
        .read(move |objects| {
            let commit = objects.resolve(&text)?;
            Ok((commit, objects.is_ancestor(commit, tip)?))
        })
        .await?;
    if before {
        return Ok(commit);
    }
    let branch = &world.repository.spec.protected_branch;
    let message = format!("{revision} is no ancestor of {branch}");
    Err(Error::blocked(Reason::PolicyDenied, message, format!("choose a commit of `git log {branch}`")))
}

/// A commit of the branch as a target.
async fn revision(world: &World, start: &Start, commit: GitId) -> Result<Target, Error> {
    let Start { subject, slug, config, .. } = start;
    let branch = subject.branch.as_ref().unwrap_or(&world.repository.spec.protected_branch);
    let layers = layers_at(world, subject, config, commit).await?;
    let mut parameters = parameters(&subject.name, slug, &start.branch, &config.namespace, commit);
    parameters.extend(start.followed.clone());
    Ok(Target {
        commit,
        reference: format!("{}{branch}", wire::HEADS),
        layers,
        parameters,
        kind: RecordKind::Revision,
        by: String::new(),
        reason: String::new(),
        hold: None,
        held_back: None,
    })
}

/// What a Record stands for, as a target: all of it as it was, what fences a branch environment in, too.
///
/// # Errors
/// Its commit cannot be read.
pub async fn of(world: &World, start: &Start, record: &Record) -> Result<Target, Error> {
    let unreadable = || Error::blocked(Reason::RecordForged, "the record names no commit", "see `osier history`");
    let commit = GitId::parse(&record.spec.commit).ok_or_else(unreadable)?;
    let target = revision(world, start, commit).await?;
    let (layers, parameters) = (record.spec.layers.clone(), record.spec.parameters.clone());
    Ok(Target { layers, parameters, ..target })
}

/// What somebody asks about, as a target: the tip if `to` is empty, else what may be gone back to.
///
/// # Errors
/// `to` names nothing that was applied, and no commit of the protected branch.
pub async fn asked(world: &World, start: &Start, to: &str) -> Result<Target, Error> {
    let Start { subject, tip, .. } = start;
    if to.is_empty() {
        return revision(world, start, *tip).await;
    }
    let records = world.cluster.records(world.home(), &subject.name).await?;
    let forged = &world.memory[&subject.name].chain.forged;
    let Some(named) = named(world, &records, forged, to, to.parse().ok()).await else {
        let branch = &world.repository.spec.protected_branch;
        let message = format!(
            "`{to}` is no record of `{}`, no commit of {branch}, and no time after its first record",
            subject.name
        );
        return Err(Error::blocked(Reason::PolicyDenied, message, choose_another(subject)));
    };
    let hold = Hold { to: named, until: None, by: String::new(), reason: String::new() };
    held(world, start, &records, &hold, "the Plan names").await
}

/// What `to` names, as a hold says it: `#n` for a record, or for the one that was in force at `moment`; the full id for a commit that the
/// mirror has. Whether it may be gone back to is another question.
pub async fn named(
    world: &World,
    records: &[Record],
    forged: &[u64],
    to: &str,
    moment: Option<Timestamp>,
) -> Option<String> {
    if let Some(number) = to.strip_prefix('#') {
        return records.iter().any(|record| record.spec.number.to_string() == number).then(|| to.to_owned());
    }
    let text = to.to_owned();
    match world.mirror.read(move |objects| objects.resolve(&text)).await {
        Ok(commit) => Some(commit.to_string()),
        Err(_) => history::in_force(records, forged, moment?).map(|number| format!("#{number}")),
    }
}

/// The newest commits of what was applied last that `to` does not have.
///
/// # Errors
/// One of the two cannot be read.
pub async fn taken_back(world: &World, environment: &str, to: GitId) -> Result<Vec<CommitInfo>, Error> {
    let head = world.memory.get(environment).and_then(|memory| memory.chain.head.as_ref());
    let Some(head) = head.and_then(|head| GitId::parse(&head.spec.commit)) else { return Ok(Vec::new()) };
    Ok(world.mirror.read(move |objects| objects.log(head, Some(to), TAKEN_BACK)).await?)
}

fn choose_another(subject: &Subject) -> String {
    format!("choose a record of `osier history {}`, or a commit of the protected branch", subject.name)
}

/// What a hold names, as a target: layers and parameters of the record, or those of that commit's `osier.yaml`. What fences a branch
/// environment in is a policy, and so today's.
async fn held(world: &World, start: &Start, records: &[Record], hold: &Hold, says: &str) -> Result<Target, Error> {
    let Start { subject, tip, .. } = start;
    let tip = *tip;
    let forged = |record: &&Record| world.memory[&subject.name].chain.forged.contains(&record.spec.number);
    let record = match hold.to.strip_prefix('#') {
        Some(number) => records.iter().find(|record| record.spec.number.to_string() == number),
        None => records.iter().rev().find(|record| record.spec.commit == hold.to && !forged(record)),
    };
    if record.as_ref().is_some_and(forged) {
        let message = format!("{says} `{}`, and that record is forged: it is not osier's", hold.to);
        let hint = "name a commit of the protected branch: its own osier.yaml says the layers then";
        return Err(Error::blocked(Reason::RecordForged, message, hint));
    }
    let named = record.map_or(hold.to.as_str(), |record| record.spec.commit.as_str());
    let nothing = || {
        let message = format!("{says} `{}`, which is nothing that was applied", hold.to);
        Error::blocked(Reason::PolicyDenied, message, choose_another(subject))
    };
    let commit = GitId::parse(named).ok_or_else(nothing)?;
    if record.is_none() && !world.mirror.read(move |objects| objects.is_ancestor(commit, tip)).await? {
        return Err(nothing());
    }
    let mut target = revision(world, start, commit).await?;
    let template = start.config.isolation.as_ref().map(|isolation| &isolation.template);
    if let Some(record) = record {
        target.layers.clone_from(&record.spec.layers);
        target.parameters.clone_from(&record.spec.parameters);
        if let (Some(template), Some(lowest)) = (template, target.layers.first_mut()) {
            lowest.clone_from(template);
        }
    }
    Ok(Target { kind: RecordKind::Rollback, by: hold.by.clone(), reason: hold.reason.clone(), ..target })
}

/// Layers as that commit's own `osier.yaml` has them, if it has the environment; else today's. That of a branch has no say.
async fn layers_at(
    world: &World,
    subject: &Subject,
    config: &EnvironmentConfig,
    commit: GitId,
) -> Result<Vec<String>, Error> {
    if subject.branch.is_some() {
        return Ok(config.layers.clone());
    }
    let then = self::config(&Source::Mirror(world.mirror.clone(), commit)).await;
    let entry = then.ok().and_then(|then| then.environments.get(&subject.name).map(|entry| entry.layers.clone()));
    Ok(entry.unwrap_or_else(|| config.layers.clone()))
}

/// The first rejected value that the tip still has, as `HeldBack`'s sentence; `None` ends the hold.
///
/// A tip that has problems, or a commit that no key opens any more, is not known to be mended, and while `osier.yaml` has problems no tip is
/// gone on to: going back works all the same.
async fn still_held(
    world: &mut World,
    start: &Start,
    held: &Target,
    status: &HoldStatus,
) -> Result<Option<String>, Error> {
    let Start { subject, config, tip, .. } = start;
    let tip = *tip;
    let waits = match self::config(&Source::Mirror(world.mirror.clone(), start.main)).await {
        Err(Error::Blocked { message, .. }) => Some(hold::waits(tip, &message)),
        today => today.map(|_| None)?,
    };
    for rejected in status.rejected.iter().filter_map(|commit| GitId::parse(commit)) {
        let commits = [held.commit, rejected, tip];
        match hold::still_contains(world, &subject.name, config, held, commits).await {
            Ok(None) => {}
            Ok(Some(leaf)) => return Ok(Some(hold::message(&leaf, rejected))),
            Err(Error::Blocked { problems, .. }) if !problems.is_empty() => {
                return Ok(Some(hold::unknown(&problems[0], rejected, tip)));
            }
            // of branches that no `osier.yaml` names nothing is fetched
            Err(_) if waits.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(waits)
}

/// How the status says a hold is carried out, given how it was before.
///
/// A new hold rejects the head's commit, unless it holds just that, and everything that the hold before it rejected.
pub fn hold_status(hold: &Hold, before: Option<&HoldStatus>, held: GitId, head: Option<&Record>) -> HoldStatus {
    if let Some(same) = before.filter(|before| before.carries_out(hold)) {
        return same.clone();
    }
    let mut rejected: Vec<String> =
        before.filter(|before| !before.ended).map(|before| before.rejected.clone()).unwrap_or_default();
    let head = head.map(|record| record.spec.commit.clone()).filter(|commit| *commit != held.to_string());
    if let Some(head) = head.filter(|head| !rejected.contains(head)) {
        rejected.push(head);
    }
    HoldStatus { to: hold.to.clone(), by: hold.by.clone(), reason: hold.reason.clone(), rejected, ended: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(to: &str) -> Hold {
        Hold { to: to.to_owned(), until: None, by: "ann".to_owned(), reason: "slow".to_owned() }
    }

    fn carried_out(to: &str, rejected: &[&str]) -> HoldStatus {
        let Hold { to, by, reason, .. } = hold(to);
        HoldStatus { to, by, reason, rejected: rejected.iter().map(|&id| id.to_owned()).collect(), ended: false }
    }

    #[test]
    fn a_hold_that_replaces_another_rejects_what_that_one_did() {
        let before = carried_out("#2", &["c3"]);
        let after = hold_status(&hold("#1"), Some(&before), GitId([1; 20]), None);
        assert_eq!(after, carried_out("#1", &["c3"]));
        assert_eq!(hold_status(&hold("#2"), Some(&before), GitId([2; 20]), None), before);
        let ended = HoldStatus { ended: true, ..before };
        assert!(hold_status(&hold("#1"), Some(&ended), GitId([1; 20]), None).rejected.is_empty());
    }

    #[test]
    fn what_has_ended_can_be_asked_for_again() {
        let ended = HoldStatus { ended: true, ..carried_out("#1", &["c2"]) };
        assert_eq!(hold_status(&hold("#1"), Some(&ended), GitId([1; 20]), None), ended);
        let again = Hold { reason: "slow again".to_owned(), ..hold("#1") };
        let begun = hold_status(&again, Some(&ended), GitId([1; 20]), None);
        assert_eq!(begun, HoldStatus { reason: again.reason.clone(), ..carried_out("#1", &[]) });
        let going_on = HoldStatus { ended: false, ..ended };
        assert_eq!(hold_status(&again, Some(&going_on), GitId([1; 20]), None), going_on);
    }
}
