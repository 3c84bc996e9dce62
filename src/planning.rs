//! L1: desired and live become a plan. Pure, total and deterministic.

pub mod changes;
pub mod live;
pub mod plan;
