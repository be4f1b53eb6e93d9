//! Descriptors themselves: copying, adopting, locking, pipes and memory files.

use crate::error::{Errno, Fail, Result, retry, with_c_str};
use crate::show::{self, Flags, Text};
use rustix::fs::{FlockOperation, MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::path::Arg;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// `flock(2)` with `LOCK_EX`: waits until nobody else holds the lock, which lasts as long as the open file.
pub fn flock_exclusive(fd: impl AsFd) -> Result<()> {
    retry(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))
        .fail(|| format!("flock({}, LOCK_EX)", show::fd(&fd)))
}

/// `flock(2)` with `LOCK_SH`; waits until nobody holds the lock exclusively.
pub fn flock_shared(fd: impl AsFd) -> Result<()> {
    retry(|| rustix::fs::flock(&fd, FlockOperation::LockShared))
        .fail(|| format!("flock({}, LOCK_SH)", show::fd(&fd)))
}

/// `flock(2)` with `LOCK_EX|LOCK_NB`: whether the lock was free.
pub fn try_flock(fd: impl AsFd) -> Result<bool> {
    try_lock(&fd, FlockOperation::NonBlockingLockExclusive, "LOCK_EX|LOCK_NB")
}

/// `flock(2)` with `LOCK_SH|LOCK_NB`: whether nobody held the lock exclusively.
pub fn try_flock_shared(fd: impl AsFd) -> Result<bool> {
    try_lock(&fd, FlockOperation::NonBlockingLockShared, "LOCK_SH|LOCK_NB")
}

fn try_lock(fd: &impl AsFd, operation: FlockOperation, name: &str) -> Result<bool> {
    match retry(|| rustix::fs::flock(fd, operation)) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        result => result.map(|()| true).fail(|| format!("flock({}, {name})", show::fd(fd))),
    }
}

/// A second descriptor of the same open file (`fcntl(2)`, `F_DUPFD_CLOEXEC`), never 0, 1 or 2.
pub fn dup(fd: impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(&fd, 3).fail(|| format!("fcntl({}, F_DUPFD_CLOEXEC, 3)", show::fd(&fd)))
}

/// `dup2(2)` onto standard input (0), output (1) or error (2), which stay open across exec. `EBADF` for other
/// numbers.
pub fn dup2_stdio(fd: impl AsFd, number: u32) -> Result<()> {
    let call = || format!("dup2({}, {number})", show::fd(&fd));
    if i64::from(fd.as_fd().as_raw_fd()) == i64::from(number) {
        return set_cloexec(&fd, false);
    }
    match number {
        0 => rustix::stdio::dup2_stdin(&fd),
        1 => rustix::stdio::dup2_stdout(&fd),
        2 => rustix::stdio::dup2_stderr(&fd),
        _ => Err(Errno::BADF),
    }
    .fail(call)
}

/// `pipe2(2)`: the end to read from and the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).fail(|| "pipe2(O_CLOEXEC)".into())
}

/// `memfd_create(2)`: an empty file in memory that may be executed, whatever `vm.memfd_noexec` makes the
/// default.
pub fn memfd_create(name: impl Arg, allow_sealing: bool) -> Result<OwnedFd> {
    let mut flags = MemfdFlags::CLOEXEC;
    flags.set(MemfdFlags::ALLOW_SEALING, allow_sealing);
    with_c_str("memfd_create", name, |name| {
        let made = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
            // Before Linux 6.3 there was no such flag, and every memfd was executable.
            Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
            made => made,
        };
        made.fail(|| format!("memfd_create({}, {})", Text(name), flags.show()))
    })
}

/// Seals a memory file for good: no write, no change of size, no further seals.
pub fn memfd_seal(fd: impl AsFd) -> Result<()> {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&fd, seals)
        .fail(|| format!("fcntl({}, F_ADD_SEALS, {})", show::fd(&fd), seals.show()))
}

/// Whether the descriptor is a memory file that nobody can write or change in size any more.
pub fn is_sealed(fd: impl AsFd) -> bool {
    let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(wanted))
}

/// Whether the descriptor is closed by exec.
pub fn cloexec(fd: impl AsFd) -> Result<bool> {
    let flags = rustix::io::fcntl_getfd(&fd).fail(|| format!("fcntl({}, F_GETFD)", show::fd(&fd)))?;
    Ok(flags.contains(FdFlags::CLOEXEC))
}

/// Sets whether the descriptor is closed by exec.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> Result<()> {
    let flags = if on { FdFlags::CLOEXEC } else { FdFlags::empty() };
    rustix::io::fcntl_setfd(&fd, flags)
        .fail(|| format!("fcntl({}, F_SETFD, {})", show::fd(&fd), if on { "FD_CLOEXEC" } else { "0" }))
}

/// Sets whether reading and writing wait (`O_NONBLOCK`). It holds for all who share the open file, in other
/// processes too.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> Result<()> {
    let call = || format!("ioctl({}, FIONBIO, {})", show::fd(&fd), i32::from(on));
    rustix::io::ioctl_fionbio(&fd, on).fail(call)
}

/// Adopts a descriptor that this process was started with and knows by number, and makes it close-on-exec.
///
/// Each number may be adopted once, by the one piece of code that the protocol with the parent gives it to.
/// `EBADF` if it is not open.
pub fn take_fd(number: u32) -> Result<OwnedFd> {
    let call = || format!("fcntl({number}, F_SETFD, FD_CLOEXEC)");
    let raw = RawFd::try_from(number).map_err(|_| Errno::BADF).fail(call)?;
    // SAFETY: `raw` is not negative, and is borrowed only for the call below, which fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).fail(call)?;
    // SAFETY: it is open, as the call has just shown, and nobody else owns it: it was inherited, and the
    // caller is the one whom the start protocol gives this number to.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// `/proc/self/fd/N`, for the calls that take only a path; valid as long as the descriptor is open.
pub fn fd_path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}
