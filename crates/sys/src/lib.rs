//! Linux made safe: one file per facility, and the only crate of the project with `unsafe`.
//!
//! Rules that hold for every function here:
//! - it is named as the system call is, and takes `impl AsFd`, [`BorrowedFd`] or [`OwnedFd`], never a number
//!   (but for [`fs::take_fd`], which makes an owned descriptor of an inherited number);
//! - every descriptor it makes is close-on-exec;
//! - its error names the call and its arguments as strace would, with the path behind each descriptor; the
//!   text is made on failure only;
//! - an older kernel's `ENOSYS`, and a seccomp filter's `EPERM`, are given back as they are. Older calls are
//!   inside only where nothing is lost by them: [`process::clone`], [`process::close_all_but`],
//!   [`process::close_from`], [`process::close_range_cloexec`], [`process::single_threaded`], [`process::spawn`], [`fs::mount_id`], [`fs::is_mount_root`] and
//!   [`pty::open_pty`].

mod error;
mod show;

pub mod bpf;
pub mod btrfs;
pub mod credentials;
#[cfg(target_arch = "x86_64")]
mod early;
pub mod entry;
pub mod event;
pub mod fs;
pub mod inotify;
pub mod keyring;
pub mod loop_device;
pub mod memory;
pub mod mount;
pub mod net;
pub mod process;
pub mod ptrace;
pub mod pty;
pub mod quota;
pub mod random;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod uts;

pub use error::{Errno, Error, Result, describe, without_numbers};
pub use rustix::path::Arg;
pub use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
