//! The other end of a filter that notifies: seccomp_unotify(2), for who is sent a listener.

use crate::error::{Errno, Error, Fail, Result, check, retry};
use crate::show;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A system call that waits for an answer: `struct seccomp_notif` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// What an answer names it by.
    pub id: u64,
    /// The thread, as the listener's reader numbers it; 0 if its PID namespace doesn't.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub number: i32,
    /// `AUDIT_ARCH_…` of the call.
    pub arch: u32,
    /// Where in the program.
    pub instruction_pointer: u64,
    /// Its arguments; pointers are the program's.
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp` of the kernel.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd` of the kernel.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// What a system call that waits is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Carry it out as if there were no filter (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`, Linux 5.5).
    Continue,
    /// It returns this.
    Value(i64),
    /// It fails with this.
    Fail(Errno),
}

const SECCOMP_ADDFD_FLAG_SEND: u32 = 2;

/// The number of a request of <linux/seccomp.h>, which are all `_IOWR('!', …)`.
const fn request(number: u64, size: usize) -> u64 {
    3 << 30 | (size as u64) << 16 | (b'!' as u64) << 8 | number
}

/// `SECCOMP_IOCTL_NOTIF_RECV`: waits for a notified call. `ENOENT` if its process was killed just now.
pub fn seccomp_notify_receive(listener: impl AsFd) -> Result<Notification> {
    let mut notification = Notification::default();
    ioctl(&listener, request(0, size_of::<Notification>()), &mut notification)
        .fail(|| format!("ioctl({}, SECCOMP_IOCTL_NOTIF_RECV)", show::fd(&listener)))?;
    Ok(notification)
}

/// `SECCOMP_IOCTL_NOTIF_SEND`: answers one. `ENOENT` if it doesn't wait any more.
pub fn seccomp_notify_send(listener: impl AsFd, id: u64, answer: Answer) -> Result<()> {
    let (value, error, flags) = match answer {
        Answer::Continue => (0, 0, 1),
        Answer::Value(value) => (value, 0, 0),
        Answer::Fail(errno) => (0, -errno.raw_os_error(), 0),
    };
    let mut response = Response { id, value, error, flags };
    ioctl(&listener, request(1, size_of::<Response>()), &mut response)
        .map(drop)
        .fail(|| format!("ioctl({}, SECCOMP_IOCTL_NOTIF_SEND, {id:#x}, {answer:?})", show::fd(&listener)))
}

/// `SECCOMP_IOCTL_NOTIF_ADDFD` with `SECCOMP_ADDFD_FLAG_SEND` (Linux 5.14): the call returns a copy of `fd`, whose
/// number in the program comes back.
pub fn seccomp_notify_add_fd(listener: impl AsFd, id: u64, fd: BorrowedFd) -> Result<i32> {
    let call =
        || format!("ioctl({}, SECCOMP_IOCTL_NOTIF_ADDFD, {id:#x}, {})", show::fd(&listener), show::Fd(fd));
    let source = u32::try_from(fd.as_raw_fd()).map_err(|_| Error::new(call(), Errno::BADF))?;
    let mut add = AddFd { id, flags: SECCOMP_ADDFD_FLAG_SEND, source, target: 0, target_flags: 0 };
    // Write only: `_IOW`.
    let request = request(3, size_of::<AddFd>()) & !(2 << 30);
    ioctl(&listener, request, &mut add).fail(call)
}

fn ioctl<T>(listener: impl AsFd, request: u64, data: &mut T) -> std::result::Result<i32, Errno> {
    let raw = listener.as_fd().as_raw_fd();
    // SAFETY: `request` bears the size of `T`, which is the kernel's structure of that request, without pointers; the
    // kernel reads and writes no more than that, and `data` outlives the call.
    retry(|| check(unsafe { libc::ioctl(raw, request as libc::Ioctl, std::ptr::from_mut(data)) }))
}
