//! One step with what it needs, and how it can stop.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, Failure};
use crate::cluster::error::Error;
use crate::cluster::ignore::{self, FieldPath};
use crate::cluster::live::Answer;
use crate::cluster::wire_object::{Marks, carries_secret, wire_object};
use crate::cluster::write::WriteContext;
use crate::desired::manifest::Manifest;
use crate::model::object::ObjectId;
use crate::model::reason::{Reason, Retry};
use crate::model::wire;
use crate::planning::live::Live;
use crate::planning::plan::Step;

/// Query of every write: `Strict` makes the API server refuse misspelt fields instead of dropping them.
pub(super) const WRITE: &str = "?fieldManager=osier&fieldValidation=Strict";

/// One step with what it needs.
pub(super) struct Task<'a> {
    pub step: &'a Step,
    pub manifest: Option<&'a Manifest>,
    pub context: &'a WriteContext,
}

/// Why a step took no effect.
#[derive(Debug)]
pub(super) enum Stop {
    /// The object is not ours.
    Foreign,
    /// It failed.
    Failed { reason: Reason, message: String, retry: Retry },
}

impl Stop {
    /// Somebody else was faster: the next pass sees what there is.
    pub(super) fn conflict(message: &str) -> Self {
        Stop::Failed { reason: Reason::Conflict, message: message.to_owned(), retry: Retry::Later }
    }

    /// No plan may name an object of another namespace; this is the last place to see to it.
    pub(super) fn elsewhere(object: &ObjectId) -> Self {
        let message = format!("`{}` is not the environment's namespace", object.namespace);
        Stop::Failed { reason: Reason::PolicyDenied, message, retry: Retry::Never }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed { reason: failure.reason(), retry: failure.retry(), message: failure.to_string() }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Stop::Failed { reason: error.reason(), retry: error.retry(), message: format!("{error}{cause}") }
    }
}

/// What is set at creation only.
pub(super) fn ignored(wire: &Value) -> Vec<FieldPath> {
    ignore::parse(wire["metadata"]["annotations"][wire::IGNORE].as_str().unwrap_or_default())
}

impl Task<'_> {
    pub(super) fn object(&self) -> &ObjectId {
        &self.step.object
    }

    pub(super) fn manifest(&self) -> Result<&Manifest, Stop> {
        self.manifest.ok_or_else(|| Stop::Failed {
            reason: Reason::CannotDecrypt,
            message: "its files were not opened".to_owned(),
            retry: Retry::Later,
        })
    }

    /// The live object that the step was decided on.
    pub(super) fn live(&self) -> Result<&Live, Stop> {
        self.step.precondition.as_ref().ok_or_else(|| Stop::conflict("the plan names no live object"))
    }

    pub(super) fn marks(&self) -> Marks<'_> {
        Marks {
            environment_id: &self.context.environment_id,
            inputs: &self.step.inputs,
            fingerprint: self.step.fingerprint.as_deref(),
            record: self.context.record,
            config: self.step.config.as_ref(),
        }
    }

    /// The object as it is sent, but for `osier.dev/fields`.
    pub(super) fn wire(&self) -> Result<Value, Stop> {
        Ok(wire_object(self.manifest()?, &self.marks()))
    }

    pub(super) fn sensitive(&self) -> bool {
        self.object().kind.is_secret() || self.manifest.is_some_and(carries_secret)
    }

    /// True if this very write is what the live object shows.
    pub(super) fn took_effect(&self, live: &Live) -> bool {
        live.stamps.inputs.as_deref() == Some(&self.step.inputs)
            && live.stamps.record == Some(self.context.record)
            && live.ownership.may_repair()
    }
}

impl Cluster {
    /// Path of the collection that a task's object is created in.
    pub(super) async fn collection(&self, task: &Task<'_>) -> Result<String, Stop> {
        Ok(self.kinds_with(&task.object().kind).await?.collection_as(task.object(), &task.manifest()?.api_version)?)
    }

    /// Path of a task's object.
    pub(super) async fn path(&self, task: &Task<'_>) -> Result<String, Stop> {
        let kinds = self.kinds_with(&task.object().kind).await?;
        Ok(match task.manifest {
            Some(manifest) => {
                let collection = kinds.collection_as(task.object(), &manifest.api_version)?;
                format!("{collection}/{}", crate::cluster::call::encoded(&task.object().name))
            }
            None => kinds.object(task.object())?,
        })
    }

    /// The live object now; `None` if it is gone.
    pub(super) async fn now(&self, task: &Task<'_>) -> Result<Option<Live>, Stop> {
        Ok(self.read(task.object(), &task.context.environment_id).await?)
    }

    /// The live object now and its metadata, if it is the one that the step was decided on.
    pub(super) async fn now_same(&self, task: &Task<'_>, uid: &str) -> Result<(Answer, Live), Stop> {
        let found = self.read_metadata(task.object()).await?;
        let read = |answer: Answer| {
            let (_, live) = answer.metadata.live(&task.object().kind, &task.context.environment_id).ok()?;
            Some((answer, live))
        };
        let same = found.and_then(read).filter(|(_, live)| live.uid == *uid);
        same.ok_or_else(|| Stop::conflict("it is gone or another object"))
    }

    /// After a refused write of a version: the version to try with next, if nothing but status changed since.
    pub(super) async fn after_churn(&self, task: &Task<'_>, seen: &Live) -> Result<Live, Stop> {
        let (_, now) = self.now_same(task, &seen.uid).await?;
        let churn = now.generation == seen.generation
            && now.stamps == seen.stamps
            && now.same_owners(seen)
            && !now.terminating
            && !task.object().kind.is_config(); // a ConfigMap has no status: whatever changed it counts
        if churn { Ok(now) } else { Err(Stop::conflict("somebody changed it in the meantime")) }
    }
}

/// A merge patch of one version of one object.
pub(super) fn merge_patch(path: &str, live: &Live, mut body: Value) -> Call {
    body["metadata"]["uid"] = json!(&*live.uid);
    body["metadata"]["resourceVersion"] = json!(&*live.resource_version);
    Call::merge_patch(format!("{path}{WRITE}"), &body)
}
