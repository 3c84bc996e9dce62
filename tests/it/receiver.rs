//! `osier receiver` as a process: who is heard, who is not, and that nobody changes more than the time of the next look.

mod calls;
mod flood;
mod followed;
mod hostile;
mod secrets;
mod story;
pub mod world;
