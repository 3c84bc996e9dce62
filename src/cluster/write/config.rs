//! Update of a ConfigMap or Secret: one request that replaces its data whole, or key by key where others have a share in it.

use serde_json::{Map, Value, json};

use crate::cluster::Cluster;
use crate::cluster::call::Call;
use crate::cluster::fields;
use crate::cluster::leaves::Leaves;
use crate::cluster::wire_object::annotations;
use crate::cluster::write::settle::Sent;
use crate::cluster::write::task::{Stop, Task, WRITE, ignored, merge_patch};
use crate::model::wire;
use crate::planning::live::{FieldsDigest, Live};

impl Cluster {
    /// Brings an object of ours up to date, as the step was decided.
    pub(super) async fn update(&self, task: &Task<'_>) -> Result<Live, Stop> {
        self.write_over(task, task.live()?).await
    }

    /// Writes over a version of an object that is ours.
    pub(super) async fn write_over(&self, task: &Task<'_>, live: &Live) -> Result<Live, Stop> {
        if !task.object().kind.is_config() {
            return self.apply(task, live).await;
        }
        let wire = task.wire()?;
        let key_by_key = wire["metadata"]["annotations"][wire::KEYS] == "shared" || !ignored(&wire).is_empty();
        let (call, sent) = if key_by_key {
            self.key_by_key(task, live, wire).await?
        } else {
            self.whole(task, live, wire, &[]).await?
        };
        self.send_config(task, live, &call, &sent).await
    }

    /// Writes new stamps and no value.
    pub(super) async fn stamp(&self, task: &Task<'_>) -> Result<Live, Stop> {
        let live = task.live()?;
        let fields = fields::stamp(&live.before.own_fields, &live.before.other_fields);
        let stamps = annotations(&task.marks()).into_iter().map(|(name, value)| (name, Value::from(value)));
        let stamps: Value = stamps.chain([(wire::FIELDS, Value::from(fields))]).collect();
        let body = json!({"metadata": {"annotations": stamps}});
        let call = merge_patch(&self.path(task).await?, live, body).sensitive(task.sensitive());
        let sent = Sent { whole: json!({}), leaves: Leaves::new(), api_version: String::new() };
        self.send_config(task, live, &call, &sent).await
    }

    /// One JSON patch: data whole, labels and annotations key by key.
    pub(super) async fn whole(
        &self,
        task: &Task<'_>,
        live: &Live,
        mut wire: Value,
        further: &[Value],
    ) -> Result<(Call, Sent), Stop> {
        let sent = Sent::new(&mut wire, task, FieldsDigest::default(), live.before.other_fields_after);
        let mut operations = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": &*live.uid}),
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": &*live.resource_version}),
        ];
        operations.extend_from_slice(further);
        operations.extend(metadata_operations(&wire, live));
        let values = wire.as_object_mut().map(std::mem::take).unwrap_or_default();
        let values =
            values.into_iter().filter(|(name, _)| !["apiVersion", "kind", "metadata", "type"].contains(&name.as_str()));
        operations.extend(values.map(|(name, value)| json!({"op": "add", "path": format!("/{name}"), "value": value})));
        let path = format!("{}{WRITE}", self.path(task).await?);
        Ok((Call::json_patch(path, &Value::Array(operations)).sensitive(task.sensitive()), sent))
    }

    /// One merge patch: what git has is set, what it had and no longer has is removed, what others added stays.
    async fn key_by_key(&self, task: &Task<'_>, live: &Live, mut wire: Value) -> Result<(Call, Sent), Stop> {
        let left = ignored(&wire);
        for map in ["data", "binaryData"] {
            for key in left.iter().filter_map(|path| path.key_of(map)) {
                let ours = live.before.own_keys.iter().any(|own| own.strip_prefix(map) == Some(&format!("/{key}")));
                if let (false, Some(values)) = (ours, wire[map].as_object_mut()) {
                    values.remove(key); // somebody else set it since, and keeps it
                }
            }
        }
        let sent = Sent::new(&mut wire, task, FieldsDigest::default(), live.before.other_fields_after);
        for path in &left {
            path.remove_from(&mut wire);
        }
        for own in live.before.own_keys.iter() {
            let Some((map, key)) = own.split_once('/') else { continue };
            let left_to_others = left.iter().any(|path| path.key_of(map) == Some(key));
            let values = if map.ends_with("ata") { &mut wire[map] } else { &mut wire["metadata"][map] };
            if values.get(key).is_none() && !left_to_others {
                values[key] = Value::Null;
            }
        }
        let body = Value::Object(wire.as_object_mut().map(std::mem::take).unwrap_or_default());
        Ok((merge_patch(&self.path(task).await?, live, body).sensitive(task.sensitive()), sent))
    }

    /// Sends a write that no status churn can disturb. 409 after a lost answer is asked about: it may have been our own.
    pub(super) async fn send_config(
        &self,
        task: &Task<'_>,
        live: &Live,
        call: &Call,
        sent: &Sent,
    ) -> Result<Live, Stop> {
        let failure = match self.call_for_object(call).await {
            Ok(answer) => return self.settle(task, answer, sent).await,
            Err(failure) => failure,
        };
        if failure.is_conflict() && failure.repeated {
            let (answer, now) = self.now_same(task, &live.uid).await?;
            if task.took_effect(&now) {
                return self.settle(task, answer, sent).await;
            }
        }
        Err(failure.into())
    }
}

/// Labels and annotations: the map first if it is absent, then each of ours, then those of ours that left git.
fn metadata_operations(wire: &Value, live: &Live) -> Vec<Value> {
    let mut operations = Vec::new();
    for (map, there) in [("labels", live.before.labels), ("annotations", live.before.annotations)] {
        let empty = Map::new();
        let wanted = wire["metadata"][map].as_object().unwrap_or(&empty);
        if !there {
            operations.push(json!({"op": "add", "path": format!("/metadata/{map}"), "value": {}}));
        }
        for (name, value) in wanted {
            operations.push(json!({"op": "add", "path": pointer(map, name), "value": value}));
        }
        let left = live.before.own_keys.iter().filter_map(|own| own.strip_prefix(map)?.strip_prefix('/'));
        operations.extend(left.filter(|name| !wanted.contains_key(*name)).flat_map(|name| removal(map, name)));
    }
    operations
}

/// `remove` of a path that is not there is an error, so it is set first.
pub(super) fn removal(map: &str, name: &str) -> [Value; 2] {
    let path = pointer(map, name);
    [json!({"op": "add", "path": path, "value": ""}), json!({"op": "remove", "path": path})]
}

fn pointer(map: &str, name: &str) -> String {
    format!("/metadata/{map}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire_object::set_fields;
    use crate::planning::live::Before;

    #[test]
    fn labels_that_left_git_go_and_foreign_ones_stay() {
        let live = Live {
            before: Before {
                labels: true,
                own_keys: ["labels/a/b".into(), "labels/kept".into()].into(),
                ..Before::default()
            },
            ..Live::default()
        };
        let mut wire = json!({"metadata": {"labels": {"kept": "1"}, "annotations": {}}});
        set_fields(&mut wire, "x.y");
        let operations = metadata_operations(&wire, &live);
        let expected = json!([
            {"op": "add", "path": "/metadata/labels/kept", "value": "1"},
            {"op": "add", "path": "/metadata/labels/a~1b", "value": ""},
            {"op": "remove", "path": "/metadata/labels/a~1b"},
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": "/metadata/annotations/osier.dev~1fields", "value": "x.y"},
        ]);
        assert_eq!(Value::Array(operations), expected);
    }
}
