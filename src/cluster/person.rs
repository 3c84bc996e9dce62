//! Who is asking.

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::Call;
use crate::cluster::error::Error;

impl Cluster {
    /// The user name that the API server knows this client by, as admission policies compare it with `by`.
    ///
    /// # Errors
    /// `Call`.
    pub async fn who_am_i(&self) -> Result<String, Error> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let call = Call::review("/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned(), &review);
        let answer = self.call(&call).await.map_err(Error::call("ask the API server who we are"))?;
        let name = answer["status"]["userInfo"]["username"].as_str().map(str::to_owned);
        name.ok_or_else(|| Error::Malformed { what: "SelfSubjectReview".to_owned(), why: "no username".to_owned() })
    }
}
