//! Containers from images, by the command line that their users type: the installed programs, a real kernel.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it left behind"
)]

mod drivers;
mod hand_over;
mod kit;
mod life;
mod mounted;
mod network;
mod quota;
mod running;
mod seed;
mod storage;
mod terminal;
mod user;
mod wire;
