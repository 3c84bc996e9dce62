//! osier keeps Kubernetes namespaces equal to an encrypted git repository.
//!
//! The library exists for `main.rs` and the tests; `ARCHITECTURE.md` says where things are.

pub mod cli;
pub mod cluster;
pub mod controller;
pub mod desired;
pub mod git;
pub mod keys;
pub mod model;
pub mod planning;
pub mod receiver;
pub mod reconcile;
pub mod report;
pub mod sandbox;
pub mod server;
pub mod settings;
pub mod supervise;
pub mod telemetry;
