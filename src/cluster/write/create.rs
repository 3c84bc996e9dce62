//! Create: a POST, which meets somebody else's object with 409 and writes nothing.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::Call;
use crate::cluster::fields;
use crate::cluster::leaves::{self, Leaves};
use crate::cluster::wire_object::set_fields;
use crate::cluster::write::guesses::Look;
use crate::cluster::write::settle::Sent;
use crate::cluster::write::task::{Stop, Task, WRITE};
use crate::model::reason::{Reason, Retry};
use crate::planning::live::{FieldsDigest, Live};

/// How a POST ended.
pub(super) enum Posted {
    /// There is the object now.
    Created(Box<Live>),
    /// There was one already.
    Exists {
        live: Box<Live>,
        /// True if it may be of our own POST, whose answer was lost.
        repeated: bool,
    },
}

impl Cluster {
    /// Creates the object. One that is ours already is brought up to date.
    pub(super) async fn create(&self, task: &Task<'_>) -> Result<Live, Stop> {
        match self.post(task).await? {
            Posted::Created(live) => Ok(*live),
            Posted::Exists { live, repeated } => self.take(task, &live, repeated).await,
        }
    }

    /// Goes on with an object that was there already: as an update if it is ours, else not at all.
    pub(super) async fn take(&self, task: &Task<'_>, live: &Live, repeated: bool) -> Result<Live, Stop> {
        match () {
            () if !live.ownership.is_ours() => Err(Stop::Foreign),
            () if live.terminating => Err(Stop::conflict("it is being deleted")),
            () if repeated && task.took_effect(live) => {
                let (answer, _) = self.now_same(task, &live.uid).await?;
                let nobody = fields::digest(&Leaves::new());
                self.settle(task, answer, &Sent::new(&mut task.wire()?, task, nobody, nobody)).await
            }
            () => self.write_over(task, live).await,
        }
    }

    pub(super) async fn post(&self, task: &Task<'_>) -> Result<Posted, Stop> {
        let mut wire = task.wire()?;
        let nobody = fields::digest(&Leaves::new());
        // of what carries secrets nothing is remembered
        let look = (!task.object().kind.is_config() && !task.sensitive()).then(|| Look::of(&wire));
        let own = look.as_ref().and_then(|look| self.guesses.of(look)).unwrap_or(nobody);
        let sent = Sent::new(&mut wire, task, own, nobody);
        let call = Call::post(format!("{}{WRITE}", self.collection(task).await?), &wire).sensitive(task.sensitive());
        drop(wire);
        let failure = match self.call_for_object(&call).await {
            Ok(answer) => {
                let live = self.settle(task, answer, &sent).await?;
                if let Some(look) = look {
                    self.guesses.learn(look, live.before.own_fields);
                }
                return Ok(Posted::Created(Box::new(live)));
            }
            Err(failure) => failure,
        };
        match failure.code() {
            Some(409) => match self.now(task).await? {
                Some(live) => Ok(Posted::Exists { live: Box::new(live), repeated: failure.repeated }),
                None => Err(failure.into()), // quota and other conflicts, or gone again
            },
            Some(404) => Err(Stop::Failed {
                reason: Reason::NamespaceMissing,
                message: format!("namespace `{}` does not exist", task.object().namespace),
                retry: Retry::Later,
            }),
            _ => Err(failure.into()),
        }
    }
}

impl Sent {
    /// Stamps `osier.dev/fields` on what is sent: what osier and the others will own, as far as that can be known before.
    ///
    /// Of a ConfigMap or Secret it is exact. Of other kinds only the API server knows its defaults; `own` is the best guess then.
    pub(super) fn new(wire: &mut Value, task: &Task<'_>, own: FieldsDigest, others: FieldsDigest) -> Self {
        set_fields(wire, "");
        let whole = task.object().kind.is_config().then(|| fields::fields_of_config(wire));
        let leaves = whole.as_ref().and_then(|fields| leaves::read(fields).ok());
        let own = leaves.as_ref().map_or(own, fields::digest);
        set_fields(wire, &fields::stamp(&own, &others));
        let api_version = wire["apiVersion"].as_str().unwrap_or_default().to_owned();
        Sent { whole: whole.unwrap_or_else(|| json!({})), leaves: leaves.unwrap_or_default(), api_version }
    }
}
