//! What a branch environment has to keep to, whatever its branch says: everybody who can push may write one.
//!
//! What reaches out of the namespace, steers others who watch the cluster, or chooses where a program runs needs a grant in the entry of
//! `branches`, which is on the protected branch.

mod addresses;
mod pods;

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::desired::kinds;
use crate::desired::lists;
use crate::desired::manifest::Manifest;
use crate::desired::value::Value;
use crate::model::object::ObjectId;
use crate::model::wire;

/// Labels that name a program and its parts, and wake nobody.
const LABELS: [&str; 14] = [
    "app",
    "component",
    "instance",
    "name",
    "role",
    "tier",
    "track",
    "version",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];
/// Annotations that nobody acts on but kubectl.
const ANNOTATIONS: [&str; 3] = ["description", "kubectl.kubernetes.io/default-container", "kubernetes.io/change-cause"];
/// Bytes of one annotation: they are read by everybody who watches.
const ANNOTATION: usize = 4096;
/// Fields of a Service that open it to others than its own namespace.
const SERVICE: [&str; 4] = ["externalIPs", "externalName", "loadBalancerIP", "loadBalancerClass"];
/// Names that others write: who is first would speak in their name.
const RESERVED: [(&str, &str); 3] =
    [("ConfigMap", "istio-ca-root-cert"), ("ConfigMap", "openshift-service-ca.crt"), ("Secret", "sh.helm.release.")];

/// The rules of one branch environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// The layer of the protected branch that fences the namespace in.
    pub template: String,
    /// The address of the environment, as `url` of the entry has it.
    pub address: Option<String>,
    /// The host that addresses have to be, or be below; without it there is none.
    pub host: Option<String>,
    /// Whom the template's role bindings may name, as the Repository says, such as `group:developers`.
    /// `None` where no Repository is at hand: what only it can say is not judged then.
    pub subjects: Option<Vec<String>>,
    /// What is granted beyond.
    pub allow: Allow,
}

/// What an entry of `branches` grants its environments.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    /// Keys of labels.
    #[schemars(default)]
    pub labels: Vec<String>,
    /// Keys of annotations.
    #[schemars(default)]
    pub annotations: Vec<String>,
    /// Fields of pods, Services and volume claims, such as `tolerations`, and types of Services.
    #[schemars(default)]
    pub fields: Vec<String>,
    /// Classes of Ingresses.
    #[schemars(default)]
    pub ingress_classes: Vec<String>,
    /// Gateways of other namespaces that routes with a host may name as their parents, as `namespace/name`.
    #[schemars(default)]
    pub gateways: Vec<String>,
}

/// Something that a branch environment may not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Breach {
    /// Dotted path of the field.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Isolation {
    /// Why the document of a layer may not say anything of `object`, which the template makes if `fenced`, and what to do.
    pub fn refusal(&self, object: &ObjectId, layer: &str, fenced: bool) -> Option<(String, String)> {
        if layer == self.template {
            return None;
        }
        if fenced {
            let message = format!("{} is the template's: no layer of a branch environment changes it", object.short());
            return Some((message, "use another name".to_owned()));
        }
        if kinds::is_fence(&object.kind) {
            let message = format!("a branch environment cannot have a {} of its own", object.kind.kind);
            let hint =
                "take it out of the layers; the template on the protected branch has what fences the namespace in";
            return Some((message, hint.to_owned()));
        }
        RESERVED
            .iter()
            .any(|(kind, name)| *kind == object.kind.kind && object.name.starts_with(name))
            .then(|| (format!("{} is a name that others write", object.short()), "use another name".to_owned()))
    }

    /// Everything in an object that the rules do not allow; the template's own objects answer for their subjects only.
    pub fn breaches(&self, manifest: &Manifest, fenced: bool) -> Vec<Breach> {
        let mut found = Found { rules: self, breaches: Vec::new() };
        let Manifest { object, body, .. } = manifest;
        if fenced {
            if object.kind.kind == "RoleBinding" {
                found.role_binding(body);
            }
            return found.breaches;
        }
        found.metadata(body, "");
        if body.get(&["metadata", "finalizers"]).is_some() {
            found.add("metadata.finalizers", "finalizers keep an environment from ending", "remove them");
        }
        if let Some(template) = lists::pod_template(&object.kind) {
            let path = format!("{template}spec");
            if let Some(pod) = lists::at(body, &path) {
                found.pod(pod, &path);
            }
        }
        match (object.kind.group.as_str(), object.kind.kind.as_str()) {
            ("", "Service") => found.service(body),
            ("networking.k8s.io", "Ingress") => found.ingress(body),
            _ if addresses::is_route(object) => found.route(body, object),
            ("", "PersistentVolumeClaim") => found.claim(body, "spec"),
            ("apps", "StatefulSet") => {
                items(body, &["spec", "volumeClaimTemplates"])
                    .for_each(|claim| found.claim(claim, "spec.volumeClaimTemplates"));
            }
            _ => {}
        }
        found.breaches
    }

    fn grants(&self, field: &str) -> bool {
        self.allow.fields.iter().any(|granted| granted == field)
    }
}

/// What was found so far.
struct Found<'r> {
    rules: &'r Isolation,
    breaches: Vec<Breach>,
}

impl Found<'_> {
    fn add(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.breaches.push(Breach { path: path.to_owned(), message: message.into(), hint: hint.into() });
    }

    /// A field that needs a grant.
    fn field(&mut self, path: &str, field: &str) {
        if !self.rules.grants(field) {
            let hint = format!("remove it, or let the entry of `branches` say `allow: {{fields: [{field}]}}`");
            self.add(&format!("{path}.{field}"), format!("`{field}` is not for branch environments"), hint);
        }
    }

    /// Labels and annotations of the object and of everything in it that becomes one.
    fn metadata(&mut self, value: &Value, path: &str) {
        match value {
            Value::Map(map) => {
                for (key, value) in map {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if key == "metadata" {
                        self.keys(value, &below, "label", &LABELS);
                        self.keys(value, &below, "annotation", &ANNOTATIONS);
                    } else {
                        self.metadata(value, &below);
                    }
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.metadata(item, path)),
            _ => {}
        }
    }

    fn keys(&mut self, metadata: &Value, path: &str, what: &str, known: &[&str]) {
        let Some(Value::Map(map)) = metadata.get(&[&format!("{what}s")]) else { return };
        let allow = &self.rules.allow;
        let granted = if what == "label" { &allow.labels } else { &allow.annotations };
        let own =
            |key: &str| what == "annotation" && key.strip_prefix(wire::GROUP).is_some_and(|rest| rest.starts_with('/'));
        let mut found = Vec::new();
        for (key, value) in map {
            let place = format!("{path}.{what}s.{key}");
            if !(known.contains(&key.as_str()) || granted.contains(key) || own(key)) {
                let hint = format!("remove it, or let the entry of `branches` say `allow: {{{what}s: [{key}]}}`");
                found.push((
                    place,
                    format!("{what} `{}` is not for branch environments: it may wake others", key.escape_debug()),
                    hint,
                ));
            } else if value.text().is_some_and(|text| text.len() > ANNOTATION) {
                let hint = "shorten it to 4 KiB".to_owned();
                found.push((
                    place,
                    format!("{what} `{}` is too long for a branch environment", key.escape_debug()),
                    hint,
                ));
            }
        }
        for (place, message, hint) in found {
            self.add(&place, message, hint);
        }
    }

    fn service(&mut self, body: &Value) {
        let kind = body.get(&["spec", "type"]);
        if let Some(kind) = kind.filter(|kind| !matches!(kind.text(), Some("ClusterIP"))) {
            let kind = kind.text().unwrap_or("this");
            if !self.rules.grants(kind) {
                let hint = format!("use ClusterIP, or let the entry of `branches` say `allow: {{fields: [{kind}]}}`");
                self.add("spec.type", format!("a Service of type {kind} is not for branch environments"), hint);
            }
        }
        for field in SERVICE.into_iter().filter(|field| body.get(&["spec", field]).is_some()) {
            self.field("spec", field);
        }
    }

    fn claim(&mut self, claim: &Value, path: &str) {
        let spec = claim.get(&["spec"]);
        for field in ["volumeName", "selector", "dataSource", "dataSourceRef"] {
            if spec.is_some_and(|spec| spec.get(&[field]).is_some()) {
                self.field(path, field);
            }
        }
    }

    /// Who may do what in the namespace is the Repository's to grant.
    fn role_binding(&mut self, body: &Value) {
        let Some(granted) = &self.rules.subjects else { return };
        for subject in items(body, &["subjects"]) {
            let text = |field: &str| subject.get(&[field]).and_then(Value::text).unwrap_or_default();
            let named = match text("kind") {
                "ServiceAccount" => format!("serviceaccount:{}:{}", text("namespace"), text("name")),
                kind => format!("{}:{}", kind.to_ascii_lowercase(), text("name")),
            };
            if !granted.contains(&named) {
                let message = format!("the Repository does not grant the subject `{}`", named.escape_debug());
                let hint = format!("an administrator adds `{}` to its `spec.subjects`", named.escape_debug());
                self.add("subjects", message, hint);
            }
        }
    }
}

/// The items of a list, if it is one.
fn items<'v>(value: &'v Value, path: &[&str]) -> impl Iterator<Item = &'v Value> {
    match value.get(path) {
        Some(Value::List(items)) => items.iter(),
        _ => [].iter(),
    }
}

/// The entries of a mapping, if it is one.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    static NONE: BTreeMap<String, Value> = BTreeMap::new();
    match value {
        Value::Map(map) => map.iter(),
        _ => NONE.iter(),
    }
}

#[cfg(test)]
mod tests;
