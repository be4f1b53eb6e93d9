//! `diff`: what a container has added (A), changed (C) and removed (D).

use super::Container;
use crate::config;
use crate::failure::Failure;
use crate::pack::is_whiteout;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Prints a line for each, in the order of their names.
pub(super) fn print(container: &Container) -> Result<(), Failure> {
    super::alone()?;
    let (_mounted, changes) = container.record.rootfs.mount_base(&container.target())?;
    if !changes.is_dir() {
        return Ok(());
    }
    let (base, changes) = (super::open(&container.target())?, super::open(&changes)?);
    let mut text = String::new();
    walk(changes.as_fd(), Some(base.as_fd()), Path::new("/"), &mut text)?;
    config::print(&text)
}

fn walk(
    changes: BorrowedFd,
    base: Option<BorrowedFd>,
    path: &Path,
    text: &mut String,
) -> Result<(), Failure> {
    let mut names = fs::read_dir(changes)?;
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let stat = fs::statat(changes, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let before = base.and_then(|base| fs::statat(base, &name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let what = match (is_whiteout(&stat), before) {
            (true, _) => 'D',
            (false, Some(_)) => 'C',
            (false, None) => 'A',
        };
        let below = path.join(&name);
        text.push_str(&format!("{what} {}\n", below.display().to_string().escape_debug()));
        if kind == FileType::Directory {
            let inside = directory(changes, &name)?;
            let base = base.and_then(|base| directory(base, &name).ok());
            walk(inside.as_fd(), base.as_ref().map(AsFd::as_fd), &below, text)?;
        }
    }
    Ok(())
}

fn directory(at: BorrowedFd, name: &std::ffi::OsStr) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(fs::openat(at, name, flags, Mode::empty())?)
}
