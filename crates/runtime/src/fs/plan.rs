//! The root file system as a plan: what `config.json` asks for, checked and put into the order of execution.
//!
//! Planning is pure: nothing is opened, not even looked at. What only the kernel can know (whether a source exists,
//! what a destination leads to) is checked when the plan is carried out, by file descriptor.
//!
//! Paths inside the container are cleaned here once (`//`, `.` and a trailing slash go) and never hold `..`.

mod mount;

use super::devices::{self, DevicePlan};
use super::options::{Attributes, Propagation};
use super::sysctl;
use crate::error::{Error, Kind, Result};
use crate::spec::{IdMapping, Linux, Spec};
use forgeone_sys::mount::{MountAttrFlags, MountFlags, MountPropagationFlags};
use std::fmt;
use std::path::{Path, PathBuf};

/// What the plan has to know beside the bundle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Move the root and chroot, in place of pivot_root(2).
    pub no_pivot: bool,
    /// The container has a user namespace of its own, new or joined.
    pub user_namespace: bool,
    /// The container has a cgroup namespace of its own, new or joined.
    pub cgroup_namespace: bool,
    /// Lacking rights over cgroups is borne.
    pub rootless: bool,
}

/// A root file system, ready to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct RootfsPlan {
    /// The directory on the host that becomes `/`.
    pub path: PathBuf,
    /// Whether `/` is read-only in the end.
    pub readonly: bool,
    /// `linux.rootfsPropagation`; absent means that nothing propagates out of the container (`rslave`).
    pub propagation: Option<Propagation>,
    /// Move and chroot, in place of pivot_root(2).
    pub no_pivot: bool,
    /// The container has a user namespace: device nodes are bound, not made.
    pub user_namespace: bool,
    /// The container has a cgroup namespace: cgroup file systems are mounted, not bound.
    pub cgroup_namespace: bool,
    /// A cgroup file system that can't be had is covered instead of being an error.
    pub rootless: bool,
    /// In the order of `mounts`.
    pub mounts: Vec<MountPlan>,
    /// Device nodes to make, the defaults first; none where `/dev` is the host's.
    pub devices: Vec<DevicePlan>,
    /// Symbolic links to make in `/dev`; none where `/dev` is the host's.
    pub symlinks: Vec<Symlink>,
    /// Paths that can't be read, each once.
    pub masked_paths: Vec<String>,
    /// Paths that can't be written, each once.
    pub readonly_paths: Vec<String>,
    /// SELinux context of new file systems; empty means none.
    pub mount_label: String,
    /// Joined namespaces (their kind and path) that sysctls are written in: none may be the runtime's own.
    pub sysctl_namespaces: Vec<(String, PathBuf)>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq)]
pub struct MountPlan {
    /// Its place in `mounts`.
    pub index: usize,
    /// Absolute path inside, cleaned.
    pub destination: String,
    /// What is mounted.
    pub kind: MountKind,
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// What a bind mount has from its source and gives up, unless it is locked (see [`super::options::MountOptions::reset`]).
    pub reset: MountAttrFlags,
    /// Attributes of the whole tree; empty unless it is a recursive bind.
    pub recursive: Attributes,
    /// Changes of propagation, in their order, after it was mounted.
    pub propagation: Vec<Propagation>,
    /// No symbolic link may lead to the destination: `/proc`, what is below, and sysfs.
    pub strict: bool,
    /// Its files' owners are shown as others; absent means as they are.
    pub idmap: Option<Idmap>,
    /// Becomes read-only when everything else is in place, since there will be mount points or devices in it.
    pub late_readonly: bool,
}

/// How the ids of an idmapped mount are shown (mount_setattr(2), "ID-mapped mounts").
#[derive(Clone, Debug, PartialEq)]
pub struct Idmap {
    /// With the mounts below.
    pub recursive: bool,
    /// Whose ids.
    pub users: Users,
}

/// The user namespace that a mount's ids are mapped by.
#[derive(Clone, Debug, PartialEq)]
pub enum Users {
    /// One with these maps, made for it.
    Mapped {
        /// Users: as the file system has them, as they are shown on the host.
        uids: Vec<IdMapping>,
        /// Groups, likewise.
        gids: Vec<IdMapping>,
    },
    /// The one that the container joins.
    Joined(PathBuf),
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq)]
pub enum MountKind {
    /// A part of the host's tree.
    Bind {
        /// Path on the host, absolute.
        source: PathBuf,
        /// With the mounts below.
        recursive: bool,
        /// The source has to be a proc file system, since it becomes `/proc`.
        procfs: bool,
    },
    /// A file system of its own.
    Filesystem(Filesystem),
    /// The container's view of cgroups.
    Cgroup {
        /// cgroup2 even where there are v1 hierarchies.
        unified: bool,
        /// Options for a cgroup2 file system.
        data: Vec<String>,
    },
    /// Other attributes for what is mounted there.
    Remount {
        /// The mount's attributes only, not the file system's.
        bind: bool,
        /// Flags of the file system as a whole.
        superblock: MountFlags,
        /// The file system's own options.
        data: Vec<String>,
    },
}

impl MountKind {
    /// Whether what is changed in it is changed on the host: a bind, or devtmpfs, of which there is one.
    fn is_the_hosts(&self) -> bool {
        match self {
            Self::Bind { .. } => true,
            Self::Filesystem(filesystem) => filesystem.fstype == "devtmpfs",
            Self::Cgroup { .. } | Self::Remount { .. } => false,
        }
    }
}

/// A file system to mount.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filesystem {
    /// As in `/proc/filesystems`.
    pub fstype: String,
    /// A device or a dummy.
    pub source: String,
    /// Flags of the file system as a whole, without read-only.
    pub superblock: Superblock,
    /// Its own options, one each.
    pub data: Vec<String>,
    /// The options to use when the first are refused with EINVAL (devpts: `gid=5` in a joined user namespace).
    pub lesser_data: Option<Vec<String>>,
    /// SELinux context that its root gets afterwards, having no option for it; empty means none.
    pub root_label: String,
    /// Begin with a copy of what it covers.
    pub copy_up: bool,
    /// Its options need mount(2); fsconfig(2) can't carry them.
    pub classic: bool,
}

impl Filesystem {
    /// Adds the option that gives all its files an SELinux context; empty means none. Contexts have commas, which only
    /// mount(2) lets be quoted.
    pub fn label(&mut self, context: &str) {
        if context.is_empty() {
            return;
        }
        for data in std::iter::once(&mut self.data).chain(&mut self.lesser_data) {
            data.push(format!("context=\"{context}\""));
        }
        self.classic = true;
    }
}

/// Flags of a file system as a whole, with a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock(pub MountFlags);

impl Default for Superblock {
    fn default() -> Self {
        Self(MountFlags::empty())
    }
}

/// A symbolic link in `/dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symlink {
    /// Its name in `/dev`.
    pub name: &'static str,
    /// What it says.
    pub target: &'static str,
    /// Takes the place of what is there; otherwise what is there stays.
    pub replace: bool,
    /// Only made if this is in the kernel's proc file system.
    pub needs_proc: Option<&'static str>,
}

const fn link(name: &'static str, target: &'static str) -> Symlink {
    Symlink { name, target, replace: false, needs_proc: None }
}

/// What programs expect in `/dev` beside the devices.
const SYMLINKS: [Symlink; 6] = [
    Symlink { replace: true, ..link("ptmx", "pts/ptmx") },
    link("fd", "/proc/self/fd"),
    link("stdin", "/proc/self/fd/0"),
    link("stdout", "/proc/self/fd/1"),
    link("stderr", "/proc/self/fd/2"),
    Symlink { needs_proc: Some("kcore"), ..link("core", "/proc/kcore") },
];

impl fmt::Display for MountPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "mounts[{}] \"{}\" (", self.index, self.destination)?;
        match &self.kind {
            MountKind::Bind { source, .. } => write!(f, "bind of {}", source.display())?,
            MountKind::Filesystem(filesystem) => f.write_str(&filesystem.fstype)?,
            MountKind::Cgroup { unified, .. } => f.write_str(if *unified { "cgroup2" } else { "cgroup" })?,
            MountKind::Remount { .. } => f.write_str("remount")?,
        }
        f.write_str(")")
    }
}

/// Plans the root file system of `spec`, whose relative paths start at `bundle`; also gives what the specification
/// says to warn about.
///
/// # Errors
/// [`Kind::Config`], naming the field, for everything that is wrong; [`Kind::Unsupported`] for what can't be had.
pub fn plan(spec: &Spec, bundle: &Path, options: &Options) -> Result<(RootfsPlan, Vec<String>)> {
    let nothing = Linux::default();
    let linux = spec.linux.as_deref().unwrap_or(&nothing);
    need_mount_namespace(linux)?;
    check_label(&linux.mount_label)?;
    let root = spec.root.as_ref().ok_or_else(|| wrong("root", "missing"))?;
    if root.path.is_empty() {
        return Err(wrong("root.path", "empty"));
    }
    without_nul("root.path", &root.path)?;
    let mut warnings = Vec::new();
    // As `state` shows it: without `.` and a trailing slash.
    let path: PathBuf = bundle.join(&root.path).components().collect();
    let mounts = spec
        .mounts
        .iter()
        .enumerate()
        .map(|(i, mount)| mount::plan(i, mount, linux, [bundle, &path], options, &mut warnings))
        .collect::<Result<Vec<_>>>()?;
    let own_dev = !mounts.iter().any(|m| m.destination == "/dev" && m.kind.is_the_hosts());
    let devices = devices::plan(&linux.devices)?;
    let plan = RootfsPlan {
        path,
        readonly: root.readonly,
        propagation: propagation(linux, options)?,
        no_pivot: options.no_pivot,
        user_namespace: options.user_namespace,
        cgroup_namespace: options.cgroup_namespace,
        rootless: options.rootless,
        mounts,
        devices: if own_dev { devices } else { Vec::new() },
        symlinks: if own_dev { SYMLINKS.to_vec() } else { Vec::new() },
        masked_paths: paths_inside("linux.maskedPaths", &linux.masked_paths)?,
        readonly_paths: paths_inside("linux.readonlyPaths", &linux.readonly_paths)?,
        mount_label: linux.mount_label.clone(),
        sysctl_namespaces: sysctl::check(linux)?,
    };
    Ok((plan, warnings))
}

fn wrong(field: impl fmt::Display, cause: impl fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{field}: {cause}"))
}

fn without_nul(field: impl fmt::Display, value: &str) -> Result<()> {
    match value.contains('\0') {
        true => Err(wrong(field, "holds a NUL byte")),
        false => Ok(()),
    }
}

/// It stands in quotes among the options of file systems.
fn check_label(label: &str) -> Result<()> {
    match label.contains(['"', '\\', '\0']) {
        true => Err(wrong("linux.mountLabel", format!("{label:?}: is not an SELinux context"))),
        false => Ok(()),
    }
}

/// Without one of its own, everything would be mounted on the host.
fn need_mount_namespace(linux: &Linux) -> Result<()> {
    match linux.namespaces.iter().any(|n| n.kind == "mount") {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Unsupported,
            "linux.namespaces: no \"mount\": a container in the host's mount namespace is not supported",
        )),
    }
}

fn propagation(linux: &Linux, options: &Options) -> Result<Option<Propagation>> {
    let word = linux.rootfs_propagation.as_str();
    if word.is_empty() {
        return Ok(None);
    }
    let found = Propagation::parse(word)
        .ok_or_else(|| wrong("linux.rootfsPropagation", format!("{word:?}: unknown propagation")))?;
    if options.no_pivot && found.kind == MountPropagationFlags::PRIVATE {
        let cause =
            format!("{word:?}: not safe without pivot_root: the host's mounts stay reachable and busy");
        return Err(wrong("linux.rootfsPropagation", cause));
    }
    Ok(Some(found))
}

/// A path of the container without what would make it ambiguous: `/a//b/./` is `/a/b`.
///
/// # Errors
/// [`Kind::Config`] if it is relative or has `..` in it.
pub(super) fn clean_inside(field: &dyn fmt::Display, path: &str) -> Result<String> {
    without_nul(field, path)?;
    if !path.starts_with('/') {
        return Err(wrong(field, format!("{path:?}: must be absolute")));
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err(wrong(field, format!("{path:?}: must not have \"..\" in it")));
        }
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Ok(clean)
}

fn paths_inside(field: &str, paths: &[String]) -> Result<Vec<String>> {
    let mut out = Vec::<String>::with_capacity(paths.len());
    for (i, path) in paths.iter().enumerate() {
        let clean = clean_inside(&format_args!("{field}[{i}]"), path)?;
        if clean == "/" {
            return Err(wrong(format_args!("{field}[{i}]"), "the root itself"));
        }
        if !out.contains(&clean) {
            out.push(clean);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
