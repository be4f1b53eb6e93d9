//! The container's view of cgroups: `cgroup` and `cgroup2` mounts.
//!
//! With a cgroup namespace the file systems are mounted anew and show the container's own group as their root. Without
//! one, the container's own group is bound, and no more: a mount would show the groups of the whole host.
//! v1 hierarchies get a directory each on a small tmpfs, as the host has them, and a link for each controller of a
//! hierarchy that has several (`cpu` → `cpu,cpuacct`).
//!
//! Only the mount is made read-only, never the file system, which the host shares.

use super::mounting::{Changes, Lookup, Place};
use super::options::Attributes;
use super::plan::{Filesystem, MountPlan};
use super::resolve::{Links, Make};
use super::rootfs::Rootfs;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::MountAttrFlags;
use forgeone_sys::{Errno, Error, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The container's groups, as whoever made them knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupView {
    /// v1 hierarchies, in the order in which they are to appear; empty on a machine that has only cgroup2.
    pub hierarchies: Vec<CgroupHierarchy>,
    /// The container's group in cgroup2, on the host; absent if there is none.
    pub unified: Option<PathBuf>,
}

/// A v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupHierarchy {
    /// Name of its directory, as on the host: `memory`, `cpu,cpuacct`, `systemd`.
    pub name: String,
    /// The mount option that names it: `memory`, `cpu,cpuacct`, `name=systemd`.
    pub option: String,
    /// The container's group on the host.
    pub group: PathBuf,
}

const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

pub(super) fn mount(rootfs: &Rootfs, plan: &MountPlan, unified: bool, data: &[String]) -> Result<()> {
    match unified || rootfs.cgroups.hierarchies.is_empty() {
        true => mount_unified(rootfs, plan, data),
        false => mount_hierarchies(rootfs, plan, data),
    }
}

fn mount_unified(rootfs: &Rootfs, plan: &MountPlan, data: &[String]) -> Result<()> {
    let (place, _) = rootfs.place(plan, Make::Directory(0o755))?;
    let mounting = &rootfs.mounting;
    if rootfs.plan.cgroup_namespace {
        let what = Filesystem {
            fstype: "cgroup2".to_owned(),
            source: "cgroup".to_owned(),
            data: data.to_vec(),
            ..Filesystem::default()
        };
        match mounting.filesystem(&what, plan.attributes, false, &place, &|_| Ok(())) {
            Err(e) if matches!(e.errno(), Errno::PERM | Errno::BUSY) => {}
            result => return rootfs.propagate(&result?, plan),
        }
    }
    match bind(rootfs, plan, rootfs.cgroups.unified.as_deref(), plan.attributes, &place) {
        Err(e) if rootfs.plan.rootless && matches!(e.errno(), Errno::NOENT | Errno::ACCESS) => {
            // What may be there from the host must not be writable (CVE-2023-25809).
            rootfs.cover(&place).map(drop)
        }
        result => result.map(drop),
    }
}

fn bind(
    rootfs: &Rootfs,
    plan: &MountPlan,
    group: Option<&Path>,
    attributes: Attributes,
    place: &Place,
) -> Result<OwnedFd> {
    let group =
        group.ok_or_else(|| Error::new("the container has no cgroup that could be shown", Errno::NOENT))?;
    let tree = rootfs.mounting.tree_at(group, false)?;
    let changes = Changes { attributes, propagation: &plan.propagation, ..Changes::default() };
    rootfs.mounting.attach(tree, changes, place)
}

fn mount_hierarchies(rootfs: &Rootfs, plan: &MountPlan, data: &[String]) -> Result<()> {
    if let Some(option) = data.first() {
        return Err(Error::new(format!("option {option:?} is not for cgroup v1"), Errno::INVAL));
    }
    let (place, _) = rootfs.place(plan, Make::Directory(0o755))?;
    let readonly = plan.attributes.set & MountAttrFlags::MOUNT_ATTR_RDONLY;
    let mut tmpfs = Filesystem {
        fstype: "tmpfs".to_owned(),
        source: "tmpfs".to_owned(),
        data: vec!["mode=755".to_owned()],
        ..Filesystem::default()
    };
    tmpfs.label(&rootfs.plan.mount_label);
    let attributes = Attributes { set: (plan.attributes.set - readonly) | SAFE, ..plan.attributes };
    let top = rootfs.mounting.filesystem(&tmpfs, attributes, false, &place, &|_| Ok(()))?;
    rootfs.propagate(&top, plan)?;
    for hierarchy in &rootfs.cgroups.hierarchies {
        mount_hierarchy(rootfs, plan, hierarchy, &top)?;
        for controller in hierarchy.name.split(',').filter(|c| *c != hierarchy.name) {
            match fs::symlinkat(hierarchy.name.as_str(), &top, controller) {
                Err(e) if e.errno() == Errno::EXIST => {}
                result => result?,
            }
        }
    }
    match readonly.is_empty() {
        true => rootfs.spend([top]),
        false => rootfs.readonly_later(plan, top),
    }
    rootfs.spend([place.fd]);
    Ok(())
}

fn mount_hierarchy(
    rootfs: &Rootfs,
    plan: &MountPlan,
    hierarchy: &CgroupHierarchy,
    top: &OwnedFd,
) -> Result<()> {
    // The tmpfs is new, and nobody else's yet.
    let path = format!("/{}", hierarchy.name);
    fs::mkdirat(top, hierarchy.name.as_str(), 0o755)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let fd = fs::openat(top, hierarchy.name.as_str(), flags, Mode::empty())?;
    let place = Place { fd, lookup: Lookup::Inside(top.as_fd(), &path, Links::Refuse) };
    let attributes = Attributes { set: plan.attributes.set | SAFE, ..plan.attributes };
    if !rootfs.plan.cgroup_namespace {
        rootfs.spend([bind(rootfs, plan, Some(&hierarchy.group), attributes, &place)?, place.fd]);
        return Ok(());
    }
    let what = Filesystem {
        fstype: "cgroup".to_owned(),
        source: if hierarchy.name == "systemd" { "systemd" } else { "cgroup" }.to_owned(),
        data: hierarchy.option.split(',').map(str::to_owned).collect(),
        ..Filesystem::default()
    };
    let made = rootfs.mounting.filesystem(&what, attributes, false, &place, &|_| Ok(()))?;
    rootfs.propagate(&made, plan)?;
    rootfs.spend([made, place.fd]);
    Ok(())
}
