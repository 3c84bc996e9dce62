//! L3: THE PIPELINE, the only module that knows the order of the steps.
//!
//! `prepare` reads and decides, `reconcile` goes on to write. A preview stops between the two, so what is shown is what is done.
//!
//! ```text
//! subject ─▶ target ─▶ desire ─▶ look ─▶ open ─▶ plan ─▶ consent ─▶ claim ─▶ execute ─▶ settle
//!   CRs       git       git      cluster   keys    pure    pure      cluster   cluster    cluster
//! ```

pub mod consent;
pub mod desire;
pub mod error;
pub mod history;
pub mod hold;
pub mod open;
pub mod settle;
pub mod source;
pub mod subject;
pub mod target;
pub mod world;
