//! What a resolver leaves behind of who started it, and what it may no longer do.
//!
//! It speaks to containers, so it keeps as little as its work needs: a mount namespace of its own, in which nothing but the
//! networks' files (and the kernel's network settings) can be written and nothing of a container is mounted, which would
//! outlive the container by that; no capability but the one for networks; no way to another by executing something.

use crate::background;
use crate::error::Result;
use forgeone_sys::credentials::{self, Capabilities};
use forgeone_sys::fs::CWD;
use forgeone_sys::mount::{self, MountAttrFlags, MountPropagationFlags};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::{AsFd, Errno, OwnedFd};
use std::path::Path;

/// Settings of the kernel that belong to networks.
const SETTINGS: &str = "/proc/sys/net";

/// Becomes a process of its own, in a mount namespace of its own; `false` in the one that was started, which ends.
pub(super) fn leave(keep: Option<&OwnedFd>) -> Result<bool> {
    if let Forked::Parent(_) =
        process::clone(&CloneArgs { namespaces: Namespaces::MOUNT, ..CloneArgs::default() })?
    {
        return Ok(false);
    }
    process::setsid()?;
    process::umask(0o022);
    process::chdir("/")?;
    let keep: Vec<_> = keep.iter().map(|fd| fd.as_fd()).collect();
    process::close_all_but(3, &keep)?;
    process::set_name(c"forgeone-names")?;
    Ok(true)
}

/// See the module.
pub(super) fn confine(data_root: &Path) -> Result<()> {
    let networks = &*data_root.join("networks");
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount::mount_propagation("/", slave)?;
    let containers = data_root.join("containers");
    if containers.exists() {
        background::unmount_below(&containers)?;
    }
    for writable in [networks, Path::new(SETTINGS)] {
        mount::mount_bind(writable, writable, false)?;
    }
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    match mount::mount_setattr(CWD, "/", true, read_only, MountAttrFlags::empty(), None, None) {
        // Linux before 5.12; without capabilities of files, others' files can't be written all the same.
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => {}
        set => {
            set?;
            for writable in [networks, Path::new(SETTINGS)] {
                mount::mount_setattr(CWD, writable, false, MountAttrFlags::empty(), read_only, None, None)?;
            }
        }
    }
    process::set_no_new_privs()?;
    process::set_dumpable(false)?;
    credentials::ambient_clear()?;
    let kept = credentials::capability_number("CAP_NET_ADMIN").map_or(0, |number| 1 << number);
    for capability in 0..=credentials::last_capability() {
        if kept & (1 << capability) == 0 {
            credentials::bounding_drop(capability)?;
        }
    }
    Ok(credentials::capset(&Capabilities { effective: kept, permitted: kept, inheritable: 0 })?)
}
