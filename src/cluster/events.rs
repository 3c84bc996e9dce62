//! Kubernetes Events on an Environment: `kubectl describe environment` shows them. They are news for people; nothing reads them again.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::WRITE;
use crate::model::digest::b32;
use crate::model::environment::Environment;
use crate::model::reason::Reason;
use crate::model::wire::API_VERSION;

/// Characters of a message: an API server takes 1,024 bytes.
const MESSAGE: usize = 256;

/// Something to tell of an Environment, with nothing in it that is not in its conditions or Records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// False for what somebody should look at.
    pub normal: bool,
    /// One of the closed list.
    pub reason: Reason,
    /// A sentence.
    pub message: String,
}

impl Cluster {
    /// Writes it as an Event beside the Environment. What was told before is counted, not written again.
    ///
    /// # Errors
    /// `Call`.
    pub async fn announce(
        &self,
        environment: &Environment,
        announcement: &Announcement,
        now: Timestamp,
    ) -> Result<(), Error> {
        let metadata = &environment.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let home = metadata.namespace.as_deref().unwrap_or_default();
        let Announcement { normal, reason, message } = announcement;
        let message: String = message.chars().take(MESSAGE).collect();
        let sort = if *normal { "Normal" } else { "Warning" };
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let event = format!("{name}.{}", b32(10, [uid, sort, reason.as_str(), &message]));
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let body = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": event, "namespace": home},
            "involvedObject": {"apiVersion": API_VERSION, "kind": "Environment", "namespace": home, "name": name, "uid": uid},
            "type": sort, "reason": reason.as_str(), "message": message, "source": {"component": "osier"},
            "reportingComponent": "osier", "reportingInstance": "", "count": 1, "firstTimestamp": time, "lastTimestamp": time});
        let collection = format!("/api/v1/namespaces/{}/events", encoded(home));
        match self.call(&Call::post(format!("{collection}{WRITE}"), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(409) => {
                self.count_again(&format!("{collection}/{}", encoded(&event)), &time).await
            }
            Err(failure) => Err(Error::call(format!("write an Event on Environment `{name}`"))(failure)),
        }
    }

    async fn count_again(&self, path: &str, time: &str) -> Result<(), Error> {
        let what = || format!("count the Event `{path}`");
        let Some(before) = self.get_opt(&Call::get(path.to_owned(), WHOLE), what).await? else { return Ok(()) };
        let count = before["count"].as_i64().unwrap_or(1) + 1;
        let patch: Value = json!({"count": count, "lastTimestamp": time});
        match self.call(&Call::merge_patch(format!("{path}{WRITE}"), &patch)).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(Error::call(what())(failure)),
        }
    }
}
