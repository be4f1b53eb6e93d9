//! Containers on a real kernel, from the outside as users see them and from the inside.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apparmor;
mod as_runc;
mod bad_input;
mod binds;
mod budget;
mod cgroup;
mod claims;
mod client;
mod commands;
mod compare;
mod contract;
mod debian;
mod deleting;
mod events;
mod exec;
mod fallback;
mod hooks;
mod idmap;
mod inside;
mod intel_rdt;
mod leaks;
mod lifecycle;
mod limits;
mod memory_policy;
mod monitor;
mod mounts;
mod namespaces;
mod nested;
mod netdevices;
mod notify;
mod parallel;
mod process;
mod rootfs;
mod rootless;
mod running;
mod schema;
mod seccomp;
mod selinux;
mod service;
mod starting;
mod state_root;
mod states;
mod systemd;
mod terminal;
mod update;
mod usage;
mod userns;
mod v2;
