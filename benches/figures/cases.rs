//! What is measured.

mod apply;
mod bare;
mod branches;
mod opening;
mod place;
mod plan;
mod seen;
mod service;
mod suite;

use crate::table::Row;

/// How large everything is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Tiny, without a control plane.
    Small,
    /// As the goals say.
    Full,
}

/// The cases of a section.
type Cases = fn(Size) -> Vec<String>;

/// Name and cases of each section of the table.
pub const SECTIONS: [(&str, Cases); 3] =
    [("pipeline", pipeline), ("service", service::cases), ("branches", branches::cases)];

fn pipeline(size: Size) -> Vec<String> {
    let cases: &[&str] = match size {
        Size::Small => &["apply 40", "plan 40 2", "opening 5", "suite"],
        Size::Full => {
            &["apply 100", "apply 1000", "apply 10000", "plan 100000 20", "plan 100000 1", "opening 5000", "suite"]
        }
    };
    cases.iter().map(|case| (*case).to_owned()).collect()
}

/// Computes the figures of one case.
///
/// Panics if that cannot be done: the process is its own, and the table says so.
pub fn run(case: &str, size: Size) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let words: Vec<&str> = case.split(' ').collect();
    let number = |text: &str| text.parse().expect("a case has numbers");
    match words.as_slice() {
        ["apply", objects] => runtime.block_on(apply::rows(number(objects), size)),
        ["plan", files, directories] => runtime.block_on(plan::rows(number(files), number(directories))),
        ["opening", files] => opening::rows(number(files), size),
        ["suite"] => suite::rows(),
        [case, numbers @ ..] => {
            let numbers: Vec<usize> = numbers.iter().map(|word| number(word)).collect();
            if branches::has(case) {
                runtime.block_on(branches::rows(case, &numbers, size))
            } else {
                runtime.block_on(service::rows(case, &numbers, size))
            }
        }
        [] => panic!("there is no case without a name"),
    }
}
