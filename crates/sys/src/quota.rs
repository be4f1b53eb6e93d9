//! Project quotas: how much all files with one number may take (quotactl(2), ioctl_xfs_fsgetxattr(2), `<linux/quota.h>`,
//! `<linux/dqblk_xfs.h>`).

use crate::error::{Fail, Result, check};
use crate::show;
use rustix::ioctl::opcode;
use std::os::fd::{AsFd, AsRawFd};

/// `PRJQUOTA`.
const PROJECT: libc::c_uint = 2;

const Q_GETQUOTA: libc::c_uint = 0x80_0007;
const Q_SETQUOTA: libc::c_uint = 0x80_0008;
const Q_XGETQSTAT: libc::c_uint = 0x5805;

/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`: that projects' files are counted, and limits hold.
const HOLDS: u16 = 1 << 4 | 1 << 5;

/// `QIF_BLIMITS`.
const LIMITS: u32 = 1;

/// The unit of limits, in bytes (`QIF_DQBLKSIZE`).
const BLOCK: u64 = 1024;

/// `FS_XFLAG_PROJINHERIT`: what is made in a directory belongs to its project.
const INHERIT: u32 = 0x200;

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Block {
    hard: u64,
    soft: u64,
    space: u64,
    inodes_hard: u64,
    inodes_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent: u32,
    extents: u32,
    project: u32,
    cow_extent: u32,
    padding: [u8; 8],
}

/// What a project has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Project {
    /// How much its files may take, in bytes; 0 is no limit.
    pub limit: u64,
    /// How much they take, in bytes.
    pub used: u64,
}

/// Whether limits of projects hold on the file system that this is on.
///
/// # Errors
/// The kernel's answer, `ENOSYS` before Linux 5.14 and where there are no quotas.
pub fn holds(fd: impl AsFd) -> Result<bool> {
    // `struct fs_quota_stat`, whose second field are the flags.
    let mut stat = [0_u64; 16];
    let data = (&raw mut stat).cast();
    quotactl_fd(&fd, Q_XGETQSTAT, 0, data, "Q_XGETQSTAT")?;
    let bytes = stat[0].to_ne_bytes();
    Ok(u16::from_ne_bytes([bytes[2], bytes[3]]) & HOLDS == HOLDS)
}

/// What a project has on the file system that this is on.
///
/// # Errors
/// The kernel's answer; `ENOENT` if it has nothing.
pub fn project(fd: impl AsFd, id: u32) -> Result<Project> {
    let mut block = Block::default();
    quotactl_fd(&fd, Q_GETQUOTA, id, (&raw mut block).cast(), "Q_GETQUOTA")?;
    Ok(Project { limit: block.hard.saturating_mul(BLOCK), used: block.space })
}

/// Bounds what a project's files may take, in bytes; 0 takes the bound away.
///
/// # Errors
/// The kernel's answer.
pub fn set_limit(fd: impl AsFd, id: u32, bytes: u64) -> Result<()> {
    let hard = bytes.div_ceil(BLOCK);
    let mut block = Block { hard, soft: 0, valid: LIMITS, ..Block::default() };
    quotactl_fd(&fd, Q_SETQUOTA, id, (&raw mut block).cast(), "Q_SETQUOTA")
}

/// The project that a file belongs to; 0 is none.
///
/// # Errors
/// The kernel's answer; `ENOTTY` or `EOPNOTSUPP` where there are no projects.
pub fn project_of(fd: impl AsFd) -> Result<u32> {
    attributes(&fd).map(|attributes| attributes.project)
}

/// Has a directory belong to a project, and what will be made in it, too.
///
/// # Errors
/// The kernel's answer; `EINVAL` in a user namespace.
pub fn set_project(directory: impl AsFd, id: u32) -> Result<()> {
    let mut attributes = attributes(&directory)?;
    (attributes.project, attributes.flags) = (id, attributes.flags | INHERIT);
    let request = opcode::write::<Attributes>(b'X', 32);
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    check(unsafe { libc::ioctl(directory.as_fd().as_raw_fd(), request.into(), &raw const attributes) })
        .map(drop)
        .fail(|| format!("ioctl({}, FS_IOC_FSSETXATTR, project {id})", show::fd(&directory)))
}

fn attributes(fd: impl AsFd) -> Result<Attributes> {
    let mut attributes = Attributes::default();
    let request = opcode::read::<Attributes>(b'X', 31);
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request.into(), &raw mut attributes) })
        .fail(|| format!("ioctl({}, FS_IOC_FSGETXATTR)", show::fd(&fd)))?;
    Ok(attributes)
}

/// For projects. `data` is what the command wants, of at least its size.
fn quotactl_fd(
    fd: impl AsFd,
    command: libc::c_uint,
    id: u32,
    data: *mut libc::c_void,
    name: &str,
) -> Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the three callers above point to a structure of the command's, or a larger one, which outlives the call.
    check(unsafe { libc::syscall(libc::SYS_quotactl_fd, number, command << 8 | PROJECT, id, data) })
        .map(drop)
        .fail(|| format!("quotactl_fd({}, {name}, project {id})", show::fd(&fd)))
}
