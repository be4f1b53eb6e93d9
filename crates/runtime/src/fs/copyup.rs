//! `tmpcopyup`: a new tmpfs begins with a copy of what it covers.
//!
//! Both trees are walked by descriptors, no link is followed, and file contents are streamed by the kernel. Type, mode,
//! owner and link texts are kept; several names of one file become several files. An owner who has no id in the user
//! namespace can't be given to the copy, which then belongs to whoever makes it.

use super::devices;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use forgeone_sys::{Errno, Error, Result};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

/// How deep directories may be nested; each level holds two descriptors.
const DEPTH_MAX: u32 = 200;

/// Copies the content of the directory `from` into the empty directory `to`.
///
/// # Errors
/// The kernel's answer; trees that are nested too deep.
pub fn copy(from: BorrowedFd, to: BorrowedFd) -> Result<()> {
    copy_directory(from, to, 0)
}

fn copy_directory(from: BorrowedFd, to: BorrowedFd, depth: u32) -> Result<()> {
    if depth > DEPTH_MAX {
        let place = fs::readlinkat(fs::CWD, fs::fd_path(from))?;
        return Err(Error::new(format!("tmpcopyup {place:?}: nested too deep"), Errno::LOOP));
    }
    for (name, _) in fs::read_dir(from)? {
        let stat = fs::statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = stat.st_mode & 0o7777;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                fs::symlinkat(fs::readlinkat(from, &name)?, to, &name)?;
                own(fs::openat(to, &name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?, &stat)?;
            }
            FileType::Directory => {
                fs::mkdirat(to, &name, 0o700)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let source = fs::openat(from, &name, flags, Mode::empty())?;
                let copy = fs::openat(to, &name, flags, Mode::empty())?;
                copy_directory(source.as_fd(), copy.as_fd(), depth + 1)?;
                own(&copy, &stat)?;
                fs::fchmod(&copy, mode)?;
            }
            FileType::RegularFile => copy_regular(from, to, &name, &stat)?,
            kind => {
                let (major, minor) = devices::number(&stat);
                fs::mknodat(to, &name, kind, mode, major, minor)?;
                own(fs::openat(to, &name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?, &stat)?;
            }
        }
    }
    Ok(())
}

fn copy_regular(from: BorrowedFd, to: BorrowedFd, name: &OsStr, stat: &Stat) -> Result<()> {
    // Without waiting, should it have become a FIFO since.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let source = fs::openat(from, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fs::fstat(&source)?.st_mode) != FileType::RegularFile {
        return Err(Error::new(
            format!("tmpcopyup {name:?}: was replaced while it was copied"),
            Errno::STALE,
        ));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let copy = fs::openat(to, name, flags, Mode::from_raw_mode(0o600))?;
    fs::copy_file(&source, &copy, u64::MAX)?;
    own(&copy, stat)?;
    fs::fchmod(&copy, stat.st_mode & 0o7777)
}

fn own(copy: impl AsFd, stat: &Stat) -> Result<()> {
    match fs::fchown(copy, stat.st_uid, stat.st_gid) {
        Err(e) if e.errno() == Errno::INVAL => Ok(()),
        result => result,
    }
}
