//! The defaults that kube-apiserver fills in and the schema does not say.

use serde_json::{Map, Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::prepare::TEMPLATE_GENERATION;
use crate::sandbox::schema::Schema;

/// Fills in the defaults of a decoded object.
pub fn fill(kind: &Kind, object: &mut Value) {
    if kind.is_custom() {
        fill_schema(kind.schema(), object);
        return;
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Secret") => default(object, "type", json!("Opaque")),
        ("", "Namespace") => namespace(object),
        ("", "Pod") => {
            pod_spec(&mut object["spec"]);
            default(&mut object["spec"], "enableServiceLinks", json!(true));
            default(&mut object["status"], "phase", json!("Pending"));
        }
        ("", "Service") => service(&mut object["spec"]),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "LimitRange") => limits(&mut object["spec"]),
        ("apps", "DaemonSet") => {
            default(&mut object["metadata"]["annotations"], TEMPLATE_GENERATION, json!("1"));
            workload(kind, &mut object["spec"]);
        }
        ("apps", _) => workload(kind, &mut object["spec"]),
        ("batch", "Job") => job(&mut object["spec"]),
        ("batch", "CronJob") => cron_job(&mut object["spec"]),
        ("autoscaling", _) => autoscaler(&mut object["spec"]),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(&mut object["spec"]),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(object),
        ("admissionregistration.k8s.io", _) => admission(kind, &mut object["spec"]),
        ("apiextensions.k8s.io", _) => definition(&mut object["spec"]),
        _ => {}
    }
}

/// Fills in the defaults that a CustomResourceDefinition's schema says.
fn fill_schema(schema: Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in schema.fields() {
                match (map.get(name), field.attribute("default")) {
                    (None, Some(default)) => drop(map.insert(name.to_owned(), default.clone())),
                    (Some(Value::Null), Some(default)) if !field.flag("nullable") => {
                        map.insert(name.to_owned(), default.clone());
                    }
                    _ => {}
                }
            }
            for (name, below) in map.iter_mut().filter(|(name, _)| *name != "metadata") {
                if let Some(child) = schema.child(name) {
                    fill_schema(child, below);
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                if let Some(items) = schema.items() {
                    fill_schema(items, item);
                }
            }
        }
        _ => {}
    }
}

fn default(object: &mut Value, name: &str, value: Value) {
    if let Value::Null = object {
        *object = Value::Object(Map::new());
    }
    if let Some(map) = object.as_object_mut() {
        map.entry(name).or_insert(value);
    }
}

fn items<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if name.is_string() {
        let labels = &mut object["metadata"]["labels"];
        default(labels, "kubernetes.io/metadata.name", Value::Null);
        labels["kubernetes.io/metadata.name"] = name;
    }
    default(&mut object["status"], "phase", json!("Active"));
}

fn service(spec: &mut Value) {
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    for port in items(spec, "ports") {
        default(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
}

fn limits(spec: &mut Value) {
    for limit in items(spec, "limits").filter(|limit| limit["type"] == "Container") {
        for (name, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            for (counter, value) in limit[source].as_object().cloned().unwrap_or_default() {
                default(&mut limit[name], &counter, value);
            }
        }
    }
}

fn claim(object: &mut Value) {
    default(&mut object["spec"], "volumeMode", json!("Filesystem"));
    default(&mut object["status"], "phase", json!("Pending"));
}

fn workload(kind: &Kind, spec: &mut Value) {
    pod_template(&mut spec["template"]);
    if kind.kind != "DaemonSet" {
        default(spec, "replicas", json!(1));
    }
    if kind.kind != "ReplicaSet" {
        default(spec, "revisionHistoryLimit", json!(10));
    }
    match kind.kind.as_str() {
        "Deployment" => {
            default(spec, "progressDeadlineSeconds", json!(600));
            rolling(&mut spec["strategy"], &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
        }
        "DaemonSet" => rolling(&mut spec["updateStrategy"], &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]),
        "StatefulSet" => {
            default(spec, "podManagementPolicy", json!("OrderedReady"));
            rolling(&mut spec["updateStrategy"], &[("partition", json!(0))]);
            let policy = &mut spec["persistentVolumeClaimRetentionPolicy"];
            default(policy, "whenDeleted", json!("Retain"));
            default(policy, "whenScaled", json!("Retain"));
            for template in items(spec, "volumeClaimTemplates") {
                default(template, "kind", json!("PersistentVolumeClaim"));
                default(template, "apiVersion", json!("v1"));
                claim(template);
            }
        }
        _ => {}
    }
}

fn rolling(strategy: &mut Value, parameters: &[(&str, Value)]) {
    default(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        for (name, value) in parameters {
            default(&mut strategy["rollingUpdate"], name, value.clone());
        }
    }
}

fn job(spec: &mut Value) {
    pod_template(&mut spec["template"]);
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        default(spec, "completions", json!(1));
    }
    default(spec, "parallelism", json!(1));
    default(spec, "backoffLimit", json!(6));
    default(spec, "completionMode", json!("NonIndexed"));
    default(spec, "suspend", json!(false));
    default(spec, "podReplacementPolicy", json!("TerminatingOrFailed"));
    default(spec, "manualSelector", json!(false));
}

fn cron_job(spec: &mut Value) {
    default(spec, "concurrencyPolicy", json!("Allow"));
    default(spec, "suspend", json!(false));
    default(spec, "successfulJobsHistoryLimit", json!(3));
    default(spec, "failedJobsHistoryLimit", json!(1));
    pod_template(&mut spec["jobTemplate"]["spec"]["template"]);
}

fn autoscaler(spec: &mut Value) {
    default(spec, "minReplicas", json!(1));
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80}}});
    default(spec, "metrics", json!([cpu]));
}

fn network_policy(spec: &mut Value) {
    let egress = spec.get("egress").is_some();
    default(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    for direction in ["ingress", "egress"] {
        for rule in items(spec, direction) {
            for port in items(rule, "ports") {
                default(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    default(&mut object["roleRef"], "apiGroup", json!(GROUP));
    if object["roleRef"]["apiGroup"] == "" {
        object["roleRef"]["apiGroup"] = json!(GROUP);
    }
    for subject in items(object, "subjects") {
        if subject["kind"] == "User" || subject["kind"] == "Group" {
            default(subject, "apiGroup", json!(GROUP));
        }
    }
}

fn admission(kind: &Kind, spec: &mut Value) {
    let constraints = if kind.kind == "ValidatingAdmissionPolicy" {
        default(spec, "failurePolicy", json!("Fail"));
        "matchConstraints"
    } else {
        "matchResources"
    };
    let Some(constraints) = spec.get_mut(constraints) else { return };
    default(constraints, "matchPolicy", json!("Equivalent"));
    default(constraints, "namespaceSelector", json!({}));
    default(constraints, "objectSelector", json!({}));
    for rule in items(constraints, "resourceRules") {
        default(rule, "scope", json!("*"));
    }
}

fn definition(spec: &mut Value) {
    default(&mut spec["conversion"], "strategy", json!("None"));
    let names = &mut spec["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    default(names, "singular", json!(kind.to_lowercase()));
    default(names, "listKind", json!(format!("{kind}List")));
}

fn pod_template(template: &mut Value) {
    if template.is_object() {
        default(template, "metadata", json!({}));
        pod_spec(&mut template["spec"]);
    }
}

fn pod_spec(spec: &mut Value) {
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    // Two names of one field; the old one stays when only the new one is taken back.
    if let Some(account) = spec.get("serviceAccountName").or(spec.get("serviceAccount")).cloned() {
        spec["serviceAccountName"] = account.clone();
        spec["serviceAccount"] = account;
    }
    for list in ["initContainers", "containers"] {
        for item in items(spec, list) {
            container(item);
        }
    }
    for volume in items(spec, "volumes") {
        self::volume(volume);
    }
}

fn container(container: &mut Value) {
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    let policy = if is_latest(container["image"].as_str().unwrap_or_default()) { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", json!(policy));
    for port in items(container, "ports") {
        default(port, "protocol", json!("TCP"));
    }
    for variable in items(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", json!("v1"));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name) {
            probe_defaults(probe);
        }
    }
}

fn probe_defaults(probe: &mut Value) {
    default(probe, "timeoutSeconds", json!(1));
    default(probe, "periodSeconds", json!(10));
    default(probe, "successThreshold", json!(1));
    default(probe, "failureThreshold", json!(3));
    if let Some(get) = probe.get_mut("httpGet") {
        default(get, "path", json!("/"));
        default(get, "scheme", json!("HTTP"));
    }
}

/// True for an image without a tag and digest, or with the tag `latest`.
fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && last.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    for name in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(name) {
            default(source, "defaultMode", json!(420));
        }
    }
    if volume.as_object().is_some_and(|map| map.len() == 1) {
        default(volume, "emptyDir", json!({}));
    }
}
