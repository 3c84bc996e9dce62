//! Adoption: the only write to an object that is not ours, asked for by a person.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cluster::Cluster;
use crate::cluster::fields::{as_adopted, digest, fields_of_config};
use crate::cluster::leaves::Leaves;
use crate::cluster::metadata::{LAST_APPLIED, Metadata};
use crate::cluster::wire_object::set_fields;
use crate::cluster::write::config::removal;
use crate::cluster::write::task::{Stop, Task, merge_patch};
use crate::model::wire;
use crate::planning::live::Live;

/// How often status churn may be in the way.
const CHURN: usize = 5;

impl Cluster {
    /// Makes the object ours: marks and values of git on, the old managers and `last-applied-configuration` off.
    ///
    /// A ConfigMap or Secret needs one patch; other kinds are claimed first and then applied over, so that a crash in between leaves an
    /// object of ours that the next pass brings up to date.
    pub(super) async fn adopt(&self, task: &Task<'_>) -> Result<Live, Stop> {
        let decided = task.live()?;
        for _ in 0..=CHURN {
            let (answer, now) = self.now_same(task, &decided.uid).await?;
            if now.ownership.is_ours() {
                return self.write_over(task, &now).await; // claimed already: before a crash, or the answer was lost
            }
            if !is_as_decided(task, &now, decided) {
                return Err(Stop::conflict("somebody changed it in the meantime"));
            }
            let object = answer.json();
            if task.object().kind.is_config() {
                return self.adopt_config(task, &object, now).await;
            }
            if let Some(claimed) = self.claim_object(task, &object, &now).await? {
                return self.write_over(task, &claimed).await;
            }
        }
        Err(Stop::conflict("somebody keeps changing it"))
    }

    async fn adopt_config(&self, task: &Task<'_>, object: &Value, mut now: Live) -> Result<Live, Stop> {
        now.before.other_fields_after = digest(&Leaves::new());
        let mut wire = task.wire()?;
        set_fields(&mut wire, "");
        let api_version = wire["apiVersion"].as_str().unwrap_or_default();
        let entries = as_adopted(object, api_version, fields_of_config(&wire));
        let mut further = vec![json!({"op": "add", "path": "/metadata/managedFields", "value": entries})];
        if now.last_applied {
            further.extend(removal("annotations", LAST_APPLIED));
        }
        let (call, sent) = self.whole(task, &now, wire, &further).await?;
        self.send_config(task, &now, &call, &sent).await
    }

    /// Puts our marks on and takes the old managers off; the rest of the object stays as it is. `None`: it has a newer version.
    async fn claim_object(&self, task: &Task<'_>, object: &Value, now: &Live) -> Result<Option<Live>, Stop> {
        let id = &task.context.environment_id;
        let mut annotations = BTreeMap::from([(wire::ENVIRONMENT, id.as_str())]);
        if let Some(config) = &task.step.config {
            // with the marks, not after them: a pass that finds an object of ours without it restarts the workload
            annotations.insert(wire::ADOPTED_CONFIG, &config.digest);
        }
        let owned: Map<String, Value> = annotations.keys().map(|name| (format!("f:{name}"), json!({}))).collect();
        let fields =
            json!({"f:metadata": {"f:labels": {format!("f:{}", wire::ENVIRONMENT): {}}, "f:annotations": owned}});
        let api_version = &task.manifest()?.api_version;
        let mut body = json!({"metadata": {
            "labels": {wire::ENVIRONMENT: id},
            "annotations": annotations,
            "managedFields": as_adopted(object, api_version, fields),
        }});
        body["metadata"]["annotations"][LAST_APPLIED] = Value::Null;
        let call = merge_patch(&self.path(task).await?, now, body).sensitive(task.sensitive());
        let claimed: Metadata = match self.call_for(&call).await {
            Ok(answer) => answer,
            Err(failure) if failure.is_conflict() => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let (_, live) = claimed
            .live(&task.object().kind, id)
            .map_err(|_| Stop::conflict("the API server's answer is not the object"))?;
        Ok(Some(live))
    }
}

/// True if nothing but status changed since the plan; of a ConfigMap or Secret every change counts.
fn is_as_decided(task: &Task<'_>, now: &Live, decided: &Live) -> bool {
    let version = now.resource_version == decided.resource_version || !task.object().kind.is_config();
    version && now.generation == decided.generation && now.same_owners(decided) && !now.terminating
}
