//! Configurations from the outside: what is read, written, merged and told.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arbitrary;
mod audit;
mod bases;
mod compose;
mod convert;
mod diff;
mod encryption;
mod environment;
mod files;
mod hostile;
mod merge;
mod registry;
mod rules;
mod schema;
mod table;
mod templates;
mod texts;
mod version;
