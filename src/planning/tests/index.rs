//! What a watch shows, told apart: our own doing, status churn, somebody else's.

use super::{live, object};
use crate::planning::live::{Drift, Live};
use crate::planning::live_index::LiveIndex;

const APP: &str = "ConfigMap/app";
const API: &str = "Deployment/api";

fn at(short: &str, version: u64) -> Live {
    Live { resource_version: version.to_string().into(), ..live(short, &["i1"]) }
}

/// An index that listed both objects at version 7.
fn index() -> LiveIndex {
    let mut index = LiveIndex::default();
    for short in [APP, API] {
        index.list(&object(short).kind, vec![(object(short), at(short, 7))]);
    }
    index
}

/// The objects that are in doubt, and whether a pass is due.
fn doubts(index: &LiveIndex) -> (Vec<String>, bool) {
    let set = index.set();
    let doubt = set.iter().filter(|found| found.live.remarks().drift.contains(&Drift::Unexplained));
    (doubt.map(|found| set.object_id(&found).short()).collect(), !index.clone().take_changed().is_empty())
}

#[test]
fn a_first_list_raises_no_doubt_and_a_later_one_does() {
    let mut index = index();
    assert_eq!(doubts(&index), (vec![], false));
    index.list(&object(APP).kind, vec![(object(APP), at(APP, 7))]);
    assert_eq!(doubts(&index), (vec![], false));
    index.list(&object(APP).kind, vec![(object(APP), at(APP, 8))]);
    assert_eq!(doubts(&index), (vec![APP.to_owned()], true));
    index.list(&object(APP).kind, vec![]);
    assert!(index.set().get(&object(APP)).is_none());
}

#[test]
fn the_echo_of_our_own_write_is_nothing_new_whichever_comes_first() {
    let mut answer_first = index();
    answer_first.wrote(&object(APP), at(APP, 8));
    answer_first.see(object(APP), at(APP, 8));
    answer_first.see(object(APP), at(APP, 7));
    let mut echo_first = index();
    echo_first.see(object(APP), at(APP, 8));
    assert_eq!(doubts(&echo_first), (vec![APP.to_owned()], true));
    echo_first.wrote(&object(APP), at(APP, 8));
    for index in [answer_first, echo_first] {
        assert_eq!(doubts(&index), (vec![], false));
        assert_eq!(&*index.set().get(&object(APP)).unwrap().resource_version, "8");
    }
}

#[test]
fn what_somebody_writes_after_us_stays_in_doubt_until_it_is_written_again() {
    let mut index = index();
    index.see(object(APP), at(APP, 9));
    index.wrote(&object(APP), at(APP, 8));
    assert_eq!(doubts(&index), (vec![APP.to_owned()], true));
    index.wrote(&object(APP), at(APP, 9)); // a re-assertion that changed nothing
    assert_eq!(doubts(&index), (vec![], false));
}

#[test]
fn status_churn_is_no_change_and_a_new_generation_is() {
    let mut index = index();
    index.see(object(API), at(API, 8));
    assert_eq!(doubts(&index), (vec![], false));
    assert_eq!(&*index.set().get(&object(API)).unwrap().resource_version, "8");
    index.see(object(API), Live { generation: Some(2), ..at(API, 9) });
    assert_eq!(doubts(&index), (vec![API.to_owned()], true));
    index.see(object(API), Live { generation: Some(2), ..at(API, 10) });
    assert_eq!(doubts(&index).0, [API], "churn does not settle a doubt");
}

#[test]
fn a_status_that_is_written_before_we_know_of_our_own_write_raises_no_doubt() {
    let mut index = index();
    let of = |generation, version| Live { generation: Some(generation), ..at(API, version) };
    index.see(object(API), of(2, 8));
    index.see(object(API), of(2, 9));
    assert_eq!(doubts(&index), (vec![API.to_owned()], true));
    index.wrote(&object(API), of(2, 8));
    assert_eq!(doubts(&index), (vec![], false));
    assert_eq!(&*index.set().get(&object(API)).unwrap().resource_version, "9");
    index.see(object(API), of(4, 11));
    index.wrote(&object(API), of(3, 10));
    assert_eq!(doubts(&index), (vec![API.to_owned()], true), "somebody else wrote after us");
}

#[test]
fn an_end_is_told_by_its_uid() {
    let mut index = index();
    index.end(&object(APP), "another");
    assert!(index.take_changed().is_empty());
    index.end(&object(APP), &at(APP, 7).uid);
    assert_eq!(index.take_changed().into_iter().collect::<Vec<_>>(), [object(APP)]);
    index.deleted(&object(API), &at(API, 7).uid);
    index.end(&object(API), &at(API, 7).uid);
    assert!(index.take_changed().is_empty() && index.set().is_empty());
}

#[test]
fn what_is_not_ours_is_not_in_doubt() {
    let mut index = index();
    let foreign = || Live { resource_version: "8".into(), ..live("ConfigMap/other", &["-", "marks="]) };
    index.see(object("ConfigMap/other"), foreign());
    assert_eq!(doubts(&index), (vec![], true));
}
