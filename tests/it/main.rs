//! The tests that need more than the library: real programs, a real control plane, the sandbox over HTTP.
//!
//! One binary on purpose: several would each be linked with the whole tree. A topic is a module here; `tests/rights.rs`
//! comes after them.
#![allow(clippy::unwrap_used, reason = "a test fails where its premise does")]
#![allow(clippy::disallowed_methods, reason = "the tests are their own home: they choose environment and clock")]
#![expect(dead_code, reason = "the harness comes before the tests that use all of it")]

mod chart;
mod cluster;
mod commands;
mod contract;
mod controller;
mod demo;
mod harness;
mod kubectl;
mod outage;
mod readiness;
mod receiver;
mod remotes;
mod rights;
mod scenarios;
mod sops;
mod statuses;
mod support;
mod tidy;
