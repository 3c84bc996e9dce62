//! Repositories: the administrator's grants. Only their status is written.

use jiff::Timestamp;
use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::{WRITE, json, merge_diff, typed};
use crate::model::repository::{Repository, RepositoryStatus};
use crate::model::wire::API_VERSION;

impl Cluster {
    /// The Repository of this name.
    ///
    /// # Errors
    /// `Missing`, `Malformed`, `Call`.
    pub async fn repository(&self, name: &str) -> Result<Repository, Error> {
        let what = format!("Repository `{name}`");
        let found = self.get_own(format!("/apis/{API_VERSION}/repositories/{}", encoded(name)), &what).await?;
        found.ok_or(Error::Missing { what })
    }

    /// Writes what differs between the status of `repository` and `status`, in one request, or none if nothing does.
    ///
    /// # Errors
    /// `Changed` if somebody else wrote it since `repository` was read; `Malformed`, `Call`.
    pub async fn write_repository_status(
        &self,
        repository: &Repository,
        status: &RepositoryStatus,
    ) -> Result<Repository, Error> {
        let metadata = &repository.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let what = format!("Repository `{name}`");
        let diff = merge_diff(&json(&repository.status), &json(status));
        let body =
            json!({"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}, "status": diff});
        let path = format!("/apis/{API_VERSION}/repositories/{}/status{WRITE}", encoded(name));
        match self.call(&Call::merge_patch(path, &body).whole()).await {
            Ok(answer) => typed(&what, answer),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what }),
            Err(failure) => Err(Error::call(format!("write the status of {what}"))(failure)),
        }
    }

    /// Asks the service to look at the remote now: writes `status.lookAt` and nothing else, whatever else the status says.
    ///
    /// # Errors
    /// `Call`, also if the Repository is gone or was made again.
    pub async fn ask_for_look(&self, repository: &Repository, now: Timestamp) -> Result<(), Error> {
        let metadata = &repository.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let body = json!({"metadata": {"uid": metadata.uid}, "status": {"lookAt": now.to_string()}});
        let path = format!("/apis/{API_VERSION}/repositories/{}/status{WRITE}", encoded(name));
        let answer = self.call(&Call::merge_patch(path, &body)).await;
        answer.map(drop).map_err(Error::call(format!("write the status of Repository `{name}`")))
    }

    /// All Repositories, by name.
    ///
    /// # Errors
    /// `Call`.
    pub async fn repositories(&self) -> Result<Vec<Repository>, Error> {
        let mut found: Vec<Repository> = self.list_own(&format!("/apis/{API_VERSION}/repositories"), "").await?;
        found.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Ok(found)
    }
}
