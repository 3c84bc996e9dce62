//! osier keeps Kubernetes namespaces equal to an encrypted git repository.
//!
//! The library exists for `main.rs` and the tests; `ARCHITECTURE.md` says where things are.

pub mod cluster;
pub mod desired;
pub mod model;
pub mod planning;
