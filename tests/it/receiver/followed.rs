//! A followed repository behind TLS and a token: the forge that it lies on calls the Repository's own webhook.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use crate::receiver::world::{Call, Receiver, SECRET, SECRET_NAME, name_secret, secret};
use crate::rights::{run, sees};
use crate::scenarios::script::File;
use crate::scenarios::service::service;
use crate::scenarios::world::World;
use crate::statuses::LIMITS;
use crate::support::server::Server;
use crate::support::web::Web;

const TOKEN: &str = "canary-5d-token-of-the-cart";
const CONFIG: &str = "apiVersion: osier.dev/v1alpha1
kind: Config
environments:
  staging: {namespace: shop-staging, layers: [base]}
branches:
- match: [\"feature/**\"]
  layers: [branches]
  namespace: {prefix: shop-b, template: policies/branch}
";
const IMAGE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {IMAGE: \"cart:${osier.commit.cart}\"}\n";
const SEEN: &str = "kubectl get configmap app -n shop-b-faster-hash2 -o jsonpath={.data.IMAGE}";

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_the_code_is_applied_when_its_forge_tells_of_it() {
    let mut world = World::new(Server::sandbox().await).await;
    for (path, content) in
        [("osier.yaml", CONFIG), ("policies/branch/limits.yaml", LIMITS), ("branches/app.yaml", IMAGE)]
    {
        world.write(&File { path: path.to_owned(), encrypted_for: Vec::new(), content: content.to_owned() });
    }
    world.push("the first state").await;
    run(&mut world, "git init -q -b main ../cart && git -C ../cart commit -q --allow-empty -m 'the cart'").await;
    run(&mut world, "git -C ../cart switch -q -c feature/faster").await;
    std::os::unix::fs::symlink(world.path("cart/.git"), world.path("shop.git")).unwrap();
    let web = Web::start(&world.path("")).await;
    web.want(&format!("Bearer {TOKEN}"));
    follow(&mut world, &web).await;
    secret(&mut world, &[("secret", SECRET)]).await;
    name_secret(&world, Some(SECRET_NAME)).await;

    service(&mut world, "start --lane branches").await;
    sees(&mut world, SEEN, "cart:commit2").await;
    let account = world.account.clone();
    let mut receiver = Receiver::start(world, &account);
    let call = Call::named(&receiver.world, "gitlab-push");
    run(&mut receiver.world, "git -C ../cart commit -q --allow-empty -m faster").await;
    web.asked();
    assert_eq!(receiver.call(&call), 202);
    sees(&mut receiver.world, SEEN, "cart:commit3").await;
    let asked = web.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.path.starts_with("/shop.git/info/refs")));
    assert_eq!(service(&mut receiver.world, "stop").await, "");
    receiver.end().await;
}

/// The Repository follows what the server offers, and looks there once an hour.
async fn follow(world: &mut World, web: &Web) {
    world.canary.watch_for(TOKEN);
    let home = world.name("shop");
    let data = json!({"bearerToken": STANDARD.encode(TOKEN), "ca.crt": STANDARD.encode(&web.authority)});
    let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cart-git"}, "data": data});
    let secrets = format!("/api/v1/namespaces/{home}/secrets");
    let (status, said) = world.ask(Method::POST, &secrets, Some(&credentials)).await;
    assert_eq!(status, 201, "{said}");
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{home}");
    let (_, mut repository) = world.ask(Method::GET, &path, None).await;
    repository["spec"]["interval"] = json!("1h");
    repository["spec"]["follows"] = json!([{"name": "cart", "url": web.url(), "credentials": "cart-git"}]);
    let (status, said) = world.ask(Method::PUT, &path, Some(&repository)).await;
    assert_eq!(status, 200, "{said}");
}
