//! Where a descriptor is: on which kind of file system, in which mount.

use super::{Mode, OFlags, fstatfs, open, read_to_end};
use crate::error::{Errno, Error, Fail, Result, retry, with_c_str};
use crate::show;
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::path::Arg;
use std::os::fd::{AsFd, AsRawFd};

const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// `ST_RDONLY` of `statfs(2)`: the file system or the mount is read-only.
const ST_RDONLY: u64 = 1;

/// The longest `fdinfo` and `mountinfo` that are read, in bytes.
const INFO_MAX: usize = 16 << 20;

fn has_magic(fd: impl AsFd, magic: u64) -> Result<bool> {
    Ok(fstatfs(fd)?.f_type as u64 == magic)
}

/// Whether the descriptor is on a procfs.
pub fn is_procfs(fd: impl AsFd) -> Result<bool> {
    has_magic(fd, PROC_SUPER_MAGIC)
}

/// Whether the descriptor is on a cgroup2 file system.
pub fn is_cgroup2(fd: impl AsFd) -> Result<bool> {
    has_magic(fd, CGROUP2_SUPER_MAGIC)
}

/// Whether the descriptor is on a tmpfs.
pub fn is_tmpfs(fd: impl AsFd) -> Result<bool> {
    has_magic(fd, TMPFS_MAGIC)
}

/// Whether the descriptor is a namespace.
pub fn is_nsfs(fd: impl AsFd) -> Result<bool> {
    has_magic(fd, NSFS_MAGIC)
}

/// What `statfs(2)` says of the place of a file.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Whether it is on a tmpfs, as files in memory are.
    pub is_tmpfs: bool,
    /// Whether the mount, or the file system, is read-only.
    pub is_read_only: bool,
}

/// `statfs(2)`.
pub fn statfs(path: impl Arg) -> Result<Place> {
    with_c_str("statfs", path, |path| {
        let stat = retry(|| rustix::fs::statfs(path)).fail(|| format!("statfs({})", show::Text(path)))?;
        let (is_tmpfs, flags) = (stat.f_type as u64 == TMPFS_MAGIC, stat.f_flags as u64);
        Ok(Place { is_tmpfs, is_read_only: flags & ST_RDONLY != 0 })
    })
}

/// The id of the mount that the descriptor is in, as in the first field of `/proc/self/mountinfo`.
///
/// `statx(2)` with `STATX_MNT_ID` (Linux 5.8), otherwise `/proc/self/fdinfo`.
pub fn mount_id(fd: impl AsFd) -> Result<u64> {
    match rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Ok(stat.stx_mnt_id),
        _ => mount_id_from_fdinfo(&fd),
    }
}

/// `mnt_id:` of the descriptor's `fdinfo`.
fn mount_id_from_fdinfo(fd: &impl AsFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = read_proc(&path)?;
    info.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| Error::new(format!("{path}: no mnt_id for {}", show::fd(fd)), Errno::OPNOTSUPP))
}

/// Whether the descriptor is the root of a mount.
///
/// `statx(2)` with `STATX_ATTR_MOUNT_ROOT` (Linux 5.8); before that, `/proc/self/mountinfo`, which does not
/// know of detached mounts.
pub fn is_mount_root(fd: impl AsFd) -> Result<bool> {
    match rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
        Ok(stat) if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        }
        Ok(_) | Err(Errno::NOSYS | Errno::PERM) => is_mount_root_by_mountinfo(&fd),
        Err(errno) => Err(errno).fail(|| format!("statx({}, \"\", AT_EMPTY_PATH)", show::fd(&fd))),
    }
}

/// Whether the descriptor's path is the mount point of its mount.
fn is_mount_root_by_mountinfo(fd: &impl AsFd) -> Result<bool> {
    let id = mount_id_from_fdinfo(fd)?.to_string();
    let path = super::readlinkat(super::CWD, super::fd_path(fd))?;
    let info = read_proc("/proc/self/mountinfo")?;
    let mut lines = info.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let point =
        lines.find(|fields| fields.first() == Some(&id.as_str())).and_then(|f| f.get(4).map(unescape));
    Ok(point.is_some_and(|point| point == path.to_string_lossy()))
}

/// mountinfo's `\040`, `\011`, `\012` and `\134` as the characters that they stand for.
fn unescape(field: &&str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// A file of procfs, if it is really one.
fn read_proc(path: &str) -> Result<String> {
    let fd = open(path, OFlags::RDONLY, Mode::empty())?;
    if !is_procfs(&fd)? {
        return Err(Error::new(format!("open({path:?}): not on a procfs"), Errno::PERM));
    }
    Ok(String::from_utf8_lossy(&read_to_end(fd, INFO_MAX)?).into_owned())
}
