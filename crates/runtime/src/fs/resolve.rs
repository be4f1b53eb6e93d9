//! Paths of the container, resolved inside its root and nowhere else.
//!
//! A container's tree is hostile: any component may be a symbolic link, and another container that shares a volume may
//! swap components while they are looked at. So a path is resolved once, into a descriptor, and only the descriptor
//! is used afterwards. Absolute links and `..` end at the root, as for a process that was chrooted into it; magic links
//! (`/proc/self/fd/3`) are refused with ELOOP.
//!
//! openat2(2) with `RESOLVE_IN_ROOT` does that in the kernel (Linux 5.6). Where it is missing, and wherever something on
//! the way has to be made, [`Walk`] does it one component at a time: each is opened by `O_PATH|O_NOFOLLOW` beneath a
//! descriptor, a link's text is put in front of what is left, and `..` goes back to the descriptor that led here:
//! `..` is never looked up, so no rename can make it lead above the root.
//!
//! What is made is made by mkdirat(2) or mknodat(2), which never follow a link, and then looked up like everything else.

use crate::faults;
use forgeone_sys::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use forgeone_sys::{Errno, Error, Result};
use std::cell::Cell;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How many links are followed and how often something is made anew, as in the kernel (`MAXSYMLINKS`).
const STEPS_MAX: u32 = 40;
/// The inode of a procfs' root (`PROC_ROOT_INO`).
const PROC_ROOT_INODE: u64 = 1;

/// Whether symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Inside the root.
    Follow,
    /// Not at all: any is an error (ELOOP).
    Refuse,
}

/// What is made where there is nothing; directories on the way get mode 0755.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Nothing: it is an error (ENOENT).
    Nothing,
    /// A directory of this mode.
    Directory(u32),
    /// An empty file of this mode.
    File(u32),
}

/// Resolves paths; knows whether the kernel can.
#[derive(Debug)]
pub struct Resolver {
    openat2: Cell<bool>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { openat2: Cell::new(true) }
    }
}

impl Resolver {
    /// A resolver that does without openat2(2).
    #[cfg(test)]
    pub(super) fn walking() -> Self {
        Self { openat2: Cell::new(false) }
    }

    /// Opens `path` inside `root` as a mere place (`O_PATH`).
    ///
    /// # Errors
    /// The kernel's answer; `ELOOP` for magic links and, if asked, for all links.
    pub fn open(&self, root: impl AsFd, path: &str, links: Links) -> Result<OwnedFd> {
        self.open_with(root.as_fd(), path, OFlags::PATH, links)
    }

    /// The same for what may be missing: `None` if there is nothing.
    ///
    /// # Errors
    /// As for [`Resolver::open`], but for `ENOENT`.
    pub fn find(&self, root: impl AsFd, path: &str, links: Links) -> Result<Option<OwnedFd>> {
        if self.openat2.get() {
            match fs::openat2_if_there(&root, path, OFlags::PATH, within(links)) {
                Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
                found => return found,
            }
        }
        match self.open(root, path, links) {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens the regular file `path` inside `root` for reading.
    ///
    /// # Errors
    /// The kernel's answer; `EINVAL` if it is something else than a regular file.
    pub fn read(&self, root: impl AsFd, path: &str) -> Result<OwnedFd> {
        // Without waiting for whoever writes, should it be a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = self.open_with(root.as_fd(), path, flags, Links::Follow)?;
        match kind(&file)? {
            FileType::RegularFile => Ok(file),
            _ => Err(Error::new(format!("openat(<root>, {path:?}): not a regular file"), Errno::INVAL)),
        }
    }

    /// Opens `path` inside `root` as a mere place, and makes it and what leads to it where it is missing; also says
    /// whether it was there before.
    ///
    /// # Errors
    /// The kernel's answer, as for [`Resolver::open`].
    pub fn make(&self, root: impl AsFd, path: &str, links: Links, make: Make) -> Result<(OwnedFd, bool)> {
        let root = root.as_fd();
        if make == Make::Nothing {
            return self.open(root, path, links).map(|found| (found, true));
        }
        if let Some(found) = self.find(root, path, links)? {
            return Ok((found, true));
        }
        match self.make_last(root, path, links, make)? {
            Some(made) => Ok((made, false)),
            None => Ok((Walk::new(root, links, make).open(path)?, false)),
        }
    }

    /// The directory `path` inside `root`, made where it is missing, by whatever bytes it is named.
    ///
    /// # Errors
    /// As for [`Resolver::make`]; `ENOTDIR` if it is something else.
    pub fn directory(&self, root: impl AsFd, path: &[u8]) -> Result<OwnedFd> {
        let (root, flags) = (root.as_fd(), OFlags::PATH | OFlags::DIRECTORY);
        if self.openat2.get()
            && let Ok(found) = fs::openat2(root, path, flags, Mode::empty(), within(Links::Follow))
        {
            return Ok(found);
        }
        let mut path = path.to_vec();
        path.push(b'/');
        Walk::new(root, Links::Follow, Make::Directory(0o755)).open_as(&path, OFlags::PATH)
    }

    /// The directory that holds `path` inside `root`, made where it is missing, and the last component.
    ///
    /// # Errors
    /// As for [`Resolver::make`].
    pub fn parent<'p>(&self, root: impl AsFd, path: &'p str) -> Result<(OwnedFd, &'p str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { "/" } else { parent };
        let (dir, _) = self.make(root, parent, Links::Follow, Make::Directory(0o755))?;
        Ok((dir, name))
    }

    fn open_with(&self, root: BorrowedFd, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
        if faults::without("in-root") {
            let below = path.trim_start_matches('/');
            return fs::openat(root, if below.is_empty() { "." } else { below }, flags, Mode::empty());
        }
        if self.openat2.get() {
            match fs::openat2(root, path, flags, Mode::empty(), within(links)) {
                Err(e) if e.errno() == Errno::NOSYS => self.openat2.set(false),
                // A filter's answer, or the file's own: then the walk has the same. Or somebody renames without end,
                // which the walk doesn't mind.
                Err(e) if matches!(e.errno(), Errno::PERM | Errno::AGAIN) => {}
                result => return result,
            }
        }
        Walk::new(root, links, Make::Nothing).open_as(path.as_bytes(), flags)
    }

    /// The usual case, in three calls beside the close: all is there but the last component. `None` if it isn't the usual case.
    fn make_last(&self, root: BorrowedFd, path: &str, links: Links, make: Make) -> Result<Option<OwnedFd>> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Ok(None) };
        if matches!(name, "" | "." | "..") || !self.openat2.get() {
            return Ok(None);
        }
        let Ok(dir) = self.open(root, if parent.is_empty() { "/" } else { parent }, links) else {
            return Ok(None);
        };
        create(dir.as_fd(), name.as_bytes(), make)?;
        let place = OFlags::PATH | OFlags::NOFOLLOW;
        if matches!(make, Make::Directory(_)) {
            // Something else that is there meanwhile is looked at by the walk.
            return Ok(fs::openat(&dir, name, place | OFlags::DIRECTORY, Mode::empty()).ok());
        }
        let made = fs::openat(&dir, name, place, Mode::empty())?;
        Ok((kind(&made)? != FileType::Symlink).then_some(made))
    }
}

fn within(links: Links) -> ResolveFlags {
    let mut within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    within.set(ResolveFlags::NO_SYMLINKS, links == Links::Refuse);
    within
}

fn kind(fd: impl AsFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fs::fstat(fd)?.st_mode))
}

/// Makes one component; that it is there meanwhile is no error, since it is looked up again.
fn create(dir: BorrowedFd, name: &[u8], make: Make) -> Result<()> {
    let made = match make {
        Make::Nothing => Ok(()),
        Make::Directory(mode) => fs::mkdirat(dir, name, mode),
        Make::File(mode) => fs::mknodat(dir, name, FileType::RegularFile, mode, 0, 0),
    };
    match made {
        Err(e) if e.errno() == Errno::EXIST => Ok(()),
        result => result,
    }
}

/// A resolution one component at a time.
struct Walk<'r> {
    root: BorrowedFd<'r>,
    links: Links,
    make: Make,
    /// What was entered below the root, each beneath the one before, and its name there.
    entered: Vec<(OwnedFd, OsString)>,
    /// What is left of the path, the next component last.
    rest: Vec<OsString>,
    steps: u32,
}

impl<'r> Walk<'r> {
    fn new(root: BorrowedFd<'r>, links: Links, make: Make) -> Self {
        Self { root, links, make, entered: Vec::new(), rest: Vec::new(), steps: 0 }
    }

    fn open(self, path: &str) -> Result<OwnedFd> {
        self.open_as(path.as_bytes(), OFlags::PATH)
    }

    /// Resolves `path` and opens what it leads to.
    fn open_as(mut self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        self.push(path);
        while let Some(part) = self.rest.pop() {
            match part.as_bytes() {
                b"." => {}
                b".." => drop(self.entered.pop()),
                name => self.enter(name)?,
            }
        }
        self.finish(flags)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(self.root, |(fd, _)| fd.as_fd())
    }

    fn fail<T>(&self, name: &[u8], errno: Errno) -> Result<T> {
        let place = fs::readlinkat(fs::CWD, fs::fd_path(self.here()))
            .map_or_else(|_| "<directory>".to_owned(), |path| format!("<{}>", path.display()));
        let name = String::from_utf8_lossy(name);
        Err(Error::new(format!("openat({place}, {name:?}, O_PATH|O_NOFOLLOW)"), errno))
    }

    /// Puts a path in front of what is left. A slash at the end asks for a directory, as `.` does.
    fn push(&mut self, path: &[u8]) {
        let mut parts = path.split(|byte| *byte == b'/').rev();
        if path.ends_with(b"/") {
            parts.next();
            self.rest.push(".".into());
        }
        let named = parts.filter(|part| !part.is_empty());
        self.rest.extend(named.map(|part| OsString::from_vec(part.to_vec())));
    }

    /// Counts what could go on for ever.
    fn count(&mut self, name: &[u8]) -> Result<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX { self.fail(name, Errno::LOOP) } else { Ok(()) }
    }

    fn enter(&mut self, name: &[u8]) -> Result<()> {
        let found = match fs::openat(self.here(), name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT && self.make != Make::Nothing => return self.create(name),
            result => result?,
        };
        match kind(&found)? {
            FileType::Symlink => return self.follow(name, found),
            FileType::Directory => {}
            _ if self.rest.is_empty() => {}
            _ => return self.fail(name, Errno::NOTDIR),
        }
        self.entered.push((found, OsString::from_vec(name.to_vec())));
        Ok(())
    }

    /// Makes a missing component and has it looked up again.
    fn create(&mut self, name: &[u8]) -> Result<()> {
        self.count(name)?;
        let last = self.rest.is_empty();
        create(self.here(), name, if last { self.make } else { Make::Directory(0o755) })?;
        self.rest.push(OsString::from_vec(name.to_vec()));
        Ok(())
    }

    fn follow(&mut self, name: &[u8], link: OwnedFd) -> Result<()> {
        if self.links == Links::Refuse || self.is_magic(&link)? {
            return self.fail(name, Errno::LOOP);
        }
        self.count(name)?;
        let target = fs::readlinkat(&link, "")?.into_os_string().into_vec();
        if target.is_empty() {
            return self.fail(name, Errno::NOENT);
        }
        if target.starts_with(b"/") {
            self.entered.clear();
        }
        self.push(&target);
        Ok(())
    }

    /// Whether a link of procfs jumps instead of naming: all do but those right below its root (`self`, `mounts`, …).
    fn is_magic(&self, link: &OwnedFd) -> Result<bool> {
        Ok(fs::is_procfs(link)? && fs::fstat(self.here())?.st_ino != PROC_ROOT_INODE)
    }

    fn finish(mut self, flags: OFlags) -> Result<OwnedFd> {
        let Some((place, name)) = self.entered.pop() else {
            return fs::openat(self.root, ".", flags, Mode::empty());
        };
        if flags.contains(OFlags::PATH) {
            return Ok(place);
        }
        // In earnest, which is fine as long as the name still stands for what was found.
        let file = fs::openat(self.here(), &name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        match same(&file, &place)? {
            true => Ok(file),
            false => self.fail(name.as_bytes(), Errno::AGAIN),
        }
    }
}

/// Whether two descriptors are of one and the same file.
pub(super) fn same(a: impl AsFd, b: impl AsFd) -> Result<bool> {
    let (a, b) = (fs::fstat(a)?, fs::fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

#[cfg(test)]
mod tests;
