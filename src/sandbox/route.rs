//! From a request to what answers it.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Map, Value};

use crate::sandbox::discovery::{self, Answer};
use crate::sandbox::kinds::Kind;
use crate::sandbox::read;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::{Call, Form, Place, Target};
use crate::sandbox::selector::Selector;
use crate::sandbox::shared::Shared;
use crate::sandbox::store::State;
use crate::sandbox::watch::Watch;
use crate::sandbox::write::{self, Operation, Written};
use crate::sandbox::{Body, RequestLine, delete, form, review, scale, serve};

/// The request as the list of requests shows it.
pub fn line(call: &Call) -> RequestLine {
    let place = match &call.target {
        Target::Objects(place) => place.clone(),
        Target::Discovery(_) => Place { resource: call.path.clone(), ..Place::default() },
    };
    let resource = match &place.subresource {
        Some(subresource) => format!("{}/{subresource}", place.resource),
        None => place.resource,
    };
    RequestLine {
        verb: call.verb(),
        group: place.group,
        resource,
        namespace: place.namespace.unwrap_or_default(),
        name: place.name.unwrap_or_default(),
        user_agent: call.user_agent.clone(),
        status: 0,
        as_metadata: call.form == Form::Metadata,
    }
}

/// Executes a request.
pub fn execute(shared: &Arc<Shared>, call: &Call) -> Response<Body> {
    answer(shared, &mut shared.state(), call)
}

/// Answers a read as it would have been so many changes before.
pub fn execute_stale(shared: &Arc<Shared>, call: &Call, changes: u64) -> Response<Body> {
    let mut past = shared.state().before(changes);
    answer(shared, &mut past, call)
}

fn answer(shared: &Arc<Shared>, state: &mut State, call: &Call) -> Response<Body> {
    let answer = match &call.target {
        Target::Discovery(segments) => discover(state, segments, call),
        Target::Objects(place) => objects(shared, state, place, call),
    };
    answer.unwrap_or_else(|refusal| serve::refused(&refusal))
}

fn discover(state: &State, segments: &[String], call: &Call) -> Result<Response<Body>, Refusal> {
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return Err(Refusal::method_not_allowed());
    }
    Ok(match discovery::answer(state, segments, call)? {
        Answer::Json(value) => serve::json(StatusCode::OK, &value, &[]),
        Answer::Typed(value, media_type) => serve::typed(&value, media_type),
        Answer::Text(text) => serve::text(text),
    })
}

fn objects(shared: &Arc<Shared>, state: &mut State, place: &Place, call: &Call) -> Result<Response<Body>, Refusal> {
    if call.form == Form::Unacceptable {
        return Err(Refusal::not_acceptable());
    }
    let kind = served(state, place)?;
    let now = shared.now();
    let namespace = place.namespace.as_deref();
    match call.verb() {
        "list" => {
            let list = read::list(state, &kind, namespace, call)?;
            return Ok(serve::json(StatusCode::OK, &form::list(&kind, call.form, &list, now), &[]));
        }
        "watch" => {
            return Ok(serve::stream(Watch::open(shared, state, &kind, namespace, call)?.into_stream()));
        }
        "get" => {
            let operation = Operation { state, kind: Arc::clone(&kind), place, call, now };
            let object = operation.existing()?;
            let shown = match place.subresource.as_deref() {
                Some("scale") => Arc::new(scale::of(&object)),
                _ => read::shown(operation.state, &kind, &object),
            };
            return Ok(serve::json(StatusCode::OK, &form::object(&kind, call.form, &shown, now), &[]));
        }
        "deletecollection" => {
            let list = delete_all(state, &kind, place, call, now)?;
            return Ok(serve::json(StatusCode::OK, &list, &[]));
        }
        _ => {}
    }
    let mut operation = Operation { state, kind: Arc::clone(&kind), place, call, now };
    let written = change(&mut operation)?;
    let is_object = written.object["kind"] == kind.kind.as_str();
    let shown =
        if is_object { form::object(&kind, call.form, &written.object, now) } else { Value::clone(&written.object) };
    Ok(serve::json(written.code, &shown, &written.warnings))
}

fn change(operation: &mut Operation) -> Result<Written, Refusal> {
    let subresource = operation.place.subresource.as_deref();
    match (operation.call.verb(), subresource) {
        ("create", None) if operation.kind.is_review() => {
            // kubectl asks in protobuf; the answer does not depend on the question.
            let is_protobuf = operation.call.content_type == write::PROTOBUF;
            let body = if is_protobuf { Value::Object(Map::new()) } else { write::read_body(operation)? };
            let object = Arc::new(review::answer(&operation.kind, &body));
            Ok(Written { code: StatusCode::CREATED, object, warnings: Vec::new() })
        }
        ("create", None) if operation.place.name.is_none() => write::create(operation),
        ("update" | "patch", Some("scale")) => scale::write(operation),
        ("update", _) if operation.place.name.is_some() => write::update(operation),
        ("patch", _) if operation.place.name.is_some() => write::patch(operation),
        ("delete", None) => delete::delete(operation),
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// The kind of a place, if the table has it.
fn served(state: &State, place: &Place) -> Result<Arc<Kind>, Refusal> {
    let Some(kind) = state.kind_at(place) else {
        let known = real_groups().contains(&place.group.as_str());
        let what = format!("`{}` of `{}/{}`", place.resource, place.group, place.version);
        let served = state.kinds.iter().any(|kind| kind.group == place.group && kind.version == place.version);
        return Err(match (known, served) {
            (true, _) => Refusal::unserved(&what),
            (false, true) => Refusal::no_such_resource(),
            (false, false) => Refusal::no_such_page(),
        });
    };
    if let Some(name) = place.subresource.as_deref()
        && !kind.subresources().contains(&name)
    {
        return Err(Refusal::unserved(&format!("`{}/{name}`", kind.plural)));
    }
    if kind.namespaced && place.namespace.is_none() && place.name.is_some() {
        return Err(Refusal::no_such_resource());
    }
    Ok(kind)
}

/// Groups of the real server, of which the sandbox may not have every kind.
fn real_groups() -> &'static [&'static str] {
    &[
        "",
        "apps",
        "batch",
        "autoscaling",
        "policy",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "scheduling.k8s.io",
        "node.k8s.io",
        "discovery.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "apiregistration.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "resource.k8s.io",
    ]
}

fn delete_all(
    state: &mut State,
    kind: &Arc<Kind>,
    place: &Place,
    call: &Call,
    now: jiff::Timestamp,
) -> Result<Value, Refusal> {
    if !kind.verbs().contains(&"deletecollection") {
        return Err(Refusal::method_not_allowed());
    }
    let options = delete::Options::read(call)?;
    let selector = Selector::read(kind, call)?;
    let listed = read::list(state, kind, place.namespace.as_deref(), call)?;
    let chosen: Vec<_> = state
        .list(kind, place.namespace.as_deref())
        .filter(|(_, object)| selector.matches(object))
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if !call.is_dry_run() {
        for (key, object) in chosen {
            delete::remove(state, kind, &key, &object, &options, &time);
        }
    }
    Ok(read::to_json(kind, &listed))
}
