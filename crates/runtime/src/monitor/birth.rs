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
use crate::error::{During, Error, Kind, Result};
use crate::ids;
use crate::mountinfo::unescape;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountPropagationFlags, UnmountFlags};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::{AsFd, OwnedFd, signal, socket};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount table is read up to this size.
const MOUNTINFO_MAX: usize = 64 << 20;

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

/// Closes the streams of whoever started it, who by that learns that it listens.
pub(super) fn ready() -> Result<()> {
    let null = fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    (0..3).try_for_each(|number| fs::dup2_stdio(&null, number)).during(|| "monitor")
}

/// Unmounts all that is mounted in a directory, in this mount namespace.
pub(super) fn unmount_below(directory: &Path) -> Result<()> {
    // As the table has it.
    let directory = std::fs::canonicalize(directory)
        .map_err(|e| Error::new(Kind::System, format!("mounts: {}: {e}", directory.display())))?;
    let table = fs::read_file_at(fs::CWD, "/proc/self/mountinfo", MOUNTINFO_MAX).during(|| "mounts")?;
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let points = points.map(|point| PathBuf::from(OsString::from_vec(unescape(point))));
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(&directory)).collect();
    // The last one is on top.
    below.reverse();
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    below.iter().try_for_each(|point| mount::umount(point, flags)).during(|| "mounts")
}
