//! The kernel's `/proc`, reached by a descriptor that was checked.
//!
//! What is written here decides about security: LSM labels, sysctls, id maps. A `/proc` that is something else, or in
//! which another file was mounted over the one that is meant, must not get the write (CVE-2019-16884, CVE-2019-19921,
//! CVE-2025-52881). So `/proc` is opened once, before there is a container; it must be the root of a procfs; and
//! every path below it must stay in that one mount, with no symbolic link on the way.
//!
//! The handle is good in whatever namespaces the process enters afterwards: parameters below `sys` belong to the
//! namespaces of the task that writes, and `self` is looked up anew each time.

use crate::error::{Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use forgeone_sys::{Errno, Error as SysError};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The inode of a procfs' root (`PROC_ROOT_INO`).
const ROOT_INODE: u64 = 1;

/// Nothing leads out of the one mount, and no link is followed.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A procfs, by its root.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
    /// Whether openat2(2) is to be had.
    openat2: Cell<bool>,
}

impl Procfs {
    /// Opens `/proc` and checks that it is the root of a procfs.
    ///
    /// # Errors
    /// The kernel's answer, or [`Kind::System`] if it is something else.
    pub fn open() -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let root = fs::openat(CWD, c"/proc", flags, Mode::empty())?;
        if !fs::is_procfs(&root)? || fs::fstat(&root)?.st_ino != ROOT_INODE {
            return Err(Error::new(Kind::System, "/proc: not the root of a proc file system"));
        }
        Ok(Self { root, openat2: Cell::new(true) })
    }

    /// Writes `value` into the file `path` below `/proc`, in a single write(2). A first component `self` is the
    /// calling process.
    ///
    /// # Errors
    /// The kernel's answer; `EXDEV` or `ELOOP` if the path leaves the procfs.
    pub fn write(&self, path: &str, value: &[u8]) -> forgeone_sys::Result<()> {
        fs::write_once(self.open_for_writing(path)?, value)
    }

    /// Opens the file `path` below `/proc` for writing, as [`Procfs::write`] does.
    ///
    /// # Errors
    /// As for [`Procfs::write`].
    pub fn open_for_writing(&self, path: &str) -> forgeone_sys::Result<OwnedFd> {
        self.locate(path, OFlags::WRONLY | OFlags::NOCTTY)
    }

    /// The content of the file `path` below `/proc`.
    ///
    /// # Errors
    /// The kernel's answer, `EFBIG` beyond `max` bytes.
    pub fn read(&self, path: &str, max: usize) -> forgeone_sys::Result<Vec<u8>> {
        fs::read_to_end(self.locate(path, OFlags::RDONLY | OFlags::NOCTTY)?, max)
    }

    /// The same of a file that is made as a whole ([`fs::read_regular`]) and may be missing.
    ///
    /// # Errors
    /// As for [`Procfs::read`].
    pub fn read_if_there(&self, path: &str, max: usize) -> forgeone_sys::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY;
        let file = if self.openat2.get() && !path.starts_with("self/") {
            match fs::openat2_if_there(&self.root, path, flags, WITHIN) {
                Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => self.locate(path, flags),
                Ok(None) => return Ok(None),
                Ok(Some(file)) => Ok(file),
                Err(e) => Err(e),
            }
        } else {
            self.locate(path, flags)
        };
        match file {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            file => fs::read_regular(file?, max).map(Some),
        }
    }

    /// Opens the namespace `path`, such as `42/ns/net`; `None` where this kernel has no such kind.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn namespace(&self, path: &str) -> forgeone_sys::Result<Option<OwnedFd>> {
        // The last component is a magic link, which is what is wanted here: only the way to it is checked.
        let (dir, name) = path.rsplit_once('/').unwrap_or((path, ""));
        let dir = self.locate(dir, OFlags::PATH | OFlags::DIRECTORY)?;
        match fs::openat(&dir, name, OFlags::RDONLY, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// The directory of the caller's own namespaces, with a magic link for each kind that this kernel has.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn own_namespaces(&self) -> forgeone_sys::Result<OwnedFd> {
        self.locate("self/ns", OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Whether there is an entry `name` right below `/proc`.
    pub(super) fn has(&self, name: &str) -> bool {
        fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The caller's directory of descriptors, for calls that take a path only: with it as the current directory, the
    /// path `7` is whatever descriptor 7 is.
    pub(super) fn descriptors(&self) -> std::result::Result<OwnedFd, SysError> {
        self.locate("self/fd", OFlags::PATH | OFlags::DIRECTORY)
    }

    fn locate(&self, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, SysError> {
        match path.strip_prefix("self/") {
            None => self.resolve(path, flags),
            Some(rest) => {
                let own = fs::readlinkat(&self.root, c"self")?;
                self.resolve(&format!("{}/{rest}", own.display()), flags)
            }
        }
    }

    fn resolve(&self, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, SysError> {
        if self.openat2.get() {
            match fs::openat2(&self.root, path, flags, Mode::empty(), WITHIN) {
                Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => {}
                result => return result,
            }
            // EPERM may be the file's own answer: then the walk gives it as well, and openat2 is asked again.
        }
        let found = self.walk(path, flags)?;
        self.openat2.set(false);
        Ok(found)
    }

    /// What openat2 does, one component at a time.
    fn walk(&self, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, SysError> {
        let mount = fs::mount_id(&self.root)?;
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut current: Option<OwnedFd> = None;
        for part in dirs.split('/').filter(|part| !part.is_empty()) {
            let dir = current.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            current = Some(step(dir, part, OFlags::PATH, mount)?);
        }
        let dir = current.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
        // First as a mere place: what was mounted over the file may be a device that acts when it is opened.
        let place = step(dir, name, OFlags::PATH, mount)?;
        match flags.contains(OFlags::PATH) {
            true => Ok(place),
            false => step(dir, name, flags, mount),
        }
    }
}

impl AsFd for Procfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens one component, which must be in the same mount and no symbolic link.
fn step(dir: BorrowedFd, name: &str, flags: OFlags, mount: u64) -> std::result::Result<OwnedFd, SysError> {
    let fail = |errno| Err(SysError::new(format!("openat(/proc, {name:?})"), errno));
    if matches!(name, "" | "." | "..") {
        return fail(Errno::INVAL);
    }
    let found = fs::openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    if fs::mount_id(&found)? != mount || !fs::is_procfs(&found)? {
        return fail(Errno::XDEV);
    }
    if FileType::from_raw_mode(fs::fstat(&found)?.st_mode) == FileType::Symlink {
        return fail(Errno::LOOP);
    }
    Ok(found)
}

/// Whether two paths are one and the same file; `false` if either can't be looked at.
pub(super) fn same_file(a: &Path, b: &str) -> bool {
    let identity = |stat: fs::Stat| (stat.st_dev, stat.st_ino);
    match (fs::statat(CWD, a, AtFlags::empty()), fs::statat(CWD, b, AtFlags::empty())) {
        (Ok(a), Ok(b)) => identity(a) == identity(b),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn both() -> [Procfs; 2] {
        let walking = Procfs::open().unwrap();
        walking.openat2.set(false);
        [Procfs::open().unwrap(), walking]
    }

    #[test]
    fn files_of_the_caller_and_of_the_kernel_are_read() {
        for procfs in both() {
            let status = String::from_utf8(procfs.read("self/status", 1 << 16).unwrap()).unwrap();
            assert!(status.contains(&format!("\nPid:\t{}\n", std::process::id())));
            assert!(!procfs.read("sys/kernel/ostype", 100).unwrap().is_empty());
            assert!(procfs.has("version") && !procfs.has("no-such-file"));
            let descriptors = procfs.descriptors().unwrap();
            assert!(fs::read_dir(descriptors).unwrap().len() > 3);
        }
    }

    #[test]
    fn links_and_ways_out_are_refused() {
        for procfs in both() {
            let errno = |path: &str| procfs.locate(path, OFlags::RDONLY).unwrap_err().errno();
            assert_eq!(errno("self/exe"), Errno::LOOP);
            assert_eq!(errno("self/root/etc/passwd"), Errno::LOOP);
            assert_eq!(errno("mounts"), Errno::LOOP);
            assert!(matches!(errno("../etc/passwd"), Errno::XDEV | Errno::INVAL));
            assert!(matches!(errno("sys/../../etc"), Errno::XDEV | Errno::INVAL));
            assert_eq!(errno("no-such-file"), Errno::NOENT);
        }
    }
}
