//! What the tests stand on, used here as it is.

#[path = "../../tests/it/support/audit.rs"]
pub mod audit;
#[path = "../../tests/it/support/certificates.rs"]
pub mod certificates;
#[path = "../../tests/it/support/control_plane.rs"]
pub mod control_plane;
#[path = "../../tests/it/support/programs.rs"]
pub mod programs;
#[path = "../../tests/it/support/server.rs"]
pub mod server;
#[path = "../../tests/it/support/web.rs"]
pub mod web;
