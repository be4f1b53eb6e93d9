//! What is opened before the container's first process exists: by the runtime, with its rights, in its mount namespace.
//!
//! That is little. Mounts of one namespace can't be bound by a process in another, so nearly everything is opened by
//! init itself. Three things can't wait: `/proc` has to be the host's own, and what the root user of a new user namespace
//! couldn't reach by path (`/root/volume`, behind mode 0700) is copied here as a detached tree, which receives mounts
//! from the host but gives none back. Where a path can be reached, init's own view of it is preferred: the kernel locks
//! the flags of those mounts (`ro`, `nosuid`), so that not even root of the user namespace can take them off. And what is
//! idmapped needs rights over the source's file system, which init doesn't have in a user namespace.
//!
//! The descriptors are inherited by the clone; all close when they are dropped, here and there.

use super::idmap::{self, UserNamespaces};
use super::plan::{MountKind, MountPlan, RootfsPlan};
use super::procfs::{Procfs, same_file};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, CWD, Mode, OFlags, Stat};
use forgeone_sys::mount::{self, MountAttrFlags, MountPropagationFlags, OpenTreeFlags};
use forgeone_sys::{Errno, Result as SysResult};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Descriptors that init inherits.
#[derive(Debug)]
pub struct Prepared {
    pub(super) procfs: Procfs,
    /// The root file system's directory, in the runtime's mount namespace.
    rootfs: OwnedFd,
    /// Its device and inode: what init opens by the same path has to be the same.
    pub(super) identity: (u64, u64),
    /// A copy of the root file system's tree, if init couldn't reach it.
    pub(super) rootfs_tree: Option<OwnedFd>,
    /// Copies of sources that init couldn't reach, or that are idmapped, by the number of the mount.
    pub(super) trees: Vec<(usize, OwnedFd)>,
    /// The user namespaces of what is idmapped once init has it: file systems that it mounts, and binds whose source may
    /// be made by a mount before. By the number of the mount.
    pub(super) users: Vec<(usize, OwnedFd)>,
}

impl Prepared {
    /// The directory that becomes the container's root, as a mere place.
    pub fn rootfs(&self) -> BorrowedFd<'_> {
        self.rootfs.as_fd()
    }

    /// The kernel's `/proc`, as it was found before the clone.
    pub fn procfs(&self) -> &Procfs {
        &self.procfs
    }

    /// Idmaps the source of a bind that was not there before the container's own mounts: init has opened it, and may not
    /// have the rights to map it.
    ///
    /// # Errors
    /// The kernel's answer, with the mount.
    pub fn idmap(&self, plan: &RootfsPlan, index: usize, tree: &OwnedFd) -> Result<()> {
        let mount = plan.mounts.iter().find(|mount| mount.index == index);
        let users = self.users.iter().find(|(i, _)| *i == index);
        let (Some(mount @ MountPlan { idmap: Some(idmap), .. }), Some((_, users))) = (mount, users) else {
            return Err(Error::new(Kind::System, format!("mounts[{index}]: is not to be idmapped")));
        };
        idmap::apply(tree, users.as_fd(), idmap.recursive).during(|| mount)
    }

    /// Opens what is to be had of the last mount's source, which was made since.
    ///
    /// # Errors
    /// As [`prepare`].
    pub fn last_source_made(&mut self, plan: &RootfsPlan) -> Result<()> {
        match plan.mounts.last() {
            Some(mount) if plan.user_namespace => copy_unreachable_source(mount, self),
            _ => Ok(()),
        }
    }
}

/// Opens what init will need.
///
/// # Errors
/// A missing root file system, a `/proc` that isn't one, and sysctls that would be set in the runtime's own namespaces.
pub fn prepare(plan: &RootfsPlan) -> Result<Prepared> {
    let procfs = Procfs::open()?;
    foreign_sysctls(plan)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let rootfs = fs::openat(CWD, &plan.path, flags, Mode::empty()).map_err(|e| match e.errno() {
        Errno::NOENT => {
            let why = "No such file or directory; the container's root file system belongs there";
            Error::new(Kind::Config, format!("root.path: {}: {why}", plan.path.display()))
        }
        _ => Error::from(e).during("root.path"),
    })?;
    let stat = fs::fstat(&rootfs)?;
    let mut prepared = Prepared {
        procfs,
        identity: identity(&stat),
        rootfs,
        rootfs_tree: None,
        trees: vec![],
        users: vec![],
    };
    if plan.user_namespace {
        copy_unreachable(plan, &mut prepared)?;
    }
    idmap_mounts(plan, &mut prepared)?;
    Ok(prepared)
}

pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// A namespace that is joined may be the runtime's own under another name, and then it is the host's.
fn foreign_sysctls(plan: &RootfsPlan) -> Result<()> {
    for (kind, path) in &plan.sysctl_namespaces {
        let own = if kind == "network" { "net" } else { kind };
        if same_file(path, &format!("/proc/self/ns/{own}")) {
            let cause = format!("linux.sysctl: the {kind} namespace {} is the host's", path.display());
            return Err(Error::new(Kind::Config, cause));
        }
    }
    Ok(())
}

fn copy_unreachable(plan: &RootfsPlan, prepared: &mut Prepared) -> Result<()> {
    if !all_may_search(&prepared.rootfs)? {
        prepared.rootfs_tree = detached(&prepared.rootfs, true)?;
    }
    let mut plain = plan.mounts.iter().filter(|mount| mount.idmap.is_none());
    plain.try_for_each(|mount| copy_unreachable_source(mount, prepared))
}

fn copy_unreachable_source(mount: &MountPlan, prepared: &mut Prepared) -> Result<()> {
    let MountKind::Bind { source, recursive, .. } = &mount.kind else { return Ok(()) };
    let source = match fs::openat(CWD, source, OFlags::PATH, Mode::empty()) {
        // Init will say that it is missing, unless a mount before this one makes it appear.
        Err(e) if e.errno() == Errno::NOENT => return Ok(()),
        result => result.during(|| mount)?,
    };
    if !all_may_search(&source).during(|| mount)?
        && let Some(tree) = detached(&source, *recursive).during(|| mount)?
    {
        prepared.trees.push((mount.index, tree));
    }
    Ok(())
}

fn idmap_mounts(plan: &RootfsPlan, prepared: &mut Prepared) -> Result<()> {
    let mut namespaces = UserNamespaces::default();
    for mount in &plan.mounts {
        let Some(idmap) = &mount.idmap else { continue };
        let users = namespaces.get(&idmap.users, &prepared.procfs).during(|| mount)?;
        if let MountKind::Bind { source, recursive, .. } = &mount.kind
            && let Some(source) = settled(source, *recursive, prepared).during(|| mount)?
        {
            let tree = idmap::explained(receiving(&source, *recursive)).during(|| mount)?;
            idmap::apply(&tree, users.as_fd(), idmap.recursive).during(|| mount)?;
            prepared.trees.push((mount.index, tree));
        } else {
            prepared.users.push((mount.index, fs::dup(users)?));
        }
    }
    Ok(())
}

/// A source of the host, unless a mount of the container's own may make it, cover it or appear in it: those are all in the
/// root file system. Where init can't get there by path, what is there now has to do.
fn settled(source: &Path, recursive: bool, prepared: &Prepared) -> SysResult<Option<OwnedFd>> {
    let source = match fs::openat(CWD, source, OFlags::PATH, Mode::empty()) {
        // Init will say that it is missing, if it still is.
        Err(e) if e.errno() == Errno::NOENT => return Ok(None),
        result => result?,
    };
    if prepared.rootfs_tree.is_some() {
        return Ok(Some(source));
    }
    let path = |file| fs::readlinkat(CWD, fs::fd_path(file));
    let (root, at) = (path(&prepared.rootfs)?, path(&source)?);
    let may_change = at.starts_with(&root) || recursive && root.starts_with(&at);
    Ok((!may_change).then_some(source))
}

/// Whether everybody may search all directories that lead to a file. The path is the kernel's, free of links.
fn all_may_search(file: &OwnedFd) -> SysResult<bool> {
    let path = fs::readlinkat(CWD, fs::fd_path(file))?;
    for dir in path.ancestors().skip(1) {
        let Ok(stat) = fs::statat(CWD, dir, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(false) };
        if stat.st_mode & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(path.is_absolute())
}

/// A copy of a tree that receives mounts and gives none back; `None` where the caller may not make one, or the kernel
/// can't: then init has to get there on its own.
fn detached(source: &OwnedFd, recursive: bool) -> SysResult<Option<OwnedFd>> {
    match receiving(source, recursive) {
        Err(e) if matches!(e.errno(), Errno::PERM | Errno::NOSYS) => Ok(None),
        result => result.map(Some),
    }
}

fn receiving(source: &OwnedFd, recursive: bool) -> SysResult<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let none = MountAttrFlags::empty();
    let slave = Some(MountPropagationFlags::DOWNSTREAM);
    let tree = mount::open_tree(source, Path::new(""), flags)?;
    mount::mount_setattr(&tree, "", true, none, none, slave, None)?;
    Ok(tree)
}
