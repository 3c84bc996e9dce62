//! From an object's metadata to `Live`: straight from JSON, no values.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::cluster::fields::{self, Owners};
use crate::model::object::{Kind, ObjectId};
use crate::model::short::Short;
use crate::model::wire;
use crate::planning::health::{self, Parts, Workload};
use crate::planning::live::{Before, Drift, Live, Mark, Ownership, Remarks, Stamps};

/// Annotation of client-side `kubectl apply`.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const REPLICAS: &str = "f:spec\nf:replicas";
/// Labels and annotations that mean something to osier.
const KNOWN: [&str; 11] = [
    wire::ENVIRONMENT,
    wire::INPUTS,
    wire::FIELDS,
    wire::FINGERPRINT,
    wire::RECORD,
    wire::CONFIG,
    wire::ADOPTED_CONFIG,
    wire::PRUNE,
    wire::KEYS,
    wire::IGNORE,
    LAST_APPLIED,
];

/// What an API server says about an object.
///
/// Reads an object of any kind or its PartialObjectMetadata, and keeps nothing but what osier needs to know: no value, not even that of
/// `last-applied-configuration`. A list or a bookmark of a watch has a `resource_version` only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metadata {
    metadata: Fields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<IgnoredAny>,
    labels: Option<Known>,
    annotations: Option<Known>,
    managed_fields: Owners,
}

/// A whole object of a kind that is judged by its status: read, reduced, and dropped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Whole {
    metadata: Fields,
    spec: Value,
    status: Value,
}

impl Whole {
    /// The value of a label that means something to osier.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name)
    }

    /// What is kept of an object of `kind`, seen from the environment with this id.
    pub(super) fn workload(
        self,
        kind: &Kind,
        environment_id: &str,
    ) -> Result<(ObjectId, Live, Workload), &'static str> {
        let Whole { metadata, spec, status } = self;
        let (object, live) = Metadata { metadata }.live(kind, environment_id)?;
        let health = health::of(kind, Parts { generation: live.generation, spec: &spec, status: &status });
        let is_foreign = live.ownership.marks() == 0;
        let refers = if is_foreign { health::refers(&object, &spec) } else { BTreeSet::new() };
        let result = health::result(kind, &status);
        let workload = Workload { uid: live.uid.clone(), generation: live.generation, health, result, refers };
        Ok((object, live, workload))
    }
}

impl Metadata {
    /// Its resourceVersion; empty if it says none.
    pub fn resource_version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Who owns its fields.
    pub fn owners(&self) -> &Owners {
        &self.metadata.managed_fields
    }

    /// The object of `kind`, seen from the environment with this id.
    ///
    /// # Errors
    /// The name of the field that is missing: without uid and resourceVersion nothing can be written.
    pub fn live(&self, kind: &Kind, environment_id: &str) -> Result<(ObjectId, Live), &'static str> {
        let Fields { namespace, name, uid, resource_version, generation, creation_timestamp, .. } = &self.metadata;
        let namespace = namespace.as_ref().ok_or("namespace")?;
        let id = ObjectId::new(kind.clone(), namespace, name.as_ref().ok_or("name")?);
        let owners = self.owners();
        let environments = [self.label(wire::ENVIRONMENT), self.annotation(wire::ENVIRONMENT)];
        let [label, annotation] = environments.map(|id| match id {
            None => Mark::Absent,
            Some(id) if id == environment_id => Mark::Ours,
            Some(_) => Mark::Other,
        });
        let ownership = Ownership { label, annotation, entry: owners.entry };
        let before = self.before(kind);
        let stamps = self.stamps(&before);
        let stamp = |name| self.annotation(name).map(str::to_owned);
        let remarks = Remarks {
            other_environment: environments.into_iter().flatten().find(|id| *id != environment_id).map(str::to_owned),
            config: stamp(wire::CONFIG),
            adopted_config: stamp(wire::ADOPTED_CONFIG),
            drift: drift(ownership, &stamps, owners),
            managers: owners.others.keys().cloned().collect(),
        };
        let created = creation_timestamp.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        let live = Live {
            uid: uid.as_deref().ok_or("uid")?.into(),
            resource_version: resource_version.as_deref().ok_or("resourceVersion")?.into(),
            generation: *generation,
            created: created.map_or(0, Timestamp::as_second),
            terminating: self.metadata.deletion_timestamp.is_some(),
            ownership,
            stamps,
            // whoever made an object that is not ours owns its replicas: that is no autoscaler's doing
            scaled_by_others: owners.scaled || owners.entry && owners.others_own(REPLICAS),
            created_by_post: owners.created_by_post,
            prune_keep: self.annotation(wire::PRUNE) == Some("keep"),
            last_applied: self.annotation(LAST_APPLIED).is_some(),
            before,
            ..Live::default()
        };
        Ok((id, live.with(remarks)))
    }

    /// The value of a label that means something to osier.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name)
    }

    fn stamps(&self, before: &Before) -> Stamps {
        let stamp = |name| self.annotation(name).map(Short::from);
        let fields = fields::stamp(&before.own_fields, &before.other_fields);
        Stamps {
            inputs: stamp(wire::INPUTS),
            fingerprint: stamp(wire::FINGERPRINT),
            record: self.annotation(wire::RECORD).and_then(|number| number.parse().ok()),
            fields_fit: self.annotation(wire::FIELDS) == Some(&fields),
        }
    }

    fn before(&self, kind: &Kind) -> Before {
        let key_by_key = self.annotation(wire::KEYS) == Some("shared") || self.annotation(wire::IGNORE).is_some();
        let mut prefixes =
            vec![("f:metadata\nf:labels\nf:", "labels"), ("f:metadata\nf:annotations\nf:", "annotations")];
        if kind.is_config() && key_by_key {
            prefixes.extend([("f:data\nf:", "data"), ("f:binaryData\nf:", "binaryData")]);
        }
        let owners = self.owners();
        let own = |(prefix, map): (&str, &str)| {
            let names = owners.own.iter().filter_map(|leaf| leaf.strip_prefix(prefix));
            names.filter(|name| !is_mark(name)).map(|name| format!("{map}/{name}").into()).collect::<Vec<Box<str>>>()
        };
        Before {
            labels: self.metadata.labels.is_some(),
            annotations: self.metadata.annotations.is_some(),
            own_keys: prefixes.into_iter().flat_map(own).collect(),
            own_replicas: owners.own.contains(REPLICAS),
            own_fields: owners.own_digest(),
            other_fields: owners.others_digest(kind),
            other_fields_after: owners.others_digest_after(kind, key_by_key),
        }
    }
}

/// Labels or annotations, as far as they are known.
#[derive(Debug, Default)]
struct Known(Vec<(&'static str, String)>);

impl Known {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KnownVisitor)
    }
}

struct KnownVisitor;

impl<'de> Visitor<'de> for KnownVisitor {
    type Value = Known;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("labels or annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known, A::Error> {
        let mut known = Vec::new();
        while let Some(name) = map.next_key_seed(KnownName)? {
            match name {
                Some(LAST_APPLIED) => {
                    map.next_value::<IgnoredAny>()?;
                    known.push((LAST_APPLIED, String::new()));
                }
                Some(name) => known.push((name, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Known(known))
    }
}

/// Reads a name; `None` if it means nothing to osier.
struct KnownName;

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(KNOWN.into_iter().find(|known| *known == name))
    }
}

/// The marks that every write sets; the annotations that git sets are none.
fn is_mark(name: &str) -> bool {
    [wire::ENVIRONMENT, wire::INPUTS, wire::FIELDS, wire::FINGERPRINT, wire::RECORD].contains(&name)
}

/// Signs of drift, on objects that carry at least two marks of this environment; others are not ours to judge.
fn drift(ownership: Ownership, stamps: &Stamps, owners: &Owners) -> Vec<Drift> {
    if !ownership.may_repair() {
        return Vec::new();
    }
    let Ownership { label, annotation, entry } = ownership;
    let marks =
        [(label == Mark::Ours, Drift::Label), (annotation == Mark::Ours, Drift::Annotation), (entry, Drift::Entry)];
    let mut signs: Vec<Drift> = marks.into_iter().filter(|(there, _)| !there).map(|(_, sign)| sign).collect();
    if !stamps.fields_fit {
        signs.push(Drift::Fields);
        // times have seconds only: who wrote in the same one may well be who changed it
        let newer = owners.others.iter().filter(|(_, other)| other.time >= owners.own_time);
        signs.extend(newer.map(|(manager, _)| Drift::Newer(manager.clone())));
    }
    let string_data = |leaf: &String| leaf.starts_with("f:stringData");
    let writers = owners.others.iter().filter(|(_, other)| other.leaves.iter().any(string_data));
    signs.extend(writers.map(|(manager, _)| Drift::StringData(manager.clone())));
    signs
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::leaves::{self, Leaves};

    const ID: &str = "e1";

    fn entry(manager: &str, time: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields})
    }

    /// A ConfigMap as osier left it, with further entries of managedFields.
    fn config_map(further: &[Value]) -> Value {
        let ours = json!({"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {"f:team": {}, "f:osier.dev/environment": {}}}});
        let own = fields::digest(&leaves::read(&ours).unwrap());
        let mut entries = vec![entry("osier", "2026-11-21T06:00:00Z", &ours)];
        entries.extend_from_slice(further);
        json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"osier.dev/environment": ID, "team": "x"},
            "annotations": {"osier.dev/environment": ID, "osier.dev/fields": fields::stamp(&own, &fields::digest(&Leaves::new())), "osier.dev/record": "3"},
            "managedFields": entries}})
    }

    fn read(object: &Value) -> Result<(ObjectId, Live), &'static str> {
        let bytes = object.to_string();
        let metadata: Metadata = serde_json::from_str(&bytes).unwrap();
        metadata.live(&Kind::new("", "ConfigMap"), ID)
    }

    fn live(object: &Value) -> Live {
        read(object).unwrap().1
    }

    #[test]
    fn what_osier_left_shows_no_drift() {
        let live = live(&config_map(&[]));
        assert_eq!(live.remarks().drift, []);
        assert_eq!(live.stamps.record, Some(3));
        assert_eq!(*live.before.own_keys, ["labels/team".into()]);
        assert!(live.created_by_post && live.remarks().managers.is_empty() && !live.terminating);
    }

    #[test]
    fn each_edit_shows() {
        let edit = entry("kubectl-edit", "2026-11-21T06:00:09Z", &json!({"f:data": {"f:other": {}}}));
        assert_eq!(
            live(&config_map(&[edit])).remarks().drift,
            [Drift::Fields, Drift::Newer("kubectl-edit".to_owned())]
        );
        let at_once = entry("tuner", "2026-11-21T06:00:00Z", &json!({"f:data": {"f:other": {}}}));
        assert_eq!(live(&config_map(&[at_once])).remarks().drift, [Drift::Fields, Drift::Newer("tuner".to_owned())]);
        let string_data = entry("x", "2026-11-21T05:00:00Z", &json!({"f:stringData": {"f:k": {}}}));
        assert_eq!(
            live(&config_map(&[string_data])).remarks().drift,
            [Drift::Fields, Drift::StringData("x".to_owned())]
        );
        let mut object = config_map(&[]);
        object["metadata"]["labels"] = json!({});
        assert_eq!(live(&object).remarks().drift, [Drift::Label]);
        let mut object = config_map(&[]);
        object["metadata"]["managedFields"] = json!([]);
        assert_eq!(live(&object).remarks().drift, [Drift::Entry, Drift::Fields]);
        let mut object = config_map(&[]);
        object["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] = json!({});
        assert_eq!(live(&object).remarks().drift, [Drift::Fields]);
    }

    #[test]
    fn what_is_not_ours_is_not_judged() {
        let foreign = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"osier.dev/environment": ID}}});
        assert_eq!(live(&foreign).remarks().drift, []);
        assert_eq!(read(&json!({"metadata": {"name": "a"}})), Err("namespace"));
    }
}
