//! How a monitor comes into being: out of its caller's session, in a mount namespace of its own.
//!
//! ```text
//! Client::spawn ──► forgeone-standalone monitor DIR ──clone: mount namespace──► the monitor
//!        ▲            takes the lock, ends                                       │ listens, closes its output
//!        └────────────────────────────── end of output ◄─────────────────────────┘
//! ```
//!
//! For another user than root the clone makes a user namespace, too, in which the user is root: with the ranges of
//! /etc/subuid and /etc/subgid, where there are any.

use super::door::open_directory;
use super::protocol::SOCKET;
use super::{LOCK, door};
use crate::error::{During, Result};
use crate::ids;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::{AsFd, OwnedFd, signal, socket};
use std::path::Path;

/// What a monitor is born with.
#[derive(Debug)]
pub(super) struct Born {
    pub(super) dir: OwnedFd,
    /// Held, with its lock, for as long as the monitor lives.
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) signals: OwnedFd,
}

/// Who this process is afterwards.
pub(super) enum Birth {
    /// The monitor.
    Monitor(Born),
    /// Its parent, or one that found another monitor alive: it ends.
    Bystander,
}

/// Makes the monitor of the container in this directory, unless one lives.
pub(super) fn give(directory: &Path) -> Result<Birth> {
    let dir = open_directory(directory).during(|| "monitor")?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let lock = fs::openat(&dir, LOCK, flags, Mode::from_raw_mode(0o600)).during(|| "monitor")?;
    if !fs::try_flock(&lock).during(|| "monitor")? {
        return Ok(Birth::Bystander);
    }
    let mut namespaces = Namespaces::MOUNT;
    let user = process::geteuid() != 0;
    if user {
        namespaces.insert(Namespaces::USER);
    }
    let (told, tell) = fs::pipe()?;
    match process::clone(&CloneArgs { namespaces, ..CloneArgs::default() }).during(|| "monitor")? {
        Forked::Parent(child) => {
            drop(told);
            if user {
                ids::map(child.pid).during(|| "monitor")?;
            }
            fs::write_all(&tell, b"g").during(|| "monitor")?;
            Ok(Birth::Bystander)
        }
        Forked::Child => {
            drop(tell);
            // The parent failed, and said so.
            if fs::read_up_to(&told, 1)?.is_empty() {
                return Ok(Birth::Bystander);
            }
            drop(told);
            settle(dir, lock).map(Birth::Monitor)
        }
    }
}

/// Leaves what the caller had, and begins to listen.
fn settle(dir: OwnedFd, lock: OwnedFd) -> Result<Born> {
    process::setsid().during(|| "monitor")?;
    process::set_child_subreaper(true).during(|| "monitor")?;
    process::umask(0o022);
    process::chdir("/").during(|| "monitor")?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount::mount_propagation("/", slave).during(|| "monitor")?;
    process::close_all_but(3, &[dir.as_fd(), lock.as_fd()]).during(|| "monitor")?;
    let _ = process::set_name(c"forgeone-monitor");
    signal::block_all().during(|| "monitor")?;
    let signals = signal::signalfd().during(|| "monitor")?;
    door::forget(&dir, SOCKET)?;
    let listener = socket::listen_seqpacket(&dir, SOCKET).during(|| "monitor")?;
    fs::set_nonblocking(&listener, true)?;
    Ok(Born { dir, lock, listener, signals })
}
