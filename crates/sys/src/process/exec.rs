//! Becoming another program, and ending.

use crate::error::{Error, last};
use crate::show::{self, Flags, Text};
use rustix::fs::AtFlags;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, AsRawFd};

/// Pointers to the strings and a NULL, valid as long as the strings are.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// argv and envp as strace shows them: the first, cut off after a few words; of the second, only how many.
fn show_arguments(argv: &[CString], envp: &[CString]) -> String {
    let words: Vec<String> = argv.iter().take(8).map(|word| Text(word).to_string()).collect();
    let more = if argv.len() > words.len() { ", ..." } else { "" };
    format!("[{}{more}], [/* {} vars */]", words.join(", "), envp.len())
}

/// `execve(2)`; returns only if it failed.
pub fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> Error {
    let (arguments, environment) = (pointers(argv), pointers(envp));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays, all of which outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let errno = last();
    Error::new(format!("execve({}, {})", Text(path), show_arguments(argv, envp)), errno)
}

/// `execveat(2)`; returns only if it failed. With an empty path and `AtFlags::EMPTY_PATH`, the file behind
/// `dir`.
pub fn execveat(dir: impl AsFd, path: &CStr, argv: &[CString], envp: &[CString], flags: AtFlags) -> Error {
    let (arguments, environment) = (pointers(argv), pointers(envp));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays, and a borrowed descriptor, all of which
    // outlive the call; the system call and not libc's function, since that would fall back to /proc/self/fd.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            flags.bits(),
        )
    };
    let errno = last();
    let (dir, path) = (show::fd(&dir), Text(path));
    Error::new(format!("execveat({dir}, {path}, {}, {})", show_arguments(argv, envp), flags.show()), errno)
}

/// `_exit(2)`: ends the process at once, without destructors and `atexit` handlers.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it runs afterwards.
    unsafe { libc::_exit(code) }
}
