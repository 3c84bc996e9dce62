//! L1: bytes become outlines, outlines the desired set, opened documents manifests. Pure: no clock, file, client or async.

pub mod sops;
pub mod value;
pub mod yaml;
