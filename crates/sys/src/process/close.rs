//! Closing all descriptors from a number on, or marking them for exec.

use crate::error::{Errno, Fail, Result, check};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

const CLOSE_RANGE_CLOEXEC: u32 = 4;
/// Descriptors that may be open above a lowered RLIMIT_NOFILE: the default of `fs.nr_open`.
const NR_OPEN: u64 = 1 << 20;

/// What happens to each descriptor.
#[derive(Clone, Copy)]
enum Action {
    Close,
    SetCloexec,
}

/// Makes every descriptor from `first` on close-on-exec.
///
/// `close_range(2)` with `CLOSE_RANGE_CLOEXEC` (Linux 5.11); where that is missing or a seccomp filter
/// forbids it, the descriptors in `/proc/self/fd` one by one; without a real procfs there, all numbers that
/// can be open.
pub fn close_range_cloexec(first: u32) -> Result<()> {
    close_range(first, u32::MAX, Action::SetCloexec)
}

/// Closes every descriptor from `first` on, with the same fallbacks as [`close_range_cloexec`].
///
/// For a process that is about to exec or exit: whatever still owns one of them must not be dropped
/// afterwards.
pub fn close_from(first: u32) -> Result<()> {
    close_range(first, u32::MAX, Action::Close)
}

/// Closes every descriptor from `first` on but these, with the same fallbacks as [`close_range_cloexec`].
///
/// As [`close_from`], for a process that is about to exec or exit; what it still uses is in `keep`.
pub fn close_all_but(first: u32, keep: &[BorrowedFd]) -> Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut next = first;
    for number in keep {
        if number > next {
            close_range(next, number - 1, Action::Close)?;
        }
        next = number + 1;
    }
    close_range(next, u32::MAX, Action::Close)
}

/// Closes descriptors that nobody needs any more, a run of neighbours by one call.
pub fn close_together(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<u32> = fds.into_iter().map(|fd| fd.into_raw_fd() as u32).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|number, next| number + 1 == *next) {
        let (first, last) = (run[0], run[run.len() - 1]);
        // It can't fail: they were open, and ours.
        let _ = close_range(first, last, Action::Close);
    }
}

fn close_range(first: u32, last: u32, action: Action) -> Result<()> {
    let flags = match action {
        Action::Close => 0,
        Action::SetCloexec => CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: takes numbers only. Descriptors may be closed under their owners; `close_from` and `close_all_but` tell
    // their caller, who is about to exec or exit, that they are given up, and `close_together` was given them.
    match check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }) {
        // EINVAL: CLOSE_RANGE_CLOEXEC came later than the call. EPERM: a seccomp filter; the kernel has no
        // such answer.
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => one_by_one(first, last, action),
        result => result.map(drop).fail(|| format!("close_range({first}, {last}, {flags:#x})")),
    }
}

fn one_by_one(first: u32, last: u32, action: Action) -> Result<()> {
    let [first, last] = [first, last].map(|number| RawFd::try_from(number).unwrap_or(RawFd::MAX));
    match open_descriptors() {
        Some(open) => {
            open.into_iter().filter(|fd| (first..=last).contains(fd)).for_each(|fd| act(fd, action))
        }
        None => {
            let limit =
                rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(NR_OPEN);
            let end = RawFd::try_from(limit.max(NR_OPEN)).unwrap_or(RawFd::MAX).min(last.saturating_add(1));
            (first..end).for_each(|fd| act(fd, action));
        }
    }
    Ok(())
}

/// The numbers in `/proc/self/fd`, if that is on a procfs and can be read to its end.
fn open_descriptors() -> Option<Vec<RawFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()).ok()?;
    if !crate::fs::is_procfs(&dir).ok()? {
        return None;
    }
    let own = dir.as_raw_fd();
    let mut numbers = Vec::new();
    for entry in rustix::fs::Dir::new(dir).ok()? {
        let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
        numbers.extend(name.parse::<RawFd>().ok().filter(|number| *number != own));
    }
    Some(numbers)
}

/// An error here means that the number is not open.
fn act(fd: RawFd, action: Action) {
    match action {
        // SAFETY: as in `close_range`: the caller gives these descriptors up.
        Action::Close => unsafe { libc::close(fd) },
        // SAFETY: takes a number and a flag; a number that is not open gives EBADF.
        Action::SetCloexec => unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) },
    };
}
