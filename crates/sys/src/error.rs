//! Errors of system calls, written as strace writes them.

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
