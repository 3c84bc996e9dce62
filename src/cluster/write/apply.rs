//! Update of other kinds: a server-side apply of one version of one object.

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::Call;
use crate::cluster::fields::as_applied;
use crate::cluster::ignore::FieldPath;
use crate::cluster::live::Answer;
use crate::cluster::metadata::Metadata;
use crate::cluster::write::settle::Sent;
use crate::cluster::write::task::{Stop, Task, WRITE, ignored, merge_patch};
use crate::planning::changes::Word;
use crate::planning::live::Live;

/// How often status churn may be in the way: controllers write a few times a second during a rollout.
const CHURN: usize = 5;

impl Cluster {
    /// Applies over a version of an object that is ours, and over newer ones that differ in status only.
    pub(super) async fn apply(&self, task: &Task<'_>, live: &Live) -> Result<Live, Stop> {
        let mut wire = task.wire()?;
        let mut released = ignored(&wire);
        if task.step.leave_replicas {
            released.push(FieldPath::parse("spec.replicas"));
        }
        for path in &released {
            path.remove_from(&mut wire);
        }
        let mut seen = self.prepare(task, live, &released).await?;
        let path = self.path(task).await?;
        let mut churn = 0;
        let mut repeated = false;
        loop {
            let sent = Sent::new(&mut wire, task, seen.before.own_fields, seen.before.other_fields_after);
            wire["metadata"]["uid"] = json!(&*seen.uid);
            wire["metadata"]["resourceVersion"] = json!(&*seen.resource_version);
            let call = Call::apply(format!("{path}{WRITE}&force=true"), &wire).sensitive(task.sensitive());
            let failure = match self.call_for_object(&call).await {
                Ok(answer) => return self.settle(task, answer, &sent).await,
                Err(failure) => failure,
            };
            repeated |= failure.repeated;
            if !failure.is_conflict() || churn == CHURN {
                return Err(failure.into());
            }
            if repeated && let Some((answer, _)) = self.own_write(task, &seen).await? {
                return self.settle(task, answer, &sent).await;
            }
            churn += 1;
            seen = self.after_churn(task, &seen).await?;
        }
    }

    /// The object now, if the write whose answer was lost is what it shows.
    async fn own_write(&self, task: &Task<'_>, seen: &Live) -> Result<Option<(Answer, Live)>, Stop> {
        let now = self.now_same(task, &seen.uid).await?;
        Ok(Some(now).filter(|(_, now)| task.took_effect(now) && now.stamps != seen.stamps))
    }

    /// Before an apply that leaves fields out: those of a POST become fields of an apply, so that they go, and those left to others
    /// stop being ours, so that they stay. One patch of managedFields, once.
    async fn prepare(&self, task: &Task<'_>, live: &Live, released: &[FieldPath]) -> Result<Live, Stop> {
        let removes = live.created_by_post && task.step.leaves.iter().any(|leaf| leaf.word == Word::Removed);
        let only_replicas = task.step.leave_replicas && released.len() == 1;
        let releases = if only_replicas { live.before.own_replicas } else { !released.is_empty() };
        if !removes && !releases {
            return Ok(live.clone());
        }
        let path = self.path(task).await?;
        for _ in 0..=CHURN {
            let (answer, now) = self.now_same(task, &live.uid).await?;
            if now.generation != live.generation || !now.same_owners(live) {
                break;
            }
            let object = answer.json();
            let entries = as_applied(&object, |leaf| released.iter().any(|path| path.covers(leaf)));
            if !removes && object["metadata"]["managedFields"] == json!(entries) {
                return Ok(now);
            }
            let body = json!({"metadata": {"managedFields": entries}});
            match self.call_for::<Metadata>(&merge_patch(&path, &now, body).sensitive(task.sensitive())).await {
                Ok(answer) => {
                    let read = answer.live(&task.object().kind, &task.context.environment_id);
                    return read.map(|(_, after)| after).map_err(|_| Stop::conflict("the answer is not the object"));
                }
                Err(failure) if failure.is_conflict() && failure.repeated => {
                    return Ok(self.now_same(task, &live.uid).await?.1);
                }
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Stop::conflict("somebody changed it in the meantime"))
    }
}
