//! Which kinds the server serves and under which paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, encoded};
use crate::cluster::error::Error;
use crate::model::object::{Kind, ObjectId};
use crate::model::wire::{GROUP, VERSION};

/// osier's own kinds.
const PLURALS: [&str; 4] = ["repositories", "environments", "records", "plans"];
/// How long an answer holds for a kind that was not in it.
const FRESH: Duration = Duration::from_secs(10);
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The kinds of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Namespaced kinds, each with its versions, the preferred one first.
    namespaced: BTreeMap<Kind, Vec<Served>>,
    /// Plurals of osier's own kinds.
    own: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    version: String,
    plural: String,
}

/// What the server said when it was asked last, if it was.
#[derive(Default)]
pub(super) struct Discovery {
    answer: OnceCell<(Arc<Kinds>, Instant)>,
}

impl Cluster {
    /// Asks once (two requests) and remembers the answer.
    ///
    /// # Errors
    /// `Call` if the server cannot be asked.
    pub async fn kinds(&self) -> Result<Arc<Kinds>, Error> {
        let discovery = Arc::clone(&self.kinds.lock().unwrap_or_else(PoisonError::into_inner));
        let (kinds, _) = discovery.answer.get_or_try_init(|| self.discover()).await?;
        Ok(Arc::clone(kinds))
    }

    /// As `kinds`, but asks again, at most every ten seconds, if the server did not serve this kind: it may have been installed since.
    ///
    /// # Errors
    /// `Call` if the server cannot be asked.
    pub(super) async fn kinds_with(&self, kind: &Kind) -> Result<Arc<Kinds>, Error> {
        let kinds = self.kinds().await?;
        if kinds.namespaced.contains_key(kind) {
            return Ok(kinds);
        }
        self.forget_kinds();
        self.kinds().await
    }

    fn forget_kinds(&self) {
        let mut discovery = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if discovery.answer.get().is_some_and(|(_, asked)| asked.elapsed() >= FRESH) {
            *discovery = Arc::default();
        }
    }

    /// Makes sure that the server knows osier's kinds.
    ///
    /// # Errors
    /// `NotInstalled`, with the line that installs them as hint.
    pub async fn ensure_crds_present(&self) -> Result<(), Error> {
        let kinds = self.kinds().await?;
        let missing: Vec<&str> = PLURALS.into_iter().filter(|plural| !kinds.own.contains(*plural)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::NotInstalled { missing: missing.join(", ") }) }
    }

    async fn discover(&self) -> Result<(Arc<Kinds>, Instant), Error> {
        let mut kinds = Kinds::default();
        for root in ["/api", "/apis"] {
            let call = Call::get(root.to_owned(), AGGREGATED);
            let answer = self.call(&call).await.map_err(Error::call("ask the API server which kinds it serves"))?;
            kinds.add(&answer);
        }
        Ok((Arc::new(kinds), Instant::now()))
    }
}

impl Kinds {
    /// Takes over an `APIGroupDiscoveryList`: its versions are in the server's order of preference.
    fn add(&mut self, list: &Value) {
        for group in items(&list["items"]) {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in items(&group["versions"]) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let resources = items(&version["resources"]);
                if name == GROUP && version["version"] == VERSION {
                    self.own.extend(resources.iter().map(|resource| text(&resource["resource"])));
                }
                for resource in resources.iter().filter(|resource| resource["scope"] == "Namespaced") {
                    let kind = Kind::new(name, &text(&resource["responseKind"]["kind"]));
                    let served = Served { version: text(&version["version"]), plural: text(&resource["resource"]) };
                    self.namespaced.entry(kind).or_default().push(served);
                }
            }
        }
    }

    /// Path of the objects of `kind` in `namespace`, in the preferred version; `None` if the server does not serve it.
    pub(super) fn collection(&self, kind: &Kind, namespace: &str) -> Option<String> {
        self.namespaced.get(kind)?.first().map(|served| path(&kind.group, served, namespace))
    }

    /// Path of the objects of `kind` in all namespaces, in the preferred version.
    pub(super) fn everywhere(&self, kind: &Kind) -> Option<String> {
        let served = self.namespaced.get(kind)?.first()?;
        Some(format!("{}/{}", root(&kind.group, served), served.plural))
    }

    /// Path of the objects like `object`, in the version that its manifest names.
    pub(super) fn collection_as(&self, object: &ObjectId, api_version: &str) -> Result<String, Error> {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        self.namespaced
            .get(&object.kind)
            .and_then(|all| all.iter().find(|served| served.version == version))
            .map(|served| path(&object.kind.group, served, &object.namespace))
            .ok_or_else(|| Error::UnknownKind {
                kind: object.kind.kind.to_string(),
                api_version: api_version.to_owned(),
            })
    }

    /// Path of one object, in the preferred version.
    pub(super) fn object(&self, object: &ObjectId) -> Result<String, Error> {
        let collection = self.collection(&object.kind, &object.namespace).ok_or_else(|| Error::UnknownKind {
            kind: object.kind.kind.to_string(),
            api_version: object.kind.group.to_string(),
        })?;
        Ok(format!("{collection}/{}", encoded(&object.name)))
    }
}

fn path(group: &str, served: &Served, namespace: &str) -> String {
    format!("{}/namespaces/{}/{}", root(group, served), encoded(namespace), served.plural)
}

fn root(group: &str, served: &Served) -> String {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    format!("{root}/{}", served.version)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_follow_the_version_that_is_asked_for() {
        let resource = |kind: &str, plural: &str, scope: &str| json!({"resource": plural, "scope": scope, "responseKind": {"kind": kind}});
        let mut kinds = Kinds::default();
        kinds.add(&json!({"items": [
            {"versions": [{"version": "v1", "resources": [resource("ConfigMap", "configmaps", "Namespaced"), resource("Node", "nodes", "Cluster")]}]},
            {"metadata": {"name": "autoscaling"}, "versions": [
                {"version": "v2", "resources": [resource("HorizontalPodAutoscaler", "horizontalpodautoscalers", "Namespaced")]},
                {"version": "v1", "resources": [resource("HorizontalPodAutoscaler", "horizontalpodautoscalers", "Namespaced")]}]},
        ]}));
        let hpa = Kind::new("autoscaling", "HorizontalPodAutoscaler");
        let object = ObjectId::new(hpa.clone(), "shop", "api");
        let expected = |version| format!("/apis/autoscaling/{version}/namespaces/shop/horizontalpodautoscalers");
        assert_eq!(kinds.collection(&hpa, "shop"), Some(expected("v2")));
        assert_eq!(kinds.collection_as(&object, "autoscaling/v1").unwrap(), expected("v1"));
        assert!(matches!(kinds.collection_as(&object, "autoscaling/v3"), Err(Error::UnknownKind { .. })));
        assert_eq!(
            kinds.object(&ObjectId::new(Kind::new("", "ConfigMap"), "shop", "a")).unwrap(),
            "/api/v1/namespaces/shop/configmaps/a"
        );
        assert_eq!(kinds.collection(&Kind::new("", "Node"), "shop"), None);
    }
}
