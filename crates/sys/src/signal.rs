//! Signals: masks, dispositions, descriptors, names; and waiting for descriptors.
//!
//! Masks are the kernel's, 64 bits, bit N-1 for signal N: libc's functions leave out the two signals that it
//! uses between threads, and a container must not inherit those blocked or ignored either.

mod names;
mod poll;

pub use names::{signal_name, signal_number};
pub use poll::{PollFd, poll, wait_readable};

use crate::error::{Errno, Error, Fail, Result, check, last};
use crate::show;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Every signal.
    pub const fn all() -> Self {
        Self(u64::MAX)
    }

    /// As `/proc/PID/status` writes it: bit N-1 is signal N.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set without the signal of this number, from 1 to 64.
    pub const fn without(self, number: i32) -> Self {
        Self(self.0 & !(1 << (number - 1)))
    }

    /// Whether the signal of this number is in it.
    pub const fn contains(self, number: i32) -> bool {
        matches!(number, 1..=64) && self.0 & (1 << (number - 1)) != 0
    }
}

/// Whether a process that does nothing about the signal is ended by it: signal(7), "Standard signals".
pub const fn ends_by_default(number: i32) -> bool {
    use libc::{SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    !matches!(number, SIGCHLD | SIGCONT | SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU | SIGURG | SIGWINCH)
}

/// The size of the kernel's mask, in bytes.
const MASK_SIZE: usize = size_of::<u64>();

/// `rt_sigprocmask(2)` with `SIG_SETMASK`; the mask before.
fn sigprocmask(mask: SignalSet) -> Result<SignalSet> {
    let mut before = 0u64;
    let (new, old) = (&raw const mask.0, &raw mut before);
    // SAFETY: two masks of MASK_SIZE bytes, which outlive the call.
    check(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, MASK_SIZE) })
        .fail(|| format!("rt_sigprocmask(SIG_SETMASK, {:#x})", mask.0))?;
    Ok(SignalSet(before))
}

/// Blocks every signal in the calling thread; the mask before.
pub fn block_all() -> Result<SignalSet> {
    sigprocmask(SignalSet::all())
}

/// Sets the calling thread's mask of blocked signals.
pub fn set_mask(mask: &SignalSet) -> Result<()> {
    sigprocmask(*mask).map(drop)
}

/// Gives every signal its default disposition and blocks none: the state that a program expects to be started
/// in.
pub fn reset_all() -> Result<()> {
    (1..=64).filter(|n| *n != libc::SIGKILL && *n != libc::SIGSTOP).try_for_each(set_default)?;
    set_mask(&SignalSet::empty())
}

/// The same for a process that is about to execute a program, which gives every signal that has a handler its default
/// disposition by itself: only the signals that were `ignored` need a call each.
pub fn reset_for_exec(ignored: SignalSet) -> Result<()> {
    (1..=64).filter(|number| ignored.contains(*number)).try_for_each(set_default)?;
    set_mask(&SignalSet::empty())
}

/// `rt_sigaction(2)`: gives a signal its default disposition.
fn set_default(number: i32) -> Result<()> {
    // `struct sigaction` of the kernel: SIG_DFL is 0, and so are no flags, no restorer and an empty mask.
    let default = [0u64; 4];
    let before = std::ptr::null::<u8>();
    // SAFETY: 32 bytes, the size of the kernel's structure; SIG_DFL names no function.
    check(unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), before, MASK_SIZE) })
        .fail(|| format!("rt_sigaction({}, SIG_DFL)", signal_name(number)))?;
    Ok(())
}

/// Makes children wait to be waited for: while a process ignores `SIGCHLD`, which it may have been started with,
/// the kernel reaps them and tells nobody how they ended.
pub fn keep_children() -> Result<()> {
    set_default(libc::SIGCHLD)
}

/// Has a command started as [`reset_all`] leaves a process. By itself it inherits the mask of blocked signals, and
/// libc's `posix_spawn(3)` has two of its own ignored.
pub fn reset_all_in(command: &mut Command) {
    let reset = || reset_all().map_err(|e| std::io::Error::from_raw_os_error(e.errno().raw_os_error()));
    // SAFETY: between fork and exec only system calls are made; the message of a failure is allocated, which a fork
    // of a process with other threads must not do, but the calls can't fail: their arguments are fixed.
    unsafe { command.pre_exec(reset) };
}

/// `signalfd4(2)`, non-blocking, for every signal; those that come while they are blocked ([`block_all`]) are
/// read from it.
pub fn signalfd() -> Result<OwnedFd> {
    let mask = SignalSet::all();
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: a mask of MASK_SIZE bytes, which outlives the call.
    let raw = check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask.0, MASK_SIZE, flags) })
        .fail(|| "signalfd4(-1, ~[], SFD_CLOEXEC|SFD_NONBLOCK)".into())?;
    // SAFETY: the kernel has just made this descriptor; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// `SI_USER` (0), `CLD_EXITED` (1) and so on.
    pub code: i32,
    /// The sender or, for `SIGCHLD`, the child.
    pub pid: i32,
    /// The sender's user.
    pub uid: u32,
    /// For `SIGCHLD`: the exit code, or the signal that ended or stopped the child.
    pub status: i32,
}

/// The next signal from a [`signalfd`]; `None` if there is none.
pub fn read_signal(fd: impl AsFd) -> Result<Option<Signal>> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    // SAFETY: a structure of integers, for which all bits zero is a value.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let call = || format!("read({}, signalfd_siginfo)", show::fd(&fd));
    loop {
        // SAFETY: at most SIZE bytes are written into `info`, which outlives the call and takes any bits.
        match unsafe { libc::read(fd.as_fd().as_raw_fd(), (&raw mut info).cast(), SIZE) } {
            count if count == SIZE as isize => break,
            -1 => match last() {
                Errno::INTR => {}
                Errno::AGAIN => return Ok(None),
                errno => return Err(Error::new(call(), errno)),
            },
            _ => return Err(Error::new(call(), Errno::IO)),
        }
    }
    Ok(Some(Signal {
        number: info.ssi_signo as i32,
        code: info.ssi_code,
        pid: info.ssi_pid as i32,
        uid: info.ssi_uid,
        status: info.ssi_status,
    }))
}
