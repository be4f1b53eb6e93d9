//! One entry of `mounts`, planned.

use super::{
    Filesystem, Idmap, MountKind, MountPlan, Options, Superblock, Users, clean_inside, without_nul, wrong,
};
use crate::error::{Kind, Result};
use crate::faults;
use crate::fs::options::{self, Attributes, MountOptions};
use crate::spec::{IdMapping, Linux, Mount, wrong_range};
use forgeone_sys::mount::{MountAttrFlags, MountFlags};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Files of `/proc` that lxcfs and the like may replace; nothing else below `/proc` can be mounted over.
const PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// The field of a mount, for messages.
struct Field<'a>(usize, &'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "mounts[{}].{}", self.0, self.1)
    }
}

pub(super) fn plan(
    index: usize,
    mount: &Mount,
    linux: &Linux,
    [bundle, root]: [&Path; 2],
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<MountPlan> {
    let destination = destination(index, &mount.destination, root, warnings)?;
    without_nul(Field(index, "type"), &mount.kind)?;
    without_nul(Field(index, "source"), &mount.source)?;
    for option in &mount.options {
        without_nul(Field(index, "options"), option)?;
    }
    let read = options::parse(&mount.options);
    let idmap = idmap(index, mount, read.idmap, linux)?;
    refuse_copy_up(index, mount, &read)?;
    let mut attributes = read.attributes;
    let mut recursive = read.recursive;
    let reset = match (read.remount, read.bind) {
        (false, Some(_)) => read.reset(options.user_namespace),
        _ => MountAttrFlags::empty(),
    };
    let propagation = read.propagation.clone();
    let kind = match (read.remount, read.bind) {
        (true, bind) => remount(index, read, bind.is_some(), warnings)?,
        (false, Some(recursive)) => bind(index, mount, read, recursive, bundle, &destination, warnings)?,
        (false, None) => filesystem(index, mount, read, linux, options, warnings)?,
    };
    if !matches!(kind, MountKind::Bind { recursive: true, .. } | MountKind::Remount { .. }) {
        attributes = attributes.then(recursive);
        recursive = Attributes::default();
    }
    check_proc(index, &destination, &kind)?;
    if idmap.is_some() {
        check_idmap(index, &kind, options.user_namespace)?;
    }
    let fstype = match &kind {
        MountKind::Filesystem(filesystem) => filesystem.fstype.as_str(),
        _ => "",
    };
    let strict = matches!(fstype, "proc" | "sysfs") || below_proc(&destination);
    let filled_later = fstype == "tmpfs" || (!fstype.is_empty() && destination == "/dev");
    let readonly = MountAttrFlags::MOUNT_ATTR_RDONLY;
    if faults::without("cgroup") && matches!(kind, MountKind::Cgroup { .. }) {
        attributes.set.remove(readonly);
    }
    let late_readonly = filled_later && attributes.set.contains(readonly);
    if late_readonly {
        attributes.set.remove(readonly);
    }
    Ok(MountPlan {
        index,
        destination,
        kind,
        attributes,
        reset,
        recursive,
        propagation,
        strict,
        idmap,
        late_readonly,
    })
}

/// The path inside. One that begins with the root's path on the host means what follows it, as with runc.
fn destination(index: usize, path: &str, root: &Path, warnings: &mut Vec<String>) -> Result<String> {
    let field = Field(index, "destination");
    if path.is_empty() {
        return Err(wrong(field, "empty"));
    }
    let below = Path::new(path).strip_prefix(root).ok().filter(|_| root.parent().is_some());
    let path = below.and_then(Path::to_str).map_or(Cow::Borrowed(path), |rest| format!("/{rest}").into());
    let clean = if path.starts_with('/') {
        clean_inside(&field, &path)?
    } else {
        warnings.push(format!("{field}: {path:?}: relative paths are deprecated, taken as relative to /"));
        clean_inside(&field, &format!("/{path}"))?
    };
    match clean.as_str() {
        "/" => Err(wrong(field, format!("{path:?}: nothing can be mounted over the root itself"))),
        _ => Ok(clean),
    }
}

/// The mount's own maps; or those of the container's user namespace, with the option `idmap` or `ridmap` alone.
fn idmap(index: usize, mount: &Mount, word: Option<&str>, linux: &Linux) -> Result<Option<Idmap>> {
    let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
    let recursive = word == Some("ridmap");
    if !uids.is_empty() || !gids.is_empty() {
        for (field, maps) in [("uidMappings", uids), ("gidMappings", gids)] {
            if maps.is_empty() {
                return Err(wrong(Field(index, field), "missing: users and groups are mapped together"));
            }
            if let Some((i, cause)) = wrong_range(maps) {
                return Err(wrong(format_args!("{}[{i}]", Field(index, field)), cause));
            }
        }
        let users = Users::Mapped { uids: uids.clone(), gids: gids.clone() };
        return Ok(Some(Idmap { recursive, users }));
    }
    let Some(word) = word else { return Ok(None) };
    let Some(own) = linux.namespaces.iter().find(|namespace| namespace.kind == "user") else {
        let cause = format!("{word:?}: needs uidMappings and gidMappings, or a user namespace");
        return Err(wrong(Field(index, "options"), cause));
    };
    let users = match own.path.is_empty() {
        true => Users::Mapped { uids: linux.uid_mappings.clone(), gids: linux.gid_mappings.clone() },
        false => Users::Joined(PathBuf::from(&own.path)),
    };
    Ok(Some(Idmap { recursive, users }))
}

/// Only what is mounted anew can be idmapped, by whoever has power over the file system and over the map: init, in a
/// user namespace, has it over the first alone.
fn check_idmap(index: usize, kind: &MountKind, user_namespace: bool) -> Result<()> {
    let cause = match kind {
        MountKind::Bind { .. } => return Ok(()),
        MountKind::Remount { .. } => "idmap: a mount that is there already can't be idmapped",
        MountKind::Cgroup { .. } => "idmap: a cgroup file system can't be idmapped",
        MountKind::Filesystem(what) if what.classic => "idmap: not with options that only mount(2) takes",
        MountKind::Filesystem(_) if user_namespace => {
            "idmap: a file system that is mounted in a user namespace has the ids of that"
        }
        MountKind::Filesystem(_) => return Ok(()),
    };
    Err(wrong(Field(index, "options"), cause).into_kind(Kind::Unsupported))
}

fn refuse_copy_up(index: usize, mount: &Mount, read: &MountOptions) -> Result<()> {
    let fits = mount.kind == "tmpfs" && read.bind.is_none() && !read.remount;
    match read.copy_up && !fits {
        true => Err(wrong(Field(index, "options"), "\"tmpcopyup\": only for a new tmpfs")),
        false => Ok(()),
    }
}

fn refuse_data(index: usize, data: &[String], what: &str) -> Result<()> {
    match data.first() {
        Some(option) => Err(wrong(Field(index, "options"), format!("{option:?}: {what}"))),
        None => Ok(()),
    }
}

fn warn_superblock(index: usize, flags: MountFlags, warnings: &mut Vec<String>) {
    if !flags.is_empty() {
        let words = options::superblock_words(flags).collect::<Vec<_>>().join(",");
        warnings.push(format!("{}: {words:?}: no effect on a bind mount", Field(index, "options")));
    }
}

fn remount(index: usize, read: MountOptions, bind: bool, warnings: &mut Vec<String>) -> Result<MountKind> {
    if bind {
        refuse_data(index, &read.data, "not an option of a mount")?;
        warn_superblock(index, read.superblock, warnings);
    }
    Ok(MountKind::Remount { bind, superblock: read.superblock, data: read.data })
}

fn bind(
    index: usize,
    mount: &Mount,
    read: MountOptions,
    recursive: bool,
    bundle: &Path,
    destination: &str,
    warnings: &mut Vec<String>,
) -> Result<MountKind> {
    if mount.source.is_empty() {
        return Err(wrong(Field(index, "source"), "missing"));
    }
    refuse_data(index, &read.data, "not an option of a bind mount")?;
    warn_superblock(index, read.superblock, warnings);
    Ok(MountKind::Bind { source: bundle.join(&mount.source), recursive, procfs: destination == "/proc" })
}

fn filesystem(
    index: usize,
    mount: &Mount,
    read: MountOptions,
    linux: &Linux,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<MountKind> {
    let mut out = Filesystem {
        fstype: mount.kind.clone(),
        source: mount.source.clone(),
        superblock: Superblock(read.superblock),
        data: read.data,
        copy_up: read.copy_up,
        ..Filesystem::default()
    };
    match mount.kind.as_str() {
        "" => return Err(wrong(Field(index, "type"), "missing")),
        "bind" | "none" => {
            let cause = format!("{:?}: a bind mount needs the option bind or rbind", mount.kind);
            return Err(wrong(Field(index, "type"), cause));
        }
        "cgroup" | "cgroup2" => {
            return Ok(MountKind::Cgroup { unified: mount.kind == "cgroup2", data: out.data });
        }
        "devpts" if options.user_namespace => devpts_group(index, &mut out, &linux.gid_mappings, warnings),
        _ => {}
    }
    out.classic = !options::fit_fsconfig(out.superblock.0, &out.data);
    match mount.kind.as_str() {
        // The kernel labels their files by itself.
        "proc" | "sysfs" => {}
        "mqueue" => out.root_label.clone_from(&linux.mount_label),
        _ => out.label(&linux.mount_label),
    }
    Ok(MountKind::Filesystem(out))
}

/// devpts refuses a group that has no id in its user namespace, and nearly every config asks for 5, which is `tty`.
fn devpts_group(index: usize, out: &mut Filesystem, gids: &[IdMapping], warnings: &mut Vec<String>) {
    let Some(at) = out.data.iter().position(|option| option == "gid=5") else { return };
    let mut lesser = out.data.clone();
    lesser.remove(at);
    let inside =
        |m: &IdMapping| (m.container_id..=m.container_id.saturating_add(m.size.max(1) - 1)).contains(&5);
    if gids.is_empty() {
        out.lesser_data = Some(lesser);
    } else if !gids.iter().any(inside) {
        warnings.push(format!("{}: \"gid=5\": left out, the group is not mapped", Field(index, "options")));
        out.data = lesser;
    }
}

fn below_proc(destination: &str) -> bool {
    destination.strip_prefix("/proc").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Nothing but a proc file system may be `/proc`, and only a few files in it may be covered: what is written to
/// `/proc` decides about security, in the container and in the runtimes that enter it (CVE-2019-16884).
fn check_proc(index: usize, destination: &str, kind: &MountKind) -> Result<()> {
    if !below_proc(destination) {
        return Ok(());
    }
    let field = Field(index, "destination");
    let fits = match kind {
        MountKind::Filesystem(filesystem) => filesystem.fstype == "proc",
        MountKind::Bind { .. } | MountKind::Remount { .. } => true,
        MountKind::Cgroup { .. } => false,
    };
    if destination == "/proc" {
        return match fits {
            true => Ok(()),
            false => Err(wrong(field, "\"/proc\": only a proc file system can be mounted there")),
        };
    }
    match PROC_FILES.contains(&destination) {
        true => Ok(()),
        false => Err(wrong(field, format!("{destination:?}: can't be mounted over: it is inside /proc"))),
    }
}
