//! Who owns which fields: `metadata.managedFields`, read and written, and the `osier.dev/fields` stamp.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::cluster::leaves::{self, Leaves};
use crate::model::digest::b32;
use crate::model::object::Kind;
use crate::model::wire::MANAGER;
use crate::planning::live::FieldsDigest;

/// The owners of an object's fields, without those of subresource `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// What osier owns, in all its entries.
    pub own: Leaves,
    /// When osier wrote last.
    pub own_time: String,
    /// True if osier has an entry, be it empty.
    pub entry: bool,
    /// True if an `Update` entry of osier owns more than marks (a patch of stamps leaves such an entry beside the `Apply` one).
    pub created_by_post: bool,
    /// True if another manager wrote through the `scale` subresource.
    pub scaled: bool,
    /// The others, by manager.
    pub others: BTreeMap<String, Other>,
}

/// What one other manager owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// When it wrote last.
    pub time: String,
    /// Its leaves.
    pub leaves: Leaves,
}

/// One entry of managedFields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    manager: String,
    operation: String,
    subresource: String,
    time: String,
    #[serde(rename = "fieldsV1", deserialize_with = "leaves::read")]
    leaves: Leaves,
}

impl<'de> Deserialize<'de> for Owners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(Vec::deserialize(deserializer)?))
    }
}

impl Owners {
    fn of(entries: Vec<Entry>) -> Self {
        let mut owners = Self::default();
        for entry in entries.into_iter().filter(|entry| entry.subresource != "status") {
            let Entry { manager, operation, subresource, time, leaves } = entry;
            if manager == MANAGER && subresource.is_empty() {
                owners.entry = true;
                owners.created_by_post |= operation == "Update" && !leaves.iter().all(|leaf| is_mark(leaf));
                join(&mut owners.own, leaves);
                owners.own_time = time.max(owners.own_time);
            } else {
                owners.scaled |= subresource == "scale";
                let other = owners.others.entry(manager).or_default();
                other.time = time.max(std::mem::take(&mut other.time));
                join(&mut other.leaves, leaves);
            }
        }
        owners.own = without_maps(owners.own);
        owners
    }

    /// The first half of `osier.dev/fields`.
    pub fn own_digest(&self) -> FieldsDigest {
        digest(&self.own)
    }

    /// The second half of `osier.dev/fields`: who else owns what, and for kinds without a generation since when.
    pub fn others_digest(&self, kind: &Kind) -> FieldsDigest {
        self.others_digest_of(kind, |_| true)
    }

    /// What the second half will be once osier has written everything of its object.
    ///
    /// Of a ConfigMap or Secret osier writes `data` whole (unless its keys are shared) and its own marks; what others owned of it is gone then.
    pub fn others_digest_after(&self, kind: &Kind, shared: bool) -> FieldsDigest {
        let taken = ["f:data", "f:binaryData", "f:stringData"];
        self.others_digest_of(kind, |leaf| {
            !kind.is_config() || !(is_mark(leaf) || !shared && taken.iter().any(|field| is_below(leaf, field)))
        })
    }

    fn others_digest_of(&self, kind: &Kind, keep: impl Fn(&str) -> bool) -> FieldsDigest {
        let lines = self.others.iter().flat_map(|(manager, other)| {
            let time = if kind.is_config() { other.time.as_str() } else { "" };
            let keep = &keep;
            other.leaves.iter().filter(move |leaf| keep(leaf)).map(move |leaf| format!("{manager}\n{time}\n{leaf}"))
        });
        digest(&lines.collect())
    }

    /// The keys of `data`, `binaryData` and `stringData` that anybody owns.
    pub fn keys_of_data(&self) -> BTreeSet<String> {
        let leaves = self.others.values().flat_map(|other| &other.leaves).chain(&self.own);
        let key = |leaf: &String| {
            let (field, key) = leaf.split_once("\nf:")?;
            ["f:data", "f:binaryData", "f:stringData"].contains(&field).then(|| key.to_owned())
        };
        leaves.filter_map(key).collect()
    }

    /// True if a manager other than osier owns `leaf`.
    pub fn others_own(&self, leaf: &str) -> bool {
        self.others.values().any(|other| other.leaves.contains(leaf))
    }
}

/// The `osier.dev/fields` stamp of its two halves.
pub fn stamp(own: &str, others: &str) -> String {
    format!("{own}.{others}")
}

/// The digest of a set of leaves.
pub fn digest(leaves: &Leaves) -> FieldsDigest {
    FieldsDigest::new(&b32(FieldsDigest::LENGTH, leaves))
}

/// Mostly there is one entry, whose leaves are moved rather than inserted one by one.
fn join(all: &mut Leaves, more: Leaves) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

/// Without the maps that have a leaf below them: an entry whose last leaf of a map was taken over by another entry of ours keeps the map
/// as if that were a leaf.
fn without_maps(mut leaves: Leaves) -> Leaves {
    // a line feed sorts before everything that names have, so that what is below a map comes right after it
    let maps = leaves.iter().zip(leaves.iter().skip(1)).filter(|(leaf, next)| is_below(next, leaf));
    let maps: Vec<String> = maps.map(|(leaf, _)| leaf.clone()).collect();
    leaves.retain(|leaf| !maps.contains(leaf));
    leaves
}

/// FieldsV1 of a ConfigMap or Secret as osier writes it: exactly what the API server notes for its POST.
pub fn fields_of_config(object: &Value) -> Value {
    let mut fields = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let maps = ["labels", "annotations"].map(|map| (format!("f:{map}"), keys(&value[map])));
                fields
                    .insert("f:metadata".to_owned(), maps.into_iter().filter(|(_, keys)| keys != &json!({})).collect());
            }
            _ if value.as_object().is_some_and(Map::is_empty) => {}
            _ => {
                fields.insert(format!("f:{name}"), keys(value));
            }
        }
    }
    Value::Object(fields)
}

fn keys(value: &Value) -> Value {
    let Some(map) = value.as_object().filter(|map| !map.is_empty()) else { return json!({}) };
    let names = map.keys().map(|name| format!("f:{name}"));
    names.chain([".".to_owned()]).map(|name| (name, json!({}))).collect()
}

/// The managedFields after osier's `Update` entries became one `Apply` entry that lacks the leaves of `released`.
pub fn as_applied(object: &Value, released: impl Fn(&str) -> bool) -> Vec<Value> {
    let (ours, mut all): (Vec<Value>, Vec<Value>) = entries(object).iter().cloned().partition(is_ours);
    let mut fields = json!({});
    for entry in &ours {
        merge(&mut fields, &entry["fieldsV1"]);
    }
    strip(&mut fields, "", &released);
    if let Some(last) = ours.last() {
        all.push(entry(last["apiVersion"].as_str().unwrap_or_default(), "Apply", &last["time"], fields));
    }
    all
}

/// The managedFields after adoption: entries of subresource `status`, and one of osier's with `fields`.
pub fn as_adopted(object: &Value, api_version: &str, fields: Value) -> Vec<Value> {
    let now = entries(object).iter().filter_map(|entry| entry["time"].as_str()).max().map_or(Value::Null, Value::from);
    let status = entries(object).iter().filter(|entry| entry["subresource"] == "status" && !is_ours(entry)).cloned();
    status.chain([entry(api_version, "Update", &now, fields)]).collect()
}

/// The managedFields in which osier's entry has all of `fields` besides its own, and nobody owns `stringData`.
pub fn as_restored(object: &Value, api_version: &str, fields: &Value) -> Vec<Value> {
    let (ours, mut all): (Vec<Value>, Vec<Value>) = entries(object).iter().cloned().partition(is_ours);
    for entry in &mut all {
        strip(&mut entry["fieldsV1"], "", &|leaf| is_below(leaf, "f:stringData"));
    }
    all.retain(|entry| entry["fieldsV1"] != json!({}));
    let mut whole = fields.clone();
    for entry in &ours {
        merge(&mut whole, &entry["fieldsV1"]);
    }
    let time = ours.last().map_or(Value::Null, |entry| entry["time"].clone());
    all.push(entry(api_version, "Update", &time, whole));
    all
}

fn entry(api_version: &str, operation: &str, time: &Value, fields: Value) -> Value {
    let mut entry = json!({"manager": MANAGER, "operation": operation, "apiVersion": api_version,
        "fieldsType": "FieldsV1", "fieldsV1": fields});
    if !time.is_null() {
        entry["time"] = time.clone();
    }
    entry
}

fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (name, value) in from {
        merge(into.entry(name.clone()).or_insert_with(|| json!({})), value);
    }
}

/// Removes the leaves that `drop` names, and the fields that are left without any.
fn strip(fields: &mut Value, path: &str, drop: &impl Fn(&str) -> bool) {
    let Some(map) = fields.as_object_mut() else { return };
    map.retain(|name, value| {
        let child = if path.is_empty() { name.clone() } else { format!("{path}\n{name}") };
        if is_bare(value) {
            return name == "." || !drop(&child);
        }
        strip(value, &child, drop);
        !is_bare(value)
    });
}

/// True for a leaf: nothing below but itself.
fn is_bare(fields: &Value) -> bool {
    fields.as_object().is_none_or(|map| map.keys().all(|name| name == "."))
}

fn entries(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_ours(entry: &Value) -> bool {
    entry["manager"] == MANAGER && entry["subresource"].as_str().unwrap_or_default().is_empty()
}

/// True for osier's own label and annotations.
fn is_mark(leaf: &str) -> bool {
    ["f:metadata\nf:annotations\nf:osier.dev/", "f:metadata\nf:labels\nf:osier.dev/"]
        .iter()
        .any(|mark| leaf.starts_with(mark))
}

fn is_below(leaf: &str, field: &str) -> bool {
    leaf.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map() -> Kind {
        Kind::new("", "ConfigMap")
    }

    fn object(entries: Value) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    fn owners(entries: Value) -> Owners {
        Owners::deserialize(entries).unwrap()
    }

    fn entry_of(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-11-21T06:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_is_written_owns_what_the_server_notes() {
        let wire = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1"}, "annotations": {}},
            "data": {"k": "v"}, "binaryData": {}, "immutable": true});
        let expected = json!({"f:data": {".": {}, "f:k": {}}, "f:immutable": {}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}});
        assert_eq!(fields_of_config(&wire), expected);
        let paths = ["f:data\nf:k", "f:immutable", "f:metadata\nf:labels\nf:x"];
        assert_eq!(leaves::read(&expected).unwrap(), paths.map(str::to_owned).into());
    }

    #[test]
    fn a_foreign_data_key_is_gone_after_a_write_unless_keys_are_shared() {
        let nobody = Owners::default().others_digest(&config_map());
        let owners = owners(json!([entry_of("kubectl-edit", "Update", json!({"f:data": {"f:k": {}}}))]));
        assert_ne!(owners.others_digest(&config_map()), nobody);
        assert_eq!(owners.others_digest_after(&config_map(), false), nobody);
        assert_ne!(owners.others_digest_after(&config_map(), true), nobody);
        let deployment = Kind::new("apps", "Deployment");
        assert_eq!(owners.others_digest_after(&deployment, false), owners.others_digest(&deployment));
    }

    #[test]
    fn status_entries_do_not_count() {
        let mut status = entry_of("kube-controller-manager", "Update", json!({"f:status": {"f:replicas": {}}}));
        status["subresource"] = json!("status");
        assert_eq!(owners(json!([status])), Owners::default());
    }

    #[test]
    fn update_entries_become_one_apply_entry_without_what_is_released() {
        let live = object(json!([
            entry_of("osier", "Update", json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})),
            entry_of(
                "osier",
                "Apply",
                json!({"f:spec": {"f:selector": {}}, "f:metadata": {"f:labels": {".": {}, "f:a": {}}}})
            ),
            entry_of("helm", "Update", json!({"f:data": {}})),
        ]));
        let entries = as_applied(&live, |leaf| leaf == "f:spec\nf:replicas" || leaf.starts_with("f:metadata"));
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1]["operation"], "Apply");
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:paused": {}, "f:selector": {}}}));
    }

    #[test]
    fn a_patch_of_stamps_leaves_an_applied_object_applied() {
        let stamps = entry_of("osier", "Update", json!({"f:metadata": {"f:annotations": {"f:osier.dev/fields": {}}}}));
        let applied = entry_of("osier", "Apply", json!({"f:spec": {"f:paused": {}}}));
        assert!(!owners(json!([applied, stamps])).created_by_post);
        let post = entry_of("osier", "Update", json!({"f:spec": {"f:paused": {}}}));
        assert!(owners(json!([post])).created_by_post);
    }

    #[test]
    fn a_map_that_an_apply_took_the_values_of_is_no_leaf() {
        let post = entry_of("osier", "Update", json!({"f:metadata": {"f:annotations": {}}}));
        let applied = entry_of("osier", "Apply", json!({"f:metadata": {"f:annotations": {"f:a": {}}}}));
        let own = owners(json!([post, applied])).own;
        assert_eq!(own, ["f:metadata\nf:annotations\nf:a".to_owned()].into());
    }

    #[test]
    fn restoring_strips_string_data() {
        let live = object(json!([
            entry_of("x", "Apply", json!({"f:stringData": {"f:k": {}}})),
            entry_of("y", "Apply", json!({"f:stringData": {"f:k": {}}, "f:immutable": {}})),
            entry_of("osier", "Update", json!({"f:metadata": {}})),
        ]));
        let entries = as_restored(&live, "v1", &json!({"f:data": {"f:k": {}}}));
        let managers: Vec<_> = entries.iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
        assert_eq!(managers, ["y", "osier"]);
        assert_eq!(entries[0]["fieldsV1"], json!({"f:immutable": {}}));
    }

    #[test]
    fn a_map_that_one_entry_owns_empty_and_another_filled_is_filled() {
        let of = |leaves: &[&str]| without_maps(leaves.iter().map(|leaf| (*leaf).to_owned()).collect());
        assert_eq!(of(&["f:a\nf:b", "f:a"]), of(&["f:a\nf:b"]));
        assert_ne!(of(&["f:a\nf:b", "f:ab"]), of(&["f:a\nf:b"]));
    }
}
