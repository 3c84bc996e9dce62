//! L1: bytes become outlines, outlines the desired set, opened documents manifests. Pure: no clock, file, client or async.

pub mod manifest;
pub mod outline;
pub mod set;
pub mod sops;
pub mod value;
pub mod yaml;
