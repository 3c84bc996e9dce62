//! After a write: what the API server noted is what the stamp says, or one patch makes it so.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::fields::{self, Owners};
use crate::cluster::leaves::Leaves;
use crate::cluster::live::Answer;
use crate::cluster::metadata::Metadata;
use crate::cluster::write::task::{Stop, Task, merge_patch};
use crate::model::object::Kind;
use crate::model::wire;
use crate::planning::live::Live;

/// How often status churn may be in the way.
const CHURN: usize = 5;

/// What a write said about fields.
pub(super) struct Sent {
    /// FieldsV1 of what was sent, where that is known exactly; else empty.
    pub whole: Value,
    /// Its leaves.
    pub leaves: Leaves,
    /// `apiVersion` of what was sent.
    pub api_version: String,
}

impl Cluster {
    /// Compares the answer of a write with its stamp. Where they differ, one patch puts the stamp right, and our entry of managedFields too
    /// if it lacks fields that were sent (equal values change no owner). Without it every restart would write the object again.
    ///
    /// The write itself has taken effect: if the patch fails, the next pass finds the difference.
    pub(super) async fn settle(&self, task: &Task<'_>, answer: Answer, sent: &Sent) -> Result<Live, Stop> {
        let kind = &task.object().kind;
        let read = |metadata: &Metadata| match metadata.live(kind, &task.context.environment_id) {
            Ok((_, live)) => Ok(live),
            Err(_) => Err(Stop::conflict("the API server's answer is not the object")),
        };
        let written = read(&answer.metadata)?;
        let mut seen = (answer, written.clone());
        for _ in 0..=CHURN {
            let (object, live) = &seen;
            let Some(body) = correction(kind, object, live, sent) else { break };
            let patch = merge_patch(&self.path(task).await?, live, body).sensitive(task.sensitive());
            let failure = match self.call_for::<Metadata>(&patch).await {
                Ok(answer) => return read(&answer),
                Err(failure) => failure,
            };
            let now = self.now_same(task, &written.uid).await;
            let Some(now) = now.ok().filter(|(_, now)| failure.is_conflict() && now.same_owners(&written)) else {
                tracing::debug!(object = task.object().short(), %failure, "the fields stamp stays until the next pass");
                break;
            };
            seen = now;
        }
        Ok(seen.1)
    }
}

/// The merge patch that makes stamp and owners fit; `None` if they do.
fn correction(kind: &Kind, answer: &Answer, live: &Live, sent: &Sent) -> Option<Value> {
    let owners = answer.metadata.owners();
    let lacking = !sent.leaves.is_subset(&owners.own);
    let hidden = owners.others.values().any(|other| other.leaves.iter().any(|leaf| leaf.starts_with("f:stringData")));
    if lacking || hidden {
        let entries = fields::as_restored(&answer.json(), &sent.api_version, &sent.whole);
        let after = Owners::deserialize(&Value::from(entries.clone())).unwrap_or_default();
        let stamp = fields::stamp(&after.own_digest(), &after.others_digest(kind));
        return Some(json!({"metadata": {"annotations": {wire::FIELDS: stamp}, "managedFields": entries}}));
    }
    let stamp = fields::stamp(&live.before.own_fields, &live.before.other_fields);
    (!live.stamps.fields_fit).then(|| json!({"metadata": {"annotations": {wire::FIELDS: stamp}}}))
}
