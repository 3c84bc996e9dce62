//! What the namespace has: one metadata list per kind, no values.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, METADATA, METADATA_LIST, encoded};
use crate::cluster::error::Error;
use crate::cluster::metadata;
use crate::model::object::{Kind, ObjectId};
use crate::model::wire::REPOSITORY;
use crate::planning::live::{Live, LiveSet};

/// Objects a page: what kubectl and client-go ask for.
const PAGE: usize = 500;
/// Lists under way at once: a start is rare, so it may not crowd out others.
const LISTS: usize = 8;
/// How often a list is begun again after its continue token expired (five minutes).
const RESTARTS: usize = 3;

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
        let lists: Vec<_> = paths.map(|(kind, path)| self.list_kind(path, kind, environment_id)).collect();
        let mut lists = stream::iter(lists).buffer_unordered(LISTS);
        let mut objects = BTreeMap::new();
        while let Some(list) = lists.next().await {
            objects.extend(list?);
        }
        Ok(LiveSet { objects })
    }

    async fn list_kind(&self, path: String, kind: &Kind, environment_id: &str) -> Result<Vec<(ObjectId, Live)>, Error> {
        let mut found = Vec::new();
        self.pages(&path, "", METADATA_LIST, &mut |item| {
            found.push(metadata::read(item, kind, environment_id).map_err(|field| malformed(kind, field))?);
            Ok(())
        })
        .await?;
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        found.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(found)
    }

    /// Walks a list page by page. After an expired token it begins again, so that an item may come twice.
    pub(super) async fn pages(
        &self,
        path: &str,
        query: &str,
        accept: &'static str,
        take: &mut (impl FnMut(&Value) -> Result<(), Error> + Send),
    ) -> Result<(), Error> {
        let mut token = String::new();
        let mut restarts = 0;
        loop {
            let call = Call::list(format!("{path}?limit={PAGE}{query}{token}"), accept);
            let page = match self.call(&call).await {
                Ok(answer) => answer,
                Err(failure) if failure.code() == Some(410) && restarts < RESTARTS => {
                    restarts += 1;
                    token.clear();
                    continue;
                }
                Err(failure) => return Err(Error::call(format!("list `{path}`"))(failure)),
            };
            for item in page["items"].as_array().into_iter().flatten() {
                take(item)?;
            }
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => token = format!("&continue={}", encoded(next)),
                _ => return Ok(()),
            }
        }
    }

    /// Reads the metadata of one object; `None` if there is none.
    ///
    /// # Errors
    /// `UnknownKind`, `Malformed`, `Call`.
    pub async fn read(&self, object: &ObjectId, environment_id: &str) -> Result<Option<Live>, Error> {
        let Some(found) = self.read_metadata(object).await? else { return Ok(None) };
        let (_, live) =
            metadata::read(&found, &object.kind, environment_id).map_err(|field| malformed(&object.kind, field))?;
        Ok(Some(live))
    }

    /// Reads one whole object, values included: to show what adoption would change.
    ///
    /// # Errors
    /// `UnknownKind`, `Call`.
    pub async fn get(&self, object: &ObjectId) -> Result<Option<Value>, Error> {
        self.read_as(object, crate::cluster::call::WHOLE).await
    }

    pub(super) async fn read_metadata(&self, object: &ObjectId) -> Result<Option<Value>, Error> {
        self.read_as(object, METADATA).await
    }

    async fn read_as(&self, object: &ObjectId, accept: &'static str) -> Result<Option<Value>, Error> {
        let call = Call::get(self.kinds().await?.object(object)?, accept);
        self.get_opt(&call, || format!("read {}", object.short())).await
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

fn malformed(kind: &Kind, field: &str) -> Error {
    Error::Malformed { what: kind.kind.clone(), why: format!("no metadata.{field}") }
}
