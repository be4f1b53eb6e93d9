//! Counters of events (eventfd), and cgroup v1's notifications, which come through them.

use crate::error::{Errno, Error, Fail, Result, check, last};
use crate::fs::write_file_at;
use crate::show;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `eventfd2(2)`, non-blocking: a counter that is readable when it isn't 0.
pub fn eventfd() -> Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let raw = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
        .fail(|| "eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK)".into())?;
    // SAFETY: the kernel has just made this descriptor; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// How often it happened since the last call; 0 if it didn't.
pub fn read_eventfd(fd: impl AsFd) -> Result<u64> {
    let mut count = 0u64;
    let call = || format!("read({}, 8)", show::fd(&fd));
    loop {
        // SAFETY: at most 8 bytes are written into `count`, which outlives the call and takes any bits.
        match unsafe { libc::read(fd.as_fd().as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) } {
            8 => return Ok(count),
            -1 => match last() {
                Errno::INTR => {}
                Errno::AGAIN => return Ok(0),
                errno => return Err(Error::new(call(), errno)),
            },
            _ => return Err(Error::new(call(), Errno::IO)),
        }
    }
}

/// Has `counter`, an [`eventfd`], count the events of `file` in the cgroup v1 group `group`, and once more when the group
/// is removed (cgroup-v1/cgroups.rst, "Notification API").
pub fn count_cgroup_events(group: impl AsFd, counter: impl AsFd, file: impl AsFd) -> Result<()> {
    let line = format!("{} {}", counter.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    write_file_at(group, "cgroup.event_control", line.as_bytes())
}
