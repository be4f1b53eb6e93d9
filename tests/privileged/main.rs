//! Containers on a real kernel, from the outside as users see them and from the inside.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod client;
mod commands;
mod events;
mod lifecycle;
mod parallel;
mod podman;
mod starting;
mod state_root;
