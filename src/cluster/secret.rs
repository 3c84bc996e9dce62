//! The Secrets that a Repository names: its credentials, and the secret of its webhooks.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::model::cleartext::Cleartext;

impl Cluster {
    /// Reads what is in the Secret of a Repository's credentials, decoded.
    ///
    /// # Errors
    /// `CredentialsMissing` if there is none, `Call`.
    pub async fn credentials(&self, home: &str, name: &str) -> Result<BTreeMap<String, Cleartext>, Error> {
        let missing = || Error::CredentialsMissing { namespace: home.to_owned(), name: name.to_owned() };
        self.secret(home, name).await?.ok_or_else(missing)
    }

    /// Reads what is in a Secret, decoded; `None` if there is none. Entries that are not base64, which no API server holds, are left out.
    ///
    /// # Errors
    /// `Call`.
    pub async fn secret(&self, home: &str, name: &str) -> Result<Option<BTreeMap<String, Cleartext>>, Error> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", encoded(home), encoded(name));
        let get = Call::get(path, WHOLE).sensitive(true);
        let Some(secret) = self.get_opt(&get, || format!("read Secret `{home}/{name}`")).await? else {
            return Ok(None);
        };
        let data = secret["data"].as_object().into_iter().flatten();
        let decode = |value: &Value| BASE64.decode(value.as_str()?.as_bytes()).ok().map(Cleartext::new);
        Ok(Some(data.filter_map(|(entry, value)| Some((entry.clone(), decode(value)?))).collect()))
    }
}
