//! Mounts, by descriptor (Linux 5.2 and later) and by path.

use crate::error::{Errno, Error, Fail, Result, check, with_c_str};
use crate::show::{self, Flags, Text};
use rustix::fs::AtFlags;
use rustix::path::Arg;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

/// `fsopen(2)`: a new file system of a type, not configured yet.
pub fn fsopen(kind: impl Arg) -> Result<OwnedFd> {
    with_c_str("fsopen", kind, |kind| {
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).fail(|| format!("fsopen({})", Text(kind)))
    })
}

/// `fsconfig(2)` with `FSCONFIG_SET_STRING`.
pub fn fsconfig_string(fd: impl AsFd, key: impl Arg, value: impl Arg) -> Result<()> {
    with_c_str("fsconfig", key, |key| {
        with_c_str("fsconfig", value, |value| {
            rustix::mount::fsconfig_set_string(&fd, key, value).map_err(|errno| {
                with_log(&fd, format!("FSCONFIG_SET_STRING, {}, {}", Text(key), Text(value)), errno)
            })
        })
    })
}

/// `fsconfig(2)` with `FSCONFIG_SET_FLAG`.
pub fn fsconfig_flag(fd: impl AsFd, key: impl Arg) -> Result<()> {
    with_c_str("fsconfig", key, |key| {
        rustix::mount::fsconfig_set_flag(&fd, key)
            .map_err(|errno| with_log(&fd, format!("FSCONFIG_SET_FLAG, {}", Text(key)), errno))
    })
}

/// `fsconfig(2)` with `FSCONFIG_CMD_CREATE`: makes the superblock.
pub fn fsconfig_create(fd: impl AsFd) -> Result<()> {
    rustix::mount::fsconfig_create(&fd).map_err(|errno| with_log(&fd, "FSCONFIG_CMD_CREATE".into(), errno))
}

/// An error of `fsconfig` with what the file system wrote into the context's log.
fn with_log(fd: &impl AsFd, arguments: String, errno: Errno) -> Error {
    let call = format!("fsconfig({}, {arguments})", show::fd(fd));
    let log = fs_context_log(fd);
    if log.is_empty() {
        Error::new(call, errno)
    } else {
        Error::new(format!("{call}: {}", log.join("; ")), errno)
    }
}

/// The messages of a file system context: one for each read, `e `, `w ` or `i ` before it; errors and
/// warnings count.
fn fs_context_log(fd: &impl AsFd) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    // ENODATA ends it.
    while let Ok(length @ 1..) = rustix::io::read(fd, &mut buffer) {
        let message = String::from_utf8_lossy(&buffer[..length]);
        if let Some(("e" | "w", text)) = message.trim_end().split_once(' ') {
            messages.push(text.to_owned());
        }
    }
    messages
}

/// `fsmount(2)`: a detached mount of a configured file system.
pub fn fsmount(fd: impl AsFd, attributes: MountAttrFlags) -> Result<OwnedFd> {
    rustix::mount::fsmount(&fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(|errno| {
        let error = with_log(&fd, attributes.show(), errno);
        Error::new(error.call().replacen("fsconfig(", "fsmount(", 1), errno)
    })
}

/// `open_tree(2)`; with `OPEN_TREE_CLONE`, a detached copy of the mount (`AT_RECURSIVE`: of the tree).
pub fn open_tree(dir: impl AsFd, path: impl Arg, flags: OpenTreeFlags) -> Result<OwnedFd> {
    with_c_str("open_tree", path, |path| {
        rustix::mount::open_tree(&dir, path, flags | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .fail(|| format!("open_tree({}, {}, {})", show::fd(&dir), Text(path), flags.show()))
    })
}

/// `move_mount(2)` from one descriptor to another.
pub fn move_mount(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&from, c"", &to, c"", flags)
        .fail(|| format!("move_mount({}, \"\", {}, \"\", {})", show::fd(&from), show::fd(&to), flags.show()))
}

/// `move_mount(2)` from a descriptor to a path, of which a last symbolic link is not followed.
pub fn move_mount_at(from: impl AsFd, dir: impl AsFd, path: impl Arg) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    with_c_str("move_mount", path, |path| {
        rustix::mount::move_mount(&from, c"", &dir, path, flags).fail(|| {
            let (from, dir) = (show::fd(&from), show::fd(&dir));
            format!("move_mount({from}, \"\", {dir}, {}, {})", Text(path), flags.show())
        })
    })
}

/// The number of `mount_setattr`, the same on all architectures but alpha.
const SYS_MOUNT_SETATTR: libc::c_long = 442;

/// `mount_setattr(2)` (Linux 5.12) of the mount at `path` (empty: of `dir` itself; a last symbolic link is
/// not followed) and, if `recursive`, of all below it.
///
/// To set an access-time flag, `clear` must have `MOUNT_ATTR__ATIME`. With `userns`, the mount becomes
/// idmapped by that user namespace.
pub fn mount_setattr(
    dir: impl AsFd,
    path: impl Arg,
    recursive: bool,
    set: MountAttrFlags,
    clear: MountAttrFlags,
    propagation: Option<MountPropagationFlags>,
    userns: Option<BorrowedFd>,
) -> Result<()> {
    let idmap = if userns.is_some() { MountAttrFlags::MOUNT_ATTR_IDMAP } else { MountAttrFlags::empty() };
    let attributes = KernelAttributes {
        set: (set | idmap).bits().into(),
        clear: clear.bits().into(),
        propagation: propagation.map_or(0, |flags| flags.bits().into()),
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    with_c_str("mount_setattr", path, |path| {
        let flags = if path.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        let below = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
        mount_setattr_raw(dir.as_fd(), path, flags.bits() | below, &attributes).fail(|| {
            let propagation = propagation.map_or("0".into(), |flags| flags.show());
            let attributes =
                format!("set={}, clear={}, propagation={propagation}", (set | idmap).show(), clear.show());
            let userns = userns.map_or(String::new(), |fd| format!(", userns={}", show::Fd(fd)));
            let (dir, path) = (show::fd(&dir), Text(path));
            let recursive = if recursive { "|AT_RECURSIVE" } else { "" };
            format!("mount_setattr({dir}, {path}, {}{recursive}, {attributes}{userns})", flags.show())
        })
    })
}

/// `struct mount_attr` of the kernel.
#[repr(C)]
struct KernelAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

fn mount_setattr_raw(
    dir: BorrowedFd,
    path: &CStr,
    flags: u32,
    attributes: &KernelAttributes,
) -> std::result::Result<(), Errno> {
    let (attributes, size) = (std::ptr::from_ref(attributes), size_of::<KernelAttributes>());
    // SAFETY: a borrowed descriptor, a NUL-terminated path and a structure of `size` bytes; all outlive the
    // call.
    let set =
        unsafe { libc::syscall(SYS_MOUNT_SETATTR, dir.as_raw_fd(), path.as_ptr(), flags, attributes, size) };
    check(set).map(drop)
}

/// `mount(2)` of a new file system. `data`: its options, separated by commas.
pub fn mount(
    source: impl Arg,
    target: impl Arg,
    kind: impl Arg,
    flags: MountFlags,
    data: Option<&CStr>,
) -> Result<()> {
    with_c_str("mount", source, |source| {
        with_c_str("mount", target, |target| {
            with_c_str("mount", kind, |kind| {
                rustix::mount::mount(source, target, kind, flags, data).fail(|| {
                    let (source, target, kind) = (Text(source), Text(target), Text(kind));
                    format!("mount({source}, {target}, {kind}, {}, {})", flags.show(), show_data(data))
                })
            })
        })
    })
}

fn show_data(data: Option<&CStr>) -> String {
    data.map_or("NULL".into(), |data| Text(data).to_string())
}

/// `mount(2)` with `MS_BIND`, and with `MS_REC` if `recursive`.
pub fn mount_bind(source: impl Arg, target: impl Arg, recursive: bool) -> Result<()> {
    with_c_str("mount", source, |source| {
        with_c_str("mount", target, |target| {
            let (bound, flags) = match recursive {
                true => (rustix::mount::mount_bind_recursive(source, target), "MS_BIND|MS_REC"),
                false => (rustix::mount::mount_bind(source, target), "MS_BIND"),
            };
            bound.fail(|| format!("mount({}, {}, NULL, {flags}, NULL)", Text(source), Text(target)))
        })
    })
}

/// `mount(2)` with `MS_MOVE`.
pub fn mount_move(source: impl Arg, target: impl Arg) -> Result<()> {
    with_c_str("mount", source, |source| {
        with_c_str("mount", target, |target| {
            rustix::mount::mount_move(source, target)
                .fail(|| format!("mount({}, {}, NULL, MS_MOVE, NULL)", Text(source), Text(target)))
        })
    })
}

/// `mount(2)` with `MS_REMOUNT`; with `MountFlags::BIND`, of the mount's flags alone.
pub fn mount_remount(target: impl Arg, flags: MountFlags, data: Option<&CStr>) -> Result<()> {
    with_c_str("mount", target, |target| {
        rustix::mount::mount_remount(target, flags, data.unwrap_or(c"")).fail(|| {
            format!("mount(NULL, {}, NULL, MS_REMOUNT|{}, {})", Text(target), flags.show(), show_data(data))
        })
    })
}

/// `mount(2)` that changes how mounts propagate; with `MountPropagationFlags::REC`, of all below as well.
pub fn mount_propagation(target: impl Arg, flags: MountPropagationFlags) -> Result<()> {
    with_c_str("mount", target, |target| {
        rustix::mount::mount_change(target, flags)
            .fail(|| format!("mount(NULL, {}, NULL, {}, NULL)", Text(target), flags.show()))
    })
}

/// `umount2(2)`.
pub fn umount(target: impl Arg, flags: UnmountFlags) -> Result<()> {
    with_c_str("umount2", target, |target| {
        rustix::mount::unmount(target, flags).fail(|| format!("umount2({}, {})", Text(target), flags.show()))
    })
}

/// `pivot_root(2)`: `new` becomes the root, the root before it is mounted at `old`.
pub fn pivot_root(new: impl Arg, old: impl Arg) -> Result<()> {
    with_c_str("pivot_root", new, |new| {
        with_c_str("pivot_root", old, |old| {
            rustix::process::pivot_root(new, old).fail(|| format!("pivot_root({}, {})", Text(new), Text(old)))
        })
    })
}

/// `chroot(2)`.
pub fn chroot(path: impl Arg) -> Result<()> {
    with_c_str("chroot", path, |path| {
        rustix::process::chroot(path).fail(|| format!("chroot({})", Text(path)))
    })
}
