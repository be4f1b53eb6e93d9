//! Capabilities, credentials, system call filters.

pub mod seccomp;
