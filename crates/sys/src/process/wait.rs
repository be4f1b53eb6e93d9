//! Waiting for children and sending signals.

use crate::error::{Errno, Fail, Result, check, retry};
use crate::show;
use crate::signal::signal_name;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By `exit` with this code, 0 to 255.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a shell has it in `$?`: the code, or 128 and the signal's number.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    fn from_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }
}

/// One `waitpid(2)` for processes that ended, whichever signal they send to their parent.
fn waitpid(pid: i32, options: i32) -> Result<Option<(i32, Exit)>> {
    let mut status = 0;
    let call = || match options {
        0 => format!("waitpid({pid}, __WALL)"),
        _ => format!("waitpid({pid}, __WALL|WNOHANG)"),
    };
    // SAFETY: `status` outlives the call.
    let waited =
        retry(|| check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | options) })).fail(call)?;
    Ok((waited != 0).then(|| (waited, Exit::from_wait_status(status))))
}

/// Waits for the child `pid` to end, and reaps it.
pub fn wait(pid: i32) -> Result<Exit> {
    waitpid(pid, 0)?.map(|(_, exit)| exit).ok_or(Errno::CHILD).fail(|| format!("waitpid({pid}, __WALL)"))
}

/// Waits for the child `pid` to end, and reaps it; with the peak of resident memory, in KiB, of the largest among it and
/// the descendants that it and its children have waited for (`wait4(2)`, `ru_maxrss`).
pub fn wait_with_peak(pid: i32) -> Result<(Exit, u64)> {
    let mut status = 0;
    // SAFETY: a structure of integers, for which all bits zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `status` and `usage` outlive the call.
    retry(|| check(unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, &raw mut usage) }))
        .fail(|| format!("wait4({pid}, __WALL)"))?;
    Ok((Exit::from_wait_status(status), u64::try_from(usage.ru_maxrss).unwrap_or(0)))
}

/// Reaps one child that has ended, if there is one; `None` also if there are no children.
pub fn wait_any_nohang() -> Result<Option<(i32, Exit)>> {
    match waitpid(-1, libc::WNOHANG) {
        Err(error) if error.errno() == Errno::CHILD => Ok(None),
        result => result,
    }
}

/// Reaps the child `pid` if it has ended.
pub fn wait_nohang(pid: i32) -> Result<Option<Exit>> {
    Ok(waitpid(pid, libc::WNOHANG)?.map(|(_, exit)| exit))
}

/// `pidfd_open(2)` (Linux 5.3). `ESRCH` if there is no such process (or `pid` is no process number).
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    let call = || format!("pidfd_open({pid})");
    let process = (pid > 0).then(|| Pid::from_raw(pid)).flatten().ok_or(Errno::SRCH).fail(call)?;
    rustix::process::pidfd_open(process, PidfdFlags::empty()).fail(call)
}

/// The inode number of a pidfd, which since Linux 6.9 no other process has or will have while the machine runs; `None`
/// where all pidfds share one.
pub fn pidfd_inode(fd: impl AsFd) -> Option<u64> {
    /// `PID_FS_MAGIC` of `<linux/magic.h>`.
    const PIDFS: u64 = 0x5049_4446;
    let is_own = rustix::fs::fstatfs(&fd).is_ok_and(|place| place.f_type as u64 == PIDFS);
    rustix::fs::fstat(&fd).ok().filter(|_| is_own).map(|stat| stat.st_ino)
}

/// How the process behind a pidfd ended (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15), whosoever child it was;
/// `None` while it isn't reaped, and on kernels that don't tell.
pub fn pidfd_exit(fd: impl AsFd) -> Option<Exit> {
    /// `struct pidfd_info` of the kernel in its first version, 64 bytes.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit: i32,
    }
    const EXIT: u64 = 1 << 3;
    /// `_IOWR(0xFF, 11, struct pidfd_info)`.
    const GET_INFO: libc::Ioctl =
        (3 << 30 | (size_of::<Info>() as u32) << 16 | 0xff << 8 | 11) as libc::Ioctl;
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: the request reads and writes as many bytes as its number tells, the size of `info`, which outlives the call.
    let asked = check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), GET_INFO, &raw mut info) });
    (asked.is_ok() && info.mask & EXIT != 0).then(|| Exit::from_wait_status(info.exit))
}

/// `pidfd_getfd(2)` (Linux 5.6): a copy of the descriptor `number` of the process, which the caller must be allowed to
/// trace. `EBADF` if it isn't open.
pub fn pidfd_getfd(fd: impl AsFd, number: i32) -> Result<OwnedFd> {
    rustix::process::pidfd_getfd(&fd, number, PidfdGetfdFlags::empty())
        .fail(|| format!("pidfd_getfd({}, {number})", show::fd(&fd)))
}

/// `pidfd_send_signal(2)` (Linux 5.1); signal 0 only checks.
pub fn pidfd_send_signal(fd: impl AsFd, signal: i32) -> Result<()> {
    let (raw, info) = (fd.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: a borrowed descriptor, a number, and NULL for "as kill would do it".
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, raw, signal, info, 0) })
        .map(drop)
        .fail(|| format!("pidfd_send_signal({}, {})", show::fd(&fd), signal_name(signal)))
}

/// `kill(2)`; a negative `pid` means a process group, signal 0 only checks.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes two numbers.
    check(unsafe { libc::kill(pid, signal) })
        .map(drop)
        .fail(|| format!("kill({pid}, {})", signal_name(signal)))
}
