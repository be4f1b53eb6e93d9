//! Errors of system calls, written as strace writes them.

use rustix::path::Arg;
use std::ffi::CStr;
use std::fmt;

pub use rustix::io::Errno;

/// A system call that failed: `openat2(</bundle/rootfs>, "dev/null", O_PATH): ELOOP (Too many levels …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    call: String,
    errno: Errno,
}

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `call`, which is the call as strace would show it, with the path behind each fd.
    pub fn new(call: impl Into<String>, errno: Errno) -> Self {
        Self { call: call.into(), errno }
    }

    /// The call as strace would show it.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The kernel's answer.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno)
    }
}

impl std::error::Error for Error {}

/// Gives a bare errno the call that it came from.
pub(crate) trait Fail<T> {
    /// The result with the text of `call`, which is made only if it failed.
    fn fail(self, call: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Fail<T> for std::result::Result<T, Errno> {
    fn fail(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::new(call(), errno))
    }
}

/// The result of a libc function that returns a negative number on failure and sets errno.
pub(crate) fn check<N: Copy + PartialOrd + Default>(returned: N) -> std::result::Result<N, Errno> {
    if returned < N::default() { Err(last()) } else { Ok(returned) }
}

/// errno as libc left it.
pub(crate) fn last() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Calls `call` with `path` as a C string; a path with a NUL byte is refused with `EINVAL`.
pub(crate) fn with_path<T>(path: impl Arg, call: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    match path.into_with_c_str(|path| Ok(call(path))) {
        Ok(result) => result,
        Err(errno) => Err(Error::new("path with a NUL byte", errno)),
    }
}

/// Repeats `call` for as long as a signal interrupts it.
pub(crate) fn retry<T>(
    mut call: impl FnMut() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
