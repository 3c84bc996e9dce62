//! The API server, as osier uses it: the only module that names the client.
//!
//! `connect` and `call` are the transport (one timeout, one retry rule, one counter); `live` reads metadata, never values;
//! `write` executes a plan; `records`, `environments`, `repositories` are osier's own objects; `crds` and `admission` define them.

pub mod admission;
pub mod call;
pub mod connect;
pub mod crds;
pub mod discovery;
pub mod environments;
pub mod error;
pub mod fields;
pub mod fingerprint_key;
pub mod ignore;
pub mod live;
pub mod metadata;
pub mod records;
pub mod repositories;
pub mod wire_object;
pub mod write;
