//! Delete and recreate: of exactly the version that was decided on.

use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::Call;
use crate::cluster::write::create::Posted;
use crate::cluster::write::task::{Stop, Task};
use crate::planning::live::Live;

/// How often status churn may be in the way.
const CHURN: usize = 5;
/// How long a recreate waits for the old object: finalizers of volumes and Jobs take seconds, longer ones are for the next pass.
const GONE: [Duration; 10] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
    Duration::from_secs(8),
];

impl Cluster {
    /// Deletes the object; one that is gone already is done.
    pub(super) async fn delete(&self, task: &Task<'_>) -> Result<(), Stop> {
        let path = self.path(task).await?;
        let mut seen = task.live()?.clone();
        for _ in 0..=CHURN {
            let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                "preconditions": {"uid": &*seen.uid, "resourceVersion": &*seen.resource_version}});
            match self.call(&Call::delete(path.clone(), &body).sensitive(true)).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.code() == Some(404) => return Ok(()),
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(failure.into()),
            }
            match self.now(task).await? {
                None => return Ok(()),
                Some(now) if now.uid != seen.uid => return Ok(()), // ours is gone; what came after is for the next pass
                Some(now) if now.terminating => return Ok(()),
                Some(_) => seen = self.after_churn(task, &seen).await?,
            }
        }
        Err(Stop::conflict("somebody keeps changing it"))
    }

    /// Deletes the object, waits until it is gone and creates it again.
    pub(super) async fn recreate(&self, task: &Task<'_>) -> Result<Live, Stop> {
        let old = task.live()?.uid.clone();
        self.delete(task).await?;
        for wait in GONE {
            match self.post(task).await? {
                Posted::Created(live) => return Ok(*live),
                Posted::Exists { live, repeated } if live.uid != old => return self.take(task, &live, repeated).await,
                Posted::Exists { .. } => tokio::time::sleep(wait).await,
            }
        }
        Err(Stop::conflict("the old object is still being deleted"))
    }
}
