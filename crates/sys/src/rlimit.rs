//! Resource limits, by the names that the runtime specification uses.

use crate::error::{Errno, Fail, Result, check};
use rustix::process::Resource;

const KINDS: &[(&str, Resource)] = &[
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_STACK", Resource::Stack),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
];

/// The number of a limit by its name (`RLIMIT_NOFILE`).
pub fn rlimit_number(kind: &str) -> Option<u32> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind as u32)
}

/// `struct rlimit64` of the kernel; `u64::MAX` is no limit.
#[repr(C)]
#[derive(Default)]
struct Limits {
    soft: u64,
    hard: u64,
}

/// `prlimit64(2)` of the calling process.
fn prlimit(kind: &str, new: Option<&Limits>, old: Option<&mut Limits>) -> std::result::Result<(), Errno> {
    let number = rlimit_number(kind).ok_or(Errno::INVAL)?;
    let (new, old) =
        (new.map_or(std::ptr::null(), std::ptr::from_ref), old.map_or(std::ptr::null_mut(), |o| o));
    // SAFETY: each pointer is NULL or to a structure of the kernel's layout that outlives the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, number, new, old) }).map(drop)
}

/// Sets the soft and hard limit of the calling process; `u64::MAX` is no limit, `EINVAL` an unknown kind.
pub fn setrlimit(kind: &str, soft: u64, hard: u64) -> Result<()> {
    prlimit(kind, Some(&Limits { soft, hard }), None)
        .fail(|| format!("prlimit(0, {kind}, soft={soft}, hard={hard})"))
}

/// The soft and hard limit of the calling process.
pub fn getrlimit(kind: &str) -> Result<(u64, u64)> {
    let mut limits = Limits::default();
    prlimit(kind, None, Some(&mut limits)).fail(|| format!("prlimit(0, {kind})"))?;
    Ok((limits.soft, limits.hard))
}
