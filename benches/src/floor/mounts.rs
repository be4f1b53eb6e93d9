//! The root file system and what is mounted in it, by path: nobody else writes to it meanwhile.

use crate::arguments::Arguments;
use forgeone_sys::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, open, symlinkat};
use forgeone_sys::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_propagation, mount_remount,
    pivot_root, umount,
};
use forgeone_sys::process::chdir;
use forgeone_sys::{Errno, Result};
use std::ffi::CStr;

const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];
const MASKED_FILES: [&str; 6] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
];
const MASKED_DIRECTORIES: [&str; 4] = ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const NOSUID: MountFlags = MountFlags::NOSUID;
const NOEXEC: MountFlags = MountFlags::NOEXEC;
const NODEV: MountFlags = MountFlags::NODEV;

/// Makes the root and enters it.
pub(crate) fn enter_root(arguments: &Arguments) -> Result<()> {
    mount_propagation("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)?;
    mount_bind(arguments.root.as_str(), arguments.root.as_str(), true)?;
    chdir(arguments.root.as_str())?;
    file_systems(arguments)?;
    cgroups(arguments)?;
    for number in 0..arguments.binds {
        mount_bind(arguments.source.as_str(), format!("m{number}"), false)?;
    }
    devices(arguments)?;
    pivot_root(".", ".")?;
    umount(".", UnmountFlags::DETACH)?;
    cover()?;
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY | own_flags(arguments), None)
}

/// In a user namespace the flags of a mount that came from outside are locked; Temporary directories have these.
fn own_flags(arguments: &Arguments) -> MountFlags {
    if arguments.user.is_empty() { MountFlags::empty() } else { MountFlags::RELATIME }
}

fn file_systems(arguments: &Arguments) -> Result<()> {
    let all = NOSUID | NOEXEC | NODEV;
    let new = |kind: &str, target: &str, flags, data: Option<&CStr>| mount(kind, target, kind, flags, data);
    new("proc", "proc", MountFlags::empty(), None)?;
    new("tmpfs", "dev", NOSUID | MountFlags::STRICTATIME, Some(c"mode=755,size=65536k"))?;
    for (directory, mode) in [("dev/pts", 0o755), ("dev/shm", 0o755), ("dev/mqueue", 0o755)] {
        mkdirat(CWD, directory, mode)?;
    }
    let pts = if arguments.rootless { c"newinstance,ptmxmode=0666,mode=0620" } else { PTS };
    new("devpts", "dev/pts", NOSUID | NOEXEC, Some(pts))?;
    new("tmpfs", "dev/shm", all, Some(c"mode=1777,size=65536k"))?;
    new("mqueue", "dev/mqueue", all, None)?;
    match arguments.rootless {
        true => mount_bind("/sys", "sys", true),
        false => new("sysfs", "sys", all | MountFlags::RDONLY, None),
    }
}

const PTS: &CStr = c"newinstance,ptmxmode=0666,mode=0620,gid=5";

/// The container's own cgroups, read-only.
fn cgroups(arguments: &Arguments) -> Result<()> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | NOSUID | NOEXEC | NODEV;
    let group = &arguments.group;
    if arguments.v2 {
        mount_bind(format!("/sys/fs/cgroup{group}"), "sys/fs/cgroup", false)?;
        return mount_remount("sys/fs/cgroup", flags, None);
    }
    if arguments.v1.is_empty() {
        return Ok(());
    }
    mount("tmpfs", "sys/fs/cgroup", "tmpfs", NOSUID | NOEXEC | NODEV, Some(c"mode=755"))?;
    for hierarchy in &arguments.v1 {
        let target = format!("sys/fs/cgroup/{hierarchy}");
        mkdirat(CWD, target.as_str(), 0o755)?;
        mount_bind(format!("/sys/fs/cgroup/{hierarchy}{group}"), target.as_str(), false)?;
        mount_remount(target.as_str(), flags, None)?;
    }
    mount_remount("sys/fs/cgroup", flags, None)
}

/// Nodes, or in a user namespace, which may not make any, the host's.
fn devices(arguments: &Arguments) -> Result<()> {
    for (name, major, minor) in NODES {
        let path = format!("dev/{name}");
        if arguments.user.is_empty() {
            mknodat(CWD, path.as_str(), FileType::CharacterDevice, 0o666, major, minor)?;
        } else {
            open(path.as_str(), OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o666))?;
            mount_bind(format!("/dev/{name}"), path.as_str(), false)?;
        }
    }
    LINKS.iter().try_for_each(|(target, name)| symlinkat(*target, CWD, format!("dev/{name}")))
}

/// Masked and read-only paths; those that this kernel doesn't have are left out.
fn cover() -> Result<()> {
    for file in MASKED_FILES {
        there(mount_bind("/dev/null", file, false))?;
    }
    for directory in MASKED_DIRECTORIES {
        there(mount("tmpfs", directory, "tmpfs", MountFlags::RDONLY, Some(c"nr_blocks=1,nr_inodes=1")))?;
    }
    for path in READ_ONLY {
        if there(mount_bind(path, path, true))? {
            mount_remount(path, MountFlags::BIND | MountFlags::RDONLY | NOSUID | NODEV | NOEXEC, None)?;
        }
    }
    Ok(())
}

fn there(done: Result<()>) -> Result<bool> {
    match done {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(false),
        done => done.map(|()| true),
    }
}
