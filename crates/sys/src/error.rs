//! Errors of system calls, written as strace writes them.

mod errno;

use rustix::path::Arg;
use std::ffi::CStr;
use std::fmt;

pub use errno::{describe, without_numbers};
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
        write!(f, "{}: {}", self.call, describe(self.errno))
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

/// Calls `call`, which makes the system call `name`, with `text` as a C string; text with a NUL byte is
/// refused (`EINVAL`).
pub(crate) fn with_c_str<T>(name: &str, text: impl Arg, call: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    match text.into_with_c_str(|text| Ok(call(text))) {
        Ok(result) => result,
        Err(errno) => Err(Error::new(format!("{name}: argument with a NUL byte"), errno)),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

    #[test]
    fn errors_read_like_strace() {
        let root = openat(CWD, "/usr", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let error =
            openat2(&root, "no such", OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT).unwrap_err();
        let text = r#"openat2(</usr>, "no such", O_PATH, 0000, RESOLVE_IN_ROOT): ENOENT (No such file or directory)"#;
        assert_eq!(error.to_string(), text);
        let error =
            openat(&root, "no\nsuch/file", OFlags::WRONLY | OFlags::CREATE, Mode::from_raw_mode(0o600))
                .unwrap_err();
        assert!(
            error.to_string().starts_with(r#"openat(</usr>, "no\nsuch/file", O_WRONLY|O_CREAT, 0600): "#),
            "{error}"
        );
    }

    #[test]
    fn a_nul_byte_is_an_error_that_names_the_call() {
        let error = openat(CWD, "a\0b", OFlags::PATH, Mode::empty()).unwrap_err();
        assert_eq!(error.to_string(), "openat: argument with a NUL byte: EINVAL (Invalid argument)");
    }
}
