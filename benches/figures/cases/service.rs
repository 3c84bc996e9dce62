//! The service: the program as a child process, an API server, a remote, and somebody else who watches.

pub mod controller;
mod drift;
mod layer;
mod objects;
pub mod observer;
mod push;
mod steady;
mod storm;
mod takeover;
mod watches;

use std::time::Duration;

use crate::cases::Size;
use crate::cases::place::{self, Place, Shape};
use crate::cases::service::controller::Controller;
use crate::table::Row;

/// The metric that counts environments that are as they should be.
const APPLIED: &str = "osier_environments{lane=\"protected\",reason=\"Applied\"}";
/// The metric that counts passes.
const PASSES: &str = "osier_reconcile_total";

/// All of the section.
pub fn cases(size: Size) -> Vec<String> {
    let cases: &[&str] = match size {
        Size::Small => &[
            "push 20 40",
            "steady 3 20",
            "objects 20 40",
            "drift 20 8",
            "storm 40 10",
            "layer 3 20",
            "takeover 40",
            "watches 2 4",
        ],
        Size::Full => &[
            "push 100 1000 10000",
            "steady 50 100",
            "objects 1000 10000 50000",
            "drift 1000 200",
            "storm 1000 100",
            "layer 50 100",
            "takeover 1000",
            "watches 10 100 500",
        ],
    };
    cases.iter().map(|case| (*case).to_owned()).collect()
}

/// Computes one case.
pub async fn rows(case: &str, numbers: &[usize], size: Size) -> Vec<Row> {
    match (case, numbers) {
        ("push", counts) => push::rows(counts, size).await,
        ("steady", &[environments, objects]) => steady::rows(environments, objects, size).await,
        ("objects", counts) => objects::rows(counts, size).await,
        ("drift", &[objects, repairs]) => drift::rows(objects, repairs, size).await,
        ("storm", &[objects, pushes]) => storm::rows(objects, pushes, size).await,
        ("layer", &[environments, objects]) => layer::rows(environments, objects, size).await,
        ("takeover", &[objects]) => takeover::rows(objects, size).await,
        ("watches", counts) => watches::rows(counts, size).await,
        _ => panic!("there is no case `{case}` of {numbers:?}"),
    }
}

/// A place of one environment, and the service that has applied it.
async fn one_environment(objects: usize, size: Size) -> (Place, Controller) {
    let shape = Shape { objects, environments: 1, directories: 1, copies: 0 };
    let place = Place::new(place::api_server(size).await, "env", shape).await;
    let controller = Controller::start(&place, "service", &place::osier()).await;
    controller.counts(APPLIED, 1).await;
    rest(size).await;
    (place, controller)
}

/// Until what may be written later is written: a Repository's status waits for up to ten seconds.
pub async fn rest(size: Size) {
    let time = if size == Size::Small { 1 } else { 12 };
    tokio::time::sleep(Duration::from_secs(time)).await;
}
