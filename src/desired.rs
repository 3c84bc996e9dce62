//! L1: bytes become outlines, outlines the desired set, opened documents manifests. Pure: no clock, file, client or async.

pub mod closest;
pub mod compose;
pub mod config;
#[cfg(test)]
pub mod fixture;
pub mod generate;
pub mod isolation;
pub mod kinds;
pub mod leaves;
pub mod lists;
pub mod manifest;
pub mod merge;
pub mod names;
pub mod namespace;
pub mod open;
pub mod outline;
pub mod packed;
pub mod references;
pub mod render;
pub mod set;
pub mod sops;
pub mod unit;
pub mod value;
pub mod variables;
pub mod yaml;

#[cfg(test)]
mod tests;
