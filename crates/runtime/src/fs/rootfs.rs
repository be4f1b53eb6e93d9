//! Building the root file system: in init, in the new mount namespace, before the root is changed.
//!
//! The order, and why:
//! 1. propagation of the host's tree, before anything is mounted that the host must not see;
//! 2. the root file system as a mount of its own, which pivot_root(2) asks for;
//! 3. `mounts`, in their order: a later one may be inside an earlier one;
//! 4. devices and links, which go into whatever was mounted at `/dev`.
//!
//! Then hooks may run, and [`Rootfs::console`], [`Rootfs::finish`] and [`Rootfs::enter`] follow, in this order: the
//! console needs a file made in `/dev`, which `finish` may make read-only.

use super::cgroupfs::{self, CgroupView};
use super::copyup;
use super::devices;
use super::idmap;
use super::mounting::{Changes, Lookup, Mounting, Place, Tree};
use super::options::{Attributes, Propagation};
use super::plan::{Filesystem, MountKind, MountPlan, RootfsPlan};
use super::prepare::{Prepared, identity};
use super::procfs::Procfs;
use super::resolve::{Links, Make};
use crate::error::{During, Error as RuntimeError, Kind, Result as RuntimeResult};
use forgeone_sys::fs::{self, CWD, FileType, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountPropagationFlags};
use forgeone_sys::{Errno, Error, Result, process};
use std::borrow::Cow;
use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A root file system that was built and is not yet entered.
#[derive(Debug)]
pub struct Rootfs<'a> {
    pub(super) plan: &'a RootfsPlan,
    pub(super) cgroups: &'a CgroupView,
    pub(super) mounting: Mounting,
    /// The top of the container's root.
    pub(super) root: OwnedFd,
    /// Its device and inode.
    identity: (u64, u64),
    /// Mounts that become read-only in the end, with their numbers.
    pub(super) late: RefCell<Vec<(usize, OwnedFd)>>,
    /// Copies of sources that can't be reached, or not be idmapped, from here, by the number of the mount.
    trees: RefCell<Vec<(usize, OwnedFd)>>,
    /// User namespaces of file systems that are idmapped, by the number of the mount.
    users: Vec<(usize, OwnedFd)>,
}

/// No file mode creation mask, until this is dropped.
pub(super) struct NoUmask(u32);

impl NoUmask {
    pub(super) fn new() -> Self {
        Self(process::umask(0))
    }
}

impl Drop for NoUmask {
    fn drop(&mut self) {
        process::umask(self.0);
    }
}

/// Builds the root file system of `plan`. The caller is alone in its mount namespace, and already in the other
/// namespaces and cgroups of the container.
///
/// `idmap` has a detached tree idmapped, for the mount of this number, by who has the rights: see [`Prepared::idmap`].
///
/// On kernels without the mount calls of Linux 5.2, the current directory changes.
///
/// # Errors
/// The kernel's answer, with the mount, device or path that it is about.
pub fn build<'a>(
    plan: &'a RootfsPlan,
    prepared: Prepared,
    cgroups: &'a CgroupView,
    idmap: &dyn Fn(usize, OwnedFd) -> RuntimeResult<()>,
) -> RuntimeResult<Rootfs<'a>> {
    let _umask = NoUmask::new();
    part_from_host(plan).during(|| "propagation of /")?;
    let Prepared { procfs, identity, rootfs_tree, trees, users, .. } = prepared;
    let mounting = Mounting::new(procfs);
    let root = root_mount(plan, &mounting, rootfs_tree, identity).during(|| "root.path")?;
    let (late, trees) = (RefCell::default(), RefCell::new(trees));
    let rootfs = Rootfs { plan, cgroups, mounting, root, identity, late, trees, users };
    for mount in &plan.mounts {
        if let Some(tree) = rootfs.late_source(mount).during(|| mount)? {
            idmap(mount.index, fs::dup(&tree)?)?;
            rootfs.trees.borrow_mut().push((mount.index, tree));
        }
        rootfs.mount(mount).during(|| mount)?;
    }
    devices::make(&rootfs)?;
    Ok(rootfs)
}

/// What is mounted from here on must not appear on the host. `shared` leaves the mounts as they are, or a bind of a
/// shared volume couldn't be shared with the host any more; then only the root's parent is cut off.
fn part_from_host(plan: &RootfsPlan) -> Result<()> {
    let kind = match plan.propagation.map(|p| p.kind) {
        Some(MountPropagationFlags::SHARED) => return Ok(()),
        Some(MountPropagationFlags::PRIVATE | MountPropagationFlags::UNBINDABLE) => {
            MountPropagationFlags::PRIVATE
        }
        _ => MountPropagationFlags::DOWNSTREAM,
    };
    mount::mount_propagation(c"/", kind | MountPropagationFlags::REC)
}

fn is_shared(plan: &RootfsPlan) -> bool {
    plan.propagation.is_some_and(|p| p.kind == MountPropagationFlags::SHARED)
}

/// Makes the root file system a mount of its own; gives its top.
fn root_mount(
    plan: &RootfsPlan,
    mounting: &Mounting,
    copied: Option<OwnedFd>,
    expected: (u64, u64),
) -> Result<OwnedFd> {
    // Out of reach, so its place is as well; on top of / it is as good as anywhere.
    let path = if copied.is_some() { Path::new("/") } else { plan.path.as_path() };
    let fd = fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    if copied.is_none() && identity(&fs::fstat(&fd)?) != expected {
        return Err(Error::new(format!("{path:?}: was replaced meanwhile"), Errno::STALE));
    }
    let mut propagation = Vec::new();
    if is_shared(plan) {
        mounting.part_holder(&fd, MountPropagationFlags::PRIVATE)?;
        // Nor must mounts below the root give anything back.
        propagation.push(Propagation { kind: MountPropagationFlags::DOWNSTREAM, recursive: true });
    }
    let tree = match copied {
        Some(tree) => Tree::Detached(tree),
        None => mounting.tree_of(fd.as_fd(), true)?,
    };
    let changes = Changes { propagation: &propagation, ..Changes::default() };
    mounting.attach(tree, changes, &Place { fd, lookup: Lookup::Host(path) })
}

impl Rootfs<'_> {
    /// The container's root, as a mere place.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The kernel's `/proc`, as it was found before the clone.
    pub fn procfs(&self) -> &Procfs {
        &self.mounting.procfs
    }

    /// Makes a directory inside, and those that lead to it, with mode 0755; links stay inside. Gives it as a mere place.
    ///
    /// # Errors
    /// The kernel's answer, or that there is something else.
    pub fn make_directory(&self, path: &str) -> RuntimeResult<OwnedFd> {
        let _umask = NoUmask::new();
        let make = Make::Directory(0o755);
        let (dir, _) = self.mounting.resolver.make(&self.root, path, Links::Follow, make)?;
        match kind(&dir)? {
            FileType::Directory => Ok(dir),
            _ => Err(RuntimeError::new(Kind::Config, format!("{path:?}: not a directory"))),
        }
    }

    fn mount(&self, plan: &MountPlan) -> Result<()> {
        match &plan.kind {
            MountKind::Bind { source, recursive, procfs } => self.bind(plan, source, *recursive, *procfs),
            MountKind::Filesystem(what) => self.filesystem(plan, what),
            MountKind::Cgroup { unified, data } => cgroupfs::mount(self, plan, *unified, data),
            MountKind::Remount { bind, superblock, data } => {
                let (place, _) = self.place(plan, Make::Nothing)?;
                if !fs::is_mount_root(&place.fd)? {
                    return Err(Error::new("remount: not a mount point", Errno::INVAL));
                }
                if *bind {
                    self.mounting.set_attributes(&place.fd, plan.attributes, false)?;
                } else {
                    let flags = *superblock | super::options::mount_flags(plan.attributes.set);
                    self.mounting.reconfigure(&place.fd, flags, data)?;
                }
                self.mounting.set_attributes(&place.fd, plan.recursive, true)?;
                self.propagate(&place.fd, plan)
            }
        }
    }

    fn bind(&self, plan: &MountPlan, source: &Path, recursive: bool, procfs: bool) -> Result<()> {
        let tree = match self.take_tree(plan.index) {
            Some(tree) => Tree::Detached(tree),
            None => self.mounting.tree_at(source, recursive)?,
        };
        if procfs && !fs::is_procfs(&tree)? {
            return Err(Error::new("only a proc file system can be mounted on /proc", Errno::INVAL));
        }
        let make = match kind(&tree)? {
            FileType::Directory => Make::Directory(0o755),
            _ => Make::File(0o644),
        };
        let (place, _) = self.place(plan, make)?;
        let (attributes, recursive) = (plan.attributes, plan.recursive);
        let changes = Changes { attributes, reset: plan.reset, recursive, propagation: &plan.propagation };
        self.spend([self.mounting.attach(tree, changes, &place)?, place.fd]);
        Ok(())
    }

    /// Has descriptors closed that nobody needs any more, some time before the root is entered.
    pub(super) fn spend(&self, fds: impl IntoIterator<Item = OwnedFd>) {
        self.mounting.spend(fds);
    }

    /// The source of an idmapped bind that couldn't be opened before the mounts.
    fn late_source(&self, plan: &MountPlan) -> Result<Option<OwnedFd>> {
        let (MountKind::Bind { source, recursive, .. }, Some(_)) = (&plan.kind, &plan.idmap) else {
            return Ok(None);
        };
        if self.trees.borrow().iter().any(|(i, _)| *i == plan.index) {
            return Ok(None);
        }
        match self.mounting.tree_at(source, *recursive)? {
            Tree::Detached(tree) => Ok(Some(tree)),
            Tree::Original(..) => idmap::explained(Err(Error::new("open_tree", Errno::NOSYS))),
        }
    }

    fn take_tree(&self, index: usize) -> Option<OwnedFd> {
        let mut trees = self.trees.borrow_mut();
        let at = trees.iter().position(|(i, _)| *i == index)?;
        Some(trees.swap_remove(at).1)
    }

    fn filesystem(&self, plan: &MountPlan, what: &Filesystem) -> Result<()> {
        let (place, existed) = self.place(plan, Make::Directory(0o755))?;
        let what = match what.fstype == "tmpfs" && existed {
            true => with_mode_of(&place.fd, what)?,
            false => Cow::Borrowed(what),
        };
        let fill = |top: BorrowedFd| {
            if what.copy_up {
                copyup::copy(place.fd.as_fd(), top)?;
            }
            // After the copy, whose owners are the file system's own.
            self.idmap(plan, top)
        };
        let mount = |what: &Filesystem| self.mounting.filesystem(what, plan.attributes, true, &place, &fill);
        let made = match (mount(&what), &what.lesser_data) {
            (Err(e), Some(lesser)) if e.errno() == Errno::INVAL => {
                mount(&Filesystem { data: lesser.clone(), ..what.as_ref().clone() })?
            }
            (Err(e), _) if e.errno() == Errno::PERM && what.fstype == "sysfs" => {
                return self.host_sysfs(plan, &place);
            }
            (result, _) => result?,
        };
        self.mounting.label(&made, &what.root_label)?;
        self.propagate(&made, plan)?;
        match plan.late_readonly {
            true => self.readonly_later(plan, made),
            false => self.spend([made]),
        }
        self.spend([place.fd]);
        Ok(())
    }

    fn idmap(&self, plan: &MountPlan, top: BorrowedFd) -> Result<()> {
        let (Some(idmap), users) = (&plan.idmap, self.users.iter().find(|(i, _)| *i == plan.index)) else {
            return Ok(());
        };
        let (_, users) = users.ok_or_else(|| Error::new("idmap: no user namespace", Errno::INVAL))?;
        idmap::apply(top, users.as_fd(), idmap.recursive)
    }

    /// A user namespace without a network namespace may not mount sysfs; it gets the host's, bound. If it is to be
    /// read-only then all of it: the host's cgroups are in there (CVE-2023-25809).
    fn host_sysfs(&self, plan: &MountPlan, place: &Place) -> Result<()> {
        let tree = self.mounting.tree_at(Path::new("/sys"), true)?;
        let readonly = plan.attributes.set & MountAttrFlags::MOUNT_ATTR_RDONLY;
        let recursive = Attributes { set: readonly, ..Attributes::default() };
        let (attributes, propagation) = (plan.attributes, &plan.propagation[..]);
        let changes = Changes { attributes, recursive, propagation, ..Changes::default() };
        self.mounting.attach(tree, changes, place).map(drop)
    }

    pub(super) fn propagate(&self, made: &OwnedFd, plan: &MountPlan) -> Result<()> {
        plan.propagation.iter().try_for_each(|change| self.mounting.set_propagation(made, *change))
    }

    pub(super) fn readonly_later(&self, plan: &MountPlan, made: OwnedFd) {
        self.late.borrow_mut().push((plan.index, made));
    }

    /// Where a mount goes, made if it isn't there; and whether it was.
    pub(super) fn place<'p>(&'p self, plan: &'p MountPlan, make: Make) -> Result<(Place<'p>, bool)> {
        let path = plan.destination.as_str();
        let resolve = |links| self.mounting.resolver.make(&self.root, path, links, make);
        // First without links: then it is where its path says, and that isn't in /proc.
        let (links, (fd, existed)) = match resolve(Links::Refuse) {
            Err(e) if plan.strict && e.errno() == Errno::LOOP => {
                let cause = "must be mounted on ordinary directory: a symbolic link is in the way";
                return Err(Error::new(cause, e.errno()));
            }
            Err(e) if e.errno() == Errno::LOOP => (Links::Follow, resolve(Links::Follow)?),
            result => (Links::Refuse, result?),
        };
        let stat = fs::fstat(&fd)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match make {
            Make::Directory(_) if !is_directory => return refuse("is not a directory", Errno::NOTDIR),
            Make::File(_) if is_directory => return refuse("is a directory", Errno::ISDIR),
            _ => {}
        }
        if identity(&stat) == self.identity && fs::mount_id(&fd)? == fs::mount_id(&self.root)? {
            return refuse("leads to the root itself", Errno::INVAL);
        }
        if links == Links::Follow && self.is_inside_proc(&fd)? {
            return refuse("leads into /proc", Errno::INVAL);
        }
        Ok((Place { fd, lookup: Lookup::Inside(self.root.as_fd(), path, links) }, existed))
    }

    /// Whether a place is in the container's `/proc`, where a link may have led.
    fn is_inside_proc(&self, fd: &OwnedFd) -> Result<bool> {
        if !fs::is_procfs(fd)? {
            return Ok(false);
        }
        match self.mounting.resolver.open(&self.root, "/proc", Links::Refuse) {
            Ok(proc) => Ok(fs::mount_id(&proc)? == fs::mount_id(fd)?),
            Err(_) => Ok(false),
        }
    }
}

fn refuse<T>(cause: &str, errno: Errno) -> Result<T> {
    Err(Error::new(format!("the destination {cause}"), errno))
}

pub(super) fn kind(fd: impl AsFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fs::fstat(fd)?.st_mode))
}

/// A tmpfs has the mode of the directory that it covers, unless it is told another.
fn with_mode_of<'w>(dir: &OwnedFd, what: &'w Filesystem) -> Result<Cow<'w, Filesystem>> {
    if what.data.iter().any(|option| option.starts_with("mode=")) {
        return Ok(Cow::Borrowed(what));
    }
    let mut what = what.clone();
    what.data.push(format!("mode={:04o}", fs::fstat(dir)?.st_mode & 0o7777));
    Ok(Cow::Owned(what))
}
