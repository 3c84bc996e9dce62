//! The tests that need more than the library: real programs, a real control plane, the sandbox over HTTP.
//!
//! One binary on purpose: several would each be linked with the whole tree. A topic is a module here.

#![expect(dead_code, reason = "the harness comes before the tests that use all of it")]

mod commands;
mod contract;
mod support;
mod tidy;
