//! Branches as environments: the lane of branches as a process, an API server, a remote, and somebody else who watches.

mod departures;
mod flood;
mod many;
mod names;
mod new;
mod receiver;
mod site;

use crate::cases::Size;
use crate::table::Row;

/// The metric that counts environments that are as they should be.
const APPLIED: &str = "osier_environments{lane=\"branches\",reason=\"Applied\"}";

/// All of the section.
pub fn cases(size: Size) -> Vec<String> {
    let cases: &[&str] = match size {
        Size::Small => &["branch 4 8", "environments 1 6", "flood 30 5", "departures 4", "names 10000", "receiver 200"],
        Size::Full => &[
            "branch 10 50 200",
            "environments 1 10 100 500",
            "flood 2000 50",
            "departures 100",
            "names 1000000",
            "receiver 20000",
        ],
    };
    cases.iter().map(|case| (*case).to_owned()).collect()
}

/// True for the cases of the section.
pub fn has(case: &str) -> bool {
    cases(Size::Full).iter().any(|known| known.split(' ').next() == Some(case))
}

/// Computes one case.
pub async fn rows(case: &str, numbers: &[usize], size: Size) -> Vec<Row> {
    match (case, numbers) {
        ("branch", counts) => new::rows(counts, size).await,
        ("environments", counts) => many::rows(counts, size).await,
        ("flood", &[branches, max]) => flood::rows(branches, max, size).await,
        ("departures", &[branches]) => departures::rows(branches, size).await,
        ("names", &[refs]) => names::rows(refs),
        ("receiver", &[calls]) => receiver::rows(calls, size).await,
        _ => panic!("there is no case `{case}` of {numbers:?}"),
    }
}
