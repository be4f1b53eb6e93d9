//! Trees are copied entry by entry, beneath descriptors on both sides: no link is followed, none leads out.
//!
//! What is copied keeps its mode, time, extended attributes and further names; its owner too, unless another is said.
//! Contents are shared where the file system can, and holes stay.

use crate::failure::Failure;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd};
use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How trees are copied.
#[derive(Debug, Default)]
pub(crate) struct Copier {
    /// Whom everything belongs to afterwards; otherwise whom it belongs to.
    pub(crate) owner: Option<(u32, u32)>,
    /// Whether it is an overlay's upper directory, which says of directories that they hide what is below.
    changes: bool,
    /// Files with several names, by device and inode: where the first was copied to, below the top.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copier {
    /// That all belongs to this user and group.
    pub(crate) fn owned_by(owner: Option<(u32, u32)>) -> Self {
        Self { owner, ..Self::default() }
    }

    /// That an overlay's upper directory stays one.
    pub(crate) fn of_changes() -> Self {
        Self { changes: true, ..Self::default() }
    }

    /// Copies `name` in `from` to `to_name` in `to`, whatever it is; what is there and no directory is replaced.
    pub(crate) fn copy(
        &mut self,
        from: BorrowedFd,
        name: &OsStr,
        to: BorrowedFd,
        to_name: &OsStr,
    ) -> Result<(), Failure> {
        self.entry(from, name, to, to_name, (to, Path::new(to_name)))
    }

    /// Copies all that is in a directory, and what the directory itself is.
    pub(crate) fn content(&mut self, from: BorrowedFd, to: BorrowedFd) -> Result<(), Failure> {
        self.within(from, to, (to, Path::new("")))?;
        self.finish(&fs::fstat(from)?, from, to)
    }

    fn within(
        &mut self,
        from: BorrowedFd,
        to: BorrowedFd,
        (top, path): (BorrowedFd, &Path),
    ) -> Result<(), Failure> {
        for (name, _) in fs::read_dir(from)? {
            let below = path.join(&name);
            self.entry(from, &name, to, &name, (top, &below))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: BorrowedFd,
        name: &OsStr,
        to: BorrowedFd,
        to_name: &OsStr,
        (top, path): (BorrowedFd, &Path),
    ) -> Result<(), Failure> {
        let during = |failure: Failure| match failure.to_string().starts_with("copy ") {
            true => failure,
            false => failure.during(format_args!("copy {}", path.display())),
        };
        self.one(from, name, to, to_name, (top, path)).map_err(during)
    }

    fn one(
        &mut self,
        from: BorrowedFd,
        name: &OsStr,
        to: BorrowedFd,
        to_name: &OsStr,
        (top, path): (BorrowedFd, &Path),
    ) -> Result<(), Failure> {
        let place = fs::openat(from, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        let stat = fs::fstat(&place)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return self.directory(&place, &stat, to, to_name, (top, path));
        }
        let several = stat.st_nlink > 1;
        if several && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            remove(to, to_name)?;
            return Ok(fs::linkat(top, first, to, to_name, AtFlags::empty())?);
        }
        remove(to, to_name)?;
        match kind {
            FileType::RegularFile => {
                let source = fs::openat(
                    from,
                    name,
                    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK,
                    Mode::empty(),
                )?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let made = fs::openat(to, to_name, flags, Mode::from_raw_mode(0o600))?;
                content(&source, &made, stat.st_size as u64)?;
                self.finish(&stat, place.as_fd(), made.as_fd())?;
            }
            FileType::Symlink => {
                let target = fs::readlinkat(&place, "")?;
                fs::symlinkat(target, to, to_name)?;
                self.special(&stat, to, to_name)?;
            }
            FileType::Socket => return Ok(()),
            kind => {
                let (major, minor) = (fs::major(stat.st_rdev), fs::minor(stat.st_rdev));
                fs::mknodat(to, to_name, kind, 0, major, minor)?;
                self.special(&stat, to, to_name)?;
                let made = fs::openat(to, to_name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
                fs::fchmodat(fs::CWD, fs::fd_path(&made), stat.st_mode & 0o7777)?;
            }
        }
        if several {
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        Ok(())
    }

    fn directory(
        &mut self,
        place: &OwnedFd,
        stat: &Stat,
        to: BorrowedFd,
        to_name: &OsStr,
        top: (BorrowedFd, &Path),
    ) -> Result<(), Failure> {
        match fs::mkdirat(to, to_name, 0o700) {
            Err(e) if e.errno() == Errno::EXIST => {}
            made => made?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let made = fs::openat(to, to_name, flags, Mode::empty()).map_err(|e| match e.errno() {
            Errno::NOTDIR | Errno::LOOP => Failure::new("it is a directory, and what is there is none"),
            _ => e.into(),
        })?;
        self.within(place.as_fd(), made.as_fd(), top)?;
        self.finish(stat, place.as_fd(), made.as_fd())
    }

    /// Gives a file or directory what the other has: the owner first, since that takes away set-user-id and capabilities,
    /// and the time last.
    pub(crate) fn finish(&self, stat: &Stat, from: BorrowedFd, to: BorrowedFd) -> Result<(), Failure> {
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        fs::fchown(to, uid, gid)?;
        fs::fchmod(to, stat.st_mode & 0o7777)?;
        for name in fs::listxattr(fs::fd_path(from))? {
            if !is_overlayfs_own(&name) || (self.changes && name.to_bytes().ends_with(b".overlay.opaque")) {
                let value = fs::getxattr(fs::fd_path(from), &name)?;
                fs::setxattr(fs::fd_path(to), &name, &value)?;
            }
        }
        Ok(fs::futimens(to, &times(stat))?)
    }

    /// Owner and time of what can't be opened.
    fn special(&self, stat: &Stat, to: BorrowedFd, name: &OsStr) -> Result<(), Failure> {
        let made = fs::openat(to, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        fs::fchown(&made, uid, gid)?;
        Ok(fs::utimensat(to, name, &times(stat))?)
    }
}

/// Removes what would be replaced; a directory stays, so that what is no directory fails there.
fn remove(at: BorrowedFd, name: &OsStr) -> Result<(), Failure> {
    match fs::unlinkat(at, name, AtFlags::empty()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        Err(e) if e.errno() == Errno::ISDIR => {
            Err(Failure::new("it is no directory, and what is there is one"))
        }
        removed => Ok(removed?),
    }
}

/// Gives a new file the content of another: shared where the file system can, otherwise copied without its holes.
pub(crate) fn content(from: impl AsFd, to: impl AsFd, size: u64) -> Result<(), Failure> {
    if fs::ficlone(&to, &from).is_ok() {
        return Ok(());
    }
    let failed = |e: std::io::Error| Failure::new(format_args!("write: {e}"));
    let file = |fd: BorrowedFd| fd.try_clone_to_owned().map(File::from).map_err(failed);
    let (mut source, mut made) = (file(from.as_fd())?, file(to.as_fd())?);
    // Files of /proc have no size; some file systems can't tell their holes.
    if size == 0 || fs::next_data(&from, 0).is_err() {
        return std::io::copy(&mut source, &mut made).map(drop).map_err(failed);
    }
    let mut at = 0;
    while let Some((start, end)) = fs::next_data(&from, at)? {
        source
            .seek(SeekFrom::Start(start))
            .and_then(|_| made.seek(SeekFrom::Start(start)))
            .map_err(failed)?;
        std::io::copy(&mut (&mut source).take(end - start), &mut made).map_err(failed)?;
        at = end;
    }
    // What is written to meanwhile may have grown.
    made.set_len(size.max(at)).map_err(failed)
}

/// Whether an attribute is overlayfs' own note, which means nothing elsewhere.
pub(crate) fn is_overlayfs_own(name: &CStr) -> bool {
    let name = OsStr::from_bytes(name.to_bytes()).as_encoded_bytes();
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

fn times(stat: &Stat) -> Timestamps {
    let changed = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
    Timestamps { last_access: changed, last_modification: changed }
}
