//! Capabilities, credentials, labels, system call filters.

pub mod capabilities;
pub mod labels;
pub mod seccomp;
