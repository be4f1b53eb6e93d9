//! Starting other programs by the standard library, wherever we are.

use super::getegid;
use std::io::Result;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// [`Command::spawn`], also under a seccomp filter that answers EPERM to `clone3`.
///
/// glibc's `posix_spawn(3)`, which `Command` uses where it can, takes that for the kernel's own answer and doesn't try
/// `clone(2)`. A group to be set makes `Command` fork instead; it is the one that we have.
pub fn spawn(command: &mut Command) -> Result<Child> {
    match command.spawn() {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => command.gid(getegid()).spawn(),
        spawned => spawned,
    }
}
