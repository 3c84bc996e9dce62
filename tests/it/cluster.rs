//! `osier::cluster` against the sandbox and a real API server: each write with its error answers, adoption, drift, Records.

mod adoption;
mod drift;
mod faults;
mod leases;
pub mod own;
mod policies;
mod watches;
mod world;
mod writes;
