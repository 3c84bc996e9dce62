//! Remotes that are somewhere else: a real `git http-backend` behind TLS, a real `sshd`, and what goes wrong with either.

mod commands;
mod fallback;
mod heads;
mod hostile;
mod https;
mod ssh;
mod sshd;
mod world;
