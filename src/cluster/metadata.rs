//! From an object's metadata to `Live`: pure, no values.

use serde_json::Value;

use crate::cluster::fields::{self, Owners};
use crate::model::object::{Kind, ObjectId};
use crate::model::wire;
use crate::planning::live::{Before, Drift, Live, Ownership, Stamps};

/// Annotation of client-side `kubectl apply`.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const REPLICAS: &str = "f:spec\nf:replicas";

/// Reads the metadata of an object of `kind`, seen from the environment with this id.
///
/// # Errors
/// The name of the field that is missing: without uid and resourceVersion nothing can be written.
pub fn read(object: &Value, kind: &Kind, environment_id: &str) -> Result<(ObjectId, Live), &'static str> {
    let metadata = &object["metadata"];
    let needed = |field: &'static str| metadata[field].as_str().ok_or(field);
    let id = ObjectId::new(kind.clone(), needed("namespace")?, needed("name")?);
    let owners = Owners::read(object);
    let annotation = |name: &str| metadata["annotations"][name].as_str().map(str::to_owned);
    let ownership = Ownership {
        label: metadata["labels"][wire::ENVIRONMENT].as_str().map(str::to_owned),
        annotation: annotation(wire::ENVIRONMENT),
        entry: owners.entry,
    };
    let stamps = Stamps {
        inputs: annotation(wire::INPUTS),
        fields: annotation(wire::FIELDS),
        fingerprint: annotation(wire::FINGERPRINT),
        record: annotation(wire::RECORD).and_then(|number| number.parse().ok()),
        config: annotation(wire::CONFIG),
        adopted_config: annotation(wire::ADOPTED_CONFIG),
    };
    let before = before(metadata, kind, &owners);
    let live = Live {
        uid: needed("uid")?.to_owned(),
        resource_version: needed("resourceVersion")?.to_owned(),
        generation: metadata["generation"].as_i64(),
        created: metadata["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
        terminating: !metadata["deletionTimestamp"].is_null(),
        drift: drift(environment_id, &ownership, &stamps, &owners, &before),
        managers: owners.others.keys().cloned().collect(),
        // whoever made an object that is not ours owns its replicas: that is no autoscaler's doing
        scaled_by_others: owners.scaled || owners.entry && owners.others_own(REPLICAS),
        created_by_post: owners.created_by_post,
        prune_keep: annotation(wire::PRUNE).as_deref() == Some("keep"),
        last_applied: !metadata["annotations"][LAST_APPLIED].is_null(),
        ownership,
        stamps,
        before,
    };
    Ok((id, live))
}

fn before(metadata: &Value, kind: &Kind, owners: &Owners) -> Before {
    let shared = metadata["annotations"][wire::KEYS] == "shared";
    let key_by_key = shared || !metadata["annotations"][wire::IGNORE].is_null();
    let mut prefixes = vec![("f:metadata\nf:labels\nf:", "labels"), ("f:metadata\nf:annotations\nf:", "annotations")];
    if kind.is_config() && key_by_key {
        prefixes.extend([("f:data\nf:", "data"), ("f:binaryData\nf:", "binaryData")]);
    }
    let own = |(prefix, map): (&str, &str)| {
        let names = owners.own.iter().filter_map(|leaf| leaf.strip_prefix(prefix));
        names.filter(|name| !is_mark(name)).map(|name| format!("{map}/{name}")).collect::<Vec<_>>()
    };
    Before {
        labels: metadata["labels"].is_object(),
        annotations: metadata["annotations"].is_object(),
        own_keys: prefixes.into_iter().flat_map(own).collect(),
        own_replicas: owners.own.contains(REPLICAS),
        own_fields: owners.own_digest(),
        other_fields: owners.others_digest(kind),
        other_fields_after: owners.others_digest_after(kind, key_by_key),
    }
}

/// The marks that every write sets; the annotations that git sets are none.
fn is_mark(name: &str) -> bool {
    [wire::ENVIRONMENT, wire::INPUTS, wire::FIELDS, wire::FINGERPRINT, wire::RECORD].contains(&name)
}

/// Signs of drift, on objects that carry at least two marks of this environment; others are not ours to judge.
fn drift(environment_id: &str, ownership: &Ownership, stamps: &Stamps, owners: &Owners, before: &Before) -> Vec<Drift> {
    let label = ownership.label.as_deref() == Some(environment_id);
    let annotation = ownership.annotation.as_deref() == Some(environment_id);
    let entry = ownership.entry;
    if usize::from(label) + usize::from(annotation) + usize::from(entry) < 2 {
        return Vec::new();
    }
    let marks = [(label, Drift::Label), (annotation, Drift::Annotation), (entry, Drift::Entry)];
    let mut signs: Vec<Drift> = marks.into_iter().filter(|(there, _)| !there).map(|(_, sign)| sign).collect();
    let fields = fields::stamp(&before.own_fields, &before.other_fields);
    if stamps.fields.as_ref() != Some(&fields) {
        signs.push(Drift::Fields);
        let newer = owners.others.iter().filter(|(_, other)| other.time > owners.own_time);
        signs.extend(newer.map(|(manager, _)| Drift::Newer(manager.clone())));
    }
    let string_data = |leaf: &String| leaf.starts_with("f:stringData");
    let writers = owners.others.iter().filter(|(_, other)| other.leaves.iter().any(string_data));
    signs.extend(writers.map(|(manager, _)| Drift::StringData(manager.clone())));
    signs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "e1";

    fn entry(manager: &str, time: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields})
    }

    /// A ConfigMap as osier left it, with further entries of managedFields.
    fn config_map(further: &[Value]) -> Value {
        let ours = json!({"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {"f:team": {}, "f:osier.dev/environment": {}}}});
        let own = fields::digest(&fields::leaves(&ours));
        let mut entries = vec![entry("osier", "2026-11-21T06:00:00Z", &ours)];
        entries.extend_from_slice(further);
        json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"osier.dev/environment": ID, "team": "x"},
            "annotations": {"osier.dev/environment": ID, "osier.dev/fields": fields::stamp(&own, &fields::digest(&fields::Leaves::new())), "osier.dev/record": "3"},
            "managedFields": entries}})
    }

    fn live(object: &Value) -> Live {
        read(object, &Kind::new("", "ConfigMap"), ID).unwrap().1
    }

    #[test]
    fn what_osier_left_shows_no_drift() {
        let live = live(&config_map(&[]));
        assert_eq!(live.drift, []);
        assert_eq!(live.stamps.record, Some(3));
        assert_eq!(live.before.own_keys, ["labels/team"]);
        assert!(live.created_by_post && live.managers.is_empty() && !live.terminating);
    }

    #[test]
    fn each_edit_shows() {
        let edit = entry("kubectl-edit", "2026-11-21T06:00:09Z", &json!({"f:data": {"f:other": {}}}));
        assert_eq!(live(&config_map(&[edit])).drift, [Drift::Fields, Drift::Newer("kubectl-edit".to_owned())]);
        let string_data = entry("x", "2026-11-21T05:00:00Z", &json!({"f:stringData": {"f:k": {}}}));
        assert_eq!(live(&config_map(&[string_data])).drift, [Drift::Fields, Drift::StringData("x".to_owned())]);
        let mut object = config_map(&[]);
        object["metadata"]["labels"] = json!({});
        assert_eq!(live(&object).drift, [Drift::Label]);
        let mut object = config_map(&[]);
        object["metadata"]["managedFields"] = json!([]);
        assert_eq!(live(&object).drift, [Drift::Entry, Drift::Fields]);
        let mut object = config_map(&[]);
        object["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] = json!({});
        assert_eq!(live(&object).drift, [Drift::Fields]);
    }

    #[test]
    fn what_is_not_ours_is_not_judged() {
        let foreign = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"osier.dev/environment": ID}}});
        assert_eq!(live(&foreign).drift, []);
        assert_eq!(read(&json!({"metadata": {"name": "a"}}), &Kind::new("", "ConfigMap"), ID), Err("namespace"));
    }
}
