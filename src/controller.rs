//! L3: the service. What runs, for how long, and who is told.

pub mod lease;
pub mod metrics;
pub mod process;
pub mod supervise;
