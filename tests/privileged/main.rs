//! Containers on a real kernel, from the outside as users see them and from the inside.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod binary;
mod client;
mod commands;
mod compare;
mod debian;
mod events;
mod inside;
mod lifecycle;
mod mounts;
mod namespaces;
mod parallel;
mod podman;
mod process;
mod rootfs;
mod running;
mod seccomp;
mod starting;
mod state_root;
mod userns;
