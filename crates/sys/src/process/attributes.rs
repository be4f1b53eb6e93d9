//! What belongs to the calling process: its numbers, directory, scheduling and switches.

use crate::error::{Errno, Error, Fail, Result, check, with_c_str};
use crate::show::{self, Text};
use crate::signal::signal_name;
use rustix::path::Arg;
use rustix::process::DumpableBehavior;
use std::ffi::{CStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// `getpid(2)`, asked of the kernel each time.
pub fn getpid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// `getppid(2)`; 0 if the parent is outside this PID namespace.
pub fn getppid() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// `getuid(2)`.
pub fn getuid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// `geteuid(2)`.
pub fn geteuid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// `getgid(2)`.
pub fn getgid() -> u32 {
    rustix::process::getgid().as_raw()
}

/// `getegid(2)`.
pub fn getegid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// `setsid(2)`: the new session's number.
pub fn setsid() -> Result<i32> {
    rustix::process::setsid().map(|pid| pid.as_raw_nonzero().get()).fail(|| "setsid()".into())
}

/// `PR_SET_NO_NEW_PRIVS`: no exec gives privileges any more, for this process and all it makes.
pub fn set_no_new_privs() -> Result<()> {
    rustix::thread::set_no_new_privs(true).fail(|| "prctl(PR_SET_NO_NEW_PRIVS, 1)".into())
}

/// `PR_SET_DUMPABLE`: whether others of the same user may look into this process by `/proc` and ptrace.
pub fn set_dumpable(on: bool) -> Result<()> {
    let behavior = if on { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    rustix::process::set_dumpable_behavior(behavior)
        .fail(|| format!("prctl(PR_SET_DUMPABLE, {})", i32::from(on)))
}

/// `PR_SET_CHILD_SUBREAPER`: whether orphaned descendants become this process's children.
pub fn set_child_subreaper(on: bool) -> Result<()> {
    let on = libc::c_ulong::from(on);
    // SAFETY: this option takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) })
        .map(drop)
        .fail(|| format!("prctl(PR_SET_CHILD_SUBREAPER, {on})"))
}

/// `PR_SET_PDEATHSIG`: the signal that comes when the thread that made this process ends; 0 for none.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    // SAFETY: this option takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) })
        .map(drop)
        .fail(|| format!("prctl(PR_SET_PDEATHSIG, {})", signal_name(signal)))
}

/// `PR_SET_KEEPCAPS`: whether permitted capabilities outlive the change from root to another user.
pub fn set_keep_caps(on: bool) -> Result<()> {
    rustix::thread::set_keep_capabilities(on).fail(|| format!("prctl(PR_SET_KEEPCAPS, {})", i32::from(on)))
}

/// `PR_SET_NAME`: what `ps` shows; cut off after 15 bytes.
pub fn set_name(name: &CStr) -> Result<()> {
    rustix::thread::set_name(name).fail(|| format!("prctl(PR_SET_NAME, {})", Text(name)))
}

/// `umask(2)`: sets the mask and gives back the one before.
pub fn umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).bits()
}

/// `chdir(2)`.
pub fn chdir(path: impl Arg) -> Result<()> {
    with_c_str("chdir", path, |path| rustix::process::chdir(path).fail(|| format!("chdir({})", Text(path))))
}

/// `fchdir(2)`.
pub fn fchdir(fd: impl AsFd) -> Result<()> {
    rustix::process::fchdir(&fd).fail(|| format!("fchdir({})", show::fd(&fd)))
}

/// `getcwd(2)`. `ENOENT` if the directory is deleted, or outside the process's root (which the kernel shows
/// as a path that starts with `(unreachable)`).
pub fn getcwd() -> Result<PathBuf> {
    let path = rustix::process::getcwd(Vec::new()).fail(|| "getcwd()".into())?;
    if !path.to_bytes().starts_with(b"/") {
        return Err(Error::new(format!("getcwd() = {}", Text(&path)), Errno::NOENT));
    }
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// `personality(2)`: sets the execution domain and its flags.
pub fn personality(persona: u32) -> Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::personality(persona.into()) })
        .map(drop)
        .fail(|| format!("personality({persona:#x})"))
}

/// `struct sched_attr` of the kernel; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// `SCHED_OTHER` 0, `SCHED_FIFO` 1, `SCHED_RR` 2, `SCHED_BATCH` 3, `SCHED_IDLE` 5, `SCHED_DEADLINE` 6.
    pub policy: u32,
    /// -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// 1 to 99, for `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_DEADLINE`.
    pub runtime: u64,
    /// For `SCHED_DEADLINE`.
    pub deadline: u64,
    /// For `SCHED_DEADLINE`.
    pub period: u64,
}

/// `sched_setattr(2)` of the calling thread.
pub fn sched_setattr(attr: &SchedAttr) -> Result<()> {
    let kernel = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: attr.policy,
        sched_flags: attr.flags,
        sched_nice: attr.nice,
        sched_priority: attr.priority,
        sched_runtime: attr.runtime,
        sched_deadline: attr.deadline,
        sched_period: attr.period,
    };
    // SAFETY: `kernel` bears its own size and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const kernel, 0) })
        .map(drop)
        .fail(|| format!("sched_setattr(0, {attr:?}, 0)"))
}

/// `ioprio_set(2)` of the calling thread. `class`: 1 real time, 2 best effort, 3 idle; `priority`: 0 (high)
/// to 7.
pub fn ioprio_set(class: u8, priority: u8) -> Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    let value = (i32::from(class) << 13) | i32::from(priority);
    // SAFETY: takes numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })
        .map(drop)
        .fail(|| format!("ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE({class}, {priority}))"))
}
