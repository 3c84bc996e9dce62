//! The Environment: what people say about one environment, and how it stands.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::reason::Reason;
use crate::model::wire;

/// What people say. osier never writes it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(group = "osier.dev", version = "v1alpha1", kind = "Environment", namespaced, status = "EnvironmentStatus")]
#[kube(derive = "PartialEq", shortname = "env")]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "Commit", type_ = "string", json_path = ".status.commit"))]
#[kube(printcolumn(name = "Record", type_ = "integer", json_path = ".status.head.number"))]
#[kube(printcolumn(name = "Hold", type_ = "string", json_path = ".spec.hold.to"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(printcolumn(name = "Namespace", type_ = "string", json_path = ".status.namespace", priority = "1"))]
#[kube(printcolumn(name = "Suspended", type_ = "string", json_path = ".spec.suspend.by", priority = "1"))]
#[kube(printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan.digest", priority = "1"))]
#[kube(printcolumn(
    name = "Message",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"Ready\")].message",
    priority = "1"
))]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// Go back to an earlier state and stay there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Write nothing until resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Suspend>,
    /// When a branch environment ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expires>,
    /// Plans that may be executed although they adopt or delete much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
}

/// Which process an environment is served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// It is in `osier.yaml`.
    Protected,
    /// It lives and dies with a branch.
    Branches,
}

impl Lane {
    /// As labels, metrics and the Repository's status spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Protected => "protected",
            Lane::Branches => "branches",
        }
    }
}

impl Environment {
    /// The lane that it is labelled for.
    pub fn lane(&self) -> Option<Lane> {
        let label = self.metadata.labels.as_ref()?.get(wire::LANE)?;
        [Lane::Protected, Lane::Branches].into_iter().find(|lane| lane.as_str() == label)
    }

    /// The full ref that it lives and dies with, if it is a branch's.
    pub fn reference(&self) -> Option<&str> {
        let reference = self.metadata.annotations.as_ref()?.get(wire::REF)?;
        (self.lane() == Some(Lane::Branches)).then_some(reference)
    }

    /// The branch of that ref.
    pub fn branch(&self) -> Option<&str> {
        self.reference()?.strip_prefix(wire::HEADS)
    }
}

/// A rollback, or staying where the environment is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// A record `#n` or a commit (full id).
    pub to: String,
    /// When an alert is due (RFC 3339); the rejected is never re-applied by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Reconciliation stopped by a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suspend {
    /// When it goes on by itself (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The end of a branch environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expires {
    /// When (RFC 3339).
    pub at: String,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Consent to one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// Digest of the plan.
    pub digest: String,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How the environment stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The environment id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The namespace that is kept equal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its address, if it is a branch's and its entry of `osier.yaml` has a `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Full ref that is followed.
    #[serde(rename = "ref", default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Commit that the environment equals.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// Commit that the conditions are about; the environment equals `commit`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attempted: String,
    /// The newest complete Record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The newest plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// The hold, as it is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
    /// Jobs that ran, so that they run once per inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRun>,
    /// How long it lives, if it is a branch's and somebody gave it an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// Files and directories that its branch changed, and that only the protected branch's count of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// When it was removed, if it is a branch's and gone (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Ranges of Records that can be restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restorable: Vec<Range>,
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl EnvironmentStatus {
    /// The condition Ready.
    pub fn ready(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == "Ready")
    }

    /// True if the condition Ready says that a revision is applied, whether or not its workloads are ready.
    pub fn is_applied(&self) -> bool {
        let is_there = self.commit == self.attempted;
        self.ready().is_some_and(|ready| match Reason::parse(&ready.reason) {
            Some(Reason::Applied | Reason::HeldBack) => true,
            // a Job before may be what failed, and then nothing after it is applied
            Some(Reason::CheckFailed) => is_there,
            _ => false,
        })
    }

    /// True if a revision is on its way: its workloads, or a Job before them.
    pub fn waits(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == "Reconciling" && condition.status == "True")
    }
}

/// The newest complete Record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

/// The newest plan: its digest and counts per verb.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStatus {
    /// What `spec.allow` names.
    pub digest: String,
    /// Steps per verb.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
}

/// The hold as it is carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldStatus {
    /// What `spec.hold.to` said when this began.
    pub to: String,
    /// What `spec.hold.by` said then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What `spec.hold.reason` said then: another one asks again for what has ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Commits whose changes are rejected.
    #[serde(default)]
    pub rejected: Vec<String>,
    /// True once the branch no longer has the rejected values.
    #[serde(default)]
    pub ended: bool,
}

impl HoldStatus {
    /// True if this is how `hold` is carried out: it names the same target and, once that has ended, is the very same wish.
    pub fn carries_out(&self, hold: &Hold) -> bool {
        self.to == hold.to && (!self.ended || (&self.by, &self.reason) == (&hold.by, &hold.reason))
    }
}

/// How long a branch environment lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// The newest commit of its branch; where several repositories have it, one of each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tip: String,
    /// When osier saw that commit first (RFC 3339).
    pub seen: String,
    /// When the environment ends, unless somebody pushes or extends it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// When people were told that the end is near (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned: Option<String>,
    /// What `spec.expires` said when the commit was seen: it was said of an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Expires>,
    /// True once it has ended: the environment stays gone until its branch moves or somebody asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

/// A Job that ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobRun {
    /// Name of the Job.
    pub name: String,
    /// Its inputs stamp.
    pub inputs: String,
    /// How it ended, of a Job with `osier.dev/run`; of others nobody waits for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
}

/// How a Job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobResult {
    /// As it was meant to.
    Complete,
    /// Otherwise.
    Failed,
}

/// Numbers of Records, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
}

/// One condition, as Kubernetes writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Ready, Reconciling or Stalled.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// One of the closed list.
    pub reason: String,
    /// A sentence.
    #[serde(default)]
    pub message: String,
    /// When `status` changed last (RFC 3339).
    pub last_transition_time: String,
    /// Generation of the spec that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
