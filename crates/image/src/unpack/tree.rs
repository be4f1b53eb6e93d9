//! The directory that a layer is unpacked into: each entry is made beneath a descriptor of the directory that holds it.

use super::Attributes;
use crate::failure::Failure;
use forgeone_runtime::fs::Resolver;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use forgeone_sys::{Errno, Result as Sys};
use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest path, in bytes (`PATH_MAX`, without its end).
const PATH_MAX: usize = 4095;

/// How much of a file is copied at once, in bytes; what of it is zero becomes a hole.
const BLOCK: usize = 64 << 10;

/// A name that removes another one, and the one that hides all that lower layers have here.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A regular file of this size in bytes.
    File(u64),
    Directory,
    Symlink(Vec<u8>),
    /// A further name of what this path names.
    Link(Vec<u8>),
    Fifo,
    Device,
}

/// The directory, while it is filled.
pub(super) struct Tree<'d> {
    root: BorrowedFd<'d>,
    resolver: Resolver,
    parent: Option<Parent>,
    /// What the disk has room for, in bytes, and how much of that was used.
    room: u64,
    size: u64,
    block: Box<[u8]>,
}

/// The directory that the last entry was made in.
struct Parent {
    path: Vec<u8>,
    fd: OwnedFd,
    /// When its own entry says that it was changed: making entries in it changes that.
    times: Timestamps,
}

impl<'d> Tree<'d> {
    pub(super) fn new(root: BorrowedFd<'d>) -> Result<Self, Failure> {
        let disk = fs::fstatfs(root)?;
        let room = disk.f_bavail.saturating_mul(disk.f_bsize as u64);
        let block = vec![0; BLOCK].into();
        Ok(Self { root, resolver: Resolver::default(), parent: None, room, size: 0, block })
    }

    /// How much the regular files hold.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        self.leave()?;
        Ok(self.size)
    }

    /// Makes an entry; a file's content is read.
    pub(super) fn add(
        &mut self,
        path: &[u8],
        kind: &Kind,
        attributes: &Attributes,
        content: impl Read,
    ) -> Result<(), Failure> {
        let path = components(path)?;
        let Some((name, directory)) = path.split_last() else {
            return self.root_itself(kind, attributes);
        };
        self.enter(&directory.join(&b'/'))?;
        if name.starts_with(WHITEOUT) {
            return self.remove(name);
        }
        if matches!(kind, Kind::Device) {
            return match path[0] {
                b"dev" => Ok(()),
                _ => Err(Failure::new("is a device; devices are given to containers when they start")),
            };
        }
        match kind {
            Kind::File(size) => self.file(name, *size, attributes, content)?,
            Kind::Directory => self.directory(name, attributes)?,
            Kind::Link(target) => self.link(name, target)?,
            Kind::Symlink(target) => {
                once(fs::symlinkat(&target[..], self.here(), *name))?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW;
                let link = fs::openat(self.here(), *name, flags, Mode::empty())?;
                own(link, attributes)?;
                fs::utimensat(self.here(), *name, &times(attributes))?;
            }
            Kind::Fifo => {
                once(fs::mknodat(self.here(), *name, FileType::Fifo, 0, 0, 0))?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW;
                let fifo = fs::openat(self.here(), *name, flags, Mode::empty())?;
                own(&fifo, attributes)?;
                fs::fchmodat(fs::CWD, fs::fd_path(fifo.as_fd()), attributes.mode)?;
                fs::utimensat(self.here(), *name, &times(attributes))?;
            }
            Kind::Device => {}
        }
        Ok(())
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, |parent| parent.fd.as_fd())
    }

    /// Goes to a directory, which is made if it is missing. While entries follow each other in one, nothing that is
    /// made can change where its path leads.
    fn enter(&mut self, path: &[u8]) -> Result<(), Failure> {
        if self.parent.as_ref().is_some_and(|parent| parent.path == path) {
            return Ok(());
        }
        self.leave()?;
        let place = self.resolver.directory(self.root, path)?;
        let fd = fs::openat(&place, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        let when = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = Timestamps {
            last_access: when(stat.st_atime as i64, stat.st_atime_nsec as i64),
            last_modification: when(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        };
        self.parent = Some(Parent { path: path.to_vec(), fd, times });
        Ok(())
    }

    fn leave(&mut self) -> Sys<()> {
        match self.parent.take() {
            Some(parent) => fs::futimens(&parent.fd, &parent.times),
            None => Ok(()),
        }
    }

    /// `./`: the root directory's own attributes.
    fn root_itself(&mut self, kind: &Kind, attributes: &Attributes) -> Result<(), Failure> {
        if !matches!(kind, Kind::Directory) {
            return Err(Failure::new("is called like the root directory, and is none"));
        }
        self.leave()?;
        let root = fs::openat(self.root, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        finish(&root, attributes)
    }

    fn directory(&mut self, name: &[u8], attributes: &Attributes) -> Result<(), Failure> {
        match fs::mkdirat(self.here(), name, 0o700) {
            Err(e) if e.errno() == Errno::EXIST => {}
            made => made?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match fs::openat(self.here(), name, flags, Mode::empty()) {
            Err(e) if matches!(e.errno(), Errno::NOTDIR | Errno::LOOP) => Err(twice()),
            directory => finish(&directory?, attributes),
        }
    }

    fn file(
        &mut self,
        name: &[u8],
        size: u64,
        attributes: &Attributes,
        content: impl Read,
    ) -> Result<(), Failure> {
        let Some(used) = self.size.checked_add(size).filter(|used| *used <= self.room) else {
            let left = self.room - self.size;
            return Err(Failure::new(format_args!("has {size} bytes, and the disk has room for {left}")));
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = once(fs::openat(self.here(), name, flags, Mode::from_raw_mode(0o600)))?;
        copy(content, file.try_clone().map_err(Failure::new)?, size, &mut self.block)?;
        self.size = used;
        finish(&file, attributes)
    }

    fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Failure> {
        let target = components(target).map_err(|failure| failure.during("the target of the link"))?;
        let missing = || Failure::new("is a link to what is not in this layer");
        let Some((last, directory)) = target.split_last() else { return Err(missing()) };
        let directory = self.resolver.directory(self.root, &directory.join(&b'/'))?;
        match fs::linkat(&directory, *last, self.here(), name, AtFlags::empty()) {
            Err(e) if e.errno() == Errno::NOENT => Err(missing()),
            linked => once(linked),
        }
    }

    /// `.wh.NAME` and `.wh..wh..opq`, as overlayfs is told it (overlayfs.rst, "whiteouts and opaque directories").
    fn remove(&mut self, name: &[u8]) -> Result<(), Failure> {
        if name == OPAQUE {
            // Who mounts it has no rights to the first in a user namespace (overlayfs.rst, "userxattr").
            let opaque = match crate::namespace::is_user() {
                false => c"trusted.overlay.opaque",
                true => c"user.overlay.opaque",
            };
            return Ok(fs::setxattr(fs::fd_path(self.here()), opaque, b"y")?);
        }
        let removed = &name[WHITEOUT.len()..];
        if matches!(removed, b"" | b"." | b"..") || removed.starts_with(WHITEOUT) {
            return Err(Failure::new("removes nothing that can have that name"));
        }
        once(fs::mknodat(self.here(), removed, FileType::CharacterDevice, 0, 0, 0))
    }
}

/// The parts of a path, which stays where it is.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    if path.starts_with(b"/") {
        return Err(Failure::new("has an absolute name"));
    }
    if path.len() > PATH_MAX {
        return Err(Failure::new(format_args!("has a name of more than {PATH_MAX} bytes")));
    }
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !matches!(part, [] | [b'.'])).collect();
    match parts.iter().any(|part| *part == b"..") {
        true => Err(Failure::new("has a name with ..")),
        false => Ok(parts),
    }
}

fn twice() -> Failure {
    Failure::new("comes a second time")
}

/// What was to be made now was not there before.
fn once<T>(made: Sys<T>) -> Result<T, Failure> {
    made.map_err(|e| if e.errno() == Errno::EXIST { twice() } else { e.into() })
}

fn times(attributes: &Attributes) -> Timestamps {
    let (tv_sec, tv_nsec) = attributes.changed;
    let changed = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: changed, last_modification: changed }
}

/// Gives something its owner, if there is such an id here.
fn own(file: impl AsFd, attributes: &Attributes) -> Result<(), Failure> {
    let Attributes { uid, gid, .. } = attributes;
    fs::fchown(file, *uid, *gid).map_err(|e| match e.errno() {
        Errno::INVAL if crate::namespace::is_user() => Failure::new(format_args!(
            "belongs to {uid}:{gid}, and there is no such id in this user namespace; /etc/subuid and /etc/subgid give a user more"
        )),
        _ => e.into(),
    })
}

/// Gives a file or directory its attributes: the owner first, since the kernel then takes away set-user-id and
/// capabilities, and the time last.
fn finish(file: &OwnedFd, attributes: &Attributes) -> Result<(), Failure> {
    own(file, attributes)?;
    fs::fchmod(file, attributes.mode)?;
    for (name, value) in &attributes.extended {
        // Overlayfs' own would make a layer say what only whiteouts may.
        if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
            return Err(Failure::new(format_args!("has the attribute {name}, which is overlayfs' own")));
        }
        let c_name = CString::new(name.as_str())
            .map_err(|_| Failure::new("has an attribute whose name has a NUL byte"))?;
        fs::setxattr(fs::fd_path(file.as_fd()), &c_name, value)?;
    }
    Ok(fs::futimens(file, &times(attributes))?)
}

/// Copies a file's content; what is zero is left out, as far as a file can have holes.
fn copy(mut content: impl Read, file: OwnedFd, size: u64, block: &mut [u8]) -> Result<(), Failure> {
    use std::io::{ErrorKind, Seek, SeekFrom, Write};
    let mut file = std::fs::File::from(file);
    let (mut left, mut hole) = (size, false);
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let block = &mut block[..length];
        content.read_exact(block).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => Failure::new("ends before its size"),
            _ => Failure::new(e),
        })?;
        let written = |e| Failure::new(format_args!("write: {e}"));
        hole = length == BLOCK && block.iter().all(|byte| *byte == 0);
        match hole {
            true => drop(file.seek(SeekFrom::Current(length as i64)).map_err(written)?),
            false => file.write_all(block).map_err(written)?,
        }
        left -= length as u64;
    }
    if hole {
        file.set_len(size).map_err(|e| Failure::new(format_args!("ftruncate: {e}")))?;
    }
    Ok(())
}
