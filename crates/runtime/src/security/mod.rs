//! Capabilities, credentials, system call filters.

pub mod capabilities;
pub mod seccomp;
