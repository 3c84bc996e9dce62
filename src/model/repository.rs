//! The Repository: the administrator's grant. Nothing in git can widen it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::environment::Condition;

/// What a git repository is trusted with.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "osier.dev", version = "v1alpha1", kind = "Repository", status = "RepositoryStatus")]
#[kube(derive = "PartialEq", shortname = "repo")]
#[kube(printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"))]
#[kube(printcolumn(name = "Branch", type_ = "string", json_path = ".spec.protectedBranch"))]
#[kube(printcolumn(name = "Home", type_ = "string", json_path = ".spec.home"))]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[serde(rename_all = "camelCase")]
pub struct RepositorySpec {
    /// Where it is: a path or a URL.
    pub url: String,
    /// Other places of the same repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback_urls: Vec<String>,
    /// Name of the Secret in the home namespace with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// Name of the branch whose `osier.yaml` counts.
    #[serde(default = "main_branch")]
    pub protected_branch: String,
    /// Namespace of the Environments and Records.
    pub home: String,
    /// Name of this cluster, for environments that name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How often the remote is looked at without a trigger, such as `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Name of the Secret with the webhook secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Where commits show how the environments stand; nowhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<CommitStatuses>,
    /// Commit signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Signatures>,
    /// Which key class serves which environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyGrant>,
    /// Namespaces that its protected environments may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Prefixes of the namespaces of its branch environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Kinds that it may use; empty means the default list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindGrant>,
    /// Subjects that role bindings may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Limits.
    #[serde(default, skip_serializing_if = "RepositoryCaps::is_empty")]
    pub caps: RepositoryCaps,
    /// Application repositories whose branches are followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<Follow>,
    /// Tips that may be taken although they are no continuation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<AllowTip>,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl Repository {
    /// True if a home namespace that both name is this one's: it keeps the books of one Repository, the oldest.
    pub fn takes_home_from(&self, other: &Repository) -> bool {
        let age = |repository: &Repository| {
            let metadata = &repository.metadata;
            (metadata.creation_timestamp.clone(), metadata.name.clone())
        };
        self.spec.home == other.spec.home && age(self) < age(other)
    }
}

/// Limits of a Repository. What is not said is as osier has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCaps {
    /// Files of one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of all files of one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Records that each environment keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Days that the Records of a branch environment are kept after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_days: Option<u64>,
    /// Branch environments at a time, whatever entry of `branches` they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_environments: Option<u64>,
    /// Those of them whose newest commit names the same mail address as its author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_environments_per_author: Option<u64>,
}

impl RepositoryCaps {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The forge whose commits, and pull requests if it is asked for, show how the environments stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommitStatuses {
    /// `github`, `gitlab`, `gitea` (Forgejo, too), `bitbucket` (Cloud) or `bitbucket-server`.
    pub forge: String,
    /// Name of the Secret in the home namespace with the credentials for the forge's API.
    pub credentials: String,
    /// URL of the forge's API, if it is not at the usual place of the host of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// True if open pull requests of branches with an environment shall have a comment on it, with the redacted plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comments: bool,
}

/// Commit signatures: off, warn or require.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signatures {
    /// `off`, `warn` or `require`.
    pub mode: String,
    /// Public keys that may sign.
    #[serde(default)]
    pub signers: Vec<String>,
}

/// Which environments a key class serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyGrant {
    /// Name of the class.
    pub class: String,
    /// Environments by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// True if branch environments may use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub branches: bool,
}

/// A kind of the allow-list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindGrant {
    /// API group, empty for core.
    #[serde(default)]
    pub group: String,
    /// CamelCase kind.
    pub kind: String,
}

/// An application repository whose branches are followed: its refs alone are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Follow {
    /// Its name in variables: `${osier.commit.<name>}`.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Name of the Secret in the home namespace with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// The branch whose commit counts where it lacks an environment's branch. It is always there, and has no environment of its own.
    #[serde(default = "main_branch")]
    pub fallback: String,
    /// Where its commits show how the environments stand; nowhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<CommitStatuses>,
}

/// Consent of an administrator to a tip or a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllowTip {
    /// Full commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<String>,
    /// Digest of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How the repository stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// Touched by the receiver: look now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<String>,
    /// One entry a lane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<LaneStatus>,
    /// Ready, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How one lane stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaneStatus {
    /// `protected` or `branches`.
    pub lane: String,
    /// Last accepted tip of the protected branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<String>,
    /// Namespace and name of the Lease that its leader holds, with a slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Account of its leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Followed repositories that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownFollow>,
}

/// A followed repository that cannot be read: what was seen of it stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownFollow {
    /// Its name.
    pub name: String,
    /// `RepositoryUnreachable` or `RepositorySuspicious`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}
