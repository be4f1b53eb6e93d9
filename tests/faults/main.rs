//! Whole after every fault: a command of the runtime ends in the midst of its work, and the next one finds either a
//! container that works or something that `delete --force` takes away.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod full;
mod killed;
mod steps;
mod whole;
