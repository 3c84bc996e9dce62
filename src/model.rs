//! L0: plain data with its invariants. Knows no clock, no file, no client.

pub mod asked;
pub mod cleartext;
pub mod digest;
pub mod environment;
pub mod object;
pub mod problem;
pub mod reason;
pub mod record;
pub mod repository;
pub mod short;
pub mod tree;
pub mod wire;
