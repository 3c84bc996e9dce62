//! `metadata.managedFields`: who owns which fields, kept as kube-apiserver keeps it.

use serde_json::{Value, json};

use crate::sandbox::fieldset::FieldSet;
use crate::sandbox::refusal::{Cause, Refusal};
use crate::sandbox::schema::Schema;
use crate::sandbox::typed;

const APPLY: &str = "Apply";
const UPDATE: &str = "Update";

/// Fields that are nobody's: the server's own.
const UNOWNED: [&[&str]; 10] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:selfLink"],
];

/// One entry of managedFields.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    applied: bool,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

/// Who writes: everything about a request that managedFields records.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    pub manager: String,
    pub api_version: String,
    pub subresource: String,
    pub now: String,
    pub schema: Option<Schema<'a>>,
    /// The object before anything was set.
    pub zero: Value,
    /// Fields that this request cannot set and so never owns (`status` outside of `/status`, and the reverse).
    pub foreign: Vec<&'static str>,
}

/// Records an update of `live` to `new` and returns the new managedFields.
///
/// `live` is `None` for a create.
pub fn update(writer: &Writer, live: Option<&Value>, new: &Value) -> Value {
    let entries = match live {
        None => Vec::new(),
        Some(live) if writer.subresource.is_empty() => {
            let given = &new["metadata"]["managedFields"];
            if is_reset(given) {
                return Value::Null;
            }
            let entries = if is_readable(given) { decode(given) } else { Vec::new() };
            if entries.is_empty() { decode(&live["metadata"]["managedFields"]) } else { entries }
        }
        Some(live) => decode(&live["metadata"]["managedFields"]),
    };
    if entries.is_empty() && live.is_some() {
        return Value::Null;
    }
    // A Scale knows only the entries that own the count, and what has no entries is not tracked.
    if writer.subresource == "scale" && !entries.iter().any(|entry| entry.fields.has(&["f:spec", "f:replicas"])) {
        return encode(entries);
    }
    encode(record_update(writer, entries, live.unwrap_or(&writer.zero), new))
}

/// An applied configuration, merged.
pub struct Applied {
    pub object: Value,
    pub managed: Value,
}

/// Merges `config` into `live` (`None`: there is no such object) and moves the ownership of fields.
///
/// # Errors
///
/// 500 for a configuration that does not fit the schema, 409 with one cause a field where others own what would change.
pub fn apply(writer: &Writer, live: Option<&Value>, config: &Value, force: bool) -> Result<Applied, Refusal> {
    let faults = typed::faults(writer.schema, config);
    if !faults.is_empty() {
        return Err(Refusal::untyped(&faults, config));
    }
    let base = live.cloned().unwrap_or_else(|| json!({"metadata": {}}));
    let mut entries = decode(&base["metadata"]["managedFields"]);
    let bare = without_managed(&base);
    if entries.is_empty() && live.is_some() {
        let first = Writer { manager: "before-first-apply".to_owned(), ..writer.clone() };
        entries = record_update(&first, entries, &writer.zero, &bare);
    }
    let position = entries.iter().position(|e| e.applied && is_writer(e, writer));
    let last = position.map(|at| entries.remove(at));
    let configured = typed::field_set(writer.schema, config);
    let set = owned(writer, &configured);
    let merged = typed::merge(writer.schema, Some(&bare), Some(config));
    let object = match &last {
        Some(last) if !last.fields.is_empty() => prune(writer.schema, &merged, &entries, &configured, &last.fields),
        _ => merged,
    };
    let comparison = typed::compare(writer.schema, &bare, &object);
    let changed = owned(writer, &comparison.modified.union(&comparison.added));
    if !force {
        refuse_conflicts(&entries, &changed, writer)?;
    }
    let mut kept = yielded(entries, &changed, &comparison.removed);
    let unchanged = bare == object;
    let time = if unchanged { last.map(|last| last.time).unwrap_or_default() } else { writer.now.clone() };
    kept.push(Entry { applied: true, time, fields: set, ..entry_of(writer) });
    Ok(Applied { object, managed: encode(kept) })
}

/// True for objects that differ in times of managedFields at most: there is nothing to write then.
///
/// Entries are compared one by one in their order, which is that of their times, as the real server does.
pub fn is_same_but_for_times(old: &Value, new: &Value) -> bool {
    let entries = |object: &Value| -> Vec<Entry> {
        let timeless = |entry| Entry { time: String::new(), ..entry };
        decode(&object["metadata"]["managedFields"]).into_iter().map(timeless).collect()
    };
    without_managed(old) == without_managed(new) && entries(old) == entries(new)
}

/// The object as a comparison sees it.
pub fn without_managed(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    bare
}

fn record_update(writer: &Writer, entries: Vec<Entry>, live: &Value, new: &Value) -> Vec<Entry> {
    let comparison = typed::compare(writer.schema, &without_managed(live), &without_managed(new));
    let taken = owned(writer, &comparison.modified.union(&comparison.added));
    let mut entries = yielded(entries, &taken, &comparison.removed);
    if taken.is_empty() {
        return entries;
    }
    match entries.iter_mut().find(|e| !e.applied && e.api_version == writer.api_version && is_writer(e, writer)) {
        Some(own) => {
            own.fields = own.fields.union(&taken);
            own.time.clone_from(&writer.now);
        }
        None => entries.push(Entry { fields: taken, ..entry_of(writer) }),
    }
    entries
}

fn is_writer(entry: &Entry, writer: &Writer) -> bool {
    entry.manager == writer.manager && entry.subresource == writer.subresource
}

/// The entries without what was changed by another or removed.
fn yielded(entries: Vec<Entry>, changed: &FieldSet, removed: &FieldSet) -> Vec<Entry> {
    let rest = entries.into_iter().map(|mut entry| {
        let lost = entry.fields.intersection(changed);
        entry.fields = entry.fields.difference(&lost).difference(removed);
        entry
    });
    rest.filter(|entry| !entry.fields.is_empty()).collect()
}

fn refuse_conflicts(entries: &[Entry], changed: &FieldSet, writer: &Writer) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by(|a, b| a.manager.cmp(&b.manager));
    for entry in entries {
        let conflicts = entry.fields.intersection(changed);
        for path in conflicts.paths() {
            causes.push(Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {}", described(entry, writer)),
                field: path,
            });
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Refusal::apply_conflict(causes)) }
}

fn described(entry: &Entry, writer: &Writer) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if !entry.applied {
        text.push_str(&format!(" using {}", entry.api_version));
        if !entry.time.is_empty() && entry.api_version != writer.api_version {
            text.push_str(&format!(" at {}", entry.time));
        }
    }
    text
}

/// Removes what the last configuration set, this one does not, and nobody else owns.
fn prune(schema: Option<Schema>, merged: &Value, others: &[Entry], set: &FieldSet, last: &FieldSet) -> Value {
    let named = |set: &FieldSet| typed::with_named_fields(schema, set);
    let without = |gone: &FieldSet| typed::remove(schema, merged, gone).unwrap_or_else(|| json!({}));
    let last = named(last);
    let all = named(&typed::field_set(schema, merged));
    let kept_by_all = named(&others.iter().fold(set.clone(), |all, entry| all.union(&entry.fields)));
    let first = named(&typed::field_set(schema, &without(&last)));
    let second = without(&all.difference(&first.union(&kept_by_all)));
    let rest = named(&typed::field_set(schema, &second));
    without(&all.difference(&rest).intersection(&last))
}

fn owned(writer: &Writer, set: &FieldSet) -> FieldSet {
    let mut set = set.clone();
    for path in UNOWNED {
        set.remove(path);
    }
    for name in &writer.foreign {
        match name.split_once('.') {
            Some((parent, child)) => {
                if let Some(below) = set.children.get_mut(&format!("f:{parent}")) {
                    below.children.remove(&format!("f:{child}"));
                }
            }
            None => drop(set.children.remove(&format!("f:{name}"))),
        }
    }
    set.children.retain(|_, child| !child.is_empty());
    set.member = false;
    set
}

fn is_reset(managed: &Value) -> bool {
    managed.as_array().is_some_and(|list| list.len() == 1 && list[0].as_object().is_some_and(serde_json::Map::is_empty))
}

/// One entry that cannot be read makes the server go back to what it has.
fn is_readable(managed: &Value) -> bool {
    let mut list = managed.as_array().into_iter().flatten();
    list.all(|entry| matches!(entry["operation"].as_str(), Some(APPLY | UPDATE)) && entry["fieldsType"] == "FieldsV1")
}

fn decode(managed: &Value) -> Vec<Entry> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let list = managed.as_array().into_iter().flatten();
    list.filter(|entry| matches!(entry["operation"].as_str(), Some(APPLY | UPDATE)))
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            applied: entry["operation"] == APPLY,
            api_version: text(entry, "apiVersion"),
            subresource: text(entry, "subresource"),
            time: text(entry, "time"),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

fn encode(mut entries: Vec<Entry>) -> Value {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let key = |e: &Entry| (!e.applied, e.time.clone(), e.manager.clone(), e.api_version.clone());
        key(a).cmp(&key(b)).then_with(|| a.subresource.cmp(&b.subresource))
    });
    if entries.is_empty() {
        return Value::Null;
    }
    Value::Array(entries.iter().map(written).collect())
}

fn written(entry: &Entry) -> Value {
    let mut value = json!({
        "manager": entry.manager,
        "operation": if entry.applied { APPLY } else { UPDATE },
        "apiVersion": entry.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": entry.fields.to_json(),
    });
    if !entry.time.is_empty() {
        value["time"] = json!(entry.time);
    }
    if !entry.subresource.is_empty() {
        value["subresource"] = json!(entry.subresource);
    }
    value
}

fn entry_of(writer: &Writer) -> Entry {
    Entry {
        manager: writer.manager.clone(),
        applied: false,
        api_version: writer.api_version.clone(),
        subresource: writer.subresource.clone(),
        time: writer.now.clone(),
        fields: FieldSet::default(),
    }
}
