//! Encrypted files made by the real sops, opened by osier and compared with what `sops -d | kubectl` makes of them.

mod keys;
mod reading;
mod tampering;
mod world;
