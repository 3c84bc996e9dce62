//! Namespaces of branch environments: created, never adopted, and deleted in exactly the version that was looked at.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::{Call, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::WRITE;
use crate::desired::namespace::Marks;
use crate::model::wire::{ENVIRONMENT, MANAGER, REF, REPOSITORY, environment_id};

/// The ClusterRole of the chart that our own account is bound to in each namespace that it makes, and the name of the binding.
const ROLE: &str = "osier-environment";
/// Field manager of that binding: it is none of the environment's objects.
const BINDER: &str = "osier-lane";

/// Whose a namespace is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The environment id.
    pub environment_id: &'a str,
    /// Name of the Repository.
    pub repository: &'a str,
    /// The full ref.
    pub reference: &'a str,
}

/// A namespace that is its owner's, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    uid: String,
    resource_version: String,
    /// True while it is being deleted.
    pub terminating: bool,
    /// What keeps it from being gone, as Kubernetes says it.
    pub kept_by: Option<String>,
}

impl Cluster {
    /// The namespace, live; `None` if there is none.
    ///
    /// # Errors
    /// `NamespaceForeign` unless osier made it for this owner; `Call`.
    pub async fn place(&self, namespace: &str, owner: &Owner<'_>) -> Result<Option<Place>, Error> {
        let call = Call::get(path(namespace), WHOLE);
        let found = self.get_opt(&call, || format!("read namespace `{namespace}`")).await?;
        found.map(|object| owned(namespace, &object, owner)).transpose()
    }

    /// The namespaces that are said to be of branches of a Repository, with their full refs: those whose id fits, and that are not on their way
    /// out. Labels can be anybody's: whether osier made one is asked before it is touched.
    ///
    /// # Errors
    /// `Call`.
    pub async fn places(&self, home: &str, repository: &str) -> Result<BTreeMap<String, String>, Error> {
        let query = format!("&labelSelector={}", encoded(&format!("{REPOSITORY}={repository}")));
        let found: Vec<Namespace> = self.list_own("/api/v1/namespaces", &query).await?;
        let place = |namespace: Namespace| {
            let ObjectMeta { name, labels, mut annotations, deletion_timestamp: None, .. } = namespace.metadata else {
                return None;
            };
            let reference = annotations.as_mut()?.remove(REF)?;
            let fits = *labels?.get(ENVIRONMENT)? == environment_id(home, repository, &reference);
            fits.then_some((name?, reference))
        };
        Ok(found.into_iter().filter_map(place).collect())
    }

    /// Creates the namespace, with everything that says whose it is in the same request.
    ///
    /// # Errors
    /// `NamespaceForeign` if somebody else has it; `NamespaceTerminating`, `Call`.
    pub async fn create_place(&self, namespace: &str, owner: &Owner<'_>, marks: &Marks) -> Result<(), Error> {
        let ours = json!({ENVIRONMENT: owner.environment_id, REPOSITORY: owner.repository});
        let labels = with(&marks.labels, &ours);
        let mut annotations = with(&marks.annotations, &ours);
        annotations[REF] = owner.reference.into();
        let metadata = json!({"name": namespace, "labels": labels, "annotations": annotations});
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let call = Call::post(format!("/api/v1/namespaces{WRITE}"), &body);
        let Err(failure) = self.call(&call).await else { return Ok(()) };
        if failure.code() != Some(409) {
            return Err(Error::call(format!("create namespace `{namespace}`"))(failure));
        }
        match self.place(namespace, owner).await? {
            Some(Place { terminating: false, .. }) => Ok(()), // the answer was lost
            Some(_) => Err(Error::NamespaceTerminating { namespace: namespace.to_owned() }),
            None => Err(Error::Changed { what: format!("namespace `{namespace}`") }),
        }
    }

    /// Gives ourselves the rights of an environment in the namespace, if we are a service account; others have theirs already.
    ///
    /// # Errors
    /// `Call`.
    pub async fn bind_place(&self, namespace: &str) -> Result<(), Error> {
        let account = self.account.get_or_try_init(|| self.who_am_i()).await?;
        let account = account.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        let Some((home, name)) = account else { return Ok(()) };
        let body = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": ROLE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "namespace": home, "name": name}]});
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", encoded(namespace));
        match self.call(&Call::post(format!("{path}?fieldManager={BINDER}"), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(409) => Ok(()),
            Err(failure) => Err(Error::call(format!("bind `{ROLE}` in namespace `{namespace}`"))(failure)),
        }
    }

    /// Deletes the namespace as it was read, and with it all that is in it.
    ///
    /// # Errors
    /// `Changed` if it is another one by now, or was changed; `Call`.
    pub async fn delete_place(&self, namespace: &str, place: &Place) -> Result<(), Error> {
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": place.uid, "resourceVersion": place.resource_version}});
        match self.call(&Call::delete(path(namespace), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(404) => Ok(()),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what: format!("namespace `{namespace}`") }),
            Err(failure) => Err(Error::call(format!("delete namespace `{namespace}`"))(failure)),
        }
    }

    /// Whether we may delete a namespace. The API server says so, its admission policies included, and deletes nothing.
    ///
    /// # Errors
    /// `Call`, also if there is no such namespace.
    pub async fn may_delete_place(&self, namespace: &str) -> Result<bool, Error> {
        // said twice, as what reads the body does not read the query: a mistake here would cost the namespace
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
        match self.call(&Call::delete(format!("{}?dryRun=All", path(namespace)), &body)).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code() == Some(403) => Ok(false),
            Err(failure) => Err(Error::call(format!("try to delete namespace `{namespace}`"))(failure)),
        }
    }
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}", encoded(namespace))
}

/// osier's own go before the template's.
fn with(marks: &BTreeMap<String, String>, ours: &Value) -> Value {
    let mut all = json!(marks);
    if let (Some(all), Some(ours)) = (all.as_object_mut(), ours.as_object()) {
        all.extend(ours.clone());
    }
    all
}

/// The namespace controller's own sentences about what is left.
fn kept_by(status: &Value) -> Option<String> {
    const LEFT: [&str; 2] = ["NamespaceFinalizersRemaining", "NamespaceContentRemaining"];
    let conditions = status["conditions"].as_array()?;
    let left = |kind: &&str| conditions.iter().find(|found| found["type"] == **kind && found["status"] == "True");
    LEFT.iter().find_map(left)?["message"].as_str().map(str::to_owned)
}

/// Ours carries id, Repository and ref, and our field manager's entry: labels alone can be anybody's.
fn owned(namespace: &str, object: &Value, owner: &Owner<'_>) -> Result<Place, Error> {
    let metadata = &object["metadata"];
    let Owner { environment_id, repository, reference } = *owner;
    let says = |field: &str, key: &str, value: &str| metadata[field][key] == value;
    let labelled = ["labels", "annotations"]
        .iter()
        .all(|field| says(field, ENVIRONMENT, environment_id) && says(field, REPOSITORY, repository));
    let entries = metadata["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = entries.iter().any(|entry| entry["manager"] == MANAGER);
    if !(labelled && says("annotations", REF, reference) && entry) {
        return Err(Error::NamespaceForeign { namespace: namespace.to_owned() });
    }
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    Ok(Place {
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        terminating: !metadata["deletionTimestamp"].is_null(),
        kept_by: kept_by(&object["status"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { environment_id: "id", repository: "shop", reference: "refs/heads/feature/x" };

    /// A namespace as osier makes it for `OWNER`.
    fn made() -> Value {
        let (id, repository) = (OWNER.environment_id, OWNER.repository);
        json!({"metadata": {
            "name": "b-x", "uid": "u", "resourceVersion": "7",
            "labels": {ENVIRONMENT: id, REPOSITORY: repository},
            "annotations": {ENVIRONMENT: id, REPOSITORY: repository, REF: OWNER.reference},
            "managedFields": [{"manager": "kube-controller-manager"}, {"manager": MANAGER}],
        }})
    }

    fn foreign(object: &Value) -> bool {
        matches!(owned("b-x", object, &OWNER), Err(Error::NamespaceForeign { namespace }) if namespace == "b-x")
    }

    #[test]
    fn what_somebody_else_made_is_not_adopted() {
        let ours = Place { uid: "u".to_owned(), resource_version: "7".to_owned(), terminating: false, kept_by: None };
        assert_eq!(owned("b-x", &made(), &OWNER).ok(), Some(ours));
        let marks = [
            ("labels", ENVIRONMENT),
            ("labels", REPOSITORY),
            ("annotations", ENVIRONMENT),
            ("annotations", REPOSITORY),
            ("annotations", REF),
        ];
        for (field, mark) in marks {
            for other in [json!("another"), Value::Null] {
                let mut squatted = made();
                squatted["metadata"][field][mark] = other;
                assert!(foreign(&squatted), "{field} {mark}");
            }
        }
        let mut copied = made();
        copied["metadata"]["managedFields"] = json!([{"manager": "kubectl-create"}]);
        assert!(foreign(&copied), "all marks, made by somebody else");
    }

    /// As the namespace controller of Kubernetes 1.35 writes them: finalizers explain what remains, so they come first.
    #[test]
    fn what_keeps_a_namespace_is_told_in_the_words_of_kubernetes() {
        let content = "Some resources are remaining: configmaps. has 1 resource instances";
        let finalizers =
            "Some content in the namespace has finalizers remaining: example.com/backup in 1 resource instances";
        let condition =
            |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "message": message});
        let kept = |conditions: &[Value]| kept_by(&json!({"phase": "Terminating", "conditions": conditions}));
        let remaining = condition("NamespaceContentRemaining", "True", content);
        let held = condition("NamespaceFinalizersRemaining", "True", finalizers);
        let done = condition("NamespaceFinalizersRemaining", "False", "All content-preserving finalizers finished");
        let failed = condition("NamespaceDeletionContentFailure", "False", "All content successfully deleted");
        assert_eq!(kept(&[failed.clone(), remaining.clone(), held]).as_deref(), Some(finalizers));
        assert_eq!(kept(&[failed.clone(), remaining, done.clone()]).as_deref(), Some(content));
        assert_eq!(kept(&[failed, done]), None);
        assert_eq!(kept_by(&json!({"phase": "Active"})), None);
    }
}
