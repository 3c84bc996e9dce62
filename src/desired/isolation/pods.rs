//! What a program of a branch environment may ask of its node. What is not on the list needs a grant: Kubernetes adds fields every year.

use crate::desired::isolation::{Found, entries, items};
use crate::desired::value::Value;

/// Fields of a pod that stay within it and its namespace.
const POD: [&str; 20] = [
    "activeDeadlineSeconds",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "readinessGates",
    "restartPolicy",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
];
/// Sources of volumes that are of the namespace, or of nothing.
const VOLUMES: [&str; 6] = ["configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"];
/// What a projected volume may be made of; a token of a service account would speak for the environment elsewhere.
const PROJECTED: [&str; 3] = ["configMap", "downwardAPI", "secret"];
/// Where a container says what its node asks it, or does for it, and in which ways that goes over the network.
const ASKED: [&[&str]; 5] = [
    &["livenessProbe"],
    &["readinessProbe"],
    &["startupProbe"],
    &["lifecycle", "postStart"],
    &["lifecycle", "preStop"],
];
const WAYS: [&str; 2] = ["httpGet", "tcpSocket"];
/// Fields of a security context that give nothing.
const SECURITY: [&str; 12] = [
    "allowPrivilegeEscalation",
    "capabilities",
    "fsGroup",
    "fsGroupChangePolicy",
    "privileged",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
    "supplementalGroups",
    "supplementalGroupsPolicy",
];

impl Found<'_> {
    /// The spec of a pod, or of a pod template.
    pub(super) fn pod(&mut self, pod: &Value, path: &str) {
        for (field, _) in entries(pod).filter(|(field, _)| !POD.contains(&field.as_str())) {
            self.field(path, field);
        }
        if let Some(context) = pod.get(&["securityContext"]) {
            self.security(context, &format!("{path}.securityContext"));
        }
        for volume in items(pod, &["volumes"]) {
            self.volume(volume, &format!("{path}.volumes"));
        }
        for list in ["containers", "initContainers"] {
            for container in items(pod, &[list]) {
                self.container(container, &format!("{path}.{list}"));
            }
        }
    }

    fn volume(&mut self, volume: &Value, path: &str) {
        let source = |(field, _): &(&String, &Value)| !matches!(field.as_str(), "name" | "projected");
        for (field, _) in entries(volume).filter(source).filter(|(field, _)| !VOLUMES.contains(&field.as_str())) {
            self.field(path, field);
        }
        for projected in items(volume, &["projected", "sources"]) {
            for (field, _) in entries(projected).filter(|(field, _)| !PROJECTED.contains(&field.as_str())) {
                self.field(path, field);
            }
        }
        if let Some(claim) = volume.get(&["ephemeral", "volumeClaimTemplate"]) {
            self.claim(claim, path);
        }
    }

    fn container(&mut self, container: &Value, path: &str) {
        if let Some(context) = container.get(&["securityContext"]) {
            self.security(context, path);
        }
        for port in items(container, &["ports"]) {
            for field in ["hostPort", "hostIP"].into_iter().filter(|field| port.get(&[field]).is_some()) {
                self.field(path, field);
            }
        }
        // the node asks, whom no network policy keeps in
        for (asked, way) in ASKED.iter().flat_map(|asked| WAYS.iter().map(move |way| (*asked, *way))) {
            if container.get(&[asked, &[way, "host"]].concat()).is_some() {
                self.field(&format!("{path}.{}.{way}", asked.join(".")), "host");
            }
        }
    }

    fn security(&mut self, context: &Value, path: &str) {
        for (field, _) in entries(context).filter(|(field, _)| !SECURITY.contains(&field.as_str())) {
            self.field(path, field);
        }
        let is_off = |value: &Value| matches!(value, Value::Bool(false) | Value::Null);
        if context.get(&["privileged"]).is_some_and(|privileged| !is_off(privileged)) {
            self.field(path, "privileged");
        }
        if items(context, &["capabilities", "add"]).next().is_some() {
            self.field(path, "capabilities");
        }
        let unconfined = context.get(&["seccompProfile", "type"]).and_then(Value::text);
        if unconfined.is_some_and(|kind| kind != "RuntimeDefault") {
            self.field(path, "seccompProfile");
        }
    }
}
