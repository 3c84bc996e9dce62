//! Records: created before the first write, completed once, listed when asked for.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::{WRITE, collection, json, typed};
use crate::model::record::{Record, RecordSpec, RecordStatus};
use crate::model::wire::{API_VERSION, ENVIRONMENT_NAME, REPOSITORY};

/// How often a change of labels or annotations may come between reading and completing.
const ATTEMPTS: usize = 5;

impl Cluster {
    /// All Records of an environment, by number.
    ///
    /// # Errors
    /// `Call`.
    pub async fn records(&self, home: &str, environment: &str) -> Result<Vec<Record>, Error> {
        let query = format!("&labelSelector={}", encoded(&format!("{ENVIRONMENT_NAME}={environment}")));
        let mut found: Vec<Record> = self.list_own(&collection(home, "records"), &query).await?;
        // the name is the claim: a Record under another name stands for nothing
        found.retain(|record| record.metadata.name == Some(format!("{environment}-{}", record.spec.number)));
        found.sort_by_key(|record| record.spec.number);
        Ok(found)
    }

    /// The commits of all Records of a home namespace.
    ///
    /// # Errors
    /// `Call`.
    pub async fn recorded_commits(&self, home: &str) -> Result<BTreeSet<String>, Error> {
        let commit = |record: Record| Ok(record.spec.commit);
        let (commits, _) = self.pages(&collection(home, "records"), "", WHOLE, &commit).await?;
        Ok(commits.into_iter().collect())
    }

    /// Creates the Record, Pending. Its name makes it the claim: only one writer gets the number.
    ///
    /// # Errors
    /// `AlreadyClaimed` if somebody else has it; `Malformed`, `Call`.
    pub async fn claim_record(&self, home: &str, repository: &str, spec: RecordSpec) -> Result<Record, Error> {
        let name = format!("{}-{}", spec.environment, spec.number);
        let body = json!({"apiVersion": API_VERSION, "kind": "Record", "spec": json(&spec), "metadata": {
            "name": name, "namespace": home, "labels": {REPOSITORY: repository, ENVIRONMENT_NAME: spec.environment}}});
        let call = Call::post(format!("{}{WRITE}", collection(home, "records")), &body).whole();
        let failure = match self.call(&call).await {
            Ok(answer) => return typed(&what(&name), answer),
            Err(failure) => failure,
        };
        if failure.code() != Some(409) {
            return Err(Error::call(format!("create {}", what(&name)))(failure));
        }
        let there: Option<Record> = self.get_own(path(home, &name), &what(&name)).await?;
        let ours = there.filter(|record| failure.repeated && record.spec == spec && record.status.is_none());
        ours.ok_or(Error::AlreadyClaimed { name })
    }

    /// Writes the outcome, once.
    ///
    /// # Errors
    /// `Changed` if it has another outcome already; `Malformed`, `Call`.
    pub async fn complete_record(&self, record: &Record, status: &RecordStatus) -> Result<Record, Error> {
        let metadata = &record.metadata;
        let (home, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let mut version = metadata.resource_version.clone();
        for _ in 0..ATTEMPTS {
            let body = json!({"metadata": {"uid": metadata.uid, "resourceVersion": version}, "status": json(status)});
            let call = Call::merge_patch(format!("{}/status{WRITE}", path(home, name)), &body).whole();
            let failure = match self.call(&call).await {
                Ok(answer) => return typed(&what(name), answer),
                Err(failure) => failure,
            };
            if !failure.is_conflict() {
                return Err(Error::call(format!("complete {}", what(name)))(failure));
            }
            match self.get_own::<Record>(path(home, name), &what(name)).await? {
                Some(now) if now.status.as_ref() == Some(status) => return Ok(now), // the answer was lost
                Some(now) if now.status == record.status => version = now.metadata.resource_version,
                _ => break,
            }
        }
        Err(Error::Changed { what: what(name) })
    }

    /// Deletes a Record for good; one that is gone already is done.
    ///
    /// # Errors
    /// `Changed` if another one has its name; `Call`.
    pub async fn delete_record(&self, home: &str, environment: &str, number: u64, uid: &str) -> Result<(), Error> {
        let name = format!("{environment}-{number}");
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        match self.call(&Call::delete(path(home, &name), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(404) => Ok(()),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what: what(&name) }),
            Err(failure) => Err(Error::call(format!("delete {}", what(&name)))(failure)),
        }
    }
}

fn path(home: &str, name: &str) -> String {
    format!("{}/{}", collection(home, "records"), encoded(name))
}

fn what(name: &str) -> String {
    format!("Record `{name}`")
}
