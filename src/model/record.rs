//! The Record: one numbered entry per apply of an environment.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is about to be applied; created before the first write, never changed.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(group = "osier.dev", version = "v1alpha1", kind = "Record", namespaced, status = "RecordStatus")]
#[kube(derive = "PartialEq")]
#[kube(printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"))]
#[kube(printcolumn(name = "Commit", type_ = "string", json_path = ".spec.commit"))]
#[kube(printcolumn(name = "Result", type_ = "string", json_path = ".status.result"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"))]
#[kube(printcolumn(name = "Author", type_ = "string", json_path = ".spec.author"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(printcolumn(name = "By", type_ = "string", json_path = ".spec.by", priority = "1"))]
#[kube(printcolumn(name = "Trigger", type_ = "string", json_path = ".spec.trigger", priority = "1"))]
#[x_kube(validation = ("self == oldSelf", "what a Record says never changes"))]
#[serde(rename_all = "camelCase")]
pub struct RecordSpec {
    /// Name of the environment.
    pub environment: String,
    /// Its environment id.
    pub id: String,
    /// Number, from 1; the name is `<environment>-<number>`.
    pub number: u64,
    /// Hash of the Record before, empty for the first.
    #[serde(default)]
    pub previous: String,
    /// Why there is a new Record.
    pub kind: RecordKind,
    /// Full commit id.
    pub commit: String,
    /// Full ref that the commit was seen through.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Layers, lowest first.
    pub layers: Vec<String>,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Digest over the inputs of all objects.
    pub inputs: String,
    /// Digest of the plan.
    pub plan_digest: String,
    /// What made osier look.
    pub trigger: String,
    /// Who asked, or empty for a push.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Why, as that person said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who allowed the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<String>,
    /// Author of the commit.
    pub author: String,
    /// Commit time (RFC 3339).
    pub committed_at: String,
    /// Issue keys of the commit message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<String>,
    /// When the apply began (RFC 3339).
    pub started_at: String,
    /// Keyed digest of this spec without `seal`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seal: String,
}

/// Why there is a Record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordKind {
    /// A new revision of the branch.
    Revision,
    /// A person went back.
    Rollback,
    /// A hold ended.
    Release,
}

/// The outcome; Pending while `result` is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("!has(oldSelf.result) || self == oldSelf", "the outcome of a Record never changes"))]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RecordResult>,
    /// A reason of the closed list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Steps per verb that took effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub finished_at: String,
    /// Hash over name, spec and this status without `hash`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// How an apply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordResult {
    /// Every step took effect.
    Applied,
    /// Some step did not.
    Failed,
    /// It ended in the middle: the process did, or a newer revision came while a Job before was running.
    Interrupted,
}
