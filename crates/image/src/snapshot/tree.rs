//! Trees: what an overlay of layers would show, in one directory. Files are further names of those of the layers, so that a
//! tree takes hardly any room; where that can't be, as in a subvolume of btrfs, copies that share their content.

use super::{Beside, Changes, changes};
use crate::container::{Container, open, open_for_reading};
use crate::copy::Copier;
use crate::failure::Failure;
use crate::pack::{is_opaque, is_whiteout};
use forgeone_runtime::registry::rootfs::{Base, TREE};
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd, btrfs};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What has been changed in a container's tree is kept here while it is looked at.
const CHANGES: &str = "changes";

/// Makes the directory of a tree: a subvolume where there are any.
pub(crate) fn create(path: &Path) -> Result<(), Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format_args!("{}: {e}", path.display()));
    if let Some((parent, name)) = path.parent().zip(path.file_name()) {
        let parent = open_for_reading(parent)?;
        if btrfs::is_btrfs(&parent)? {
            return Ok(btrfs::create(&parent, name)?);
        }
    }
    std::fs::create_dir(path).map_err(|e| failed(&e))
}

/// Removes a directory, with subvolumes in it.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format_args!("remove {}: {e}", path.display()));
    if let Some((parent, name)) = path.parent().zip(path.file_name())
        && btrfs::is_subvolume(open_for_reading(path)?)?
        && btrfs::destroy(open_for_reading(parent)?, name).is_ok()
    {
        return Ok(());
    }
    let directory = open_for_reading(path)?;
    for (name, _) in fs::read_dir(&directory)? {
        let inner = fs::openat(&directory, &name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        if btrfs::is_subvolume(&inner)? {
            // Who mayn't, removes what is in it one by one.
            let _ = btrfs::destroy(&directory, &name);
        }
    }
    std::fs::remove_dir_all(path).map_err(failed)
}

/// Lays a layer over a tree, as overlayfs does.
pub(crate) fn lay(layer: &Path, tree: &Path) -> Result<(), Failure> {
    let (from, to) = (open_for_reading(layer)?, open_for_reading(tree)?);
    let mut links = Links::below(to.as_fd());
    within(from.as_fd(), to.as_fd(), Path::new(""), &mut links)?;
    finish(&from, &to)
}

fn within(from: BorrowedFd, to: BorrowedFd, path: &Path, links: &mut Links) -> Result<(), Failure> {
    for (name, kind) in fs::read_dir(from)? {
        let stat = fs::statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if is_whiteout(&stat) {
            clear(to, &name)?;
            continue;
        }
        let below = path.join(&name);
        if kind != FileType::Directory {
            clear(to, &name)?;
            links.place(from, to, &below)?;
            continue;
        }
        let inner = directory(from, &name)?;
        let there = fs::statat(to, &name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let merges = there.is_some_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Directory);
        if !merges || is_opaque(&inner)? {
            clear(to, &name)?;
            fs::mkdirat(to, &name, 0o700)?;
        }
        let made = directory(to, &name)?;
        within(inner.as_fd(), made.as_fd(), &below, links)?;
        finish(&inner, &made)?;
    }
    Ok(())
}

/// Gives a directory what the one above it has; nothing of its own stays.
fn finish(above: &OwnedFd, made: &OwnedFd) -> Result<(), Failure> {
    let names = fs::listxattr(fs::fd_path(above))?;
    for name in fs::listxattr(fs::fd_path(made))?.iter().filter(|name| !names.contains(name)) {
        fs::removexattr(fs::fd_path(made), name)?;
    }
    Copier::default().finish(&fs::fstat(above)?, above.as_fd(), made.as_fd())
}

/// Removes what has a name, whatever it is.
fn clear(at: BorrowedFd, name: &OsStr) -> Result<(), Failure> {
    match fs::unlinkat(at, name, AtFlags::empty()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        Err(e) if e.errno() == Errno::ISDIR => {
            let path = fs::fd_path(at).join(name);
            std::fs::remove_dir_all(path)
                .map_err(|e| Failure::new(format_args!("remove {}: {e}", name.display())))
        }
        removed => Ok(removed?),
    }
}

pub(super) fn directory(at: BorrowedFd, name: &OsStr) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(fs::openat(at, name, flags, Mode::empty())?)
}

/// Files of one tree that come into another, by further names or as copies.
pub(super) struct Links<'r> {
    root: BorrowedFd<'r>,
    /// Where the copies of those are that had several names, by device and inode.
    copied: HashMap<(u64, u64), PathBuf>,
}

impl<'r> Links<'r> {
    pub(super) fn below(root: BorrowedFd<'r>) -> Self {
        Self { root, copied: HashMap::new() }
    }

    /// Brings what `from` has under the last name of a path to `to`, which is that path's directory below the root.
    pub(super) fn place(&mut self, from: BorrowedFd, to: BorrowedFd, path: &Path) -> Result<(), Failure> {
        let name = path.file_name().unwrap_or_default();
        match fs::linkat(from, name, to, name, AtFlags::empty()) {
            Err(e) if matches!(e.errno(), Errno::XDEV | Errno::MLINK | Errno::PERM) => {}
            linked => return Ok(linked?),
        }
        let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let known = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.copied.get(&known) {
            return Ok(fs::linkat(self.root, first, to, name, AtFlags::empty())?);
        }
        Copier::default().copy(from, name, to, name)?;
        if stat.st_nlink > 1 {
            self.copied.insert(known, path.to_owned());
        }
        Ok(())
    }
}

/// What a container has changed in its copy of a tree.
pub(super) fn changes(container: &Container) -> Result<Changes, Failure> {
    let Base::Tree(base) = &container.record.rootfs.base else {
        return Err(Failure::new("it was made without a tree"));
    };
    let failed = |e: std::io::Error| Failure::new(format_args!("{}: {e}", container.directory.display()));
    // All that was copied when it was made is older than what was written last then.
    let made = container.directory.join("image.json").metadata().map_err(failed)?;
    let beside = Beside(container.directory.join(CHANGES));
    if beside.0.exists() {
        // Of one that was killed.
        std::fs::remove_dir_all(&beside.0).map_err(failed)?;
    }
    std::fs::create_dir(&beside.0).map_err(failed)?;
    let (now, out) = (open_for_reading(&container.directory.join(TREE))?, open_for_reading(&beside.0)?);
    let before =
        open_for_reading(base).map_err(|failure| failure.followed("; pull or load the image again"))?;
    changes::collect(now.as_fd(), before.as_fd(), out.as_fd(), &made)?;
    Ok(Changes { base: open(base)?, changes: out, _mounted: None, _beside: Some(beside) })
}
