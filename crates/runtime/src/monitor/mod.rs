//! The monitor: one process for each container that runs. It is the parent of the container's init, has its streams,
//! writes its log, starts it again, checks its health, and tells everybody how it fares.
//!
//! ```text
//! Client ── monitor.sock ──► monitor ── door run --detach ──► init of the container, a child of the monitor
//!                              │ stdin, stdout, stderr: FIFOs, or the terminal's master
//!                              └─► log, status.json, events
//! ```
//!
//! It has one thread and one loop over poll(2), and as little memory as it can: there are as many as there are
//! containers. It holds the lock of `monitor.lock` for as long as it lives. If it is lost, the next command that needs it
//! starts another, which finds the container's init and goes on; the FIFOs are open on the container's side, too, so
//! nothing that it writes meanwhile is lost. A terminal is lost with the monitor: the kernel hangs it up.

mod adopt;
mod asked;
mod birth;
mod client;
mod connection;
mod door;
mod duties;
pub mod events;
mod health;
mod life;
pub mod log;
mod network;
mod policy;
mod protocol;
mod serve;
mod status;
mod stop;
mod streams;
mod words;

pub use client::{Attached, Client, FAILED, Failure, Output};
pub use duties::ON_FAILURE;
pub use status::{Check, FILE as STATUS, Health, Healthy, State, Status};

use crate::error::{During, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{AsFd, Errno};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// The file that a living monitor holds the lock of.
const LOCK: &str = "monitor.lock";

/// The program of a monitor, `forgeone-standalone monitor …`: what [`Client::spawn`] starts, with these words behind the
/// program's name. It says what is wrong on its standard output, which it closes when it listens; the exit status.
pub fn main(words: impl Iterator<Item = OsString>) -> u8 {
    match words::Words::read(words).and_then(serve::serve) {
        Ok(status) => status,
        Err(e) => {
            // Whoever would read it may be gone.
            let _ = fs::write_all(fs::stdout(), format!("{e}\n").as_bytes());
            1
        }
    }
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, 128 and the number for a signal; none if nobody saw it.
    pub status: Option<i32>,
    /// Whether it ran out of memory.
    pub oom: bool,
}

/// Whether a monitor lives for the container whose directory this is.
///
/// # Errors
/// The kernel's answer.
pub fn lives(dir: impl AsFd) -> Result<bool> {
    match fs::openat(&dir, LOCK, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(false),
        opened => Ok(!fs::try_flock_shared(opened.during(|| LOCK)?)?),
    }
}
