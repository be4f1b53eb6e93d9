//! Debian's Podman, containerd, Docker, Buildah and conmon (as CRI-O calls it) with the door as their runtime.
//!
//! Each test has a client of its own on directories of its own; a daemon lives in a [`room`], which ends all that it
//! started. Where a client is not installed, its tests skip. Images are made here, of busybox: there is no registry.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod buildah;
mod client;
mod containerd;
mod crio;
mod docker;
mod group;
mod image;
mod podman;
mod room;
mod terminal;
