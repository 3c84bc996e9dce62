//! The plan: immutable, made only by `plan()`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::set::DesiredSet;
use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::planning::changes::{Changes, LeafChange};
use crate::planning::live::{Live, LiveSet};

/// Everything that a plan depends on. Equal inputs give equal plans.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The environment id that marks its objects.
    pub environment_id: &'a str,
    /// True for an environment of `osier.yaml`, false for one of a branch: mass deletions of a branch's own objects ask nobody.
    pub protected: bool,
    /// What the revision says.
    pub desired: &'a DesiredSet,
    /// What the cluster has.
    pub live: &'a LiveSet,
    /// What opening showed, for the objects of `opening::to_open`.
    pub changes: &'a Changes,
    /// The Jobs that ran.
    pub jobs_done: &'a [JobRun],
}

/// The steps that make live equal desired, and the reason for everything that stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order of execution: by phase, then by object.
    pub steps: Vec<Step>,
    /// Live objects that differ or are undesired and stay all the same, with the reason.
    pub kept: Vec<Kept>,
    /// Workloads that restart through this plan.
    pub restarts: Vec<Restart>,
    /// Objects that are as they shall be.
    pub unchanged: usize,
    /// Digest over what it does (`wire::plan_digest`).
    pub digest: String,
    /// What it waits for, unless the digest is allowed.
    pub consent: Vec<Consent>,
}

/// One mutation.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it happens: steps of a later phase wait for the earlier ones.
    pub phase: Phase,
    /// What happens.
    pub verb: Verb,
    /// To what.
    pub object: ObjectId,
    /// The new inputs stamp; empty for deletes.
    pub inputs: String,
    /// The new fingerprint stamp (ConfigMaps and Secrets).
    pub fingerprint: Option<String>,
    /// The live object that was decided on; `None` for creates.
    pub precondition: Option<Live>,
    /// What it refers to, and what has to fence it in: if a step of one of these fails, this one is not tried.
    pub needs: BTreeSet<ObjectId>,
    /// True if the desired inputs did not change: drift is put right.
    pub repair: bool,
    /// True if no value changes: only stamps are written.
    pub stamps_only: bool,
    /// True if the write leaves `spec.replicas` to others.
    pub leave_replicas: bool,
    /// The configuration digest of a workload with a pod template.
    pub config: Option<ConfigStamp>,
    /// What changes, for people.
    pub leaves: Arc<[LeafChange]>,
    /// One sentence why, for people, such as `no longer in git`.
    pub why: String,
}

/// What a mutation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// POST.
    Create,
    /// JSON patch or fenced apply.
    Update,
    /// An update of an object that was not ours, with consent.
    Adopt,
    /// Delete and create.
    Recreate,
    /// Delete with preconditions.
    Delete,
}

impl Verb {
    /// Lower-case word, as digests, counts and people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Adopt => "adopt",
            Verb::Recreate => "recreate",
            Verb::Delete => "delete",
        }
    }
}

/// The order of kinds: what others stand on comes first, deletes last and only after success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Quota, limits, network policies, role bindings.
    Fences,
    /// Service accounts, volume claims.
    Ground,
    /// ConfigMaps and Secrets.
    Config,
    /// Services.
    Services,
    /// Jobs with `osier.dev/run: before`: before the workloads, after what they need themselves.
    Before,
    /// Workloads, and Jobs without `osier.dev/run`.
    Workloads,
    /// Autoscalers, disruption budgets, ingresses, everything else.
    Edge,
    /// Jobs that run after.
    After,
    /// Deletes.
    Deletes,
}

/// Where a workload's configuration digest goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStamp {
    /// `wire::config` of what it refers to.
    pub digest: String,
    /// True: into the pod template (and restarts it if it differs); false: beside it, as adopted.
    pub in_template: bool,
}

/// A live object that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub object: ObjectId,
    /// Why.
    pub why: Keep,
}

/// Reasons for keeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// `osier.dev/prune: keep`.
    PruneKeep,
    /// Label or entry is missing, so that it may not be deleted.
    NotProvenOurs,
    /// It is being deleted already.
    Terminating,
    /// A Job that ran for these inputs.
    JobDone,
    /// `kube-root-ca.crt` or the `default` service account.
    Reserved,
    /// Git wants to change fields that cannot be changed in place and does not allow to recreate it; the plan is blocked.
    Immutable(Vec<String>),
    /// Git names it and it carries the id of another environment; the plan is blocked.
    OtherEnvironment(String),
}

/// A workload that restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Which.
    pub object: ObjectId,
    /// Why: the objects that it refers to and that change, or its own template.
    pub because: Vec<String>,
    /// True if it may as well not restart: no more is known than that what it refers to has other ciphertext.
    pub assumed: bool,
}

/// What a person has to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Objects that are not ours would be written.
    Adoption(Vec<ObjectId>),
    /// More is deleted than goes unasked; the sentence says what.
    MassDeletion(String),
}

impl Plan {
    /// Steps per verb, for status, Records and people.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.verb.as_str().to_owned()).or_insert(0) += 1;
        }
        counts
    }
}
