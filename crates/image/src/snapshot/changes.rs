//! What was changed in a copy of a tree, found by comparing: as a directory in the form of an overlay's upper one.
//!
//! Whatever happens to a file, the kernel sets its time of change, which nobody else can. So one that looks as before (owner,
//! mode, size, time, attributes) and wasn't touched since the copy was made is the same; of one that was touched, the
//! content is compared.

use super::tree::{Links, directory};
use crate::copy::Copier;
use crate::failure::Failure;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use forgeone_sys::{AsFd, BorrowedFd, OwnedFd};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Collects what `now` has otherwise than `before` in `out`. `made` is younger than the copy.
pub(super) fn collect(
    now: BorrowedFd,
    before: BorrowedFd,
    out: BorrowedFd,
    made: &Metadata,
) -> Result<(), Failure> {
    let mut search = Search { links: Links::below(out), made: (made.ctime(), made.ctime_nsec()) };
    search.within(now, Some(before), out, Path::new(""))?;
    Copier::default().finish(&fs::fstat(now)?, now, out)
}

struct Search<'r> {
    links: Links<'r>,
    made: (i64, i64),
}

impl Search<'_> {
    /// Whether anything in a directory is otherwise.
    fn within(
        &mut self,
        now: BorrowedFd,
        before: Option<BorrowedFd>,
        out: BorrowedFd,
        path: &Path,
    ) -> Result<bool, Failure> {
        let names = |fd: BorrowedFd| -> Result<BTreeSet<_>, Failure> {
            Ok(fs::read_dir(fd)?.into_iter().map(|(name, _)| name).collect())
        };
        let (here, there) = (names(now)?, before.map(names).transpose()?.unwrap_or_default());
        for gone in there.difference(&here) {
            // overlayfs' mark of what was removed.
            fs::mknodat(out, gone, FileType::CharacterDevice, 0, 0, 0)?;
        }
        let mut changed = there.difference(&here).next().is_some();
        for name in &here {
            let place = fs::openat(now, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
            let old = match before.filter(|_| there.contains(name)) {
                Some(before) => {
                    Some(fs::openat(before, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?)
                }
                None => None,
            };
            let below = path.join(name);
            changed |= match kind(&fs::fstat(&place)?) {
                FileType::Directory => self.directory(now, old.as_ref(), out, &below)?,
                // Nobody listens at it any more.
                FileType::Socket => false,
                _ if old.as_ref().is_some_and(|old| matches!(self.is_same(&place, old), Ok(true))) => false,
                _ => {
                    self.links.place(now, out, &below)?;
                    true
                }
            };
        }
        Ok(changed)
    }

    fn directory(
        &mut self,
        now: BorrowedFd,
        old: Option<&OwnedFd>,
        out: BorrowedFd,
        path: &Path,
    ) -> Result<bool, Failure> {
        let name = path.file_name().unwrap_or_default();
        let inner = directory(now, name)?;
        let old = match old {
            Some(old) if kind(&fs::fstat(old)?) == FileType::Directory => {
                Some(directory(old.as_fd(), OsStr::new("."))?)
            }
            _ => None,
        };
        fs::mkdirat(out, name, 0o700)?;
        let made = directory(out, name)?;
        let changed = self.within(inner.as_fd(), old.as_ref().map(AsFd::as_fd), made.as_fd(), path)?;
        if !changed
            && let Some(old) = &old
            && looks_same(&inner, old)?
        {
            fs::unlinkat(out, name, AtFlags::REMOVEDIR)?;
            return Ok(false);
        }
        Copier::default().finish(&fs::fstat(&inner)?, inner.as_fd(), made.as_fd())?;
        Ok(true)
    }

    /// Whether what isn't a directory is as it was.
    fn is_same(&self, now: &OwnedFd, old: &OwnedFd) -> Result<bool, Failure> {
        if !looks_same(now, old)? {
            return Ok(false);
        }
        let stat = fs::fstat(now)?;
        Ok(match kind(&stat) {
            FileType::Symlink => fs::readlinkat(now, "")? == fs::readlinkat(old, "")?,
            FileType::RegularFile => {
                (stat.st_ctime, stat.st_ctime_nsec as i64) < self.made || has_same(now, old)?
            }
            _ => true,
        })
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether all but the content is the same.
fn looks_same(now: &OwnedFd, old: &OwnedFd) -> Result<bool, Failure> {
    let told = |stat: Stat| {
        let size = if kind(&stat) == FileType::Directory { 0 } else { stat.st_size };
        let owner = (stat.st_mode, stat.st_uid, stat.st_gid);
        (owner, stat.st_rdev, size, stat.st_mtime, stat.st_mtime_nsec)
    };
    if told(fs::fstat(now)?) != told(fs::fstat(old)?) {
        return Ok(false);
    }
    let attributes = |place: &OwnedFd| -> Result<Vec<_>, Failure> {
        // A link has none that a program could set.
        if kind(&fs::fstat(place)?) == FileType::Symlink {
            return Ok(Vec::new());
        }
        let path = fs::fd_path(place);
        let mut all = Vec::new();
        for name in fs::listxattr(&path)? {
            let value = fs::getxattr(&path, &name)?;
            all.push((name, value));
        }
        all.sort();
        Ok(all)
    };
    Ok(attributes(now)? == attributes(old)?)
}

/// Whether two regular files of the same size have the same content.
fn has_same(now: &OwnedFd, old: &OwnedFd) -> Result<bool, Failure> {
    let open = |place: &OwnedFd| fs::open(fs::fd_path(place), OFlags::RDONLY, Mode::empty()).map(File::from);
    let (mut now, mut old) = (open(now)?, open(old)?);
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = now.read(&mut ours).map_err(Failure::new)?;
        if read == 0 {
            return Ok(true);
        }
        if old.read_exact(&mut theirs[..read]).is_err() || ours[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}
