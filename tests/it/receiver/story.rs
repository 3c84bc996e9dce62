//! The whole way: a push, the forge's call, a look, an apply; on the real server under exactly the rights of the README.

use std::fs;

use http::Method;
use serde_json::json;

use crate::receiver::world::{Call, Receiver, SECRET, SECRET_NAME, name_secret, secret};
use crate::rights::{self, LEVEL, config, grant, rules, sees, shop};
use crate::scenarios::service::{service, settle};
use crate::scenarios::world::World;
use crate::support::control_plane::User;
use crate::support::server::{self, Server};
use crate::support::web::Web;

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_applied_when_the_forge_tells_of_it() {
    let mut world = World::new(Server::sandbox().await).await;
    shop(&mut world);
    let account = world.account.clone();
    a_push_and_its_call(world, &account).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough_for_the_receiver_and_reach_no_further() {
    let mut world = rights::world().await;
    let account = User::person(&world.account.name.replace("rights", "receiver"));
    let home = world.name("shop");
    grant(&mut world, &account.name, "osier-receiver", None, &rules("receiver", "in the whole cluster")).await;
    let rules = rules("receiver", "in the home namespace");
    assert!(rules.contains(SECRET_NAME), "{rules}");
    grant(&mut world, &account.name, "osier-receiver", Some(&home), &rules).await;
    let receiver = a_push_and_its_call(world, &account).await;
    reaches_no_further(&receiver.world, &account).await;
    receiver.end().await;
}

/// Leaves the service and the receiver at work.
async fn a_push_and_its_call(mut world: World, account: &User) -> Receiver {
    config(&mut world, "app", "info");
    world.push("the first state").await;
    std::os::unix::fs::symlink(world.path("clone/.git"), world.path("shop.git")).unwrap();
    let web = Web::without_tls(&world.path("")).await;
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", world.name("shop"));
    let (_, mut repository) = world.ask(Method::GET, &path, None).await;
    (repository["spec"]["url"], repository["spec"]["interval"]) = (json!(web.url()), json!("1h"));
    let (status, said) = world.ask(Method::PUT, &path, Some(&repository)).await;
    assert_eq!(status, 200, "{said}");
    secret(&mut world, &[("secret", SECRET)]).await;
    name_secret(&world, Some(SECRET_NAME)).await;

    service(&mut world, "start").await;
    assert_eq!(settle(&mut world, "staging").await, "");
    let mut receiver = Receiver::start(world, account);
    let call = Call::named(&receiver.world, "github-push");
    for level in ["debug", "warn"] {
        config(&mut receiver.world, "app", level);
        receiver.world.push("a push").await;
        web.asked();
        assert_eq!(receiver.call(&Call { body: b"{}".to_vec(), ..call.clone() }), 403);
        assert_eq!(receiver.call(&call), 202);
        sees(&mut receiver.world, LEVEL, level).await;
        assert!(!web.asked().is_empty(), "the look was the call's");
    }
    let log = fs::read_to_string(receiver.world.path("tmp").join("service.log")).unwrap();
    assert_eq!(log.matches("the branch moved").count(), 3, "the first state and two pushes");
    assert_eq!(service(&mut receiver.world, "stop").await, "");
    receiver
}

/// Whatever somebody makes of the receiver's account: `lookAt`, and reading the one Secret that it checks calls with.
async fn reaches_no_further(world: &World, account: &User) {
    let Server::Real(control_plane) = &world.server else { panic!("the sandbox checks no rights") };
    let asked = control_plane.audit(account).await;
    assert!(asked.iter().all(|line| line.code != 403), "{asked:?}");
    let writes: Vec<String> = asked
        .iter()
        .filter(|line| !["get", "list", "watch"].contains(&line.verb.as_str()))
        .map(|line| format!("{} {}/{}", line.verb, line.resource, line.subresource))
        .collect();
    assert_eq!(writes, ["patch repositories/status", "patch repositories/status"]);

    let (home, client) = (world.name("shop"), world.server.client(account).await);
    let repository = format!("/apis/osier.dev/v1alpha1/repositories/{home}");
    let patch = |path: String, body: serde_json::Value| (Method::PATCH, path, body);
    let refused = async |(method, path, body): (Method, String, serde_json::Value)| {
        let headers = [("content-type", "application/merge-patch+json")];
        let answer = server::request(&client, method.clone(), &path, &headers, body.to_string()).await;
        assert!([403, 422].contains(&answer.status), "{method} {path}: {answer:?}");
    };
    let tip = json!({"status": {"lanes": [{"lane": "protected", "tip": "0000000000000000000000000000000000000000"}]}});
    refused(patch(format!("{repository}/status"), tip)).await;
    refused(patch(format!("{repository}/status"), json!({"status": {"lanes": null, "lookAt": "now"}}))).await;
    refused(patch(format!("{repository}/status"), json!({"status": {"conditions": null}}))).await;
    refused(patch(repository, json!({"spec": {"url": "https://git.example.com/mallory.git"}}))).await;
    let secrets = format!("/api/v1/namespaces/{home}/secrets");
    for path in [
        secrets.clone(),
        format!("{secrets}/osier-fingerprint"),
        format!("{secrets}?fieldSelector=metadata.name%3Dosier-fingerprint"),
    ] {
        refused((Method::GET, path, json!(null))).await;
    }
    refused(patch(format!("{secrets}/{SECRET_NAME}"), json!({"data": null}))).await;
    refused((Method::GET, format!("/apis/osier.dev/v1alpha1/namespaces/{home}/records"), json!(null))).await;
}
