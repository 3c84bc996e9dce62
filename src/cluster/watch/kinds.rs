//! What osier watches, and what becomes of it.

use std::sync::Arc;

use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::call::{METADATA_LIST, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::live::malformed;
use crate::cluster::metadata::{Metadata, Whole};
use crate::cluster::own::collection;
use crate::cluster::watch::{Events, Subject};
use crate::model::asked::AskedPlan;
use crate::model::environment::{Environment, Lane};
use crate::model::object::{Kind, ObjectId};
use crate::model::repository::Repository;
use crate::model::wire::{API_VERSION, ENVIRONMENT, LANE, REPOSITORY};
use crate::planning::health::pods::{self, Trouble};
use crate::planning::health::{self, Workload};
use crate::planning::live::Live;

/// An object as it is kept, and how it stands if it is judged by its status.
pub type Seen = (ObjectId, Live, Option<Workload>);

/// What decides whether an environment may be in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Premises {
    /// A namespace that was made again is another one.
    pub uid: String,
    /// It is being deleted.
    pub terminating: bool,
    /// The Repository that its label names.
    pub repository: Option<String>,
}

impl Cluster {
    /// Watches one namespace.
    pub fn watch_namespace(self: &Arc<Self>, namespace: &str) -> Events<Premises> {
        let query = format!("&fieldSelector={}", encoded(&format!("metadata.name={namespace}")));
        let subject = Subject { path: "/api/v1/namespaces".to_owned(), query, metadata: true, sensitive: false };
        self.watch(subject, |object: Value| {
            let metadata = &object["metadata"];
            Ok(Premises {
                uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
                terminating: !metadata["deletionTimestamp"].is_null(),
                repository: metadata["labels"][REPOSITORY].as_str().map(str::to_owned),
            })
        })
    }

    /// Watches the metadata of all objects of a kind in a namespace, seen from the environment with this id.
    ///
    /// # Errors
    /// `UnknownKind` if the server does not serve the kind, `Call` if it cannot be asked.
    pub async fn watch_live(
        self: &Arc<Self>,
        kind: &Kind,
        namespace: &str,
        environment_id: &str,
    ) -> Result<Events<(ObjectId, Live)>, Error> {
        let path = self.kinds_with(kind).await?.collection(kind, namespace).ok_or_else(|| unserved(kind))?;
        let (kind, environment_id) = (kind.clone(), environment_id.to_owned());
        let read = move |object: Metadata| object.live(&kind, &environment_id).map_err(|field| malformed(&kind, field));
        Ok(self.watch(Subject { path, query: String::new(), metadata: true, sensitive: false }, read))
    }

    /// Watches all objects of a kind whole, as `watch_live` does their metadata; of spec and status it is kept how they stand.
    ///
    /// # Errors
    /// As `watch_live`.
    pub async fn watch_workloads(
        self: &Arc<Self>,
        kind: &Kind,
        namespace: &str,
        environment_id: &str,
    ) -> Result<Events<(ObjectId, Live, Workload)>, Error> {
        let path = self.kinds().await?.collection(kind, namespace).ok_or_else(|| unserved(kind))?;
        let (kind, environment_id) = (kind.clone(), environment_id.to_owned());
        let read =
            move |object: Whole| object.workload(&kind, &environment_id).map_err(|field| malformed(&kind, field));
        Ok(self.watch(Subject { path, query: String::new(), metadata: false, sensitive: false }, read))
    }

    /// Watches what is wrong with the pods of a namespace, by their names.
    pub fn watch_pods(self: &Arc<Self>, namespace: &str) -> Events<(String, Option<Trouble>)> {
        let path = format!("/api/v1/namespaces/{}/pods", encoded(namespace));
        let read = |pod: Value| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            Ok((name, pods::trouble(&pod)))
        };
        self.watch(Subject { path, query: String::new(), metadata: false, sensitive: false }, read)
    }

    /// Watches all objects of a kind that carry an environment's label, in all namespaces, each with that label and seen from that
    /// environment. An object that loses its label is `Gone`.
    ///
    /// # Errors
    /// `UnknownKind` if the server does not serve the kind, `Call` if it cannot be asked.
    pub async fn watch_everywhere(self: &Arc<Self>, kind: &Kind) -> Result<Events<(String, Seen)>, Error> {
        let path = self.kinds_with(kind).await?.everywhere(kind).ok_or_else(|| unserved(kind))?;
        let query = format!("&labelSelector={}", encoded(ENVIRONMENT));
        let subject = Subject { path, query, metadata: !health::is_judged(kind), sensitive: false };
        let kind = kind.clone();
        if !subject.metadata {
            return Ok(self.watch(subject, move |object: Whole| {
                let environment_id = object.label(ENVIRONMENT).unwrap_or_default().to_owned();
                let seen = object.workload(&kind, &environment_id).map_err(|field| malformed(&kind, field))?;
                Ok((environment_id, judged(seen)))
            }));
        }
        Ok(self.watch(subject, move |object: Metadata| {
            let environment_id = object.label(ENVIRONMENT).unwrap_or_default();
            let seen = object.live(&kind, environment_id).map_err(|field| malformed(&kind, field))?;
            Ok((environment_id.to_owned(), unjudged(seen)))
        }))
    }

    /// Watches all objects of a kind in a namespace, seen from the environment with this id.
    ///
    /// # Errors
    /// `UnknownKind` if the server does not serve the kind, `Call` if it cannot be asked.
    pub async fn watch_seen(
        self: &Arc<Self>,
        kind: &Kind,
        namespace: &str,
        environment_id: &str,
    ) -> Result<Events<Seen>, Error> {
        if health::is_judged(kind) {
            let events = self.watch_workloads(kind, namespace, environment_id).await?;
            return Ok(events.map(|event| event.map(judged)).boxed());
        }
        let events = self.watch_live(kind, namespace, environment_id).await?;
        Ok(events.map(|event| event.map(unjudged)).boxed())
    }

    /// Lists what `watch_seen` begins with, once.
    ///
    /// # Errors
    /// As `watch_seen`.
    pub async fn list_seen(&self, kind: &Kind, namespace: &str, environment_id: &str) -> Result<Vec<Seen>, Error> {
        let path = self.kinds_with(kind).await?.collection(kind, namespace).ok_or_else(|| unserved(kind))?;
        let _turn = self.watching.list().await;
        let malformed = |field| malformed(kind, field);
        let found = if health::is_judged(kind) {
            let read = |object: Whole| object.workload(kind, environment_id).map(judged).map_err(malformed);
            self.pages(&path, "", WHOLE, &read).await?
        } else {
            let read = |object: Metadata| object.live(kind, environment_id).map(unjudged).map_err(malformed);
            self.pages(&path, "", METADATA_LIST, &read).await?
        };
        Ok(found.0)
    }

    /// Watches all Repositories. One that cannot be read is told with its name, beside the others.
    pub fn watch_repositories(self: &Arc<Self>) -> Events<Result<Repository, InvalidObject>> {
        self.watch_own(format!("/apis/{API_VERSION}/repositories"), String::new())
    }

    /// Watches the Environments of a home namespace. One that cannot be read is told with its name, beside the others.
    pub fn watch_environments(self: &Arc<Self>, home: &str) -> Events<Result<Environment, InvalidObject>> {
        self.watch_own(collection(home, "environments"), String::new())
    }

    /// Watches those of them that a lane serves. One without a label is a protected one.
    pub fn watch_environments_of(
        self: &Arc<Self>,
        home: &str,
        lane: Lane,
    ) -> Events<Result<Environment, InvalidObject>> {
        let equals = if lane == Lane::Branches { "=" } else { "!=" };
        let query = format!("&labelSelector={}", encoded(&format!("{LANE}{equals}{}", Lane::Branches.as_str())));
        self.watch_own(collection(home, "environments"), query)
    }

    /// Watches the Plans of a home namespace, or the one that is `named`. One that cannot be read is told with its name, beside the others.
    pub fn watch_plans(self: &Arc<Self>, home: &str, named: Option<&str>) -> Events<Result<AskedPlan, InvalidObject>> {
        self.watch_own(collection(home, "plans"), named.map(only).unwrap_or_default())
    }

    /// Watches whether a Secret changes, without its values: who needs them reads them then.
    pub fn watch_secret(self: &Arc<Self>, namespace: &str, name: &str) -> Events<()> {
        let path = format!("/api/v1/namespaces/{}/secrets", encoded(namespace));
        self.watch(Subject { path, query: only(name), metadata: true, sensitive: true }, |_: IgnoredAny| Ok(()))
    }

    fn watch_own<K>(self: &Arc<Self>, path: String, query: String) -> Events<Result<K, InvalidObject>>
    where
        K: kube::Resource + DeserializeOwned + Send + 'static,
    {
        let subject = Subject { path, query, metadata: false, sensitive: false };
        self.watch(subject, |guarded: DeserializeGuard<K>| Ok(guarded.0))
    }
}

/// Query for the one object of this name.
fn only(name: &str) -> String {
    format!("&fieldSelector={}", encoded(&format!("metadata.name={name}")))
}

fn judged((object, live, workload): (ObjectId, Live, Workload)) -> Seen {
    (object, live, Some(workload))
}

fn unjudged((object, live): (ObjectId, Live)) -> Seen {
    (object, live, None)
}

fn unserved(kind: &Kind) -> Error {
    Error::UnknownKind { kind: kind.kind.to_string(), api_version: kind.group.to_string() }
}
