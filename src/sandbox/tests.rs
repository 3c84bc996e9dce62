//! The sandbox as its clients see it: through `kube::Client` and over HTTP.

use futures::StreamExt;
use futures::TryStreamExt;
use http::{StatusCode, Version};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::sandbox::faults::{Action, Fault, Match};
use crate::sandbox::{Sandbox, kinds, schema};

fn client(sandbox: &Sandbox) -> kube::Client {
    kube::Client::new(sandbox.service::<kube::client::Body>(), "default")
}

fn api(sandbox: &Sandbox, group: &str, kind: &str) -> Api<DynamicObject> {
    let version = if group == "t.dev" { "v1alpha1" } else { "v1" };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::default_namespaced_with(client(sandbox), &resource)
}

fn config_maps(sandbox: &Sandbox) -> Api<DynamicObject> {
    api(sandbox, "", "ConfigMap")
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn by(manager: &str) -> PostParams {
    PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() }
}

fn version(object: &DynamicObject) -> String {
    object.metadata.resource_version.clone().unwrap()
}

fn owners(object: &DynamicObject) -> Vec<(String, String, Value)> {
    let entries = object.metadata.managed_fields.clone().unwrap_or_default().into_iter();
    entries.map(|e| (e.manager.unwrap(), e.operation.unwrap(), e.fields_v1.unwrap().0)).collect()
}

fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> u16 {
    match result.unwrap_err() {
        kube::Error::Api(status) => status.code,
        other => panic!("{other:?}"),
    }
}

async fn send(sandbox: &Sandbox, method: &str, path: &str, content: &str, body: Value) -> (StatusCode, Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let response = sandbox.handle(request.body(http_body_util::Full::<hyper::body::Bytes>::from(text)).unwrap()).await;
    let status = response.status();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn json_patch(sandbox: &Sandbox, name: &str, operations: Value) -> (StatusCode, Value) {
    let path = format!("/api/v1/namespaces/default/configmaps/{name}");
    send(sandbox, "PATCH", &path, "application/json-patch+json", operations).await
}

#[test]
fn every_row_has_its_definition() {
    for kind in kinds::built_in() {
        assert!(kind.schema().declared("metadata").is_some(), "{}", kind.kind);
    }
    assert!(schema::definitions().as_object().unwrap().len() > 300);
}

#[tokio::test]
async fn a_create_meets_what_is_there() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let made = api.create(&by("osier"), &object(config_map("a", json!({"k": "v"})))).await.unwrap();
    assert_eq!(owners(&made), [("osier".into(), "Update".into(), json!({"f:data": {".": {}, "f:k": {}}}))]);
    assert_eq!(code(api.create(&by("osier"), &object(config_map("a", json!({})))).await), 409);
    let line = sandbox.requests().pop().unwrap();
    assert_eq!((line.verb, line.resource.as_str(), line.status), ("create", "configmaps", 409));
}

#[tokio::test]
async fn an_apply_is_fenced_by_uid_and_version() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let apply = |value: Value| {
        let api = api.clone();
        async move { api.patch("a", &PatchParams::apply("osier").force(), &Patch::Apply(value)).await }
    };
    let first = apply(config_map("a", json!({"k": "1", "m": "1"}))).await.unwrap();
    let same = apply(config_map("a", json!({"k": "1", "m": "1"}))).await.unwrap();
    assert_eq!(version(&first), version(&same));
    let mut fenced = config_map("a", json!({"k": "2"}));
    fenced["metadata"]["uid"] = json!(first.metadata.uid);
    fenced["metadata"]["resourceVersion"] = json!(version(&first));
    let second = apply(fenced.clone()).await.unwrap();
    assert_eq!(second.data["data"], json!({"k": "2"}));
    assert_eq!(code(apply(fenced.clone()).await), 409);
    fenced["metadata"]["uid"] = json!("other");
    assert_eq!(code(apply(fenced.clone()).await), 409);
    fenced["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(code(apply(fenced).await), 422);
}

#[tokio::test]
async fn conflicts_name_manager_and_field() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    api.create(&by("editor"), &object(config_map("a", json!({"k": "1"})))).await.unwrap();
    let patch = Patch::Apply(config_map("a", json!({"k": "2"})));
    match api.patch("a", &PatchParams::apply("osier"), &patch).await.unwrap_err() {
        kube::Error::Api(status) => {
            assert_eq!(status.message, r#"Apply failed with 1 conflict: conflict with "editor" using v1: .data.k"#);
            assert_eq!(status.details.unwrap().causes[0].field, ".data.k");
        }
        other => panic!("{other:?}"),
    }
    let forced = api.patch("a", &PatchParams::apply("osier").force(), &patch).await.unwrap();
    assert_eq!(owners(&forced)[0].2, json!({"f:data": {"f:k": {}}}));
    assert_eq!(owners(&forced)[1].2, json!({"f:data": {}}));
}

#[tokio::test]
async fn an_update_entry_can_be_made_an_apply_entry() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    api.create(&by("osier"), &object(config_map("a", json!({"k": "1", "m": "1"})))).await.unwrap();
    let operations = json!([{"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Apply"}]);
    assert_eq!(json_patch(&sandbox, "a", operations).await.0, 200);
    assert_eq!(owners(&api.get("a").await.unwrap())[0].1, "Apply");
    let applied =
        api.patch("a", &PatchParams::apply("osier"), &Patch::Apply(config_map("a", json!({"m": "1"})))).await.unwrap();
    assert_eq!(applied.data["data"], json!({"m": "1"}));
}

#[tokio::test]
async fn a_json_patch_tests_uid_and_version() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let made = api.create(&by("osier"), &object(config_map("a", json!({"k": "1"})))).await.unwrap();
    let patch = |name: &'static str, uid: Value, version: String| {
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/data", "value": {"z": "1"}},
        ]);
        json_patch(&sandbox, name, operations)
    };
    let uid = json!(made.metadata.uid);
    assert_eq!(patch("a", json!("x"), version(&made)).await.0, 422);
    assert_eq!(patch("a", uid.clone(), "1".into()).await.0, 409);
    assert_eq!(patch("b", uid.clone(), version(&made)).await.0, 404);
    assert_eq!(patch("a", uid, version(&made)).await.1["data"], json!({"z": "1"}));
}

#[tokio::test]
async fn a_deleted_object_is_gone_when_nothing_holds_it() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let mut held = config_map("a", json!({}));
    held["metadata"]["finalizers"] = json!(["a.b/c"]);
    let made = api.create(&by("osier"), &object(held)).await.unwrap();
    let stale = DeleteParams::default()
        .preconditions(kube::api::Preconditions { uid: Some("other".to_owned()), resource_version: None });
    assert_eq!(code(api.delete("a", &stale).await), 409);
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some() && marked.metadata.uid == made.metadata.uid);
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("a", &PatchParams::default(), &release).await.unwrap();
    assert_eq!(code(api.get("a").await), 404);
}

#[tokio::test]
async fn a_namespace_is_filled_and_emptied() {
    let sandbox = Sandbox::new();
    let namespaces: Api<DynamicObject> =
        Api::all_with(client(&sandbox), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace")));
    let before = sandbox.dump();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    namespaces.create(&by("osier"), &object(namespace)).await.unwrap();
    assert_eq!(sandbox.dump().len(), before.len() + 3);
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    assert_eq!(sandbox.dump(), before);
    assert_eq!(code(namespaces.delete("default", &DeleteParams::default()).await), 403);
    let lost =
        send(&sandbox, "POST", "/api/v1/namespaces/shop/configmaps", "application/json", config_map("a", json!({})));
    assert_eq!(lost.await.0, 404);
}

#[tokio::test]
async fn pages_show_one_moment() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    for name in ["a", "b", "c"] {
        api.create(&by("osier"), &object(config_map(name, json!({})))).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(5).continue_token(&token)).await.unwrap();
    let names: Vec<String> =
        first.items.into_iter().chain(second.items).map(|item| item.metadata.name.unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "kube-root-ca.crt"]);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let start = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut labelled = config_map("a", json!({}));
    labelled["metadata"]["labels"] = json!({"x": "1"});
    api.create(&by("osier"), &object(labelled)).await.unwrap();
    let unlabel = Patch::Merge(json!({"metadata": {"labels": null}}));
    api.patch("a", &PatchParams::default(), &unlabel).await.unwrap();
    let params = WatchParams::default().labels("x=1");
    let events: Vec<_> = api.watch_metadata(&params, &start).await.unwrap().take(2).try_collect().await.unwrap();
    assert!(matches!(&events[0], kube::api::WatchEvent::Added(object) if object.metadata.labels.is_some()));
    assert!(matches!(&events[1], kube::api::WatchEvent::Deleted(_)));
}

#[tokio::test]
async fn faults_meet_the_planned_request() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let plan = |on, action| sandbox.set_faults(vec![Fault { on, action }]);
    plan(Match::NthMutating(1), Action::Break);
    api.list(&ListParams::default()).await.unwrap();
    assert!(matches!(api.create(&by("o"), &object(config_map("a", json!({})))).await, Err(kube::Error::Service(_))));
    assert_eq!(code(api.get("a").await), 404);
    plan(Match::Nth(1), Action::CommitThenBreak);
    assert!(api.create(&by("o"), &object(config_map("a", json!({})))).await.is_err());
    api.get("a").await.unwrap();
    let get = Match::Call { verb: "get", resource: "configmaps".to_owned(), name: Some("a".to_owned()) };
    plan(get, Action::Refuse(410));
    assert_eq!(code(api.get("a").await), 410);
    plan(Match::Nth(1), Action::StopAfter);
    api.get("a").await.unwrap();
    assert!(api.get("a").await.is_err() && api.get("a").await.is_err());
    sandbox.set_faults(Vec::new());
    api.get("a").await.unwrap();
    let statuses: Vec<u16> = sandbox.requests().iter().map(|line| line.status).collect();
    assert_eq!(statuses, [200, 0, 404, 0, 200, 410, 200, 0, 0, 200]);
}

const DEFINITION: &str = r#"{
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "envs.t.dev"},
    "spec": {
        "group": "t.dev", "names": {"plural": "envs", "kind": "Env"}, "scope": "Namespaced",
        "versions": [{
            "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "required": ["mode"], "properties": {
                    "mode": {"type": "string", "enum": ["A", "B"]}, "n": {"type": "integer", "default": 2}}},
                "status": {"type": "object", "properties": {"id": {"type": "string"}}}}}}
        }]
    }
}"#;

#[tokio::test]
async fn a_definition_serves_its_kind_at_once() {
    let sandbox = Sandbox::new();
    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(send(&sandbox, "POST", path, "application/json", definition).await.0, 201);
    let api = api(&sandbox, "t.dev", "Env");
    let env = |spec: Value| {
        object(json!({"apiVersion": "t.dev/v1alpha1", "kind": "Env", "metadata": {"name": "a"}, "spec": spec,
            "status": {"id": "x"}}))
    };
    assert_eq!(code(api.create(&by("o"), &env(json!({"mode": "C"}))).await), 422);
    assert_eq!(code(api.create(&by("o"), &env(json!({}))).await), 422);
    let made = api.create(&by("o"), &env(json!({"mode": "A", "unknown": 1}))).await.unwrap();
    assert_eq!(made.data, json!({"spec": {"mode": "A", "n": 2}}));
    let status = Patch::Merge(json!({"status": {"id": "1"}, "spec": {"mode": "B"}}));
    let patched = api.patch_status("a", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(patched.data, json!({"spec": {"mode": "A", "n": 2}, "status": {"id": "1"}}));
    assert_eq!(patched.metadata.generation, Some(1));
    send(&sandbox, "DELETE", &format!("{path}/envs.t.dev"), "", Value::Null).await;
    assert!(sandbox.dump().iter().all(|object| object["kind"] != "Env"));
}

#[tokio::test]
async fn what_is_not_in_the_table_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let (status, answer) = send(&sandbox, "GET", "/api/v1/nodes", "", Value::Null).await;
    assert_eq!((status.as_u16(), &answer["message"]), (501, &json!("the sandbox does not serve `nodes` of `/v1`")));
    let path = "/api/v1/namespaces/default/configmaps";
    let (status, answer) = send(&sandbox, "POST", path, "application/vnd.kubernetes.protobuf", json!({})).await;
    assert!(status == 415 && answer["message"].as_str().unwrap().contains("-f FILE"));
}

#[tokio::test]
async fn a_quota_counts_objects() {
    let sandbox = Sandbox::new();
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"count/configmaps": "2"}}});
    api(&sandbox, "", "ResourceQuota").create(&by("o"), &object(quota)).await.unwrap();
    let api = config_maps(&sandbox);
    api.create(&by("o"), &object(config_map("a", json!({})))).await.unwrap();
    let refused = api.create(&by("o"), &object(config_map("b", json!({})))).await.unwrap_err();
    let text =
        "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2";
    assert!(refused.to_string().contains(text), "{refused}");
}

#[tokio::test]
async fn workloads_are_said_to_run_if_one_wants() {
    let deployment = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 2,
            "selector": {"matchLabels": {"app": "d"}}, "template": {"metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "one", "image": image}]}}}})
    };
    let apply = async |api: &Api<DynamicObject>, image: &str| {
        api.patch("d", &PatchParams::apply("o").force(), &Patch::Apply(deployment(image))).await.unwrap();
        let found = api.get("d").await.unwrap().data["status"].clone();
        (found["observedGeneration"].as_i64(), found["availableReplicas"].as_i64())
    };
    let idle = api(&Sandbox::new(), "apps", "Deployment");
    assert_eq!(apply(&idle, "i:1").await, (None, None));

    let api = api(&Sandbox::new().with_workloads(), "apps", "Deployment");
    assert_eq!(apply(&api, "i:1").await, (Some(1), Some(2)));
    let fewer = json!({"status": {"availableReplicas": 1}});
    api.patch_status("d", &PatchParams::default(), &Patch::Merge(fewer)).await.unwrap();
    assert_eq!(apply(&api, "i:1").await, (Some(1), Some(1)), "it is seen once");
    assert_eq!(apply(&api, "i:2").await, (Some(2), Some(2)));
}

#[tokio::test]
async fn it_is_served_over_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sandbox = Sandbox::new();
    let config = kube::config::Kubeconfig::from_yaml(&Sandbox::kubeconfig(address)).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    tokio::select! {
        served = sandbox.serve(listener) => panic!("{served:?}"),
        version = client.apiserver_version() => assert_eq!(version.unwrap().minor, "35"),
    }
}

#[tokio::test]
async fn a_stale_read_shows_what_was() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let first = api.create(&by("a"), &object(config_map("one", json!({"k": "1"})))).await.unwrap();
    api.create(&by("a"), &object(config_map("two", json!({})))).await.unwrap();
    api.delete("one", &DeleteParams::default()).await.unwrap();
    let call = |verb| Match::Call { verb, resource: "configmaps".to_owned(), name: None };
    sandbox.set_faults(["get", "list"].map(|verb| Fault { on: call(verb), action: Action::Stale(2) }).into());
    let list = api.list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = list.items.iter().filter_map(|object| object.metadata.name.as_deref()).collect();
    assert_eq!(names, ["kube-root-ca.crt", "one"]);
    assert_eq!(list.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(code(api.get("two").await), 404);
    sandbox.set_faults(Vec::new());
    assert_eq!(code(api.get("one").await), 404);
}

#[tokio::test]
async fn an_event_can_be_lost() {
    let sandbox = Sandbox::new();
    let api = config_maps(&sandbox);
    let start = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default(), &start).await.unwrap().boxed();
    sandbox.set_faults(vec![Fault { on: Match::NthEvent(2), action: Action::Lose }]);
    for name in ["a", "b", "c"] {
        api.create(&by("a"), &object(config_map(name, json!({})))).await.unwrap();
    }
    for name in ["a", "c"] {
        let event = events.try_next().await.unwrap().unwrap();
        assert!(
            matches!(&event, WatchEvent::Added(object) if object.metadata.name.as_deref() == Some(name)),
            "{event:?}"
        );
    }
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    let sandbox = Sandbox::new();
    let ask = async |second: bool| {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        let client = builder.http2_only(second).build_http::<Full<Bytes>>();
        client.get(url.parse().unwrap()).await.unwrap().version()
    };
    let asked = async { [ask(false).await, ask(true).await] };
    tokio::select! {
        _ = sandbox.serve(listener) => panic!("it serves until it is dropped"),
        versions = asked => assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]),
    }
}
