//! After a write: what the API server noted is what the stamp says, or one patch makes it so.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::fields::{self, Owners};
use crate::cluster::metadata;
use crate::cluster::write::task::{Stop, Task, merge_patch};
use crate::model::wire;

/// What a write said about fields.
pub(super) struct Sent {
    /// The `osier.dev/fields` stamp that went along.
    pub stamp: String,
    /// FieldsV1 of what was sent, where that is known exactly; else empty.
    pub whole: Value,
    /// `apiVersion` of what was sent.
    pub api_version: String,
}

impl Cluster {
    /// Compares the answer of a write with its stamp. Where they differ, one patch puts the stamp right, and our entry of managedFields too
    /// if it lacks fields that were sent (equal values change no owner). Without it every restart would write the object again.
    ///
    /// The write itself has taken effect: if the patch fails, the next pass finds the difference.
    pub(super) async fn settle(&self, task: &Task<'_>, answer: &Value, sent: &Sent) -> Result<String, Stop> {
        let kind = &task.object().kind;
        let Ok((_, live)) = metadata::read(answer, kind, &task.context.environment_id) else {
            return Err(Stop::conflict("the API server's answer is not the object"));
        };
        let owners = Owners::read(answer);
        let lacking = !fields::leaves(&sent.whole).is_subset(&owners.own);
        let hidden =
            owners.others.values().any(|other| other.leaves.iter().any(|leaf| leaf.starts_with("f:stringData")));
        let stamp = fields::stamp(&live.before.own_fields, &live.before.other_fields);
        if !lacking && !hidden && stamp == sent.stamp {
            return Ok(live.resource_version);
        }
        let body = if lacking || hidden {
            let entries = fields::as_restored(answer, &sent.api_version, &sent.whole);
            let after = Owners::read(&json!({"metadata": {"managedFields": entries}}));
            let stamp = fields::stamp(&after.own_digest(), &after.others_digest(kind));
            json!({"metadata": {"annotations": {wire::FIELDS: stamp}, "managedFields": entries}})
        } else {
            json!({"metadata": {"annotations": {wire::FIELDS: stamp}}})
        };
        let call = merge_patch(&self.path(task).await?, &live, body).sensitive(task.sensitive());
        match self.call(&call).await {
            Ok(answer) => Ok(answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()),
            Err(failure) => {
                tracing::debug!(object = task.object().short(), %failure, "the fields stamp stays as it is until the next pass");
                Ok(live.resource_version)
            }
        }
    }
}
