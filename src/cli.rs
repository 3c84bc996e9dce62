//! L3: the command line, one file a command.
//!
//! stdout is data, stderr is messages; exit codes are those of `failure`.

pub mod failure;
