//! Leadership: two that want the same Lease, and what a fenced client sends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use osier::cluster::Cluster;
use osier::cluster::call::Cause;
use osier::cluster::error::Error;
use osier::cluster::leases::{BootTime, DURATION, Leadership, leadership};
use osier::controller::lease::Keeper;
use osier::controller::supervise::{Order, Tasks};
use osier::model::reason::{Reason, Retry};
use osier::model::wire::LEASE_PROTECTED as NAME;
use osier::sandbox::faults::{Action, Fault, Match};
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
        tenure.hold(BootTime::now());
        fenced.fingerprint_key(&world.namespace).await.unwrap();
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
