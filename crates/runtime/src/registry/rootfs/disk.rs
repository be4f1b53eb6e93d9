//! File systems within files: attached to a loop device that goes with the mount.

use super::Disk;
use super::mount::FOREIGN;
use crate::error::{During, Error, Kind, Result};
use crate::lifecycle::in_user_namespace;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags};
use forgeone_sys::{Errno, loop_device};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a file that another one has is waited for.
const LEAVING: Duration = Duration::from_secs(1);

/// Mounts a disk image's file system at `target`. While it is mounted its file is locked (flock(2)): by all that only
/// read it, or by the one that writes.
pub(super) fn mount(disk: &Disk, target: &Path, read_only: bool) -> Result<()> {
    let what = || format!("disk image {}", disk.file.display());
    if in_user_namespace() {
        let message = format!("{}: the kernel mounts it for root of the machine only", what());
        return Err(Error::new(Kind::Unsupported, message));
    }
    let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
    let file = fs::open(&disk.file, access, Mode::empty()).during(what)?;
    if !is_free(&file, read_only).during(what)? {
        let message = format!("{} is in use; what is written to can't be shared", what());
        return Err(Error::new(Kind::State, message));
    }
    mount_file(&file, disk, target, read_only).during(what)
}

/// Takes the file's lock. A container that has ended may have it for a moment: its device goes after its processes.
fn is_free(file: impl AsFd, read_only: bool) -> Result<bool> {
    let until = Instant::now() + LEAVING;
    loop {
        let free = if read_only { fs::try_flock_shared(&file) } else { fs::try_flock(&file) };
        if free? {
            return Ok(true);
        }
        if Instant::now() > until {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn mount_file(file: impl AsFd, disk: &Disk, target: &Path, read_only: bool) -> Result<()> {
    let device = match loop_device::attach(file, disk.offset, disk.size, read_only) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NXIO) => {
            let message = format!("there are no loop devices (module loop): {e}");
            return Err(Error::new(Kind::Unsupported, message));
        }
        device => device?,
    };
    let context = match mount::fsopen(&*disk.filesystem) {
        Err(e) if e.errno() == Errno::NODEV => {
            let message = format!("this kernel has no {} (kernel module)", disk.filesystem);
            return Err(Error::new(Kind::Unsupported, message));
        }
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => {
            return by_mount(disk, &device.path, target, read_only);
        }
        context => context?,
    };
    mount::fsconfig_string(&context, "source", &device.path)?;
    for (key, value) in options(&disk.filesystem) {
        match value {
            Some(value) => mount::fsconfig_string(&context, *key, *value)?,
            None => mount::fsconfig_flag(&context, *key)?,
        }
    }
    if read_only {
        mount::fsconfig_flag(&context, "ro")?;
    }
    mount::fsconfig_create(&context)?;
    let read = if read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
    let made = mount::fsmount(&context, FOREIGN | read)?;
    Ok(mount::move_mount_at(made, fs::CWD, target)?)
}

/// The same before Linux 5.2.
fn by_mount(disk: &Disk, device: &Path, target: &Path, read_only: bool) -> Result<()> {
    let words = options(&disk.filesystem).iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => (*key).to_owned(),
    });
    let data = std::ffi::CString::new(words.collect::<Vec<_>>().join(",")).unwrap_or_default();
    let read = if read_only { mount::MountFlags::RDONLY } else { mount::MountFlags::empty() };
    let flags = mount::MountFlags::NODEV | read;
    Ok(mount::mount(device, target, &*disk.filesystem, flags, Some(&data))?)
}

/// What a file system that may be damaged, or the copy of another, is mounted with.
fn options(filesystem: &str) -> &'static [(&'static str, Option<&'static str>)] {
    match filesystem {
        // Its own superblock may ask for a panic of the machine.
        "ext4" => &[("errors", Some("remount-ro"))],
        "xfs" => &[("nouuid", None)],
        _ => &[],
    }
}
