//! What the tests share: bundles, the door, the leak detector, the probe, and skipping aloud.
//!
//! | module | for |
//! |---|---|
//! | [`bundle`] | bundles with a real root file system |
//! | [`door`] | running `forgeone` (or another runtime) with a state root of its own |
//! | [`Installed`] | the door and its helpers as `make install` lays them out |
//! | [`leak`] | what a test left on the machine |
//! | [`probe`] | what a program sees inside a container, as JSON to compare |
//! | [`privileged`], [`mod@skip`] | what a test needs, and the reason if it isn't there |
//! | [`single`] | tests that need a process with one thread: a harness in place of libtest's |
//! | [`soak`], [`swap`] | what is tried many times: rounds, random numbers, figures; the swapper of races |
//! | [`defences`] | that each attack is real: without the defence its test fails |
//! | [`mod@fuzz`] | readers of foreign bytes: fed with what is nearly right, and searched by libFuzzer |
//! | [`guest`] | a virtual machine with systemd and cgroup v2, in which tests run that need them |
//! | [`registry`], [`server`] | Debian's registry; a server that answers as a test says
//! | [`names`], [`temp`] | names by which things of tests are known; directories that go away |
//! | [`manual`] | manual pages from the door's help |
//! | [`results`] | what test runners tell: the sum, and the causes of failures |
//! | [`programs`], [`elf`] | the programs under test, and what is in them |
//!
//! A test is written as if it were alone, and runs in a process of its own (cargo-nextest). It may panic at
//! any place: what it made is taken away by the values that made it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod bundle;
mod busybox;
mod cache;
mod debian;
pub mod defences;
pub mod door;
pub mod elf;
pub mod fuzz;
pub mod guest;
mod installed;
pub mod leak;
pub mod manual;
pub mod names;
pub mod privileged;
pub mod probe;
pub mod programs;
pub mod registry;
pub mod results;
pub mod server;
pub mod single;
pub mod skip;
pub mod soak;
pub mod swap;
pub mod temp;

pub use bundle::Bundle;
pub use door::{Door, Output, eventually, repeatedly};
pub use elf::Elf;
pub use installed::Installed;
pub use leak::Leaks;
pub use programs::forgeone;
pub use registry::Registry;
pub use server::Server;
pub use skip::skip;
pub use soak::{Random, figure, rounds};
pub use swap::Swap;
pub use temp::Temp;
