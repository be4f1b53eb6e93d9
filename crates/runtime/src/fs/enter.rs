//! Entering a built root file system: it becomes `/`, and the host's tree is gone.

use super::mounting::Mounting;
use super::options::Propagation;
use super::plan::RootfsPlan;
use super::procfs::Procfs;
use super::rootfs::Rootfs;
use crate::error::{During, Result as RuntimeResult};
use crate::mountinfo::unescape;
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::mount::{self, MountFlags, MountPropagationFlags, UnmountFlags};
use forgeone_sys::{Errno, Result, process};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What is left in hand once the root was entered; all of it closes when it is dropped.
#[derive(Debug)]
pub struct Entered {
    /// The container's root.
    pub root: OwnedFd,
    /// The kernel's `/proc`, for what is written right before the program starts. It is the host's: drop it then.
    pub procfs: Procfs,
    /// What was needed on the way.
    pub spent: Vec<OwnedFd>,
}

/// The longest mountinfo that is read, in bytes.
const MOUNTINFO_MAX: usize = 16 << 20;

const SLAVE: Propagation = Propagation { kind: MountPropagationFlags::DOWNSTREAM, recursive: true };

impl Rootfs<'_> {
    /// Makes the root file system `/` and the current directory, and lets go of the host's.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn enter(self) -> RuntimeResult<Entered> {
        let Self { plan, mounting, root, .. } = self;
        let shared = plan
            .propagation
            .filter(|p| p.kind.intersects(MountPropagationFlags::SHARED | MountPropagationFlags::UNBINDABLE));
        match plan.no_pivot {
            true => move_root(plan, &mounting, &root).during(|| "moving the root")?,
            false => pivot(&mounting, &root, shared.is_some()).during(|| "pivot_root")?,
        }
        if let Some(propagation) = shared {
            mounting.set_propagation(&root, propagation).during(|| "linux.rootfsPropagation")?;
        }
        process::chdir(c"/")?;
        let spent = mounting.take_spent();
        Ok(Entered { root, procfs: mounting.procfs, spent })
    }
}

/// pivot_root(2) with both arguments `.` puts the old root on top of the new one, from where it is unmounted: no
/// directory for it is needed in the container.
fn pivot(mounting: &Mounting, root: &OwnedFd, shared: bool) -> Result<()> {
    let old = fs::openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    process::fchdir(root)?;
    mount::pivot_root(c".", c".")?;
    if shared {
        // Or the host would lose the mounts as well.
        mounting.set_propagation(&old, SLAVE)?;
    }
    process::fchdir(&old)?;
    mount::umount(c".", UnmountFlags::DETACH)
}

/// For roots that can't be pivoted from, such as an initramfs. The host's tree stays below the new root, out of sight
/// only.
fn move_root(plan: &RootfsPlan, mounting: &Mounting, root: &OwnedFd) -> Result<()> {
    let directory = OFlags::PATH | OFlags::DIRECTORY;
    hide_host_kernel(plan, mounting)?;
    let top = fs::openat(CWD, c"/", directory, Mode::empty())?;
    // Or it would lie on top of the host as well.
    mounting.part_holder(&top, SLAVE.kind)?;
    mounting.relocate(root, &top)?;
    process::fchdir(root)?;
    mount::chroot(c".")
}

/// The kernel lets a user namespace mount proc and sysfs if it already has such a mount with nothing covered, and the
/// host's, out of sight, would count. So they are unmounted, or covered where that isn't allowed.
fn hide_host_kernel(plan: &RootfsPlan, mounting: &Mounting) -> Result<()> {
    for point in host_kernel_mounts(&mounting.procfs, &plan.path)? {
        let holder = point.parent().unwrap_or(Path::new("/"));
        let holder = match fs::openat(CWD, holder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            // Gone with the one that it was in.
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => continue,
            result => result?,
        };
        mounting.part_holder(&holder, SLAVE.kind)?;
        match mount::mount_propagation(&point, SLAVE.kind | MountPropagationFlags::REC) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::INVAL) => continue,
            result => result?,
        }
        match mount::umount(&point, UnmountFlags::DETACH) {
            Err(e) if matches!(e.errno(), Errno::INVAL | Errno::PERM) => cover(&point)?,
            result => result?,
        }
    }
    Ok(())
}

fn cover(point: &Path) -> Result<()> {
    match mount::mount(c"tmpfs", point, c"tmpfs", MountFlags::RDONLY, None) {
        // Not a directory any more: what was mounted there is gone.
        Err(e) if e.errno() == Errno::NOTDIR => Ok(()),
        result => result,
    }
}

/// The mount points of whole proc and sysfs file systems outside the container.
fn host_kernel_mounts(procfs: &Procfs, rootfs: &Path) -> Result<Vec<PathBuf>> {
    let info = procfs.read("self/mountinfo", MOUNTINFO_MAX)?;
    let points = info.split(|byte| *byte == b'\n').filter_map(|line| kernel_mount(line, rootfs));
    Ok(points.collect())
}

/// proc_pid_mountinfo(5): id, parent, device, root, mount point, options, optional fields, `-`, type, source, options.
fn kernel_mount(line: &[u8], rootfs: &Path) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    let point = PathBuf::from(OsString::from_vec(unescape(point)));
    let counts = root == b"/" && matches!(fstype, b"proc" | b"sysfs") && !point.starts_with(rootfs);
    counts.then_some(point)
}

/// Places of a mount table.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz_mounts(bytes: &[u8]) -> usize {
    let points =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| kernel_mount(line, Path::new("/bundle")));
    points.filter(|point| !point.starts_with("/bundle")).count()
}
