//! Following another process's system calls, stop by stop: ptrace(2) by `PTRACE_SEIZE`.
//!
//! A tracer is a thread: all calls for one tracee come from the thread that seized it.

use crate::error::{Errno, Error, Fail, Result, check, retry};
use crate::process::Exit;
use std::ffi::{c_int, c_void};

/// What a tracee did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It entered or left a system call; see [`ptrace_get_syscall_info`].
    Syscall,
    /// It is about to get this signal.
    Signal(i32),
    /// It was stopped by `PTRACE_INTERRUPT`, or with its group by a signal.
    Event,
    /// It is gone.
    Ended(Exit),
}

/// Where a tracee stands, as `PTRACE_GET_SYSCALL_INFO` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall {
    /// Before the call of this number.
    Entry(u64),
    /// Behind one that returned this; errors are negative.
    Exit(i64),
    /// Somewhere else.
    None,
}

/// ptrace(2)'s first argument, which the C libraries have different types for.
#[cfg(target_env = "musl")]
type Request = c_int;
/// ptrace(2)'s first argument, which the C libraries have different types for.
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

// Of `<linux/ptrace.h>`.
const PTRACE_GET_SYSCALL_INFO: Request = 0x420e;
const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
const PTRACE_SYSCALL_INFO_EXIT: u8 = 2;

/// `PTRACE_SEIZE` with `PTRACE_O_TRACESYSGOOD` and `PTRACE_O_EXITKILL`: the tracee goes on, and dies with its tracer.
pub fn ptrace_seize(pid: i32) -> Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SEIZE, pid, options as usize)
        .fail(|| format!("ptrace(PTRACE_SEIZE, {pid}, NULL, PTRACE_O_TRACESYSGOOD|PTRACE_O_EXITKILL)"))
}

/// `PTRACE_INTERRUPT`: stops it, which [`wait_stop`] sees.
pub fn ptrace_interrupt(pid: i32) -> Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, pid, 0).fail(|| format!("ptrace(PTRACE_INTERRUPT, {pid})"))
}

/// `PTRACE_SYSCALL`: the stopped tracee goes on to the next entry or end of a system call; it gets `signal` first,
/// unless that is 0.
pub fn ptrace_syscall(pid: i32, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_SYSCALL, pid, signal as usize)
        .fail(|| format!("ptrace(PTRACE_SYSCALL, {pid}, NULL, {signal})"))
}

/// `PTRACE_DETACH`: the stopped tracee goes on, and isn't one any more.
pub fn ptrace_detach(pid: i32) -> Result<()> {
    ptrace(libc::PTRACE_DETACH, pid, 0).fail(|| format!("ptrace(PTRACE_DETACH, {pid})"))
}

fn ptrace(request: Request, pid: i32, data: usize) -> std::result::Result<(), Errno> {
    let data = std::ptr::without_provenance_mut::<c_void>(data);
    // SAFETY: the requests of this module that come here take numbers, and no memory of this process.
    let done = unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<c_void>(), data) };
    check(done).map(drop)
}

/// `struct ptrace_syscall_info` of the kernel, without the arguments of an entry, which lie behind.
#[repr(C)]
#[derive(Default)]
struct Info {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    /// The number at an entry, the value at an exit.
    value: u64,
}

/// `PTRACE_GET_SYSCALL_INFO` (Linux 5.3) of a tracee in a stop.
pub fn ptrace_get_syscall_info(pid: i32) -> Result<Syscall> {
    let mut info = Info::default();
    let size = std::ptr::without_provenance_mut::<c_void>(size_of::<Info>());
    // SAFETY: the kernel writes at most `size` bytes to `info`, which outlives the call.
    let done = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO, pid, size, &raw mut info) };
    check(done).fail(|| format!("ptrace(PTRACE_GET_SYSCALL_INFO, {pid})"))?;
    Ok(match info.op {
        PTRACE_SYSCALL_INFO_ENTRY => Syscall::Entry(info.value),
        PTRACE_SYSCALL_INFO_EXIT => Syscall::Exit(info.value.cast_signed()),
        _ => Syscall::None,
    })
}

/// `waitpid(2)` with `__WALL`: the tracee's next stop, or its end (which reaps it, if it is a child).
pub fn wait_stop(pid: i32) -> Result<Stop> {
    let mut status: c_int = 0;
    let call = || format!("waitpid({pid}, __WALL)");
    // SAFETY: `status` outlives the call.
    retry(|| check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) })).fail(call)?;
    if libc::WIFSIGNALED(status) {
        return Ok(Stop::Ended(Exit::Signal(libc::WTERMSIG(status))));
    }
    if libc::WIFEXITED(status) {
        return Ok(Stop::Ended(Exit::Code(libc::WEXITSTATUS(status))));
    }
    if !libc::WIFSTOPPED(status) {
        return Err(Error::new(format!("{}: status {status:#x}", call()), Errno::INVAL));
    }
    Ok(match libc::WSTOPSIG(status) {
        signal if signal == libc::SIGTRAP | 0x80 => Stop::Syscall,
        _ if status >> 16 != 0 => Stop::Event,
        signal => Stop::Signal(signal),
    })
}
