//! Repositories: the administrator's grants, read only.

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
