//! The commands for images, end to end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod place;
mod pull;
mod push;
mod same;
mod save;
mod served;
mod store;
mod used;
