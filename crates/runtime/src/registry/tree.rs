//! Removing trees: never through a mount, never through a link.
//!
//! Whoever removes a container may see what is mounted in its directory, its monitor does: a directory of the user's that
//! is a root file system must not be emptied with it.

use crate::error::{Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::mount::{self, UnmountFlags};
use forgeone_sys::{BorrowedFd, Errno, btrfs};
use std::os::fd::AsFd;
use std::path::Path;

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// How deep directories may be nested; each level holds a descriptor.
const DEPTH_MAX: u32 = 500;

/// Removes what is at a path, whatever it is; nothing there is no error.
///
/// # Errors
/// The kernel's answer; EBUSY if something is mounted in it.
pub(super) fn remove(path: &Path) -> Result<()> {
    let dir = match fs::open(path, OPEN_DIR, Mode::empty()) {
        Err(e) if e.errno() == Errno::NOENT => return Ok(()),
        Err(e) if matches!(e.errno(), Errno::NOTDIR | Errno::LOOP) => {
            return Ok(fs::unlinkat(fs::CWD, path, AtFlags::empty())?);
        }
        opened => opened?,
    };
    empty(dir.as_fd(), fs::mount_id(&dir)?, 0)?;
    drop(dir);
    match fs::unlinkat(fs::CWD, path, AtFlags::REMOVEDIR) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        removed => Ok(removed?),
    }
}

fn empty(dir: BorrowedFd, mount: u64, depth: u32) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::new(Kind::System, "directories are nested too deep"));
    }
    for (name, _) in fs::read_dir(dir)? {
        match fs::unlinkat(dir, &name, AtFlags::empty()) {
            Err(e) if matches!(e.errno(), Errno::ISDIR | Errno::PERM) => {}
            Err(e) if e.errno() == Errno::NOENT => continue,
            removed => {
                removed?;
                continue;
            }
        }
        let inner = match fs::openat(dir, &name, OPEN_DIR, Mode::empty()) {
            // A directory without the right to read it, as overlayfs' own is.
            Err(e) if e.errno() == Errno::ACCESS => {
                fs::fchmodat(dir, &name, 0o700)?;
                fs::openat(dir, &name, OPEN_DIR, Mode::empty())?
            }
            opened => opened?,
        };
        if fs::mount_id(&inner)? != mount {
            let place = fs::readlinkat(fs::CWD, fs::fd_path(&inner)).unwrap_or_default();
            return Err(Error::new(Kind::System, format!("something is mounted at {}", place.display())));
        }
        // All at once, where that is possible.
        if btrfs::is_subvolume(&inner)? && btrfs::destroy(dir, &name).is_ok() {
            continue;
        }
        empty(inner.as_fd(), mount, depth + 1)?;
        drop(inner);
        fs::unlinkat(dir, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Takes away what the caller sees mounted at these places of a directory, as far as that is anything.
pub(super) fn unmount(directory: &Path, places: &[&str]) {
    for place in places.iter().rev() {
        let path = directory.join(place);
        // Nothing is mounted there (EINVAL), or it isn't ours to unmount: then removing says so.
        while mount::umount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    }
}
