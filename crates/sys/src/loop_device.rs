//! Loop devices: a file as a block device, which goes away by itself (`drivers/block/loop.c`, loop(4)).

use crate::error::{Errno, Error, Fail, Result, check};
use crate::fs::{self, Mode, OFlags};
use crate::show;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// How often another device is looked for when somebody else was faster.
const TRIES: u32 = 64;

const LOOP_SET_FD: libc::c_ulong = 0x4C00;
const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LOOP_SET_STATUS64: libc::c_ulong = 0x4C04;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;

const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// A loop device that is attached as long as this or a mount of it is there (`LO_FLAGS_AUTOCLEAR`): whoever is killed
/// leaves none.
#[derive(Debug)]
pub struct LoopDevice {
    /// The device.
    pub device: OwnedFd,
    /// Its name in `/dev`.
    pub path: PathBuf,
}

/// `struct loop_info64` of `<linux/loop.h>`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `<linux/loop.h>` (Linux 5.8).
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// Attaches a part of `file` to a free loop device: from `offset`, `size` bytes or all that follow. With `read_only`,
/// nothing can write to it.
///
/// The device keeps the open file, with its lock (flock(2)), for as long as it is attached.
///
/// # Errors
/// The kernel's answer, `ENOENT` where there are no loop devices; `EBUSY` if all that were free are taken by others.
pub fn attach(file: impl AsFd, offset: u64, size: Option<u64>, read_only: bool) -> Result<LoopDevice> {
    let control = fs::open("/dev/loop-control", OFlags::RDWR, Mode::empty())?;
    let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
    let mut tries = 0;
    loop {
        // SAFETY: this request takes no argument.
        let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })
            .fail(|| "ioctl(</dev/loop-control>, LOOP_CTL_GET_FREE)".into())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = fs::open(&path, access, Mode::empty())?;
        match configure(device.as_fd(), file.as_fd(), offset, size, read_only) {
            Err(e) if e.errno() == Errno::BUSY && tries < TRIES => tries += 1,
            configured => return configured.map(|()| LoopDevice { device, path }),
        }
    }
}

fn configure(
    device: BorrowedFd,
    file: BorrowedFd,
    offset: u64,
    size: Option<u64>,
    read_only: bool,
) -> Result<()> {
    let call = |request: &str| format!("ioctl({}, {request}, {})", show::fd(&device), show::fd(&file));
    // SAFETY: a structure of integers, for which all bits zero is a value.
    let mut config: Config = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd() as u32;
    config.info.offset = offset;
    config.info.size_limit = size.unwrap_or(0);
    config.info.flags = LO_FLAGS_AUTOCLEAR | if read_only { LO_FLAGS_READ_ONLY } else { 0 };
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    match check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }) {
        // Before Linux 5.8; EINVAL may also be said of the offset, which the older request then says.
        Err(Errno::INVAL | Errno::NOTTY) => {}
        configured => return configured.map(drop).fail(|| call("LOOP_CONFIGURE")),
    }
    // SAFETY: two borrowed descriptors.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, file.as_raw_fd()) })
        .fail(|| call("LOOP_SET_FD"))?;
    // SAFETY: a borrowed descriptor and a structure as the request wants it; both outlive the call.
    let set = check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_STATUS64, &raw const config.info) });
    set.map_err(|errno| {
        // SAFETY: this request takes no argument.
        let _ = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD, 0) };
        Error::new(call("LOOP_SET_STATUS64"), errno)
    })?;
    Ok(())
}
