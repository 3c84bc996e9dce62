//! The environment that a pass is about: its custom resource, its Records, and what the Repository grants it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::desired::config::EnvironmentConfig;
use crate::keys::Keyring;
use crate::model::environment::{Environment, EnvironmentSpec, Lane, Suspend};
use crate::model::reason::Reason;
use crate::model::record::RecordResult;
use crate::model::repository::Repository;
use crate::model::wire;
use crate::reconcile::error::Error;
use crate::reconcile::history::{self, Chain};
use crate::reconcile::world::{Memory, World};
use crate::report::style::count;

/// A Pending Record younger than this may belong to somebody who is still writing.
const CLAIM_SECONDS: i64 = 60;

/// Name and id of an environment.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As in `osier.yaml`; of a branch environment its namespace.
    pub name: String,
    /// The environment id.
    pub environment_id: String,
    /// The branch that it lives and dies with, if it does.
    pub branch: Option<String>,
}

/// Reads the environment's custom resource and Records, the first time that this process sees it. Writes nothing.
///
/// # Errors
/// The API server failed.
pub async fn read(world: &mut World, name: &str) -> Result<Subject, Error> {
    if !world.memory.contains_key(name) {
        let (environment, records) =
            tokio::join!(world.cluster.environment(world.home(), name), world.cluster.records(world.home(), name));
        let (environment, records) = (environment?, records?);
        let environment = environment.unwrap_or_else(|| Environment::new(name, EnvironmentSpec::default()));
        let environment_id = environment_id(world.home(), world.name(), &environment);
        let chain = Chain::new(records, &environment_id, &world.fingerprint_key);
        if !chain.forged.is_empty() {
            let secret = wire::FINGERPRINT_SECRET.0;
            tracing::warn!(
                "{} of `{name}` do not fit their seal or chain and count for nothing: see `osier history {name}`. If these are all, \
                 the Secret `{secret}` was lost or replaced",
                count(chain.forged.len(), "record")
            );
        }
        world.memory.insert(name.to_owned(), Memory::new(environment, chain));
    }
    let environment = &world.memory[name].environment;
    let environment_id = environment_id(world.home(), world.name(), environment);
    Ok(Subject { name: name.to_owned(), environment_id, branch: environment.branch().map(str::to_owned) })
}

/// The environment id of a custom resource, which names the ref if it is a branch's.
pub fn environment_id(home: &str, repository: &str, environment: &Environment) -> String {
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    let followed = environment.reference().map_or_else(|| format!("env:{name}"), str::to_owned);
    wire::environment_id(home, repository, &followed)
}

/// Makes the environment's custom resource, if it is not there.
///
/// # Errors
/// The API server failed.
pub async fn ensure(world: &mut World, subject: &Subject) -> Result<(), Error> {
    let name = &subject.name;
    if world.memory[name].environment.metadata.uid.is_none() {
        let lane = Lane::Protected;
        let environment = world.cluster.create_environment(world.home(), world.name(), name, lane).await?;
        if let Some(memory) = world.memory.get_mut(name) {
            memory.environment = environment;
        }
    }
    Ok(())
}

/// Refuses what the Repository does not grant.
///
/// # Errors
/// `Elsewhere`, or `PolicyDenied` with what the administrator would have to write.
pub fn permit(repository: &Repository, name: &str, config: &EnvironmentConfig) -> Result<(), Error> {
    if config.isolation.is_some() {
        return permit_branch(repository, config);
    }
    let spec = &repository.spec;
    let this = repository.metadata.name.as_deref().unwrap_or_default();
    if config.cluster.is_some() && config.cluster != spec.cluster {
        let other = config.cluster.as_deref().unwrap_or_default();
        let message = format!("environment `{name}` belongs to cluster `{other}`");
        return Err(Error::blocked(Reason::Elsewhere, message, format!("run osier against `{other}`")));
    }
    if !spec.namespaces.contains(&config.namespace) {
        let message = format!("Repository `{this}` does not grant the namespace `{}`", config.namespace);
        let hint = format!("an administrator adds it to spec.namespaces: kubectl edit repository {this}");
        return Err(Error::blocked(Reason::PolicyDenied, message, hint));
    }
    let Some(class) = &config.keys else { return Ok(()) };
    let granted =
        spec.keys.iter().any(|grant| grant.class == *class && grant.environments.iter().any(|granted| granted == name));
    if granted {
        return Ok(());
    }
    let message = format!("Repository `{this}` does not grant the key class `{class}` to environment `{name}`");
    let hint = format!(
        "an administrator adds {{class: {class}, environments: [{name}]}} to spec.keys: kubectl edit repository {this}"
    );
    Err(Error::blocked(Reason::PolicyDenied, message, hint))
}

/// The same for a branch environment: prefixes of namespaces and classes are granted to all of them.
fn permit_branch(repository: &Repository, config: &EnvironmentConfig) -> Result<(), Error> {
    let EnvironmentConfig { namespace, keys, .. } = config;
    let spec = &repository.spec;
    let this = repository.metadata.name.as_deref().unwrap_or_default();
    if !spec
        .prefixes
        .iter()
        .any(|prefix| namespace.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('-')))
    {
        let message = format!("Repository `{this}` grants no prefix of namespaces that `{namespace}` begins with");
        let hint = format!("an administrator adds the prefix to spec.prefixes: kubectl edit repository {this}");
        return Err(Error::blocked(Reason::PolicyDenied, message, hint));
    }
    let Some(class) =
        keys.as_ref().filter(|class| !spec.keys.iter().any(|grant| grant.branches && grant.class == **class))
    else {
        return Ok(());
    };
    let message = format!("Repository `{this}` does not grant the key class `{class}` to branch environments");
    let hint = format!(
        "an administrator adds {{class: {class}, branches: true}} to spec.keys: kubectl edit repository {this}"
    );
    Err(Error::blocked(Reason::PolicyDenied, message, hint))
}

/// Refuses an environment of a key class that this process does not hold, whether or not a file needs it: another lane's process does.
///
/// # Errors
/// `CannotDecrypt`, with the file that is missing.
pub fn belongs(keyring: &Keyring, name: &str, config: &EnvironmentConfig) -> Result<(), Error> {
    let held = keyring.classes();
    let Some(class) = config.keys.as_deref().filter(|class| !held.contains(class)) else { return Ok(()) };
    let held: Vec<String> = held.iter().map(|class| format!("`{class}`")).collect();
    let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
    let message =
        format!("environment `{name}` is of key class `{class}`, which this service does not hold: it has {held}");
    let hint = format!(
        "put the class's identity into `{class}.txt` of the directory of `--keys`, if it is this service's to hold"
    );
    Err(Error::blocked(Reason::CannotDecrypt, message, hint))
}

/// Refuses an environment that moved to another namespace: its objects would stay behind, and nothing is pruned by a move.
///
/// # Errors
/// `Orphaned`, with what to do.
pub fn stayed(environment: &Environment, config: &EnvironmentConfig) -> Result<(), Error> {
    let before = environment.status.as_ref().map(|status| status.namespace.as_str()).unwrap_or_default();
    if before.is_empty() || before == config.namespace {
        return Ok(());
    }
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    let message =
        format!("environment `{name}` was in namespace `{before}`, and osier.yaml says `{}` now", config.namespace);
    let hint = format!("put `{before}` back, or give the new one another name: what is in `{before}` stays there");
    Err(Error::blocked(Reason::Orphaned, message, hint))
}

/// The suspension that is in force, if any.
pub fn suspended(environment: &Environment, now: Timestamp) -> Option<&Suspend> {
    let suspend = environment.spec.suspend.as_ref()?;
    let over =
        suspend.until.as_deref().and_then(|until| until.parse::<Timestamp>().ok()).is_some_and(|until| until <= now);
    (!over).then_some(suspend)
}

/// Completes a Record that a process left Pending, as `Interrupted`.
///
/// # Errors
/// `Interrupted` while it is younger than a minute, unless `take_over`; the API server failed.
pub async fn take_over(world: &mut World, subject: &Subject, take_over: bool) -> Result<(), Error> {
    let now = (world.now)();
    let Some(memory) = world.memory.get_mut(&subject.name) else { return Ok(()) };
    let Some(pending) = memory.chain.pending.take() else { return Ok(()) };
    let age =
        pending.spec.started_at.parse::<Timestamp>().map_or(i64::MAX, |started| now.as_second() - started.as_second());
    if age < CLAIM_SECONDS && !take_over {
        let number = pending.spec.number;
        memory.chain.pending = Some(pending);
        let message = format!(
            "record #{number} of `{}` was begun {age} s ago and is not complete: somebody may be writing",
            subject.name
        );
        return Err(Error::blocked(
            Reason::Interrupted,
            message,
            "wait a minute, or pass --take-over if you know that nobody is",
        ));
    }
    let status =
        history::status(&pending, RecordResult::Interrupted, Reason::Interrupted.as_str(), BTreeMap::default(), now);
    let completed = world.cluster.complete_record(&pending, &status).await?;
    if let Some(memory) = world.memory.get_mut(&subject.name) {
        memory.interrupted = Some(completed.spec.number);
        memory.chain.add(completed);
    }
    Ok(())
}
