//! Containers on a real kernel, from the outside as users see them and from the inside.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cgroup;
mod hooks;
mod lifecycle;
mod namespaces;
mod process;
mod running;
mod seccomp;
mod terminal;
