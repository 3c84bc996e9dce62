//! Leadership: two that want the same Lease, and what a fenced client sends.

use std::convert::Infallible;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use osier::cluster::Cluster;
use osier::cluster::call::Cause;
use osier::cluster::error::Error;
use osier::cluster::leases::{BootTime, DURATION, Leadership, leadership};
use osier::controller::lease::Keeper;
use osier::model::reason::{Reason, Retry};
use osier::model::wire::LEASE_PROTECTED as NAME;
use osier::sandbox::faults::{Action, Fault, Match};
use osier::server::health::Health;
use osier::supervise::{Order, Tasks};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::world::World;
use crate::support::control_plane::User;
use crate::support::server::{PATIENCE, Server};

/// A process that wants to lead; dropped, it is killed.
struct Candidate {
    leadership: Leadership,
    stops: Tasks,
    running: JoinSet<Result<(), Infallible>>,
}

impl Candidate {
    async fn new(world: &World, holder: &str) -> Candidate {
        let (tenure, leadership) = leadership();
        let keeper = Keeper {
            cluster: Arc::new(Cluster::new(world.server.client(&User::admin()).await)),
            namespace: world.namespace.clone(),
            name: NAME,
            holder: holder.to_owned(),
            clock: Timestamp::now,
            health: Arc::new(Health::new([])),
        };
        let stops = Tasks::default();
        let mut running = JoinSet::new();
        running.spawn(keeper.keep(tenure, stops.stop(Order::Last)));
        Candidate { leadership, stops, running }
    }

    async fn leads(&self) {
        timeout(PATIENCE, self.leadership.held()).await.expect("it leads in time");
    }

    /// Tells it to end, and waits for that.
    async fn ends(mut self) {
        drop(self.stops);
        timeout(PATIENCE, self.running.join_next()).await.expect("it ends in time");
    }
}

async fn lease(world: &World) -> Value {
    world.send(Method::GET, &path(world), "application/json", Value::Null).await["spec"].clone()
}

fn path(world: &World) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{NAME}", world.namespace)
}

/// Both servers at the same time: most of these tests is waiting.
async fn on_both(test: impl AsyncFn(&World)) {
    let [sandbox, real] = World::both().await;
    tokio::join!(test(&sandbox), test(&real));
}

#[tokio::test]
async fn one_leads_and_the_other_follows_until_it_gives_up() {
    on_both(async |world| {
        let first = Candidate::new(world, "first").await;
        first.leads().await;
        assert_eq!(lease(world).await["holderIdentity"], "first");
        let second = Candidate::new(world, "second").await;
        first.ends().await;
        second.leads().await;
        let spec = lease(world).await;
        assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("second"), &json!(1)));
        second.ends().await;
        assert_eq!(lease(world).await["holderIdentity"].as_str().unwrap_or_default(), "");
    })
    .await;
}

#[tokio::test]
async fn a_killed_leader_is_followed_once_its_lease_has_run_out() {
    on_both(async |world| {
        let first = Candidate::new(world, "first").await;
        first.leads().await;
        let second = Candidate::new(world, "second").await;
        let of_the_dead = first.leadership.clone();
        drop(first);
        let killed = Instant::now();
        while second.leadership.remaining().is_none() {
            assert!(killed.elapsed() < PATIENCE, "nobody leads on {}", world.server.name());
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(of_the_dead.remaining(), None, "two lead on {}", world.server.name());
        assert_eq!(lease(world).await["holderIdentity"], "second");
    })
    .await;
}

#[tokio::test]
async fn who_finds_its_lease_taken_leads_no_more() {
    on_both(async |world| {
        let first = Candidate::new(world, "first").await;
        first.leads().await;
        let taken = json!({"spec": {"holderIdentity": "thief"}});
        world.send(Method::PATCH, &path(world), "application/merge-patch+json", taken).await;
        timeout(PATIENCE, first.leadership.lost()).await.expect("it notices in time");
        assert_eq!(lease(world).await["holderIdentity"], "thief");
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_reaches_no_server_stops_before_its_lease_runs_out() {
    let world = World::new(Server::sandbox().await).await;
    let first = Candidate::new(&world, "first").await;
    first.leads().await;
    let led = BootTime::now();
    let Server::Sandbox(loopback) = &world.server else { unreachable!("made above") };
    loopback.sandbox.set_faults(vec![Fault { on: Match::Nth(1), action: Action::StopFromHere }]);
    timeout(PATIENCE, first.leadership.lost()).await.expect("it notices in time");
    assert!(
        BootTime::now().since(led) < DURATION + Duration::from_secs(5),
        "at most one renewal came before the fault"
    );
}

#[tokio::test]
async fn without_the_lease_nothing_is_written_and_everything_is_read() {
    on_both(async |world| {
        let (tenure, leadership) = leadership();
        let fenced = Cluster::new(world.server.client(&User::admin()).await).fenced(leadership);
        let error = fenced.fingerprint_key(&world.namespace).await.err().expect("it would make a Secret");
        assert_eq!((error.reason(), error.retry()), (Reason::Conflict, Retry::Later));
        let Error::Call { source, .. } = error else { panic!("{error}") };
        assert!(matches!(source.cause, Cause::LeaseLost) && !source.repeated, "{source:?}");
        assert_eq!(fenced.requests().into_iter().collect::<Vec<_>>(), [("get", 1)]);
        fenced.who_am_i().await.expect("a review changes nothing");
        tenure.hold(BootTime::now());
        fenced.fingerprint_key(&world.namespace).await.unwrap();
    })
    .await;
}

/// A child that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// Runs in a process of its own, for the test below: leads, writes, and writes again once it is told to.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "not a test but a process that one starts"]
async fn leads_is_stopped_and_goes_on() {
    let namespace = std::env::var("OSIER_TEST_NAMESPACE").unwrap();
    let connect = async || Cluster::connect(None, None).await.unwrap();
    let (tenure, leadership) = leadership();
    let fenced = connect().await.fenced(leadership.clone());
    let keeper = Keeper {
        cluster: Arc::new(connect().await),
        namespace: namespace.clone(),
        name: NAME,
        holder: "sleeper".to_owned(),
        clock: Timestamp::now,
        health: Arc::new(Health::new([])),
    };
    let stops = Tasks::default();
    let mut running = JoinSet::new();
    running.spawn(keeper.keep(tenure, stops.stop(Order::Last)));
    leadership.held().await;
    let written = fenced.create_lease(&namespace, "written", "sleeper", Timestamp::now()).await.unwrap();
    let sent = fenced.requests();
    // told to go on only after it was stopped, for longer than its Lease
    tokio::task::block_in_place(|| std::io::stdin().read_line(&mut String::new()).unwrap());
    let error = fenced.renew_lease(&namespace, "written", &written, "sleeper", Timestamp::now()).await.unwrap_err();
    assert!(matches!(error, Error::Call { source, .. } if matches!(source.cause, Cause::LeaseLost)));
    assert_eq!(fenced.requests(), sent);
}

#[tokio::test]
async fn a_leader_that_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_goes_on() {
    on_both(async |world| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["cluster::leases::leads_is_stopped_and_goes_on", "--exact", "--ignored"])
            .env("KUBECONFIG", world.server.kubeconfig(&User::admin()))
            .env("OSIER_TEST_NAMESPACE", &world.namespace)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = Killed(child.spawn().unwrap());
        let path = path(world).replace(NAME, "written");
        let written = async || world.ask(Method::GET, &path, "application/json", Value::Null).await;
        timeout(PATIENCE, async {
            while written().await.status != 200 {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("it leads and writes in time");
        signal("-STOP", child.0.id());
        let second = Candidate::new(world, "second").await;
        second.leads().await;
        let before = written().await.body;
        child.0.stdin.take().expect("it is piped").write_all(b"go on\n").unwrap();
        signal("-CONT", child.0.id());
        let ended = timeout(PATIENCE, async {
            loop {
                match child.0.try_wait().unwrap() {
                    Some(ended) => return ended,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let ended = ended.await.expect("it ends in time");
        assert!(ended.success(), "it wrote, or found another reason not to");
        assert_eq!(written().await.body, before);
        assert_eq!(lease(world).await["holderIdentity"], "second");
    })
    .await;
}

#[tokio::test]
async fn a_write_is_given_up_before_the_lease_runs_out() {
    let world = World::new(Server::sandbox().await).await;
    let Server::Sandbox(loopback) = &world.server else { unreachable!("made above") };
    let on = Match::Call { verb: "create", resource: "secrets".to_owned(), name: None };
    loopback.sandbox.set_faults(vec![Fault { on, action: Action::Delay(PATIENCE) }]);
    let (tenure, leadership) = leadership();
    tenure.hold(BootTime::now());
    let fenced = Cluster::new(world.server.client(&User::admin()).await).fenced(leadership.clone());
    let error = fenced.fingerprint_key(&world.namespace).await.err().expect("there is no answer");
    let Error::Call { source, .. } = error else { panic!("{error}") };
    assert!(matches!(source.cause, Cause::LeaseLost) && source.repeated, "{source:?}");
    assert!(leadership.remaining().is_none());
}
