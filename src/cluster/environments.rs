//! Environments: osier creates them and writes their status; people write their spec.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::{WRITE, collection, json, merge_diff, typed};
use crate::desired::names;
use crate::model::environment::{Environment, EnvironmentSpec, EnvironmentStatus, Lane};
use crate::model::wire::{API_VERSION, LANE, REF, REPOSITORY};

/// How often a person's change of spec may come between reading and writing the status.
const ATTEMPTS: usize = 5;

impl Cluster {
    /// The Environment of this name; `None` if there is none, which is not asked for a text that cannot be a name: a branch's may have slashes.
    ///
    /// # Errors
    /// `Malformed`, `Call`.
    pub async fn environment(&self, home: &str, name: &str) -> Result<Option<Environment>, Error> {
        if !names::is_subdomain(name) {
            return Ok(None);
        }
        self.get_own(path(home, name), &what(name)).await
    }

    /// All Environments of a home namespace, by name.
    ///
    /// # Errors
    /// `Call`.
    pub async fn environments(&self, home: &str) -> Result<Vec<Environment>, Error> {
        let mut found: Vec<Environment> = self.list_own(&collection(home, "environments"), "").await?;
        found.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Ok(found)
    }

    /// Creates an empty Environment; one that is there already is returned as it is.
    ///
    /// # Errors
    /// `Malformed`, `Call`.
    pub async fn create_environment(
        &self,
        home: &str,
        repository: &str,
        name: &str,
        lane: Lane,
    ) -> Result<Environment, Error> {
        let labels = json!({REPOSITORY: repository, LANE: lane.as_str()});
        self.post_environment(home, name, &json!({"name": name, "namespace": home, "labels": labels})).await
    }

    /// Creates the empty Environment of a branch, which carries its full ref; one that is there already is returned as it is.
    ///
    /// # Errors
    /// As `create_environment`.
    pub async fn create_branch_environment(
        &self,
        home: &str,
        repository: &str,
        name: &str,
        reference: &str,
    ) -> Result<Environment, Error> {
        let labels = json!({REPOSITORY: repository, LANE: Lane::Branches.as_str()});
        let metadata = json!({"name": name, "namespace": home, "labels": labels, "annotations": {REF: reference}});
        self.post_environment(home, name, &metadata).await
    }

    async fn post_environment(&self, home: &str, name: &str, metadata: &Value) -> Result<Environment, Error> {
        let body = json!({"apiVersion": API_VERSION, "kind": "Environment", "spec": {}, "metadata": metadata});
        let call = Call::post(format!("{}{WRITE}", collection(home, "environments")), &body).whole();
        match self.call(&call).await {
            Ok(answer) => typed(&what(name), answer),
            Err(failure) if failure.code() == Some(409) => match self.environment(home, name).await? {
                Some(environment) => Ok(environment),
                None => Err(Error::Changed { what: what(name) }),
            },
            Err(failure) => Err(Error::call(format!("create {}", what(name)))(failure)),
        }
    }

    /// Writes what differs between the status of `environment` and `status`, in one request, or none if nothing does.
    ///
    /// # Errors
    /// `Changed` if somebody else wrote the status since `environment` was read; `Malformed`, `Call`.
    pub async fn write_environment_status(
        &self,
        environment: &Environment,
        status: &EnvironmentStatus,
    ) -> Result<Environment, Error> {
        let metadata = &environment.metadata;
        let (home, name) = place(environment);
        let diff = merge_diff(&json(&environment.status), &json(status));
        if diff == json!({}) {
            return Ok(environment.clone());
        }
        let mut version = metadata.resource_version.clone();
        for _ in 0..ATTEMPTS {
            let body = json!({"metadata": {"uid": metadata.uid, "resourceVersion": version}, "status": diff});
            let call = Call::merge_patch(format!("{}/status{WRITE}", path(home, name)), &body).whole();
            let failure = match self.call(&call).await {
                Ok(answer) => return typed(&what(name), answer),
                Err(failure) => failure,
            };
            if !failure.is_conflict() {
                return Err(Error::call(format!("write the status of {}", what(name)))(failure));
            }
            match self.environment(home, name).await? {
                Some(now) if now.status.as_ref() == Some(status) => return Ok(now), // the answer was lost
                Some(now) if now.status == environment.status => version = now.metadata.resource_version,
                _ => break,
            }
        }
        Err(Error::Changed { what: what(name) })
    }

    /// Deletes an Environment as it was read; one that is gone already is done.
    ///
    /// # Errors
    /// `Changed` if it is another one by now, or was changed; `Call`.
    pub async fn delete_environment(&self, environment: &Environment) -> Result<(), Error> {
        let metadata = &environment.metadata;
        let (home, name) = place(environment);
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}});
        match self.call(&Call::delete(path(home, name), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(404) => Ok(()),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what: what(name) }),
            Err(failure) => Err(Error::call(format!("delete {}", what(name)))(failure)),
        }
    }

    /// Changes what people say about an Environment, as a person's command does: what `change` makes of the spec as it is now.
    ///
    /// # Guarantees
    /// Two people who change it at once both get their way: the second change is made on top of the first.
    ///
    /// # Errors
    /// `Missing` if it is gone; `Changed` if it changes all the time; `Malformed`, `Call`.
    pub async fn change_environment(
        &self,
        environment: &Environment,
        change: impl Fn(&mut EnvironmentSpec),
    ) -> Result<Environment, Error> {
        let uid = environment.metadata.uid.clone();
        let (home, name) = place(environment);
        let mut now = environment.clone();
        for _ in 0..ATTEMPTS {
            let mut spec = now.spec.clone();
            change(&mut spec);
            let diff = merge_diff(&json(&now.spec), &json(&spec));
            if diff == json!({}) {
                return Ok(now);
            }
            let body =
                json!({"metadata": {"uid": uid, "resourceVersion": now.metadata.resource_version}, "spec": diff});
            let call = Call::merge_patch(format!("{}{WRITE}", path(home, name)), &body).whole();
            let failure = match self.call(&call).await {
                Ok(answer) => return typed(&what(name), answer),
                Err(failure) => failure,
            };
            if !failure.is_conflict() {
                return Err(Error::call(format!("change {}", what(name)))(failure));
            }
            let there = self.environment(home, name).await?.filter(|there| there.metadata.uid == uid);
            now = there.ok_or_else(|| Error::Missing { what: what(name) })?;
        }
        Err(Error::Changed { what: what(name) })
    }
}

/// Home namespace and name.
fn place(environment: &Environment) -> (&str, &str) {
    let metadata = &environment.metadata;
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn path(home: &str, name: &str) -> String {
    format!("{}/{}", collection(home, "environments"), encoded(name))
}

fn what(name: &str) -> String {
    format!("Environment `{name}`")
}
