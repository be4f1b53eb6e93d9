//! `diff`: what a container has added (A), changed (C) and removed (D).

use super::Container;
use crate::config;
use crate::failure::Failure;
use crate::pack::{is_opaque, is_whiteout};
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// Prints a line for each, in the order of their names.
pub(super) fn print(container: &Container) -> Result<(), Failure> {
    let Some(found) = container.changes()? else { return Ok(()) };
    let mut text = String::new();
    walk(found.changes.as_fd(), Some(found.base.as_fd()), Path::new("/"), &mut text)?;
    config::print(&text)
}

fn walk(
    changes: BorrowedFd,
    base: Option<BorrowedFd>,
    path: &Path,
    text: &mut String,
) -> Result<(), Failure> {
    let mut names: BTreeSet<OsString> = fs::read_dir(changes)?.into_iter().map(|(name, _)| name).collect();
    let hides = is_opaque(&fs::openat(changes, ".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?)?;
    if let Some(base) = base.filter(|_| hides) {
        let base = fs::openat(base, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        names.extend(fs::read_dir(base)?.into_iter().map(|(name, _)| name));
    }
    for name in names {
        let stat = match fs::statat(changes, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(e) if hides && e.errno() == Errno::NOENT => None,
            stat => Some(stat?),
        };
        let before = base.and_then(|base| fs::statat(base, &name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let what = match (stat.as_ref().filter(|stat| !is_whiteout(stat)), before) {
            (None, _) => 'D',
            (Some(_), Some(_)) => 'C',
            (Some(_), None) => 'A',
        };
        let below = path.join(&name);
        text.push_str(&format!("{what} {}\n", below.display().to_string().escape_debug()));
        if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
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
