//! Creating and changing objects.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sandbox::decode::{self, Decoded};
use crate::sandbox::kinds::Kind;
use crate::sandbox::managed::{self, Writer};
use crate::sandbox::patch::{self, PatchType};
use crate::sandbox::refusal::{Cause, Named, Refusal};
use crate::sandbox::request::{Call, Place};
use crate::sandbox::store::{Key, State};
use crate::sandbox::{defaults, delete, events, lifecycle, migrate, prepare, quota, validate};

/// The longest name of a field manager.
const MAX_MANAGER: usize = 128;
/// The media type that the sandbox does not read.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A request for objects of one kind, with what it works on.
pub struct Operation<'a> {
    pub state: &'a mut State,
    pub kind: Arc<Kind>,
    pub place: &'a Place,
    pub call: &'a Call,
    pub now: Timestamp,
}

/// An object as it is after a request, and what the client is warned of.
pub struct Written {
    pub code: StatusCode,
    pub object: Arc<Value>,
    pub warnings: Vec<String>,
}

impl Operation<'_> {
    pub fn name(&self) -> &str {
        self.place.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.place.namespace.as_deref().unwrap_or_default()
    }

    pub fn key(&self) -> Key {
        Key::new(&self.kind, self.namespace(), self.name())
    }

    pub fn named(&self) -> Named {
        self.kind.named(self.name())
    }

    /// The object that the request names.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn existing(&self) -> Result<Arc<Value>, Refusal> {
        let found = self.state.get(&self.key()).map(|object| events::read(&self.kind, &object));
        found.ok_or_else(|| Refusal::not_found(&self.named()))
    }

    /// The time as `metav1.Time` writes it.
    pub fn time(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn subresource(&self) -> &str {
        self.place.subresource.as_deref().unwrap_or_default()
    }

    fn writer<'k>(&self, kind: &'k Kind) -> Writer<'k> {
        Writer {
            manager: self.call.manager(),
            api_version: kind.api_version(),
            subresource: self.subresource().to_owned(),
            // The real server writes no time for `scale`.
            now: if self.subresource() == "scale" { String::new() } else { self.time() },
            schema: Some(kind.schema()),
            zero: decode::zero(kind),
            foreign: match self.subresource() {
                "status" => vec!["spec", "metadata.labels"],
                _ if kind.status => vec!["status"],
                _ => Vec::new(),
            },
        }
    }
}

/// POST.
pub fn create(operation: &mut Operation) -> Result<Written, Refusal> {
    checked_query(operation.call, "CreateOptions")?;
    let body = read_body(operation)?;
    let Decoded { mut object, unknown } = decode_body(operation, &body)?;
    let warnings = checked_unknown(operation, &unknown)?;
    scope(operation, &mut object)?;
    let metadata = &mut object["metadata"];
    if metadata.get("resourceVersion").is_some() {
        return Err(Refusal::internal("resourceVersion should not be set on objects to be created"));
    }
    if metadata.get("name").is_none()
        && let Some(prefix) = metadata.get("generateName").and_then(Value::as_str).map(str::to_owned)
    {
        metadata["name"] = json!(format!("{prefix}{}", operation.state.new_suffix()));
    }
    defaults::fill(&operation.kind, &mut object);
    let kind = Arc::clone(&operation.kind);
    let managed = managed::update(&operation.writer(&kind), None, &object);
    let object = store_new(operation, object, managed)?;
    Ok(Written { code: StatusCode::CREATED, object, warnings })
}

/// PUT.
pub fn update(operation: &mut Operation) -> Result<Written, Refusal> {
    checked_query(operation.call, "UpdateOptions")?;
    let body = read_body(operation)?;
    let Decoded { mut object, unknown } = decode_body(operation, &body)?;
    let warnings = checked_unknown(operation, &unknown)?;
    scope(operation, &mut object)?;
    checked_name(operation, &object)?;
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(Refusal::internal(format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    }
    let old = operation.existing()?;
    let uid = &object["metadata"]["uid"];
    if !uid.is_null() && *uid != old["metadata"]["uid"] {
        return Err(uid_precondition(operation, uid, &old));
    }
    if version.is_empty() && !prepare::takes_unconditional_updates(&operation.kind) {
        let zero = json!(0);
        let cause = Cause::invalid("metadata.resourceVersion", &zero, "must be specified for an update");
        return Err(Refusal::invalid(&operation.named(), vec![cause]));
    }
    defaults::fill(&operation.kind, &mut object);
    let object = replace(operation, &old, object, None)?;
    Ok(Written { code: StatusCode::OK, object, warnings })
}

/// PATCH, of all kinds.
pub fn patch(operation: &mut Operation) -> Result<Written, Refusal> {
    let patch_type = patch::type_of(&operation.kind, operation.call)?;
    checked_query(operation.call, "PatchOptions")?;
    if patch_type == PatchType::Apply {
        return apply(operation);
    }
    if operation.call.query.get("force").is_some() {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(Refusal::invalid(&options("PatchOptions"), vec![cause]));
    }
    let old = operation.existing()?;
    let patched = patch::apply(patch_type, Some(operation.kind.schema()), operation.call, &old)?;
    let decoded = decode::decode(&operation.kind, &patched).map_err(|why| unfit(&patched, &why))?;
    let Decoded { mut object, unknown } = decoded;
    let warnings = unknown_fields(operation, &unknown).map_err(|why| unfit(&patched, &why))?;
    if object["metadata"].get("managedFields").is_none() {
        // Unlike a PUT without them, a patch that empties managedFields resets them.
        object["metadata"]["managedFields"] = json!([{}]);
    }
    scope(operation, &mut object)?;
    checked_name(operation, &object)?;
    defaults::fill(&operation.kind, &mut object);
    let object = replace(operation, &old, object, None)?;
    Ok(Written { code: StatusCode::OK, object, warnings })
}

/// The refusal of a patch that makes something else of the object.
fn unfit(patched: &Value, why: &str) -> Refusal {
    let shown = Value::String(patched.to_string());
    let nothing = Named { group: String::new(), kind: String::new(), name: String::new() };
    Refusal::invalid(&nothing, vec![Cause::invalid("patch", &shown, why)])
}

/// Server-side apply.
fn apply(operation: &mut Operation) -> Result<Written, Refusal> {
    let call = operation.call;
    if call.query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Refusal::invalid(&options("PatchOptions"), vec![cause]));
    }
    let config: Value = serde_json::from_slice(&call.body).map_err(|_| {
        Refusal::bad_request("error decoding YAML: the sandbox reads apply configurations as JSON only")
    })?;
    checked_config(operation, &config)?;
    let old = operation.state.get(&operation.key()).map(|object| events::read(&operation.kind, &object));
    let kind = Arc::clone(&operation.kind);
    let writer = operation.writer(&kind);
    if operation.subresource() == "status" && old.is_none() {
        return Err(Refusal::not_found(&operation.named()));
    }
    let force = call.query.get("force").is_some() && call.query.flag("force");
    let live = old.as_deref().unwrap_or(&Value::Null);
    let mut applied = match managed::apply(&writer, old.as_deref(), &config, force) {
        Err(refusal) if migrate::owns_conflicts(&writer.manager, kind.schema(), live, &refusal) => {
            managed::apply(&writer, old.as_deref(), &config, true)?
        }
        other => other?,
    };
    migrate::record(&writer.manager, live, &config, &mut applied.object);
    let Decoded { mut object, unknown } =
        decode::decode(&kind, &applied.object).map_err(|why| untyped(operation, &kind, &why))?;
    let warnings = checked_unknown(operation, &unknown)?;
    scope(operation, &mut object)?;
    defaults::fill(&kind, &mut object);
    let Some(old) = old else {
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Refusal::conflict(&operation.named(), &why));
        }
        let object = store_new(operation, object, applied.managed)?;
        return Ok(Written { code: StatusCode::CREATED, object, warnings });
    };
    let object = replace(operation, &old, object, Some(applied.managed))?;
    Ok(Written { code: StatusCode::OK, object, warnings })
}

fn untyped(operation: &Operation, kind: &Kind, why: &str) -> Refusal {
    let api_version = kind.api_version();
    let api_version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
    let at = format!("{}/{}; {api_version}, Kind={}", "", operation.name(), kind.kind);
    Refusal::internal(format!(
        "failed to convert new object ({at}) to proper version: unable to convert unstructured object to \
         {api_version}, Kind={}: error decoding from json: {why}",
        kind.kind
    ))
}

fn checked_config(operation: &Operation, config: &Value) -> Result<(), Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&config["apiVersion"]), text(&config["kind"]));
    if api_version != operation.kind.api_version() || kind != operation.kind.kind {
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        return Err(Refusal::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")));
    }
    if config["metadata"].get("managedFields").is_some_and(|managed| !managed.is_null()) {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    if config["metadata"].get("name").is_none() {
        let name = operation.name();
        let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(Refusal::bad_request(why));
    }
    checked_name(operation, config)
}

/// Stores an object that must not be there yet.
fn store_new(operation: &mut Operation, mut object: Value, managed: Value) -> Result<Arc<Value>, Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = Arc::clone(&operation.kind);
    lifecycle::admit(operation, &name)?;
    let metadata = metadata_of(&mut object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"] {
        metadata.remove(field);
    }
    set_managed(metadata, managed);
    metadata.insert("uid".into(), json!(operation.state.new_uid()));
    metadata.insert("creationTimestamp".into(), json!(operation.time()));
    if kind.generation || kind.is_custom() {
        metadata.insert("generation".into(), json!(1));
    }
    prepare::create(operation.state, &kind, &mut object);
    refuse_invalid(&kind, &name, validate::object(&kind, &object))?;
    let key = Key::new(&kind, operation.namespace(), &name);
    quota::admit(operation.state, &kind, &key, &object)?;
    if let Some(there) = operation.state.get(&key) {
        let going = there["metadata"].get("deletionTimestamp").is_some();
        let refusal = Refusal::already_exists(&kind.named(&name));
        let prefix = if going { "object is being deleted: " } else { "" };
        return Err(Refusal { message: format!("{prefix}{}", refusal.message), ..refusal });
    }
    if operation.call.is_dry_run() {
        return Ok(Arc::new(object));
    }
    let stored = operation.state.put(key.clone(), events::stored(&kind, object));
    lifecycle::after_create(operation.state, &kind, &key, &stored, &operation.time());
    Ok(events::read(&kind, &stored))
}

/// Stores `new` in place of `old`, unless nothing changes.
///
/// `managed`: the managedFields of an apply; without, the request is recorded as an update.
pub fn replace(
    operation: &mut Operation,
    old: &Arc<Value>,
    mut new: Value,
    managed: Option<Value>,
) -> Result<Arc<Value>, Refusal> {
    let kind = Arc::clone(&operation.kind);
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && old["metadata"]["resourceVersion"] != version {
        return Err(Refusal::modified(&operation.named()));
    }
    prepare::update(&kind, operation.subresource(), old, &mut new);
    let managed = managed.unwrap_or_else(|| managed::update(&operation.writer(&kind), Some(old), &new));
    set_managed(metadata_of(&mut new), managed);
    prepare::count_generation(&kind, old, &mut new);
    let causes = validate::update(&kind, old, &new);
    refuse_invalid(&kind, operation.name(), causes)?;
    if managed::is_same_but_for_times(old, &new) {
        return Ok(Arc::clone(old));
    }
    if operation.call.is_dry_run() {
        return Ok(Arc::new(new));
    }
    let key = operation.key();
    let stored = operation.state.put(key.clone(), events::stored(&kind, new));
    lifecycle::after_update(operation.state, &kind, &key, &stored, &operation.time());
    delete::finish_if_released(operation.state, &kind, &key, &operation.time());
    Ok(events::read(&kind, &operation.state.get(&key).unwrap_or(stored)))
}

fn refuse_invalid(kind: &Kind, name: &str, causes: Vec<Cause>) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid(&kind.kind_named(name), causes)) }
}

pub fn metadata_of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it was made an object above")
}

fn set_managed(metadata: &mut Map<String, Value>, managed: Value) {
    match managed {
        Value::Null => drop(metadata.remove("managedFields")),
        managed => drop(metadata.insert("managedFields".into(), managed)),
    }
}

/// Reads the body as JSON.
pub fn read_body(operation: &Operation) -> Result<Value, Refusal> {
    let call = operation.call;
    match call.content_type.as_str() {
        PROTOBUF => {
            let hint = "the sandbox reads JSON, not protobuf: write the object to a file and use `-f FILE`";
            return Err(Refusal::media_type(hint));
        }
        "" | "application/json" | "application/yaml" => {}
        _ => {
            let message = "the body of the request was in an unknown format - accepted media types include: \
                application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(Refusal::media_type(message));
        }
    }
    serde_json::from_slice(&call.body).map_err(|error| {
        let why = if error.is_eof() { "unexpected end of JSON input" } else { "invalid character" };
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why}",
            operation.kind.kind
        ))
    })
}

fn decode_body(operation: &Operation, body: &Value) -> Result<Decoded, Refusal> {
    let kind = &operation.kind;
    let given = (body["apiVersion"].as_str(), body["kind"].as_str());
    for (field, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
        if kind.is_custom() && body.get(field).is_none() {
            return Err(Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object '{name}' is missing in '{body}'",
                kind.kind
            )));
        }
    }
    let refuse = |why: String| {
        Refusal::bad_request(format!("{0} in version {1:?} cannot be handled as a {0}: {why}", kind.kind, kind.version))
    };
    match given {
        (Some(api_version), _) if api_version != kind.api_version() => {
            let why = format!("no kind {:?} is registered for version {api_version:?}", given.1.unwrap_or_default());
            return Err(refuse(why));
        }
        (_, Some(name)) if name != kind.kind => {
            return Err(Refusal::bad_request(format!(
                "{name} in version {:?} cannot be handled as a {}: converting (v1.{name}) to (core.{}): unknown conversion",
                kind.api_version(),
                kind.kind,
                kind.kind
            )));
        }
        _ => {}
    }
    decode::decode(kind, body).map_err(refuse)
}

fn checked_unknown(operation: &Operation, unknown: &[String]) -> Result<Vec<String>, Refusal> {
    let kind = &operation.kind;
    unknown_fields(operation, unknown).map_err(|why| {
        Refusal::bad_request(format!("{0} in version {1:?} cannot be handled as a {0}: {why}", kind.kind, kind.version))
    })
}

/// The warnings about unknown fields, or what refuses them.
fn unknown_fields(operation: &Operation, unknown: &[String]) -> Result<Vec<String>, String> {
    let faults: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match operation.call.query.get("fieldValidation") {
        Some("Ignore") => Ok(Vec::new()),
        Some("Strict") if !faults.is_empty() => Err(format!("strict decoding error: {}", faults.join(", "))),
        _ => Ok(faults),
    }
}

/// Puts the object into the namespace of the request.
fn scope(operation: &Operation, object: &mut Value) -> Result<(), Refusal> {
    let metadata = metadata_of(object);
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !operation.kind.namespaced {
        if !given.is_empty() {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(why));
        }
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != operation.namespace() {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(why));
    }
    metadata.insert("namespace".into(), json!(operation.namespace()));
    Ok(())
}

fn checked_name(operation: &Operation, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name == operation.name() {
        return Ok(());
    }
    let wanted = operation.name();
    let why = format!("the name of the object ({name}) does not match the name on the URL ({wanted})");
    Err(Refusal::bad_request(why))
}

fn checked_query(call: &Call, kind: &str) -> Result<(), Refusal> {
    if call.query.get("fieldManager").is_some_and(|manager| manager.len() > MAX_MANAGER) {
        return Err(Refusal::invalid(&options(kind), vec![Cause::too_long("fieldManager", MAX_MANAGER)]));
    }
    match call.query.get("dryRun") {
        None | Some("All") => Ok(()),
        Some(other) => {
            let cause = Cause::unsupported("dryRun", &json!([other]), &["All"]);
            Err(Refusal::invalid(&options(kind), vec![cause]))
        }
    }
}

fn options(kind: &str) -> Named {
    Named { group: "meta.k8s.io".to_owned(), kind: kind.to_owned(), name: String::new() }
}

fn uid_precondition(operation: &Operation, uid: &Value, old: &Value) -> Refusal {
    let shown = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = &operation.kind.group;
    let prefix = if group.is_empty() { String::new() } else { format!("{group}/") };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{prefix}{}/{}/{}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
        operation.kind.plural,
        operation.namespace(),
        operation.name(),
        shown(uid),
        shown(&old["metadata"]["uid"]),
    );
    Refusal::conflict(&operation.named(), &why)
}
