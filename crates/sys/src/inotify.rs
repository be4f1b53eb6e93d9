//! Being told of changes to files (inotify(7)).

use crate::error::{Error, Fail, Result};
use crate::signal::wait_readable;
use rustix::fs::inotify;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Directories that are watched for what is made, written, renamed or removed in them.
#[derive(Debug)]
pub struct Inotify {
    fd: OwnedFd,
}

impl Inotify {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Of `inotify_init1(2)`.
    pub fn new() -> Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        Ok(Self { fd: inotify::init(flags).fail(|| "inotify_init1(IN_CLOEXEC|IN_NONBLOCK)".into())? })
    }

    /// Watches a directory, too.
    ///
    /// # Errors
    /// Of `inotify_add_watch(2)`.
    pub fn add(&self, directory: &Path) -> Result<()> {
        use inotify::WatchFlags as Flags;
        let what = Flags::CREATE
            | Flags::MODIFY
            | Flags::MOVED_TO
            | Flags::DELETE
            | Flags::DELETE_SELF
            | Flags::ONLYDIR;
        inotify::add_watch(&self.fd, directory, what)
            .fail(|| format!("inotify_add_watch({directory:?})"))
            .map(drop)
    }

    /// Waits until something has happened, at most this long where it is said; what it was is found out by looking.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn wait(&self, timeout_ms: Option<i32>) -> Result<()> {
        if !wait_readable(&self.fd, timeout_ms)? {
            return Ok(());
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.fd, &mut buffer);
        loop {
            match events.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(Error::new("read(inotify)", errno)),
            }
        }
    }
}

/// To be waited for: readable when something has happened.
impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
