//! Repositories: the administrator's grants, read only.

use crate::cluster::Cluster;
use crate::cluster::call::encoded;
use crate::cluster::error::Error;
use crate::model::repository::Repository;
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
