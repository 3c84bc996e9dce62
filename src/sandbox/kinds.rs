//! The closed table of kinds: what the sandbox serves, and nothing else.

use std::sync::Arc;

use serde_json::Value;

use crate::sandbox::refusal::Named;
use crate::sandbox::schema::Schema;

/// A kind that is served.
#[derive(Clone, Debug)]
pub struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Has the subresource `status`.
    pub status: bool,
    /// Has the subresource `scale`.
    pub scale: bool,
    /// Counts changes of its spec in `metadata.generation`.
    pub generation: bool,
    pub definition: Definition,
}

/// Where the schema of a kind stands.
#[derive(Clone, Debug)]
pub enum Definition {
    /// The name of a built-in definition.
    BuiltIn(&'static str),
    /// The prepared schema of a CustomResourceDefinition's version, and its `additionalPrinterColumns`.
    Custom { schema: Arc<Value>, columns: Arc<Value> },
    /// Answers only, never stored.
    Review(&'static str),
}

impl Kind {
    pub fn schema(&self) -> Schema<'_> {
        match &self.definition {
            Definition::BuiltIn(name) | Definition::Review(name) => {
                Schema::named(name).expect("the tests look up every definition of the table")
            }
            Definition::Custom { schema, .. } => Schema::of_node(schema),
        }
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn is_custom(&self) -> bool {
        matches!(self.definition, Definition::Custom { .. })
    }

    pub fn is_review(&self) -> bool {
        matches!(self.definition, Definition::Review(_))
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Names an object in messages by its plural, as most messages do.
    pub fn named(&self, name: &str) -> Named {
        Named { group: self.group.clone(), kind: self.plural.clone(), name: name.to_owned() }
    }

    /// Names an object in messages by its Kind, as those about invalid objects do.
    pub fn kind_named(&self, name: &str) -> Named {
        Named { group: self.group.clone(), kind: self.kind.clone(), name: name.to_owned() }
    }

    pub fn verbs(&self) -> &'static [&'static str] {
        match (&self.definition, self.plural.as_str()) {
            (Definition::Review(_), _) => &["create"],
            (_, "namespaces") => &["create", "delete", "get", "list", "patch", "update", "watch"],
            _ => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }
    }

    pub fn subresources(&self) -> Vec<&'static str> {
        let scale = self.scale.then_some("scale");
        scale.into_iter().chain(self.status.then_some("status")).collect()
    }
}

/// One row of the table.
struct Row {
    api: (&'static str, &'static str),
    /// Kind, plural, short name, categories.
    names: (&'static str, &'static str, &'static str, &'static str),
    /// `n` namespaced, `s` status, `c` scale, `g` generation, `r` review.
    traits: &'static str,
    definition: &'static str,
}

const fn row(
    api: (&'static str, &'static str),
    names: (&'static str, &'static str, &'static str, &'static str),
    traits: &'static str,
    definition: &'static str,
) -> Row {
    Row { api, names, traits, definition }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const BATCH: (&str, &str) = ("batch", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const NETWORKING: (&str, &str) = ("networking.k8s.io", "v1");
const ADMISSION: (&str, &str) = ("admissionregistration.k8s.io", "v1");
const AUTHORIZATION: (&str, &str) = ("authorization.k8s.io", "v1");
const AUTHENTICATION: (&str, &str) = ("authentication.k8s.io", "v1");

const ROWS: [Row; 34] = [
    row(CORE, ("ConfigMap", "configmaps", "cm", ""), "n", "core.v1.ConfigMap"),
    row(CORE, ("Event", "events", "ev", ""), "n", "core.v1.Event"),
    row(CORE, ("LimitRange", "limitranges", "limits", ""), "n", "core.v1.LimitRange"),
    row(CORE, ("Namespace", "namespaces", "ns", ""), "s", "core.v1.Namespace"),
    row(CORE, ("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", ""), "ns", "core.v1.PersistentVolumeClaim"),
    row(CORE, ("Pod", "pods", "po", "all"), "nsg", "core.v1.Pod"),
    row(CORE, ("ResourceQuota", "resourcequotas", "quota", ""), "ns", "core.v1.ResourceQuota"),
    row(CORE, ("Secret", "secrets", "", ""), "n", "core.v1.Secret"),
    row(CORE, ("ServiceAccount", "serviceaccounts", "sa", ""), "n", "core.v1.ServiceAccount"),
    row(CORE, ("Service", "services", "svc", "all"), "ns", "core.v1.Service"),
    row(
        ADMISSION,
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", "api-extensions"),
        "sg",
        "admissionregistration.v1.ValidatingAdmissionPolicy",
    ),
    row(
        ADMISSION,
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "", "api-extensions"),
        "g",
        "admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    ),
    row(
        ("apiextensions.k8s.io", "v1"),
        ("CustomResourceDefinition", "customresourcedefinitions", "crd,crds", "api-extensions"),
        "sg",
        "apiextensions.v1.CustomResourceDefinition",
    ),
    row(APPS, ("DaemonSet", "daemonsets", "ds", "all"), "nsg", "apps.v1.DaemonSet"),
    row(APPS, ("Deployment", "deployments", "deploy", "all"), "nscg", "apps.v1.Deployment"),
    row(APPS, ("ReplicaSet", "replicasets", "rs", "all"), "nscg", "apps.v1.ReplicaSet"),
    row(APPS, ("StatefulSet", "statefulsets", "sts", "all"), "nscg", "apps.v1.StatefulSet"),
    row(
        AUTHENTICATION,
        ("SelfSubjectReview", "selfsubjectreviews", "", ""),
        "r",
        "authentication.v1.SelfSubjectReview",
    ),
    row(AUTHENTICATION, ("TokenReview", "tokenreviews", "", ""), "r", "authentication.v1.TokenReview"),
    row(
        AUTHORIZATION,
        ("SelfSubjectAccessReview", "selfsubjectaccessreviews", "", ""),
        "r",
        "authorization.v1.SelfSubjectAccessReview",
    ),
    row(
        AUTHORIZATION,
        ("SelfSubjectRulesReview", "selfsubjectrulesreviews", "", ""),
        "r",
        "authorization.v1.SelfSubjectRulesReview",
    ),
    row(
        AUTHORIZATION,
        ("SubjectAccessReview", "subjectaccessreviews", "", ""),
        "r",
        "authorization.v1.SubjectAccessReview",
    ),
    row(
        ("autoscaling", "v2"),
        ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "all"),
        "ns",
        "autoscaling.v2.HorizontalPodAutoscaler",
    ),
    row(BATCH, ("CronJob", "cronjobs", "cj", "all"), "nsg", "batch.v1.CronJob"),
    row(BATCH, ("Job", "jobs", "", "all"), "nsg", "batch.v1.Job"),
    row(("coordination.k8s.io", "v1"), ("Lease", "leases", "", ""), "n", "coordination.v1.Lease"),
    row(("events.k8s.io", "v1"), ("Event", "events", "ev", ""), "n", "events.v1.Event"),
    row(NETWORKING, ("Ingress", "ingresses", "ing", ""), "nsg", "networking.v1.Ingress"),
    row(NETWORKING, ("NetworkPolicy", "networkpolicies", "netpol", ""), "ng", "networking.v1.NetworkPolicy"),
    row(
        ("policy", "v1"),
        ("PodDisruptionBudget", "poddisruptionbudgets", "pdb", ""),
        "nsg",
        "policy.v1.PodDisruptionBudget",
    ),
    row(RBAC, ("ClusterRoleBinding", "clusterrolebindings", "", ""), "", "rbac.v1.ClusterRoleBinding"),
    row(RBAC, ("ClusterRole", "clusterroles", "", ""), "", "rbac.v1.ClusterRole"),
    row(RBAC, ("RoleBinding", "rolebindings", "", ""), "n", "rbac.v1.RoleBinding"),
    row(RBAC, ("Role", "roles", "", ""), "n", "rbac.v1.Role"),
];

/// The kinds that are served before any CustomResourceDefinition.
pub fn built_in() -> Vec<Arc<Kind>> {
    ROWS.iter().map(|row| Arc::new(kind_of(row))).collect()
}

fn kind_of(row: &Row) -> Kind {
    let (kind, plural, short_names, categories) = row.names;
    let list = |names: &str| names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let has = |letter| row.traits.contains(letter);
    let definition = full_name(row.definition);
    Kind {
        group: row.api.0.to_owned(),
        version: row.api.1.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: list(short_names),
        categories: list(categories),
        namespaced: has('n'),
        status: has('s'),
        scale: has('c'),
        generation: has('g'),
        definition: if has('r') { Definition::Review(definition) } else { Definition::BuiltIn(definition) },
    }
}

fn full_name(short: &str) -> &'static str {
    let names = crate::sandbox::schema::definitions().as_object().expect("the committed definitions are an object");
    let prefixes = ["io.k8s.api.", "io.k8s.apiextensions-apiserver.pkg.apis."];
    let found = names.keys().find(|name| prefixes.iter().any(|prefix| name.strip_prefix(prefix) == Some(short)));
    found.expect("every row names a committed definition")
}
