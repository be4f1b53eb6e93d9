//! Subvolumes of btrfs (`<linux/btrfs.h>`, btrfs-subvolume(8)).

use crate::error::{Errno, Fail, Result, check};
use crate::fs;
use crate::show;
use rustix::ioctl::opcode;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

/// `BTRFS_SUPER_MAGIC`.
const MAGIC: i64 = 0x9123_683E;

/// The inode number of a subvolume's root directory (`BTRFS_FIRST_FREE_OBJECTID`).
const ROOT: u64 = 256;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct Named {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct Made {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// Whether it is on btrfs.
///
/// # Errors
/// The kernel's answer.
pub fn is_btrfs(fd: impl AsFd) -> Result<bool> {
    Ok(fs::fstatfs(fd)?.f_type as i64 == MAGIC)
}

/// Whether a directory is a subvolume.
///
/// # Errors
/// The kernel's answer.
pub fn is_subvolume(fd: impl AsFd) -> Result<bool> {
    Ok(fs::fstat(&fd)?.st_ino == ROOT && is_btrfs(fd)?)
}

/// Makes an empty subvolume in a directory.
///
/// # Errors
/// The kernel's answer; `ENOTTY` elsewhere than on btrfs.
pub fn create(directory: impl AsFd, name: &OsStr) -> Result<()> {
    make(directory, name, 0, 24, "BTRFS_IOC_SUBVOL_CREATE_V2")
}

/// Makes a subvolume in a directory that has what `of` has by now, to be written to.
///
/// # Errors
/// The kernel's answer; `EINVAL` if `of` is no subvolume, `EXDEV` if it is another file system's.
pub fn snapshot(of: impl AsFd, directory: impl AsFd, name: &OsStr) -> Result<()> {
    make(directory, name, of.as_fd().as_raw_fd().into(), 23, "BTRFS_IOC_SNAP_CREATE_V2")
}

/// Removes a subvolume from a directory, with all that it has.
///
/// # Errors
/// The kernel's answer: for others than root `EPERM`, unless it is mounted with `user_subvol_rm_allowed`.
pub fn destroy(directory: impl AsFd, name: &OsStr) -> Result<()> {
    let call = || format!("ioctl({}, BTRFS_IOC_SNAP_DESTROY, {name:?})", show::fd(&directory));
    let named = Named { fd: 0, name: array(name).fail(call)? };
    let request = opcode::write::<Named>(0x94, 15);
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    check(unsafe { libc::ioctl(directory.as_fd().as_raw_fd(), request.into(), &raw const named) })
        .map(drop)
        .fail(call)
}

fn make(directory: impl AsFd, name: &OsStr, fd: i64, number: u8, request: &str) -> Result<()> {
    let call = || format!("ioctl({}, {request}, {name:?})", show::fd(&directory));
    let made = Made { fd, transid: 0, flags: 0, unused: [0; 4], name: array(name).fail(call)? };
    let request = opcode::write::<Made>(0x94, number);
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    check(unsafe { libc::ioctl(directory.as_fd().as_raw_fd(), request.into(), &raw const made) })
        .map(drop)
        .fail(call)
}

/// A name with a NUL byte behind it.
fn array<const N: usize>(name: &OsStr) -> std::result::Result<[u8; N], Errno> {
    let (name, mut array) = (name.as_bytes(), [0; N]);
    // File systems have no longer names (NAME_MAX), and the kernel says so.
    let place = array.get_mut(..name.len()).filter(|_| name.len() < N).ok_or(Errno::NAMETOOLONG)?;
    place.copy_from_slice(name);
    Ok(array)
}
