//! Mounts by file descriptor: made where nobody sees them, then attached to a descriptor.
//!
//! A new mount is configured while it is detached (`fsopen`, `fsconfig`, `fsmount`, or `open_tree` and `mount_setattr`)
//! and only then appears at its place (`move_mount`), complete and in one step. The descriptor of the detached mount
//! stays its descriptor afterwards, so nothing is ever looked up twice.
//!
//! Kernels before 5.2, and filters that answer ENOSYS or EPERM, have mount(2) alone. It takes paths, so the current
//! directory becomes the process' own `fd` directory in a checked procfs, and the path `7` is what descriptor 7 is.
//! There the mount has to be looked up again to be changed; it is checked to be the one that was made.
//! `mount_setattr` is newer (5.12) and has a substitute of its own: a bind remount with the flags that are there.

use super::options::{Attributes, Propagation, mount_flags, superblock_words};
use super::plan::Filesystem;
use super::procfs::Procfs;
use super::resolve::{Links, Resolver, same};
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags};
use forgeone_sys::{Errno, Error, Result, process};
use std::cell::{Cell, RefCell};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The ways to mount that this kernel has, found out as it goes.
#[derive(Debug)]
pub(super) struct Mounting {
    pub(super) procfs: Procfs,
    pub(super) resolver: Resolver,
    /// fsopen(2), open_tree(2), move_mount(2).
    modern: Cell<bool>,
    /// mount_setattr(2).
    setattr: Cell<bool>,
    /// The process' own directory of descriptors, once it was needed.
    descriptors: RefCell<Option<OwnedFd>>,
    /// Descriptors that are done with: closed together, which is one call for many.
    spent: RefCell<Vec<OwnedFd>>,
}

/// So many spent descriptors are closed together. They count against `RLIMIT_NOFILE` until then, which may be as low as 40.
const SPENT_MAX: usize = 12;

/// A part of a tree that is about to be mounted elsewhere.
#[derive(Debug)]
pub(super) enum Tree {
    /// A copy, attached to nothing yet.
    Detached(OwnedFd),
    /// The original; with `true`, the mounts below come along.
    Original(OwnedFd, bool),
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Detached(fd) | Self::Original(fd, _) => fd.as_fd(),
        }
    }
}

/// Where something is mounted.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) fd: OwnedFd,
    /// How it was found; used where there is only mount(2).
    pub(super) lookup: Lookup<'a>,
}

/// How a place was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup<'a> {
    /// Inside a root.
    Inside(BorrowedFd<'a>, &'a str, Links),
    /// By a path of the host.
    Host(&'a Path),
}

/// What becomes of a mount beside being there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes<'a> {
    pub(super) attributes: Attributes,
    /// Switched off as well, as far as it isn't locked.
    pub(super) reset: MountAttrFlags,
    pub(super) recursive: Attributes,
    pub(super) propagation: &'a [Propagation],
}

impl Default for Changes<'_> {
    fn default() -> Self {
        let (attributes, recursive) = (Attributes::default(), Attributes::default());
        Self { attributes, reset: MountAttrFlags::empty(), recursive, propagation: &[] }
    }
}

impl Changes<'_> {
    /// What is to be tried for the mount itself, one after the other. What the host's mounts have is locked in a user
    /// namespace, which this process may be in, whatever the container is; only this flag never is.
    fn of_mount(&self) -> [Attributes; 2] {
        let never_locked = self.reset & MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;
        [self.attributes.resetting(self.reset), self.attributes.resetting(never_locked)]
    }
}

/// Whether a call isn't to be had at all, or a filter says so.
fn absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::PERM)
}

impl Mounting {
    pub(super) fn new(procfs: Procfs) -> Self {
        Self {
            procfs,
            resolver: Resolver::default(),
            modern: Cell::new(true),
            setattr: Cell::new(true),
            descriptors: RefCell::default(),
            spent: RefCell::default(),
        }
    }

    /// Has descriptors closed that nobody needs any more, some time.
    pub(super) fn spend(&self, fds: impl IntoIterator<Item = OwnedFd>) {
        let mut spent = self.spent.borrow_mut();
        spent.extend(fds);
        if spent.len() >= SPENT_MAX {
            process::close_together(std::mem::take(&mut *spent));
        }
    }

    /// What is spent and still open.
    pub(super) fn take_spent(&self) -> Vec<OwnedFd> {
        self.spent.take()
    }

    /// Notes that a call doesn't exist. EPERM is asked for again the next time: it may have been a single answer.
    fn note(known: &Cell<bool>, errno: Errno) {
        if errno == Errno::NOSYS {
            known.set(false);
        }
    }

    /// Mounts a new file system. `superblock_too`: read-only holds for the file system, as mount(2) has it, and not for
    /// this mount alone. `fill` gets the mount before anybody else sees it.
    pub(super) fn filesystem(
        &self,
        what: &Filesystem,
        attributes: Attributes,
        superblock_too: bool,
        place: &Place,
        fill: &dyn Fn(BorrowedFd) -> Result<()>,
    ) -> Result<OwnedFd> {
        let readonly = superblock_too && attributes.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY);
        if self.modern.get() && !what.classic {
            match mount::fsopen(what.fstype.as_str()) {
                Ok(context) => {
                    let made = configure(&context, what, readonly, attributes)?;
                    fill(made.as_fd())?;
                    mount::move_mount(&made, &place.fd)?;
                    self.spend([context]);
                    return Ok(made);
                }
                Err(e) if absent(e.errno()) => Self::note(&self.modern, e.errno()),
                Err(e) => return Err(e),
            }
        }
        self.classic_filesystem(what, attributes, readonly, place, fill)
    }

    fn classic_filesystem(
        &self,
        what: &Filesystem,
        attributes: Attributes,
        readonly: bool,
        place: &Place,
        fill: &dyn Fn(BorrowedFd) -> Result<()>,
    ) -> Result<OwnedFd> {
        let data =
            CString::new(what.data.join(",")).map_err(|_| Error::new("mount options", Errno::INVAL))?;
        let mut flags = what.superblock.0 | mount_flags(attributes.set);
        flags.set(MountFlags::RDONLY, readonly);
        let source = if what.source.is_empty() { "none" } else { &what.source };
        mount::mount(source, self.path(&place.fd)?, what.fstype.as_str(), flags, Some(&data))?;
        let made = self.reopen(place)?;
        fill(made.as_fd())?;
        let late =
            Attributes { set: attributes.set & MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        if !readonly {
            self.set_attributes(&made, late, false)?;
        }
        Ok(made)
    }

    /// The tree at a path of the host.
    pub(super) fn tree_at(&self, path: &Path, recursive: bool) -> Result<Tree> {
        self.tree(CWD, path, recursive, || fs::openat(CWD, path, OFlags::PATH, Mode::empty()))
    }

    /// The tree at a descriptor.
    pub(super) fn tree_of(&self, fd: BorrowedFd, recursive: bool) -> Result<Tree> {
        self.tree(fd, Path::new(""), recursive, || fs::dup(fd))
    }

    fn tree(
        &self,
        dir: BorrowedFd,
        path: &Path,
        recursive: bool,
        original: impl FnOnce() -> Result<OwnedFd>,
    ) -> Result<Tree> {
        if self.modern.get() {
            let mut flags = OpenTreeFlags::OPEN_TREE_CLONE;
            flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
            flags.set(OpenTreeFlags::AT_EMPTY_PATH, path.as_os_str().is_empty());
            match mount::open_tree(dir, path, flags) {
                Err(e) if absent(e.errno()) => Self::note(&self.modern, e.errno()),
                result => return result.map(Tree::Detached),
            }
        }
        Ok(Tree::Original(original()?, recursive))
    }

    /// Mounts a tree, with changes.
    pub(super) fn attach(&self, tree: Tree, changes: Changes, place: &Place) -> Result<OwnedFd> {
        let made = match tree {
            Tree::Detached(made) => {
                // Before it can be seen; where that can't be, at once afterwards.
                let [all, unlocked] = changes.of_mount();
                let changed = self.try_setattr(&made, all, false)?
                    || (unlocked != all && self.try_setattr(&made, unlocked, false)?);
                mount::move_mount(&made, &place.fd)?;
                if !changed {
                    self.remount_unlocked(&made, changes)?;
                }
                made
            }
            Tree::Original(source, recursive) => {
                mount::mount_bind(self.path(&source)?, self.path(&place.fd)?, recursive)?;
                let made = self.reopen(place)?;
                if !same(&made, &source)? {
                    return Err(replaced(place));
                }
                let [all, _] = changes.of_mount();
                if !self.try_setattr(&made, all, false)? {
                    self.remount_unlocked(&made, changes)?;
                }
                made
            }
        };
        self.set_attributes(&made, changes.recursive, true)?;
        for change in changes.propagation {
            self.set_propagation(&made, *change)?;
        }
        Ok(made)
    }

    /// Changes the attributes of a mount, or of it and all below.
    pub(super) fn set_attributes(&self, mount: &OwnedFd, change: Attributes, recursive: bool) -> Result<()> {
        match self.try_setattr(mount, change, recursive)? {
            true => Ok(()),
            false if recursive => {
                let call = "mount_setattr(AT_RECURSIVE): the options rro, rnosuid, … need Linux 5.12";
                Err(Error::new(call, Errno::NOSYS))
            }
            false => self.remount(mount, change),
        }
    }

    /// By mount_setattr(2); `false` if there is none.
    fn try_setattr(&self, mount: &OwnedFd, change: Attributes, recursive: bool) -> Result<bool> {
        if change.is_empty() {
            return Ok(true);
        }
        if !self.setattr.get() {
            return Ok(false);
        }
        match mount::mount_setattr(mount, "", recursive, change.set, change.clear, None, None) {
            Err(e) if absent(e.errno()) => {
                Self::note(&self.setattr, e.errno());
                Ok(false)
            }
            result => result.map(|()| true),
        }
    }

    fn remount_unlocked(&self, mount: &OwnedFd, changes: Changes) -> Result<()> {
        let [all, unlocked] = changes.of_mount();
        match self.remount(mount, all) {
            Err(e) if e.errno() == Errno::PERM && unlocked != all => self.remount(mount, unlocked),
            result => result,
        }
    }

    fn remount(&self, mount: &OwnedFd, change: Attributes) -> Result<()> {
        let present = fs::fstatfs(mount)?.f_flags as u64;
        let flags = MountFlags::BIND | changed_flags(present, change);
        mount::mount_remount(self.path(mount)?, flags, None)
    }

    /// Changes flags and options of the file system that is mounted at a descriptor.
    pub(super) fn reconfigure(&self, mount: &OwnedFd, flags: MountFlags, data: &[String]) -> Result<()> {
        let data = CString::new(data.join(",")).map_err(|_| Error::new("mount options", Errno::INVAL))?;
        mount::mount_remount(self.path(mount)?, flags, Some(&data))
    }

    /// Changes how a mount propagates.
    pub(super) fn set_propagation(&self, mount: &OwnedFd, change: Propagation) -> Result<()> {
        if self.setattr.get() {
            let none = MountAttrFlags::empty();
            match mount::mount_setattr(mount, "", change.recursive, none, none, Some(change.kind), None) {
                Err(e) if absent(e.errno()) => Self::note(&self.setattr, e.errno()),
                result => return result,
            }
        }
        let mut flags = change.kind;
        flags.set(MountPropagationFlags::REC, change.recursive);
        mount::mount_propagation(self.path(mount)?, flags)
    }

    /// Changes the mount that holds a directory, alone, to `kind`, which isn't shared: what is mounted or unmounted in it
    /// stays in this namespace. It is the first directory up the tree that the kernel takes for a mount.
    pub(super) fn part_holder(&self, dir: &OwnedFd, kind: MountPropagationFlags) -> Result<()> {
        const DEPTH_MAX: u32 = 4096;
        let mut here = fs::dup(dir)?;
        let mut depth = 0;
        loop {
            match self.set_propagation(&here, Propagation { kind, recursive: false }) {
                Err(e) if e.errno() == Errno::INVAL && depth < DEPTH_MAX => depth += 1,
                result => return result,
            }
            here = fs::openat(&here, c"..", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        }
    }

    /// Gives a mount's root an SELinux context; empty means none. Without SELinux there is nothing to be labelled.
    pub(super) fn label(&self, mount: &OwnedFd, context: &str) -> Result<()> {
        if context.is_empty() {
            return Ok(());
        }
        match fs::setxattr(self.path(mount)?, c"security.selinux", context.as_bytes()) {
            Err(e) if e.errno() == Errno::OPNOTSUPP => Ok(()),
            result => result,
        }
    }

    /// Moves a mount onto a descriptor.
    pub(super) fn relocate(&self, mount: &OwnedFd, target: &OwnedFd) -> Result<()> {
        if self.modern.get() {
            match mount::move_mount(mount, target) {
                Err(e) if absent(e.errno()) => Self::note(&self.modern, e.errno()),
                result => return result,
            }
        }
        mount::mount_move(self.path(mount)?, self.path(target)?)
    }

    /// The top of what was just mounted at a place by path.
    fn reopen(&self, place: &Place) -> Result<OwnedFd> {
        let top = match place.lookup {
            Lookup::Inside(root, path, links) => self.resolver.open(root, path, links)?,
            Lookup::Host(path) => fs::openat(CWD, path, OFlags::PATH, Mode::empty())?,
        };
        match fs::is_mount_root(&top)? && fs::mount_id(&top)? != fs::mount_id(&place.fd)? {
            true => Ok(top),
            false => Err(replaced(place)),
        }
    }

    /// A path that is valid for mount(2), as long as the current directory stays, and leads to nothing but this
    /// descriptor.
    fn path(&self, fd: &OwnedFd) -> Result<OsString> {
        let mut descriptors = self.descriptors.borrow_mut();
        if descriptors.is_none() {
            *descriptors = Some(self.procfs.descriptors()?);
        }
        // Each time: whoever called may have gone elsewhere since.
        descriptors.as_ref().map_or(Ok(()), process::fchdir)?;
        Ok(fs::fd_path(fd).file_name().unwrap_or_default().to_owned())
    }
}

fn replaced(place: &Place) -> Error {
    let path = match place.lookup {
        Lookup::Inside(_, path, _) => Path::new(path),
        Lookup::Host(path) => path,
    };
    Error::new(format!("{path:?}: the mount point was replaced while it was mounted over"), Errno::STALE)
}

/// A configured file system as a detached mount.
fn configure(
    context: &OwnedFd,
    what: &Filesystem,
    readonly: bool,
    attributes: Attributes,
) -> Result<OwnedFd> {
    if !what.source.is_empty() {
        mount::fsconfig_string(context, c"source", what.source.as_str())?;
    }
    for option in &what.data {
        match option.split_once('=') {
            Some((key, value)) => mount::fsconfig_string(context, key, value)?,
            None => mount::fsconfig_flag(context, option.as_str())?,
        }
    }
    for word in superblock_words(what.superblock.0) {
        mount::fsconfig_flag(context, word)?;
    }
    if readonly {
        mount::fsconfig_flag(context, c"ro")?;
    }
    mount::fsconfig_create(context)?;
    mount::fsmount(context, attributes.set)
}

/// The flags of mount(2) for a mount whose `f_flags` (statfs(2)) are `present`, with a change.
///
/// A remount replaces all flags, so those that stay have to be named. Of access times the kernel keeps what is there as
/// long as none is named.
fn changed_flags(present: u64, change: Attributes) -> MountFlags {
    /// `ST_…` (which differ from `MS_…` in two cases) and the flag.
    const KEPT: [(u64, MountFlags); 6] = [
        (1, MountFlags::RDONLY),
        (2, MountFlags::NOSUID),
        (4, MountFlags::NODEV),
        (8, MountFlags::NOEXEC),
        (2048, MountFlags::NODIRATIME),
        (8192, MountFlags::NOSYMFOLLOW),
    ];
    const ATIME: [(u64, MountFlags); 2] = [(1024, MountFlags::NOATIME), (4096, MountFlags::RELATIME)];
    let named = |table: &[(u64, MountFlags)]| {
        table.iter().filter(|(st, _)| present & st != 0).fold(MountFlags::empty(), |all, (_, ms)| all | *ms)
    };
    let mut flags = (named(&KEPT) - mount_flags(change.clear)) | mount_flags(change.set);
    if change.clear.contains(MountAttrFlags::MOUNT_ATTR__ATIME) {
        let chosen = MountAttrFlags::MOUNT_ATTR_NOATIME | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
        flags.set(MountFlags::RELATIME, !change.set.intersects(chosen));
    } else {
        flags |= named(&ATIME);
        flags.set(MountFlags::STRICTATIME, named(&ATIME).is_empty());
    }
    flags
}
