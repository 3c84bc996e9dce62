//! What the namespace has: one metadata list per kind, no values.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream;
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, Cause, Failure, METADATA, METADATA_LIST, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::metadata::Metadata;
use crate::model::object::{Kind, ObjectId};
use crate::model::wire::REPOSITORY;
use crate::planning::live::{Live, LiveSet};

/// Objects a page: what kubectl and client-go ask for.
const PAGE: usize = 500;
/// Lists under way at once: a start is rare, so it may not crowd out others.
pub(super) const LISTS: usize = 8;
/// How often a list is begun again after its continue token expired (five minutes).
const RESTARTS: usize = 3;

/// An object's metadata, and the JSON for the few writes that rewrite its managedFields.
pub(super) struct Answer {
    pub metadata: Metadata,
    bytes: Bytes,
}

impl Answer {
    /// The whole answer.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("the metadata was read from the same bytes")
    }
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: String,
    resource_version: String,
}

impl Cluster {
    /// Makes sure that the namespace exists, stays, and is meant for this Repository.
    ///
    /// # Errors
    /// `NamespaceMissing`, `NamespaceTerminating`, `NamespaceUnlabelled`, `NameTaken`, or `Call`.
    pub async fn check_namespace(&self, namespace: &str, repository: &str) -> Result<(), Error> {
        let call = Call::get(format!("/api/v1/namespaces/{}", encoded(namespace)), METADATA);
        let (namespace, repository) = (namespace.to_owned(), repository.to_owned());
        let object = match self.call(&call).await {
            Ok(answer) => answer,
            Err(failure) if failure.code() == Some(404) => {
                return Err(Error::NamespaceMissing { namespace, repository });
            }
            Err(failure) => return Err(Error::call(format!("read namespace `{namespace}`"))(failure)),
        };
        let metadata = &object["metadata"];
        if !metadata["deletionTimestamp"].is_null() {
            return Err(Error::NamespaceTerminating { namespace });
        }
        match metadata["labels"][REPOSITORY].as_str() {
            Some(label) if label == repository => Ok(()),
            Some(other) => Err(Error::NameTaken { namespace, other: other.to_owned() }),
            None => Err(Error::NamespaceUnlabelled { namespace, repository }),
        }
    }

    /// Lists the metadata of all objects of these kinds. Kinds that the server does not serve have no objects.
    ///
    /// # Errors
    /// `Call` if any list fails: a partial list is none.
    pub async fn live(&self, namespace: &str, kinds: &BTreeSet<Kind>, environment_id: &str) -> Result<LiveSet, Error> {
        let served = self.kinds().await?;
        let paths = kinds.iter().filter_map(|kind| Some((kind, served.collection(kind, namespace)?)));
        let list = async |(kind, path)| (kind, self.list_kind(path, kind, environment_id).await);
        let lists: Vec<_> = paths.map(list).collect();
        let mut lists = stream::iter(lists).buffer_unordered(LISTS);
        let mut live = LiveSet::default();
        while let Some((kind, list)) = lists.next().await {
            live.replace(kind, list?);
        }
        Ok(live)
    }

    async fn list_kind(&self, path: String, kind: &Kind, environment_id: &str) -> Result<Vec<(ObjectId, Live)>, Error> {
        let read = |item: Metadata| item.live(kind, environment_id).map_err(|field| malformed(kind, field));
        let (found, _) = self.pages(&path, "", METADATA_LIST, &read).await?;
        Ok(found)
    }

    /// Reads a list page by page, and the resourceVersion of all its pages. It begins again after an expired token.
    pub(super) async fn pages<D: DeserializeOwned, T>(
        &self,
        path: &str,
        query: &str,
        accept: &'static str,
        read: &(impl Fn(D) -> Result<T, Error> + Sync),
    ) -> Result<(Vec<T>, String), Error> {
        let mut found = Vec::new();
        let mut token = String::new();
        let mut restarts = 0;
        loop {
            let call = Call::list(format!("{path}?limit={PAGE}{query}{token}"), accept);
            let page: Page<D> = match self.call_for(&call).await {
                Ok(answer) => answer,
                Err(failure) if failure.code() == Some(410) && restarts < RESTARTS => {
                    restarts += 1;
                    token.clear();
                    found.clear(); // another moment: what is gone since then may not stay
                    continue;
                }
                Err(failure) => return Err(Error::call(format!("list `{path}`"))(failure)),
            };
            for item in page.items.into_iter().flatten() {
                found.push(read(item)?);
            }
            match page.metadata.next.as_str() {
                "" => return Ok((found, page.metadata.resource_version)),
                next => token = format!("&continue={}", encoded(next)),
            }
        }
    }

    /// Reads the metadata of one object; `None` if there is none.
    ///
    /// # Errors
    /// `UnknownKind`, `Malformed`, `Call`.
    pub async fn read(&self, object: &ObjectId, environment_id: &str) -> Result<Option<Live>, Error> {
        let Some(found) = self.read_metadata(object).await? else { return Ok(None) };
        let live = found.metadata.live(&object.kind, environment_id);
        Ok(Some(live.map_err(|field| malformed(&object.kind, field))?.1))
    }

    /// The keys of a ConfigMap or Secret, as far as its metadata tells who wrote them; `None` if there is no such object.
    ///
    /// # Errors
    /// `UnknownKind`, `Call`.
    pub async fn keys(&self, object: &ObjectId) -> Result<Option<BTreeSet<String>>, Error> {
        let Some(found) = self.read_metadata(object).await? else { return Ok(None) };
        Ok(Some(found.metadata.owners().keys_of_data()))
    }

    /// Reads one whole object, values included: to show what adoption would change.
    ///
    /// # Errors
    /// `UnknownKind`, `Call`.
    pub async fn get(&self, object: &ObjectId) -> Result<Option<Value>, Error> {
        let call = Call::get(self.kinds_with(&object.kind).await?.object(object)?, WHOLE);
        self.get_opt(&call, || format!("read {}", object.short())).await
    }

    pub(super) async fn read_metadata(&self, object: &ObjectId) -> Result<Option<Answer>, Error> {
        let call = Call::get(self.kinds_with(&object.kind).await?.object(object)?, METADATA);
        match self.call_for_object(&call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(Error::call(format!("read {}", object.short()))(failure)),
        }
    }

    /// A request that is answered with an object.
    pub(super) async fn call_for_object(&self, call: &Call) -> Result<Answer, Failure> {
        let bytes = self.bytes(call).await?;
        match serde_json::from_slice(&bytes) {
            Ok(metadata) => Ok(Answer { metadata, bytes }),
            Err(_) => Err(Failure { cause: Cause::Unreadable, repeated: false }),
        }
    }

    /// A GET whose 404 is an answer.
    pub(super) async fn get_opt(&self, call: &Call, what: impl FnOnce() -> String) -> Result<Option<Value>, Error> {
        match self.call(call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(Error::call(what())(failure)),
        }
    }
}

pub(super) fn malformed(kind: &Kind, field: &str) -> Error {
    Error::Malformed { what: kind.kind.to_string(), why: format!("no metadata.{field}") }
}
