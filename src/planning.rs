//! L1: desired and live become a plan. Pure, total and deterministic.
//!
//! `opening::to_open` says what to open, `diff` and `immutable` make `Changes` of what was opened, `planner::plan` decides,
//! `blocked::blocked` and `dangling::problems` say why a plan must not be executed at all.

pub mod blocked;
pub mod changes;
pub mod checks;
mod consent;
pub mod dangling;
pub mod diff;
pub mod fields;
pub mod fingerprint;
pub mod health;
pub mod immutable;
pub mod jobs;
pub mod life;
pub mod live;
pub mod live_index;
pub mod opening;
mod order;
mod pairs;
pub mod plan;
pub mod planner;
mod prune;
pub mod repairs;
mod restarts;

#[cfg(test)]
mod tests;
