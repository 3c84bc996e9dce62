//! The Plan that a person asks for, and the service's answer. There is no field for a value.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::environment::Condition;

/// Most steps in one answer: more than anybody reads, and with `TEXT` and `CHANGES` a bound of what it takes in etcd.
pub const STEPS: usize = 200;
/// Most changes of one step.
pub const CHANGES: usize = 50;
/// Most of everything else that is listed.
pub const OTHERS: usize = 50;
/// Most causes of one restart.
pub const CAUSES: usize = 5;
/// Longest text in characters; longer ones are cut.
pub const TEXT: usize = 512;

/// What a person asks. It never changes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(group = "osier.dev", version = "v1alpha1", kind = "Plan", root = "AskedPlan", namespaced, status = "Answer")]
#[kube(derive = "PartialEq")]
#[kube(printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"))]
#[kube(printcolumn(name = "To", type_ = "string", json_path = ".spec.to"))]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "Plan", type_ = "string", json_path = ".status.summary"))]
#[kube(printcolumn(name = "By", type_ = "string", json_path = ".spec.by"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(printcolumn(name = "Commit", type_ = "string", json_path = ".status.commit", priority = "1"))]
#[kube(printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = "1"))]
#[kube(printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", priority = "1"))]
#[kube(printcolumn(
    name = "Message",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"Ready\")].message",
    priority = "1"
))]
#[x_kube(validation = ("self == oldSelf", "what a Plan asks never changes: ask for another one"))]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Name of the environment.
    #[schemars(length(min = 1, max = 63))]
    pub environment: String,
    /// What it would become: a record `#n`, a commit, the protected branch, or a time (RFC 3339); empty for the branch's tip.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub to: String,
    /// Who asks.
    #[schemars(length(min = 1, max = 1024))]
    pub by: String,
}

/// What would be done, redacted. Once `expiresAt` is there it never changes, and after that time the Plan is deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("!has(oldSelf.expiresAt) || self == oldSelf", "the answer to a Plan never changes"))]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Full id of the commit that was planned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub commit: String,
    /// Counts, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Digest that `spec.allow` of the Environment would name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub digest: String,
    /// Steps per verb.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub counts: BTreeMap<String, u64>,
    /// Objects that are as they shall be.
    #[serde(default)]
    pub unchanged: u64,
    /// The first steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub steps: Vec<AnsweredStep>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_steps: Option<u64>,
    /// What stays although it differs, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub kept: Vec<AnsweredKept>,
    /// How many more of them there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_kept: Option<u64>,
    /// Workloads that restart, or may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub restarts: Vec<AnsweredRestart>,
    /// How many more of them there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_restarts: Option<u64>,
    /// What the plan waits for until somebody allows its digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 512)))]
    pub waits_for: Vec<String>,
    /// The newest commits that it takes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub takes_back: Vec<TakenBack>,
    /// Mistakes in files that keep it from being applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub problems: Vec<AnsweredProblem>,
    /// How many more of them there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_problems: Option<u64>,
    /// What to do, if it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub hint: String,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
    /// When the Plan is deleted (RFC 3339). It is there once the answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub expires_at: Option<String>,
}

/// One mutation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredStep {
    /// create, update, adopt, recreate or delete.
    #[schemars(length(max = 16))]
    pub verb: String,
    /// To what.
    pub object: AnsweredObject,
    /// True if drift is put right.
    #[serde(default)]
    pub repair: bool,
    /// One sentence why.
    #[schemars(length(max = 512))]
    pub why: String,
    /// Where it stands in git, such as `base/app.yaml:7`, if that is known without a key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub place: String,
    /// What becomes of each leaf.
    #[serde(default)]
    #[schemars(length(max = 50))]
    pub changes: Vec<AnsweredChange>,
    /// How many more leaves change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_changes: Option<u64>,
}

/// An object id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredObject {
    /// API group, empty for the core.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(max = 253))]
    pub kind: String,
    /// Namespace.
    #[schemars(length(max = 253))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// What becomes of one leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredChange {
    /// Dotted path, such as `data.LOG_LEVEL`.
    #[schemars(length(max = 512))]
    pub path: String,
    /// `added`, `removed`, `changed`, or `changed or re-encrypted` where only a key could tell.
    #[schemars(length(max = 64))]
    pub change: String,
}

/// An object that stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredKept {
    /// Which.
    pub object: AnsweredObject,
    /// Why.
    #[schemars(length(max = 512))]
    pub reason: String,
}

/// A workload that restarts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredRestart {
    /// Which.
    pub object: AnsweredObject,
    /// What changes that it refers to, the first of it.
    #[schemars(length(max = 5), inner(length(max = 512)))]
    pub because: Vec<String>,
    /// True if it may as well not restart: only a key could tell.
    #[serde(default)]
    pub assumed: bool,
}

/// A commit that the plan takes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TakenBack {
    /// Full id.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// First line of its message.
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Its author's name.
    #[schemars(length(max = 512))]
    pub author: String,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredProblem {
    /// Path in the repository.
    #[schemars(length(max = 512))]
    pub path: String,
    /// Line, from 1; 0 where the whole file is meant.
    #[serde(default)]
    pub line: u32,
    /// Column, from 1; 0 where the whole line is meant.
    #[serde(default)]
    pub column: u32,
    /// `ProblemsFound`, `CannotDecrypt` or `PolicyDenied`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What is wrong.
    #[schemars(length(max = 512))]
    pub message: String,
    /// What to do.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub hint: String,
}
