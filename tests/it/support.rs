//! What the tests stand on: the real programs, a real control plane, and one face for it and the sandbox.

pub mod audit;
pub mod certificates;
pub mod control_plane;
pub mod forge;
pub mod process;
pub mod programs;
pub mod server;
pub mod web;
