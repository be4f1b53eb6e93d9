//! Tests that hold the house: layers, what the door may link, where `unsafe` may stand, what the documents
//! promise. They read manifests, sources, binaries and documents; none of them starts a container.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod documents;
mod manifests;
mod sources;
