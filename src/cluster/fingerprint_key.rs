//! The key of fingerprints and seals: a Secret of the home namespace, made once.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::WRITE;
use crate::model::cleartext::Cleartext;
use crate::model::wire::{FINGERPRINT_SECRET, FingerprintKey};

impl Cluster {
    /// Reads the key, or makes it. Two that make it at once get the same one.
    ///
    /// # Errors
    /// `FingerprintKey` if the Secret holds something else, `Random`, `Call`.
    pub async fn fingerprint_key(&self, home: &str) -> Result<FingerprintKey, Error> {
        let (name, entry) = FINGERPRINT_SECRET;
        let secrets = format!("/api/v1/namespaces/{}/secrets", encoded(home));
        let get = Call::get(format!("{secrets}/{name}"), WHOLE).sensitive(true);
        if let Some(secret) = self.get_opt(&get, || format!("read Secret `{home}/{name}`")).await? {
            return key(&secret, home);
        }
        let mut bytes = vec![0; 32];
        getrandom::fill(&mut bytes).map_err(|source| Error::Random { source })?;
        let body = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": home}, "data": {entry: BASE64.encode(&bytes)}});
        let post = Call::post(format!("{secrets}{WRITE}"), &body).sensitive(true);
        match self.call(&post).await {
            Ok(_) => Ok(FingerprintKey(Cleartext::new(bytes))),
            Err(failure) if failure.code() == Some(409) => {
                let secret = self.get_opt(&get, || format!("read Secret `{home}/{name}`")).await?;
                key(&secret.unwrap_or_default(), home)
            }
            Err(failure) => Err(Error::call(format!("create Secret `{home}/{name}`"))(failure)),
        }
    }
}

fn key(secret: &Value, home: &str) -> Result<FingerprintKey, Error> {
    let encoded = secret["data"][FINGERPRINT_SECRET.1].as_str().unwrap_or_default();
    match BASE64.decode(encoded.as_bytes()) {
        Ok(bytes) if bytes.len() == 32 => Ok(FingerprintKey(Cleartext::new(bytes))),
        Ok(_) | Err(_) => Err(Error::FingerprintKey { namespace: home.to_owned() }),
    }
}
