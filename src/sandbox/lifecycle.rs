//! What follows from an object: the contents of a new namespace, the kind of a CustomResourceDefinition.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::{Cause, Refusal};
use crate::sandbox::store::{Key, State};
use crate::sandbox::write::Operation;
use crate::sandbox::{crd, workloads};

/// Stands for the certificate of a cluster that has none.
const ROOT_CERTIFICATE: &str = "the sandbox serves plain HTTP and has no certificate\n";

/// Refuses to create in a namespace that is missing or terminating.
///
/// # Errors
///
/// 404 and 403.
pub fn admit(operation: &Operation, name: &str) -> Result<(), Refusal> {
    if !operation.kind.namespaced {
        return Ok(());
    }
    let namespace = operation.namespace();
    let Some(found) = operation.state.get(&namespace_key(namespace)) else {
        let place = crate::sandbox::refusal::Named {
            group: String::new(),
            kind: "namespaces".to_owned(),
            name: namespace.to_owned(),
        };
        return Err(Refusal::not_found(&place));
    };
    if found["metadata"].get("deletionTimestamp").is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    let refusal = Refusal::forbidden(&operation.kind.named(name), &why);
    Err(Refusal { code: StatusCode::FORBIDDEN, ..refusal }.with_causes(&[cause]))
}

pub fn namespace_key(name: &str) -> Key {
    Key { group: String::new(), plural: "namespaces".to_owned(), namespace: String::new(), name: name.to_owned() }
}

/// Creates a namespace with what controllers put into it.
pub fn create_namespace(state: &mut State, name: &str, time: &str) {
    let object = json!({
        "kind": "Namespace", "apiVersion": "v1",
        "metadata": {
            "name": name, "uid": state.new_uid(), "creationTimestamp": time,
            "labels": {"kubernetes.io/metadata.name": name},
            "managedFields": [{
                "manager": "kube-apiserver", "operation": "Update", "apiVersion": "v1", "time": time,
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}},
            }],
        },
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    });
    state.put(namespace_key(name), object);
    fill_namespace(state, name, time);
}

/// Runs what controllers would do after a create.
pub fn after_create(state: &mut State, kind: &Kind, key: &Key, stored: &Arc<Value>, time: &str) {
    if kind.is("", "Namespace") {
        fill_namespace(state, &key.name, time);
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crd::establish(state, key, stored, time);
    }
    workloads::run(state, kind, key, stored, time);
}

/// Runs what controllers would do after a change.
pub fn after_update(state: &mut State, kind: &Kind, key: &Key, stored: &Arc<Value>, time: &str) {
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition")
        && stored["metadata"].get("deletionTimestamp").is_none()
    {
        crd::serve(state, key, stored);
    }
    workloads::run(state, kind, key, stored, time);
}

fn fill_namespace(state: &mut State, namespace: &str, time: &str) {
    let managed = |fields: Value| {
        json!([{
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }])
    };
    let account = json!({
        "kind": "ServiceAccount", "apiVersion": "v1",
        "metadata": {"name": "default", "namespace": namespace, "uid": state.new_uid(), "creationTimestamp": time},
    });
    let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
        such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
        Kubernetes clusters.";
    let fields = json!({
        "f:data": {".": {}, "f:ca.crt": {}},
        "f:metadata": {"f:annotations": {".": {}, "f:kubernetes.io/description": {}}},
    });
    let root = json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {
            "name": "kube-root-ca.crt", "namespace": namespace, "uid": state.new_uid(), "creationTimestamp": time,
            "annotations": {"kubernetes.io/description": description}, "managedFields": managed(fields),
        },
        "data": {"ca.crt": ROOT_CERTIFICATE},
    });
    for (plural, object) in [("serviceaccounts", account), ("configmaps", root)] {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = Key { group: String::new(), plural: plural.to_owned(), namespace: namespace.to_owned(), name };
        state.put(key, object);
    }
}
