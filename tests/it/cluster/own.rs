//! osier's own objects: the key, Environments, Records.

use http::Method;
use osier::cluster::crds::crds;
use osier::cluster::error::Error;
use osier::model::asked::{Answer, Question};
use osier::model::environment::{Allow, EnvironmentStatus, Head, Lane, Suspend};
use osier::model::reason::Reason;
use osier::model::record::{RecordKind, RecordResult, RecordSpec, RecordStatus};
use osier::sandbox::faults::{Action, Fault, Match};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::world::World;
use crate::support::server::{PATIENCE, Server};

/// Installs the definitions and waits until they are served. Once on the real server, which all tests share.
pub async fn install(world: &World) {
    static REAL: OnceCell<()> = OnceCell::const_new();
    if world.server.is_real() {
        REAL.get_or_init(|| install_now(world)).await;
    } else {
        install_now(world).await;
    }
}

async fn install_now(world: &World) {
    for crd in crds() {
        let name = crd["metadata"]["name"].as_str().unwrap();
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=test&force=true");
        world.send(Method::PATCH, &path, "application/apply-patch+yaml", crd.clone()).await;
    }
    for plural in ["environments", "records", "plans", "repositories"] {
        let served = async {
            let path = format!("/apis/osier.dev/v1alpha1/{plural}");
            while world.ask(Method::GET, &path, "application/json", Value::Null).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.expect("the kind is served in time");
    }
}

async fn both() -> [World; 2] {
    let worlds = World::both().await;
    for world in &worlds {
        install(world).await;
    }
    worlds
}

pub fn record(number: u64) -> RecordSpec {
    RecordSpec {
        environment: "staging".to_owned(),
        id: "id".to_owned(),
        number,
        previous: String::new(),
        kind: RecordKind::Revision,
        commit: "4f2a91c".to_owned(),
        reference: "refs/heads/main".to_owned(),
        layers: vec!["base".to_owned()],
        parameters: [("osier.environment".to_owned(), "staging".to_owned())].into(),
        inputs: String::new(),
        plan_digest: String::new(),
        trigger: "person".to_owned(),
        by: String::new(),
        reason: String::new(),
        allowed_by: Vec::new(),
        author: "ann".to_owned(),
        committed_at: "2026-11-21T06:00:00Z".to_owned(),
        issues: Vec::new(),
        started_at: "2026-11-21T06:00:00Z".to_owned(),
        seal: "s".to_owned(),
    }
}

fn outcome(reason: &str) -> RecordStatus {
    RecordStatus {
        result: Some(RecordResult::Applied),
        reason: reason.to_owned(),
        counts: [("create".to_owned(), 1)].into(),
        finished_at: "2026-11-21T06:00:01Z".to_owned(),
        hash: "h".to_owned(),
    }
}

#[tokio::test]
async fn a_record_is_claimed_once_and_completed_once() {
    for world in both().await {
        let claimed = world.cluster.claim_record(&world.namespace, "shop", record(1)).await.unwrap();
        assert_eq!(claimed.spec, record(1), "what is stored is what was sealed");
        let again = world.cluster.claim_record(&world.namespace, "shop", record(1)).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyClaimed { .. }), "{again:?}");
        let completed = world.cluster.complete_record(&claimed, &outcome("Applied")).await.unwrap();
        assert_eq!(completed.status, Some(outcome("Applied")));
        let other = world.cluster.complete_record(&claimed, &outcome("Conflict")).await.unwrap_err();
        assert_eq!(other.reason(), Reason::Conflict);
        if world.server.is_real() {
            let rewritten = world.cluster.complete_record(&completed, &outcome("Conflict")).await.unwrap_err();
            assert_eq!(rewritten.reason(), Reason::ProblemsFound, "the definition keeps an outcome");
        }
        world.cluster.claim_record(&world.namespace, "shop", record(2)).await.unwrap();
        world
            .cluster
            .claim_record(&world.namespace, "shop", RecordSpec { environment: "other".to_owned(), ..record(9) })
            .await
            .unwrap();
        let numbers: Vec<u64> = world
            .cluster
            .records(&world.namespace, "staging")
            .await
            .unwrap()
            .iter()
            .map(|record| record.spec.number)
            .collect();
        assert_eq!(numbers, [1, 2]);
    }
}

#[tokio::test]
async fn lost_answers_of_records_and_environments_change_nothing() {
    let world = World::new(Server::sandbox().await).await;
    install(&world).await;
    let Server::Sandbox(loopback) = &world.server else { panic!() };
    let lose =
        || loopback.sandbox.set_faults(vec![Fault { on: Match::NthMutating(1), action: Action::CommitThenBreak }]);
    lose();
    let claimed = world.cluster.claim_record(&world.namespace, "shop", record(1)).await.unwrap();
    lose();
    world.cluster.complete_record(&claimed, &outcome("Applied")).await.unwrap();
    lose();
    let environment =
        world.cluster.create_environment(&world.namespace, "shop", "staging", Lane::Protected).await.unwrap();
    lose();
    let status = EnvironmentStatus { commit: "c".to_owned(), ..EnvironmentStatus::default() };
    let written = world.cluster.write_environment_status(&environment, &status).await.unwrap();
    assert_eq!(written.status, Some(status));
}

#[tokio::test]
async fn what_cannot_be_a_name_is_not_asked_for() {
    for world in both().await {
        let before = world.cluster.requests();
        for name in ["feature/a", "feature/a/status", "A", "a;b", "..", ""] {
            assert_eq!(world.cluster.environment(&world.namespace, name).await.unwrap(), None, "{name}");
        }
        assert_eq!(world.cluster.requests(), before);
    }
}

#[tokio::test]
async fn a_status_is_written_over_what_people_say_but_not_over_another_status() {
    for world in both().await {
        let home = &world.namespace;
        let first = world.cluster.create_environment(home, "shop", "staging", Lane::Protected).await.unwrap();
        assert_eq!(first.status, None);
        let again = world.cluster.create_environment(home, "shop", "staging", Lane::Protected).await.unwrap();
        assert_eq!(again.metadata.uid, first.metadata.uid);
        world.cluster.change_environment(&first, |spec| spec.suspend = Some(suspend())).await.unwrap();
        let head = Some(Head { number: 1, hash: "h".to_owned() });
        let status = EnvironmentStatus { head, namespace: "n".to_owned(), ..EnvironmentStatus::default() };
        let written = world.cluster.write_environment_status(&first, &status).await.unwrap();
        assert_eq!(written.status.as_ref(), Some(&status));
        assert_eq!(written.spec.suspend.as_ref().map(|suspend| suspend.by.as_str()), Some("ann"));
        let before = world.cluster.requests();
        world.cluster.write_environment_status(&written, &status).await.unwrap();
        assert_eq!(world.cluster.requests(), before, "nothing differs, nothing is sent");
        let cleared = EnvironmentStatus { head: None, ..status };
        let written = world.cluster.write_environment_status(&written, &cleared).await.unwrap();
        assert_eq!(written.status, Some(cleared));
        let stale = EnvironmentStatus { commit: "c".to_owned(), ..EnvironmentStatus::default() };
        let error = world.cluster.write_environment_status(&first, &stale).await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error:?}");
        assert_eq!(world.cluster.environments(home).await.unwrap().len(), 1);
        assert!(world.cluster.environment(home, "none").await.unwrap().is_none());
    }
}

fn suspend() -> Suspend {
    Suspend { until: None, by: "ann".to_owned(), reason: "r".to_owned() }
}

#[tokio::test]
async fn what_two_people_say_at_once_both_counts() {
    for world in both().await {
        let home = &world.namespace;
        let read = world.cluster.create_environment(home, "shop", "staging", Lane::Protected).await.unwrap();
        let allow = |by: &str| Allow { digest: by.to_owned(), by: by.to_owned(), reason: "r".to_owned() };
        for allow in ["ann", "bob", "eve"].map(allow) {
            // each goes out from what it read before the others wrote
            world.cluster.change_environment(&read, |spec| spec.allow.push(allow.clone())).await.unwrap();
        }
        let now = world.cluster.change_environment(&read, |spec| spec.suspend = Some(suspend())).await.unwrap();
        let by: Vec<&str> = now.spec.allow.iter().map(|allow| allow.by.as_str()).collect();
        assert_eq!((by.as_slice(), &now.spec.suspend), (&["ann", "bob", "eve"][..], &Some(suspend())));
        let resumed = world.cluster.change_environment(&now, |spec| spec.suspend = None).await.unwrap();
        assert_eq!((resumed.spec.suspend, resumed.spec.allow.len()), (None, 3));
        let path = format!("/apis/osier.dev/v1alpha1/namespaces/{home}/environments/staging");
        world.send(Method::DELETE, &path, "application/json", Value::Null).await;
        let gone = world.cluster.change_environment(&now, |spec| spec.suspend = None).await.unwrap_err();
        assert!(matches!(gone, Error::Missing { .. }), "{gone:?}");
    }
}

fn question(by: &str) -> Question {
    Question { environment: "staging".to_owned(), to: "#1".to_owned(), by: by.to_owned() }
}

fn answer(summary: &str) -> Answer {
    let expires_at = Some("2026-11-21T07:00:00Z".to_owned());
    Answer { summary: summary.to_owned(), expires_at, ..Answer::default() }
}

#[tokio::test]
async fn a_plan_is_asked_for_answered_once_and_deleted_as_it_was_seen() {
    for world in both().await {
        let (cluster, home) = (&world.cluster, &world.namespace);
        let asked = cluster.ask_plan(home, "shop", &question("ann")).await.unwrap();
        let another = cluster.ask_plan(home, "shop", &question("ann")).await.unwrap();
        assert_ne!(asked.metadata.name, another.metadata.name, "each has a name of its own");
        assert_eq!((&asked.spec, &asked.status), (&question("ann"), &None));
        let answered = cluster.answer_plan(&asked, &answer("one")).await.unwrap();
        assert_eq!(answered.status, Some(answer("one")));
        let late = cluster.answer_plan(&asked, &answer("two")).await.unwrap_err();
        assert!(matches!(late, Error::Changed { .. }), "{late:?}");
        let name = answered.metadata.name.as_deref().unwrap();
        if world.server.is_real() {
            let rewritten = cluster.answer_plan(&answered, &answer("two")).await.unwrap_err();
            assert_eq!(rewritten.reason(), Reason::ProblemsFound, "the definition keeps an answer");
            let path = format!("/apis/osier.dev/v1alpha1/namespaces/{home}/plans/{name}");
            let edit = json!({"spec": {"to": "#2"}});
            let edited = world.ask(Method::PATCH, &path, "application/merge-patch+json", edit).await;
            assert_eq!(edited.status, 422, "the definition keeps a question: {edited:?}");
        }
        let version = |plan: &osier::model::asked::AskedPlan| plan.metadata.resource_version.clone().unwrap();
        let uid = asked.metadata.uid.as_deref().unwrap();
        let stale = cluster.delete_plan(home, name, uid, &version(&asked)).await.unwrap_err();
        assert!(matches!(stale, Error::Changed { .. }), "{stale:?}");
        cluster.delete_plan(home, name, uid, &version(&answered)).await.unwrap();
        cluster.delete_plan(home, name, uid, &version(&answered)).await.unwrap();
    }
}

#[tokio::test]
async fn what_does_not_fit_into_a_plan_is_refused() {
    for world in both().await {
        let home = &world.namespace;
        let long = Question { to: "x".repeat(257), ..question("ann") };
        for wrong in [long, question(""), Question { environment: "x".repeat(64), ..question("ann") }] {
            let refused = world.cluster.ask_plan(home, "shop", &wrong).await.unwrap_err();
            assert_eq!(refused.reason(), Reason::ProblemsFound, "{refused:?}");
        }
        let asked = world.cluster.ask_plan(home, "shop", &question("ann")).await.unwrap();
        let long = Answer { waits_for: vec!["x".repeat(513)], ..answer("one") };
        assert_eq!(world.cluster.answer_plan(&asked, &long).await.unwrap_err().reason(), Reason::ProblemsFound);
    }
}

#[tokio::test]
async fn a_lost_answer_asks_once() {
    let world = World::new(Server::sandbox().await).await;
    install(&world).await;
    let Server::Sandbox(loopback) = &world.server else { panic!() };
    loopback.sandbox.set_faults(vec![Fault { on: Match::NthMutating(1), action: Action::CommitThenBreak }]);
    world.cluster.ask_plan(&world.namespace, "shop", &question("ann")).await.unwrap();
    let path = format!("/apis/osier.dev/v1alpha1/namespaces/{}/plans", world.namespace);
    let plans = world.ask(Method::GET, &path, "application/json", Value::Null).await;
    assert_eq!(plans.body["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_fingerprint_key_is_made_once() {
    for world in World::both().await {
        let key = world.cluster.fingerprint_key(&world.namespace).await.unwrap();
        let again = world.cluster.fingerprint_key(&world.namespace).await.unwrap();
        assert_eq!(key.0.expose(), again.0.expose());
        world.edit("x", &world.object("Secret", "osier-fingerprint"), json!({"data": {"key": "YQ=="}})).await;
        let Err(error) = world.cluster.fingerprint_key(&world.namespace).await else { panic!("one byte is no key") };
        assert!(matches!(error, Error::FingerprintKey { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn missing_definitions_and_repositories_are_said() {
    let world = World::new(Server::sandbox().await).await;
    let error = world.cluster.ensure_crds_present().await.unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("osier generate crds | kubectl apply --server-side -f -"));
    for world in both().await {
        let error = world.cluster.repository("none").await.unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error:?}");
        let name = format!("shop-{}", world.namespace);
        let body = json!({"apiVersion": "osier.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name}, "spec": {"url": "/git/shop", "home": "h"}});
        world.send(Method::POST, "/apis/osier.dev/v1alpha1/repositories", "application/json", body).await;
        let repository = world.cluster.repository(&name).await.unwrap();
        assert_eq!((repository.spec.url.as_str(), repository.spec.protected_branch.as_str()), ("/git/shop", "main"));
        assert!(
            world.cluster.repositories().await.unwrap().iter().any(|it| it.metadata.name.as_deref() == Some(&name))
        );
        assert!(!world.cluster.who_am_i().await.unwrap().is_empty());
    }
}
