//! Watches: what is told, what a broken watch misses (nothing), and when a list is asked for again (hardly ever).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::Method;
use osier::cluster::Cluster;
use osier::cluster::error::Error;
use osier::cluster::watch::{Event, Events};
use osier::cluster::watched;
use osier::model::object::{Kind, ObjectId};
use osier::model::reason::Reason;
use osier::planning::live::Live;
use osier::sandbox::Sandbox;
use osier::sandbox::faults::{Action, Fault, Match};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::world::{ID, World};
use crate::support::control_plane::User;
use crate::support::server::{PATIENCE, Server};

/// What a request may take as a rule; a watch lives for 190 to 200 s then.
const USUAL: Duration = Duration::from_secs(30);
/// A watch lives for 6 s then, and one that lives 6.3 s is frozen.
const IMPATIENT: Duration = Duration::from_secs(1);
/// What every namespace of a real cluster has, some time after it was made.
const EVERYWHERE: &str = "kube-root-ca.crt";

struct Watched {
    cluster: Arc<Cluster>,
    events: Events<(ObjectId, Live)>,
}

async fn connected(world: &World) -> Arc<Cluster> {
    Arc::new(Cluster::connect(Some(&world.server.kubeconfig(&User::admin())), None).await.unwrap())
}

async fn next<T>(events: &mut Events<T>) -> Event<T> {
    let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes");
    event.expect("a watch does not end by itself")
}

impl Watched {
    async fn new(world: &World, timeout: Duration) -> Watched {
        let kubeconfig = world.server.kubeconfig(&User::admin());
        let cluster = Arc::new(Cluster::connect(Some(&kubeconfig), None).await.unwrap().with_timeout(timeout));
        let events = cluster.watch_live(&Kind::new("", "ConfigMap"), &world.namespace, ID).await.unwrap();
        Watched { cluster, events }
    }

    async fn next(&mut self) -> String {
        loop {
            let told = match next(&mut self.events).await {
                Event::Listed(objects) => objects.iter().fold("listed".to_owned(), |text, (object, _)| {
                    if object.name == EVERYWHERE { text } else { format!("{text} {}", object.name) }
                }),
                Event::Changed((object, _)) => format!("changed {}", object.name),
                Event::Gone((object, _)) => format!("gone {}", object.name),
                Event::Broken(error) => format!("broken {}", error.reason()),
                Event::Restored => "restored".to_owned(),
            };
            if !told.contains(EVERYWHERE) {
                return told;
            }
        }
    }

    async fn expect(&mut self, told: &[&str]) {
        for expected in told {
            assert_eq!(self.next().await, *expected, "of {told:?}");
        }
    }

    /// Lists and watches so far.
    fn counted(&self) -> (u64, u64) {
        let requests = self.cluster.requests();
        let of = |verb| requests.get(verb).copied().unwrap_or_default();
        (of("list"), of("watch"))
    }

    /// Drives the watch until the server has opened it so often.
    async fn opened(&mut self, world: &World, times: u64) {
        let cluster = Arc::clone(&self.cluster);
        let count = || match &world.server {
            Server::Sandbox(loopback) => {
                let requests = loopback.sandbox.requests();
                requests.iter().filter(|line| line.verb == "watch" && line.resource == "configmaps").count() as u64
            }
            Server::Real(_) => cluster.requests().get("watch").copied().unwrap_or_default(),
        };
        let opened = async {
            while count() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            told = self.next() => panic!("nothing is told, but for {told}"),
            () = opened => {}
            () = tokio::time::sleep(PATIENCE) => panic!("it is never opened {times} times"),
        }
    }
}

async fn create(world: &World, name: &str) {
    world.post("kubectl", &world.object("ConfigMap", name), json!({"metadata": {"name": name}})).await;
}

async fn delete(world: &World, name: &str) {
    let path = world.path(&world.object("ConfigMap", name));
    world.send(Method::DELETE, &path, "application/json", json!(null)).await;
}

fn sandbox(world: &World) -> &Sandbox {
    match &world.server {
        Server::Sandbox(loopback) => &loopback.sandbox,
        Server::Real(_) => panic!("only the sandbox takes a fault plan"),
    }
}

fn fault(world: &World, action: Option<Action>) {
    let on = || Match::Call { verb: "watch", resource: "configmaps".to_owned(), name: None };
    sandbox(world).set_faults(action.into_iter().map(|action| Fault { on: on(), action }).collect());
}

/// A watch whose openings all meet a fault until the test takes it away.
async fn spoiled(action: Action, timeout: Duration) -> (World, Watched) {
    let world = World::new(Server::sandbox().await).await;
    create(&world, "a").await;
    fault(&world, Some(action));
    let mut watched = Watched::new(&world, timeout).await;
    watched.expect(&["listed a"]).await;
    (world, watched)
}

#[tokio::test]
async fn one_list_and_then_every_change() {
    for world in World::both().await {
        create(&world, "a").await;
        let mut watched = Watched::new(&world, USUAL).await;
        watched.expect(&["listed a"]).await;
        create(&world, "b").await;
        delete(&world, "a").await;
        watched.expect(&["changed b", "gone a"]).await;
        assert_eq!(watched.counted(), (1, 1), "{}", world.server.name());
    }
}

#[tokio::test]
async fn a_watch_that_ends_in_time_goes_on_where_it_was() {
    for world in World::both().await {
        let mut watched = Watched::new(&world, IMPATIENT).await;
        watched.expect(&["listed"]).await;
        watched.opened(&world, 3).await;
        create(&world, "a").await;
        watched.expect(&["changed a"]).await;
        assert_eq!(watched.counted().0, 1, "{}", world.server.name());
    }
}

#[tokio::test]
async fn a_frozen_watch_is_opened_again_and_misses_nothing() {
    let (world, mut watched) = spoiled(Action::Freeze, IMPATIENT).await;
    watched.opened(&world, 1).await;
    fault(&world, None);
    create(&world, "b").await;
    watched.expect(&["changed b"]).await;
    assert_eq!(watched.counted(), (1, 2));
}

#[tokio::test]
async fn a_forgotten_version_costs_one_list() {
    for action in [Action::Forget, Action::Refuse(410)] {
        let (world, mut watched) = spoiled(action, USUAL).await;
        watched.expect(&["listed a", "listed a"]).await;
        fault(&world, None);
        let (lists, opened) = watched.counted();
        assert!(lists == opened || lists == opened + 1, "{lists} lists for {opened} watches that were forgotten");
        watched.opened(&world, lists).await;
        create(&world, "b").await;
        watched.expect(&["changed b"]).await;
        assert_eq!(watched.counted(), (lists, lists));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_and_heard_again() {
    let (world, mut watched) = spoiled(Action::Babble, USUAL).await;
    watched.expect(&["broken ServerUnavailable"]).await;
    create(&world, "b").await;
    fault(&world, None);
    watched.expect(&["restored", "changed b"]).await;
    assert_eq!(watched.counted().0, 1);
}

#[tokio::test]
async fn a_refused_watch_is_reported() {
    for (code, reason) in [(429, Reason::ServerUnavailable), (500, Reason::ServerUnavailable)] {
        let (world, mut watched) = spoiled(Action::Refuse(code), USUAL).await;
        watched.expect(&[&format!("broken {reason}")]).await;
        fault(&world, None);
        watched.expect(&["restored"]).await;
        create(&world, "b").await;
        watched.expect(&["changed b"]).await;
        assert_eq!(watched.counted().0, 1);
    }
    for code in [401, 403] {
        let (_world, mut watched) = spoiled(Action::Refuse(code), USUAL).await;
        watched.expect(&[&format!("broken {}", Reason::Forbidden)]).await;
        assert_eq!(watched.counted(), (1, 1), "a right that is missing is asked for seldom");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_loses_nothing() {
    let world = World::new(Server::sandbox().await).await;
    let mut watched = Watched::new(&world, USUAL).await;
    watched.expect(&["listed"]).await;
    watched.opened(&world, 1).await;
    sandbox(&world).set_faults(vec![Fault { on: Match::NthEvent(2), action: Action::Break }]);
    for name in ["a", "b", "c"] {
        create(&world, name).await;
    }
    watched.expect(&["changed a", "changed b", "changed c"]).await;
    assert_eq!(watched.counted(), (1, 2));
}

#[tokio::test]
async fn a_watch_outlives_its_server() {
    let world = World::new(Server::sandbox().await).await;
    let served = sandbox(&world).clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kubeconfig.path(), Sandbox::kubeconfig(address)).unwrap();
    let serve = |listener| {
        let (mut serving, sandbox) = (JoinSet::new(), served.clone());
        serving.spawn(async move { sandbox.serve(listener).await });
        serving
    };
    let serving = serve(listener);
    let cluster = Arc::new(Cluster::connect(Some(kubeconfig.path()), None).await.unwrap());
    let events = cluster.watch_live(&Kind::new("", "ConfigMap"), &world.namespace, ID).await.unwrap();
    let mut watched = Watched { cluster, events };
    watched.expect(&["listed"]).await;
    watched.opened(&world, 1).await;
    drop(serving);
    watched.expect(&["broken ServerUnavailable"]).await;
    create(&world, "a").await; // another server of the same cluster
    let _serving = serve(TcpListener::bind(address).await.unwrap());
    watched.expect(&["restored", "changed a"]).await;
    assert_eq!(watched.counted().0, 1);
}

#[tokio::test]
async fn a_label_selects_in_all_namespaces() {
    for world in World::both().await {
        let cluster = connected(&world).await;
        let mut events = cluster.watch_everywhere(&Kind::new("", "ConfigMap")).await.unwrap();
        assert!(matches!(next(&mut events).await, Event::Listed(_)));
        create(&world, "a").await;
        let object = world.object("ConfigMap", "b");
        let marked = json!({"metadata": {"name": "b", "labels": {"osier.dev/environment": world.namespace}}});
        world.post("kubectl", &object, marked).await;
        loop {
            // other tests of the real server write marked objects too
            let Event::Changed((environment_id, (seen, live, _))) = next(&mut events).await else { continue };
            if seen.namespace == world.namespace {
                assert_eq!((seen, environment_id), (object, world.namespace.clone()));
                assert_eq!(live.ownership.marks(), 1, "it is seen from the environment that its label names");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_secret_is_watched_by_name_and_without_values() {
    for world in World::both().await {
        let cluster = connected(&world).await;
        let mut events = cluster.watch_secret(&world.namespace, "b");
        assert!(matches!(next(&mut events).await, Event::Listed(objects) if objects.is_empty()));
        let secret = |name: &str| json!({"metadata": {"name": name}, "stringData": {"k": "v"}});
        for name in ["a", "b"] {
            world.post("kubectl", &world.object("Secret", name), secret(name)).await;
        }
        assert!(matches!(next(&mut events).await, Event::Changed(())));
        let path = world.path(&world.object("Secret", "b"));
        world.send(Method::DELETE, &path, "application/json", json!(null)).await;
        assert!(matches!(next(&mut events).await, Event::Gone(())));
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_by_its_name() {
    let world = World::new(Server::sandbox().await).await;
    // as an older or a newer version of osier may have installed it
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "environments.osier.dev"}, "spec": {"group": "osier.dev", "scope": "Namespaced",
        "names": {"plural": "environments", "singular": "environment", "kind": "Environment", "listKind": "EnvironmentList"},
        "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    world.send(Method::POST, crds, "application/json", definition).await;
    let path = format!("/apis/osier.dev/v1alpha1/namespaces/{}/environments", world.namespace);
    let environment = |name: &str, spec: serde_json::Value| json!({"apiVersion": "osier.dev/v1alpha1", "kind": "Environment", "metadata": {"name": name}, "spec": spec});
    world.send(Method::POST, &path, "application/json", environment("odd", json!({"hold": 1}))).await;
    let cluster = connected(&world).await;
    let mut events = cluster.watch_environments(&world.namespace);
    let Event::Listed(listed) = next(&mut events).await else { panic!("the list comes first") };
    assert_eq!(listed[0].as_ref().unwrap_err().metadata.name.as_deref(), Some("odd"));
    world.send(Method::POST, &path, "application/json", environment("sound", json!({}))).await;
    world.send(Method::POST, &path, "application/json", environment("odder", json!({"hold": []}))).await;
    let Event::Changed(Ok(sound)) = next(&mut events).await else { panic!("a sound one is not hidden") };
    assert_eq!(sound.metadata.name.as_deref(), Some("sound"));
    let Event::Changed(Err(odder)) = next(&mut events).await else { panic!("an odd one is told") };
    assert_eq!(odder.metadata.name.as_deref(), Some("odder"));
}

#[tokio::test]
async fn a_kind_that_is_installed_later_is_found() {
    let world = World::new(Server::sandbox().await).await;
    let cluster = connected(&world).await;
    let widgets = Kind::new("example.com", "Widget");
    assert!(matches!(cluster.watch_live(&widgets, &world.namespace, ID).await, Err(Error::UnknownKind { .. })));
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    world.send(Method::POST, crds, "application/json", definition).await;
    let found = async {
        while cluster.watch_live(&widgets, &world.namespace, ID).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it is found some seconds later");
    assert_eq!(cluster.requests()["get"], 4, "two requests each time that it is asked");
}

#[tokio::test]
async fn a_kind_that_is_given_up_and_wanted_again_is_listed_again() {
    let world = World::new(Server::sandbox().await).await;
    let cluster = connected(&world).await;
    let watched = Arc::new(watched::Watched::new(Arc::clone(&cluster), &world.namespace, ID, None));
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&watched).run());
    let kinds = [Kind::new("", "ConfigMap")].into();
    let look = || tokio::time::timeout(PATIENCE, watched.look(&kinds));
    look().await.expect("it is listed").unwrap();
    let before = cluster.requests()["list"];
    watched.narrow(&BTreeSet::new()); // who drives the watches has not heard of it when the next look comes
    look().await.expect("it is listed again").unwrap();
    assert_eq!(cluster.requests()["list"], before + 1);
}

#[tokio::test]
async fn writes_never_wait_for_watches() {
    const WATCHES: usize = 120; // one connection has room for 100 requests
    let world = World::new(Server::real()).await;
    let cluster = connected(&world).await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        let events = cluster.watch_live(&Kind::new("", "ConfigMap"), &world.namespace, ID).await.unwrap();
        watches.push(Watched { cluster: Arc::clone(&cluster), events });
    }
    futures::future::join_all(watches.iter_mut().map(|watched| watched.expect(&["listed"]))).await;
    let created = async {
        while cluster.requests().get("watch").copied().unwrap_or_default() < WATCHES as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let id = world.object("ConfigMap", "a");
        assert!(cluster.read(&id, ID).await.unwrap().is_none(), "requests have room of their own");
        create(&world, "a").await;
    };
    let told = futures::future::join_all(watches.iter_mut().map(|watched| watched.expect(&["changed a"])));
    tokio::join!(told, created);
}
