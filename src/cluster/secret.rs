//! The Secret that a Repository names for its credentials.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::model::cleartext::Cleartext;

impl Cluster {
    /// Reads what is in a Secret, decoded. Entries that are not base64, which no API server holds, are left out.
    ///
    /// # Errors
    /// `CredentialsMissing` if there is none, `Call`.
    pub async fn credentials(&self, home: &str, name: &str) -> Result<BTreeMap<String, Cleartext>, Error> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", encoded(home), encoded(name));
        let get = Call::get(path, WHOLE).sensitive(true);
        let secret = self.get_opt(&get, || format!("read Secret `{home}/{name}`")).await?;
        let secret =
            secret.ok_or_else(|| Error::CredentialsMissing { namespace: home.to_owned(), name: name.to_owned() })?;
        let data = secret["data"].as_object().into_iter().flatten();
        let decode = |value: &Value| BASE64.decode(value.as_str()?.as_bytes()).ok().map(Cleartext::new);
        Ok(data.filter_map(|(entry, value)| Some((entry.clone(), decode(value)?))).collect())
    }
}
