//! The ForgeOne runtime: from a bundle to a container, synchronously.
//!
//! `fs`, `cgroup`, `security` and `network` don't know each other; `lifecycle` passes plain data between them.
#![forbid(unsafe_code)]

mod background;
pub mod bundle;
pub mod cgroup;
pub mod client;
pub mod clock;
pub mod engine;
pub mod error;
pub mod faults;
pub mod features;
pub mod fs;
#[cfg(any(test, feature = "fuzz"))]
#[allow(missing_docs, clippy::unwrap_used, reason = "for tests alone, which panic")]
pub mod fuzz;
pub mod ids;
pub mod json;
pub mod lifecycle;
pub mod metrics;
pub mod monitor;
mod mountinfo;
pub mod network;
mod numbers;
pub mod plan;
pub mod registry;
pub mod resctrl;
pub mod security;
pub mod spec;
pub mod state;

pub use error::{Error, Kind, Result};
