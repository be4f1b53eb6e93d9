//! Waiting until one of several descriptors is ready.

use crate::error::{Errno, Fail, Result, check};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A descriptor, what is waited for, and what [`poll`] saw. Errors and hang-ups are always waited for.
#[derive(Debug)]
#[repr(transparent)]
pub struct PollFd<'a> {
    kernel: libc::pollfd,
    fd: PhantomData<BorrowedFd<'a>>,
}

impl<'a> PollFd<'a> {
    /// Waits until there is something to read, or to write, or both (or, with neither, for errors and
    /// hang-ups alone).
    pub fn new(fd: &'a impl AsFd, read: bool, write: bool) -> Self {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        Self { kernel: libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 }, fd: PhantomData }
    }

    /// Waits until there is something to read.
    pub fn readable(fd: &'a impl AsFd) -> Self {
        Self::new(fd, true, false)
    }

    /// Waits until there is room to write.
    pub fn writable(fd: &'a impl AsFd) -> Self {
        Self::new(fd, false, true)
    }

    /// There is something to read.
    pub fn is_readable(&self) -> bool {
        self.kernel.revents & libc::POLLIN != 0
    }

    /// There is room to write.
    pub fn is_writable(&self) -> bool {
        self.kernel.revents & libc::POLLOUT != 0
    }

    /// The other end is closed; there may still be something to read.
    pub fn is_hung_up(&self) -> bool {
        self.kernel.revents & libc::POLLHUP != 0
    }

    /// The descriptor is in an error state.
    pub fn is_error(&self) -> bool {
        self.kernel.revents & (libc::POLLERR | libc::POLLNVAL) != 0
    }

    /// Anything at all was seen.
    pub fn is_ready(&self) -> bool {
        self.kernel.revents != 0
    }
}

/// `poll(2)`: how many descriptors are ready, 0 after `timeout_ms` milliseconds. `None` waits for ever.
pub fn poll(fds: &mut [PollFd], timeout_ms: Option<i32>) -> Result<usize> {
    let deadline = timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms.max(0) as u64));
    let mut wait = timeout_ms.map_or(-1, |ms| ms.max(0));
    loop {
        let count = fds.len() as libc::nfds_t;
        // SAFETY: `PollFd` is transparent over the kernel's structure, and the slice outlives the call.
        match check(unsafe { libc::poll(fds.as_mut_ptr().cast(), count, wait) }) {
            Err(Errno::INTR) => {
                let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                wait = left.map_or(-1, |left| i32::try_from(left.as_millis()).unwrap_or(i32::MAX));
            }
            result => {
                return result.map(|ready| ready as usize).fail(|| format!("poll({count} fds, {wait} ms)"));
            }
        }
    }
}

/// Waits until the descriptor is readable; `false` if `timeout_ms` passed before.
pub fn wait_readable(fd: impl AsFd, timeout_ms: Option<i32>) -> Result<bool> {
    Ok(poll(&mut [PollFd::readable(&fd)], timeout_ms)? > 0)
}
