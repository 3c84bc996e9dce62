//! JSON patches, merge patches and strategic merge patches.

mod strategic;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::Call;
use crate::sandbox::schema::Schema;

/// How the body of a PATCH is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// What a request asks for. It is refused before anything is looked up.
///
/// # Errors
///
/// 415 for a type of patch that the kind does not take.
pub fn type_of(kind: &Kind, call: &Call) -> Result<PatchType, Refusal> {
    match call.content_type.as_str() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/apply-patch+yaml" => Ok(PatchType::Apply),
        "application/strategic-merge-patch+json" if !kind.is_custom() => Ok(PatchType::Strategic),
        _ if kind.is_custom() => Err(Refusal::media_type(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(unsupported()),
    }
}

/// Applies the patch of a request, which is no server-side apply, to an object as it is answered to clients.
///
/// # Errors
///
/// 400 for a patch that cannot be read, 422 for one that does not fit the object.
pub fn apply(patch_type: PatchType, schema: Option<Schema>, call: &Call, object: &Value) -> Result<Value, Refusal> {
    match patch_type {
        PatchType::Json => json(call, object),
        PatchType::Merge => {
            let patch = read_map(call)?;
            let mut patched = object.clone();
            merge(&mut patched, &patch);
            Ok(patched)
        }
        PatchType::Strategic => strategic::merge(schema, object, &read_map(call)?).map_err(Refusal::bad_request),
        PatchType::Apply => Err(unsupported()),
    }
}

fn unsupported() -> Refusal {
    let refusal =
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "415: Unsupported Media Type");
    Refusal { details: Some(Value::Object(Map::new())), ..refusal }
}

fn read_map(call: &Call) -> Result<Value, Refusal> {
    let patch: Value = serde_json::from_slice(&call.body).map_err(|error| unreadable(&error))?;
    if patch.is_object() {
        return Ok(patch);
    }
    let message = "error decoding patch: json: cannot unmarshal value into Go value of type map[string]interface {}";
    Err(Refusal::bad_request(message))
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    let why = if error.is_eof() { "unexpected end of JSON input" } else { "invalid character" };
    Refusal::bad_request(format!("error decoding patch: {why}"))
}

fn json(call: &Call, object: &Value) -> Result<Value, Refusal> {
    let operations: Value = serde_json::from_slice(&call.body).map_err(|error| unreadable(&error))?;
    let patch: json_patch::Patch = serde_json::from_value(operations.clone()).map_err(|_| match operations {
        Value::Array(_) => Refusal::patch_rejected(),
        _ => Refusal::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
    })?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).map_err(|_| Refusal::patch_rejected())?;
    Ok(patched)
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (name, value) in fields {
        if value.is_null() {
            map.remove(name);
        } else {
            merge(map.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
