//! Which kinds an environment may have.

use std::collections::BTreeSet;

use crate::desired::closest::closest;
use crate::model::object::{Kind, ObjectId};
use crate::model::repository::KindGrant;

/// What an environment needs, as long as the Repository says nothing else: `apiVersion` and kind.
const DEFAULT: [(&str, &str); 17] = [
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "Ingress"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ServiceAccount"),
    ("v1", "ResourceQuota"),
    ("v1", "LimitRange"),
];

/// Kinds without a namespace: no grant makes them an environment's.
const CLUSTER_SCOPED: [(&str, &str); 24] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("networking.k8s.io", "IngressClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("osier.dev", "Repository"),
];

/// Why a kind is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// True if the grant decides, false if it is a mistake.
    pub by_grant: bool,
}

/// The kinds that a Repository with these grants may use: ConfigMaps and Secrets always, the rest as it says.
pub fn allowed(grants: &[KindGrant]) -> BTreeSet<Kind> {
    if grants.is_empty() {
        return DEFAULT.iter().map(|(api_version, kind)| Kind::new(group(api_version), kind)).collect();
    }
    let granted = grants.iter().map(|grant| Kind::new(&grant.group, &grant.kind));
    granted.chain(["ConfigMap", "Secret"].map(|kind| Kind::new("", kind))).collect()
}

/// What fences the namespace of a branch environment in, and says who may do what there.
const FENCES: [(&str, &str); 5] = [
    ("", "LimitRange"),
    ("", "ResourceQuota"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];

/// The kinds of fences that a template may have: who may give rights is told by bindings, and Roles are the platform engineer's.
pub fn fences() -> impl Iterator<Item = Kind> {
    FENCES.iter().filter(|(_, kind)| *kind != "Role").map(|(group, kind)| Kind::new(group, kind))
}

/// True for the kinds of fences.
pub fn is_fence(kind: &Kind) -> bool {
    FENCES.contains(&(kind.group.as_str(), kind.kind.as_str()))
}

/// True for the kinds that every environment may have: none of them makes other objects that workloads refer to.
pub fn is_default(kind: &Kind) -> bool {
    DEFAULT.iter().any(|(api_version, known)| *known == kind.kind && group(api_version) == kind.group)
}

/// Why `kind` cannot be in an environment whose Repository allows `allowed`; `None` if it can.
pub fn refusal(kind: &Kind, allowed: &BTreeSet<Kind>) -> Option<Refusal> {
    let shown = &kind.kind;
    if CLUSTER_SCOPED.contains(&(kind.group.as_str(), shown)) {
        return Some(Refusal {
            message: format!("a {shown} belongs to the whole cluster, not to an environment"),
            hint: "take it out of the layers; the platform engineer applies such objects".to_owned(),
            by_grant: false,
        });
    }
    if allowed.contains(kind) {
        return None;
    }
    let known = DEFAULT.iter().filter(|(api_version, kind)| allowed.contains(&Kind::new(group(api_version), kind)));
    if let Some((api_version, _)) = known.clone().find(|(_, known)| known == shown) {
        let message = format!("there is no {shown} in API group `{}`", kind.group.escape_debug());
        return Some(Refusal { message, hint: format!("write `apiVersion: {api_version}`"), by_grant: false });
    }
    if let Some(near) = closest(shown, known.map(|(_, kind)| *kind)) {
        let message = format!("unknown kind `{}`", shown.escape_debug());
        return Some(Refusal { message, hint: format!("did you mean `{near}`?"), by_grant: false });
    }
    let group = if kind.group.is_empty() { "\"\"" } else { &kind.group };
    Some(Refusal {
        message: format!("kind `{}` is not among those that the Repository allows", shown.escape_debug()),
        hint: format!(
            "take it out, or let the platform engineer add {{group: {group}, kind: {shown}}} to its `spec.kinds`"
        ),
        by_grant: true,
    })
}

/// True for objects that Kubernetes makes in every namespace.
pub fn is_reserved(object: &ObjectId) -> bool {
    let (kind, name) = (object.kind.kind.as_str(), object.name.as_str());
    object.kind.group.is_empty()
        && matches!((kind, name), ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default"))
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_replace_the_default_list() {
        let grants = [KindGrant { group: "example.com".to_owned(), kind: "Widget".to_owned() }];
        let allowed = allowed(&grants);
        assert!(refusal(&Kind::new("example.com", "Widget"), &allowed).is_none());
        assert!(refusal(&Kind::new("", "Secret"), &allowed).is_none());
        assert!(refusal(&Kind::new("apps", "Deployment"), &allowed).is_some_and(|refusal| refusal.by_grant));
    }

    #[test]
    fn refusals_say_what_to_write() {
        let allowed = allowed(&[]);
        let hint = |group: &str, kind: &str| refusal(&Kind::new(group, kind), &allowed).map(|refusal| refusal.hint);
        assert_eq!(hint("apps", "Deployment"), None);
        assert_eq!(hint("extensions", "Deployment").as_deref(), Some("write `apiVersion: apps/v1`"));
        assert_eq!(hint("", "Configmap").as_deref(), Some("did you mean `ConfigMap`?"));
        assert!(refusal(&Kind::new("", "Namespace"), &allowed).unwrap().message.contains("whole cluster"));
        assert!(refusal(&Kind::new("x.io", "Widget"), &allowed).unwrap().by_grant);
    }
}
