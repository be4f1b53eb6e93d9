//! New processes and namespaces.

use crate::error::{Errno, Error, Fail, Result, check};
use crate::show;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A set of namespace kinds (`CLONE_NEW*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u32);

impl Namespaces {
    /// `CLONE_NEWNS`.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u32);
    /// `CLONE_NEWUTS`.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u32);
    /// `CLONE_NEWIPC`.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u32);
    /// `CLONE_NEWUSER`.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u32);
    /// `CLONE_NEWPID`.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u32);
    /// `CLONE_NEWNET`.
    pub const NET: Self = Self(libc::CLONE_NEWNET as u32);
    /// `CLONE_NEWCGROUP`.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u32);
    /// `CLONE_NEWTIME` (Linux 5.6); [`unshare`] and [`setns`] know it, `clone(2)` doesn't.
    pub const TIME: Self = Self(0x80);

    /// No namespace.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds all of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Takes all of `other` out.
    pub fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// These without all of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The `CLONE_NEW*` bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Namespaces {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Namespaces {
    fn bitor_assign(&mut self, other: Self) {
        self.insert(other);
    }
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = [
            (Self::MOUNT, "CLONE_NEWNS"),
            (Self::UTS, "CLONE_NEWUTS"),
            (Self::IPC, "CLONE_NEWIPC"),
            (Self::USER, "CLONE_NEWUSER"),
            (Self::PID, "CLONE_NEWPID"),
            (Self::NET, "CLONE_NEWNET"),
            (Self::CGROUP, "CLONE_NEWCGROUP"),
            (Self::TIME, "CLONE_NEWTIME"),
        ];
        let set: Vec<&str> =
            names.into_iter().filter(|(n, _)| self.contains(*n)).map(|(_, name)| name).collect();
        if set.is_empty() { f.write_str("0") } else { f.write_str(&set.join("|")) }
    }
}

/// What a new process gets.
#[derive(Debug, Default)]
pub struct CloneArgs<'a> {
    /// New namespaces of these kinds.
    pub namespaces: Namespaces,
    /// The cgroup2 directory to be born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub into_cgroup: Option<BorrowedFd<'a>>,
    /// A sibling instead of a child: the caller's parent becomes its parent (`CLONE_PARENT`).
    pub parent: bool,
}

impl fmt::Display for CloneArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}|CLONE_PIDFD", self.namespaces)?;
        if self.parent {
            f.write_str("|CLONE_PARENT")?;
        }
        match self.into_cgroup {
            Some(cgroup) => write!(f, "|CLONE_INTO_CGROUP, cgroup={}", show::Fd(cgroup)),
            None => Ok(()),
        }
    }
}

/// A process that was made.
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's PID namespace.
    pub pid: i32,
    /// A descriptor of it, where the kernel gives one (`CLONE_PIDFD`, Linux 5.2).
    pub pidfd: Option<OwnedFd>,
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Forked {
    /// The one that called [`clone`].
    Parent(Child),
    /// The new one.
    Child,
}

/// Makes a process as fork does: `clone3(2)`; where that is missing or a seccomp filter forbids it,
/// `clone(2)`.
///
/// The caller must be single-threaded, otherwise `EINVAL`. `into_cgroup` without `clone3` is `ENOSYS`. The
/// new process goes on with a copy of the caller's memory and descriptors; libc is not told, so it runs no
/// `atfork` handler and its thread descriptor shows the parent's thread id: the child makes no thread.
pub fn clone(args: &CloneArgs) -> Result<Forked> {
    let refuse = |errno, why: &str| Err(Error::new(format!("clone({args}): {why}"), errno));
    if !single_threaded() {
        return refuse(Errno::INVAL, "the calling process has more than one thread");
    }
    match clone3(args) {
        Err(errno) if !missing(errno) => Err(errno).fail(|| format!("clone3({args})")),
        Err(_) if args.into_cgroup.is_some() => refuse(Errno::NOSYS, "CLONE_INTO_CGROUP needs clone3"),
        Err(_) if args.namespaces.contains(Namespaces::TIME) => {
            refuse(Errno::NOSYS, "CLONE_NEWTIME needs clone3")
        }
        Err(_) => clone2(args).fail(|| format!("clone({args})")),
        Ok(forked) => Ok(forked),
    }
}

/// Whether an error of `clone3` means that there is no such call (or that this kernel's is too old for the
/// arguments).
///
/// The kernel's own answer to an empty argument is `EINVAL`; a seccomp filter, which can't look into it,
/// answers as it always does. So an `EPERM` of the kernel's is told from a filter's.
fn missing(errno: Errno) -> bool {
    match errno {
        Errno::NOSYS | Errno::TOOBIG => true,
        Errno::PERM => {
            // SAFETY: with a size of 0 the kernel refuses before it reads the pointer or makes a process.
            let probe = check(unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0usize) });
            probe != Err(Errno::INVAL)
        }
        _ => false,
    }
}

/// `struct clone_args` of the kernel, version 2 (Linux 5.7).
#[repr(C, align(8))]
#[derive(Default)]
struct KernelArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The size of [`KernelArgs`] in its first version (Linux 5.3), up to `tls`.
const KERNEL_ARGS_SIZE_0: usize = 64;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn flags(args: &CloneArgs) -> u64 {
    let parent = if args.parent { libc::CLONE_PARENT as u64 } else { 0 };
    u64::from(args.namespaces.bits()) | parent | libc::CLONE_PIDFD as u64
}

fn clone3(args: &CloneArgs) -> std::result::Result<Forked, Errno> {
    let mut pidfd: RawFd = -1;
    let mut kernel = KernelArgs {
        flags: flags(args),
        pidfd: &raw mut pidfd as u64,
        // With CLONE_PARENT the signal is inherited, and naming one is an error.
        exit_signal: if args.parent { 0 } else { libc::SIGCHLD as u64 },
        ..KernelArgs::default()
    };
    let mut size = KERNEL_ARGS_SIZE_0;
    if let Some(cgroup) = args.into_cgroup {
        kernel.flags |= CLONE_INTO_CGROUP;
        kernel.cgroup = cgroup.as_raw_fd() as u64;
        size = size_of::<KernelArgs>();
    }
    // SAFETY: no CLONE_VM, so the child has its own copy of this memory and of the stack, and both processes
    // may return from here; the caller (`clone`) has seen that there is no other thread, which could hold a
    // lock that the child would wait for. `kernel` and `pidfd` outlive the call.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const kernel, size) })?;
    Ok(forked(pid, pidfd))
}

/// `clone(2)` in the kernel's form, with no stack of its own for the child.
fn clone2(args: &CloneArgs) -> std::result::Result<Forked, Errno> {
    let flags = flags(args) | libc::SIGCHLD as u64;
    match clone2_with(flags) {
        // Linux before 5.2 may refuse CLONE_PIDFD; most of them ignore it and leave the -1 alone.
        Err(Errno::INVAL) => clone2_with(flags & !(libc::CLONE_PIDFD as u64)),
        result => result,
    }
}

fn clone2_with(flags: u64) -> std::result::Result<Forked, Errno> {
    let mut pidfd: RawFd = -1;
    let (flags, stack) = (flags as libc::c_ulong, 0 as libc::c_ulong);
    // The first two arguments are the other way round on s390.
    let (first, second) = if cfg!(target_arch = "s390x") { (stack, flags) } else { (flags, stack) };
    let none = 0 as libc::c_ulong;
    // SAFETY: as in `clone3`: no CLONE_VM and no other thread; without a stack the child goes on with its
    // copy of this one. `pidfd` outlives the call.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, first, second, &raw mut pidfd, none, none) })?;
    Ok(forked(pid, pidfd))
}

fn forked(pid: libc::c_long, pidfd: RawFd) -> Forked {
    if pid == 0 {
        return Forked::Child;
    }
    // SAFETY: the kernel has just made this descriptor for this call; nobody else knows its number.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Forked::Parent(Child { pid: pid as i32, pidfd })
}

/// Whether this process has one thread and shares its memory with no other process.
///
/// `unshare(2)` with `CLONE_VM` succeeds, and does nothing, exactly then; where a seccomp filter forbids it,
/// the threads in `/proc/self/task` are counted.
pub fn single_threaded() -> bool {
    // SAFETY: CLONE_VM alone changes nothing in a single-threaded process and is refused in others.
    match check(unsafe { libc::unshare(libc::CLONE_VM) }) {
        Ok(_) => true,
        Err(Errno::INVAL) => false,
        Err(_) => rustix::fs::stat(c"/proc/self/task").is_ok_and(|stat| stat.st_nlink == 3),
    }
}

/// `setns(2)`: enters the namespace of a namespace descriptor, or those `kinds` of the process behind a pidfd
/// (Linux 5.8). `kinds` may be empty with a namespace descriptor.
pub fn setns(fd: impl AsFd, kinds: Namespaces) -> Result<()> {
    // SAFETY: takes a descriptor and flags; it changes what names mean to the kernel, no memory of this
    // process.
    let entered = check(unsafe { libc::setns(fd.as_fd().as_raw_fd(), kinds.bits() as i32) });
    entered.map(drop).fail(|| format!("setns({}, {kinds})", show::fd(&fd)))
}

/// `unshare(2)` of namespaces. PID and time namespaces are for children (and, for time, the next exec).
pub fn unshare(kinds: Namespaces) -> Result<()> {
    // SAFETY: `Namespaces` holds CLONE_NEW* bits only, so no descriptor table or memory is unshared.
    check(unsafe { libc::unshare(kinds.bits() as i32) }).map(drop).fail(|| format!("unshare({kinds})"))
}
