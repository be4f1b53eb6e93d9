//! Loading seccomp filters, and answering for them.

mod notify;

pub use notify::{Answer, Notification, seccomp_notify_add_fd, seccomp_notify_receive, seccomp_notify_send};

use crate::error::{Errno, Error, Fail, Result, check};
use std::os::fd::{FromRawFd, OwnedFd};

/// An instruction of classic BPF (`struct sock_filter`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if the comparison holds.
    pub jt: u8,
    /// How many to skip if it doesn't.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `SECCOMP_FILTER_FLAG_*`.
pub mod flag {
    /// All threads of the process get the filter.
    pub const TSYNC: u64 = 1;
    /// Actions other than `ALLOW` are logged.
    pub const LOG: u64 = 2;
    /// Speculative store bypass stays on.
    pub const SPEC_ALLOW: u64 = 4;
    /// A listener for `USER_NOTIF` is made.
    pub const NEW_LISTENER: u64 = 8;
    /// A thread that can't be synchronised is `ESRCH`.
    pub const TSYNC_ESRCH: u64 = 16;
    /// Only fatal signals interrupt a call that a listener has taken.
    pub const WAIT_KILLABLE_RECV: u64 = 32;
}

/// The number of `seccomp(2)`, as a tracer sees it.
pub const SYS_SECCOMP: u64 = libc::SYS_seccomp as u64;

/// `struct sock_fprog` of the kernel.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// `seccomp(2)`, `SECCOMP_SET_MODE_FILTER`: adds a filter to the calling thread, which needs `no_new_privs`
/// or `CAP_SYS_ADMIN`. The listener, if `flags` has [`flag::NEW_LISTENER`].
pub fn seccomp_load(program: &[Instruction], flags: u64) -> Result<Option<OwnedFd>> {
    let call = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {} instructions)", program.len());
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL).fail(call)?;
    // The kernel takes 32 bits and would not see the others.
    let flags = u32::try_from(flags).map_err(|_| Errno::INVAL).fail(call)?;
    let kernel = Program { length, instructions: program.as_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `kernel` points to `length` instructions; the kernel checks and copies them during the call.
    let loaded =
        check(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const kernel) }).fail(call)?;
    if u64::from(flags) & flag::NEW_LISTENER != 0 {
        // SAFETY: with this flag the call returns a descriptor that it has just made; nobody else knows its
        // number.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(loaded as i32) }));
    }
    match loaded {
        0 => Ok(None),
        // With TSYNC alone, the number of a thread that could not be synchronised.
        thread => Err(Error::new(format!("{}: thread {thread}", call()), Errno::SRCH)),
    }
}

/// Whether the kernel knows an action (`SECCOMP_RET_*`).
pub fn seccomp_action_available(action: u32) -> bool {
    let operation = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: this operation reads one `u32`, which outlives the call.
    unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw const action) == 0 }
}

/// Whether the kernel knows all these filter flags, each for itself: some may not be combined.
pub fn seccomp_flags_supported(flags: u64) -> bool {
    (0..u64::BITS).map(|bit| flags & (1 << bit)).filter(|flag| *flag != 0).all(flag_supported)
}

/// A load without a program fails with `EFAULT` if it gets past the flags, with `EINVAL` if it doesn't.
fn flag_supported(flag: u64) -> bool {
    let partner = match flag {
        flag::TSYNC_ESRCH => flag::TSYNC,
        flag::WAIT_KILLABLE_RECV => flag::NEW_LISTENER,
        _ => 0,
    };
    let Ok(flags) = u32::try_from(flag | partner) else { return false };
    let (mode, program) = (libc::SECCOMP_SET_MODE_FILTER, std::ptr::null::<Program>());
    // SAFETY: NULL is what makes the kernel refuse before anything is changed.
    let probed = check(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, program) });
    probed == Err(Errno::FAULT)
}
