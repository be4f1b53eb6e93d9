//! overlayfs: many layers below, one above (overlayfs.rst).
//!
//! Layers are given one by one (`lowerdir+`, Linux 6.5): all at once, five hundred paths are longer than the page that
//! mount(2) takes. Older kernels get all of them as numbers of descriptors, looked up in `/proc/self/fd`.

use super::mount::make_directory;
use super::upper::Places;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::in_user_namespace;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags};
use forgeone_sys::process::Namespaces;
use forgeone_sys::{Errno, OwnedFd, process};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// What fsconfig(2) takes as a string, in bytes, without its end.
const VALUE_MAX: usize = 255;

/// What this kernel may have switched on by default and must not be: an upper layer says by files and whiteouts alone
/// what was changed, and outlives what it was made above.
const SWITCHES: [&str; 3] = ["index", "metacopy", "redirect_dir"];

/// Mounts `lowers`, the lowest last, at `target`; without `places`, for reading.
pub(super) fn mount(target: &Path, lowers: &[PathBuf], places: Option<&Places>) -> Result<()> {
    let mounted = match by_context(target, lowers, places) {
        Ok(true) => Ok(()),
        Ok(false) => by_mount(target, lowers, places),
        Err(error) => Err(error),
    };
    mounted.map_err(|error| match in_user_namespace() {
        true => {
            let way =
                "(without root it takes Linux 5.11; a container made with --storage-driver vfs goes without)";
            Error::new(error.kind(), format!("overlay: {error} {way}"))
        }
        false => error.during("overlay"),
    })
}

/// That all layers are there.
pub(super) fn check(lowers: &[PathBuf]) -> Result<()> {
    match lowers.iter().find(|layer| !layer.is_dir()) {
        Some(gone) => {
            let message = format!("layer {} is gone; pull or load the image again", gone.display());
            Err(Error::new(Kind::Damaged, message))
        }
        None => Ok(()),
    }
}

/// Whether overlays can be had here for what lies in a directory, where this makes what it needs. It may leave the caller in a
/// mount namespace of its own.
///
/// # Errors
/// Why they can't.
pub fn probe(directory: &Path) -> Result<()> {
    let [lower, upper, work, target] = ["lower", "upper", "work", "target"].map(|name| directory.join(name));
    for made in [&lower, &upper, &work, &target] {
        make_directory(made, 0o700)?;
    }
    let (lowers, places) = ([lower], Places { upper, work });
    // Nothing is mounted by that: the kernel has looked at all of it when the context is made.
    if context(&lowers, Some(&places))?.is_some() {
        return Ok(());
    }
    process::unshare(Namespaces::MOUNT)?;
    mount::mount_propagation("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    by_mount(&target, &lowers, Some(&places))?;
    Ok(mount::umount(&target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// By fsopen(2) and its like; `false` where they or `lowerdir+` aren't known.
fn by_context(target: &Path, lowers: &[PathBuf], places: Option<&Places>) -> Result<bool> {
    let Some(context) = context(lowers, places)? else { return Ok(false) };
    let made = mount::fsmount(&context, MountAttrFlags::empty())?;
    mount::move_mount_at(made, fs::CWD, target)?;
    Ok(true)
}

/// What is to be mounted; `None` where it can't be said so.
fn context(lowers: &[PathBuf], places: Option<&Places>) -> Result<Option<OwnedFd>> {
    let context = match mount::fsopen("overlay") {
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => return Ok(None),
        context => context?,
    };
    // Paths that are too long for a value go by descriptors, which stay open until the end.
    let mut open = Vec::new();
    for lower in lowers {
        let value = value(lower, &mut open)?;
        match mount::fsconfig_string(&context, "lowerdir+", &value) {
            Err(e) if e.errno() == Errno::INVAL && open.is_empty() && std::ptr::eq(lower, &lowers[0]) => {
                return Ok(None);
            }
            set => set?,
        }
    }
    if let Some(places) = places {
        mount::fsconfig_string(&context, "upperdir", &value(&places.upper, &mut open)?)?;
        mount::fsconfig_string(&context, "workdir", &value(&places.work, &mut open)?)?;
    }
    for switch in switched_on() {
        mount::fsconfig_string(&context, switch, "off")?;
    }
    if in_user_namespace() {
        mount::fsconfig_flag(&context, "userxattr")?;
    }
    mount::fsconfig_string(&context, "source", "forgeone")?;
    match mount::fsconfig_create(&context) {
        // Before Linux 6.5 any option is taken, and what isn't known is told now; mount(2) says what else it may be.
        Err(e) if e.errno() == Errno::INVAL => Ok(None),
        created => Ok(created.map(|()| Some(context))?),
    }
}

fn value(path: &Path, open: &mut Vec<OwnedFd>) -> Result<PathBuf> {
    if path.as_os_str().len() <= VALUE_MAX {
        return Ok(path.to_owned());
    }
    let place = fs::open(path, OFlags::PATH, Mode::empty())?;
    let path = fs::fd_path(&place);
    open.push(place);
    Ok(path)
}

/// By mount(2), whose options are relative to `/proc/self/fd` for the moment.
pub(super) fn by_mount(target: &Path, lowers: &[PathBuf], places: Option<&Places>) -> Result<()> {
    let place = |path: &Path| fs::open(path, OFlags::PATH, Mode::empty());
    let lowers = lowers.iter().map(PathBuf::as_path).map(place).collect::<forgeone_sys::Result<Vec<_>>>()?;
    let numbers: Vec<String> = lowers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let mut options = format!("lowerdir={}", numbers.join(":"));
    let mut above = Vec::new();
    if let Some(places) = places {
        for (key, path) in [("upperdir", &places.upper), ("workdir", &places.work)] {
            let fd = place(path)?;
            options.push_str(&format!(",{key}={}", fd.as_raw_fd()));
            above.push(fd);
        }
    }
    switched_on().for_each(|switch| options.push_str(&format!(",{switch}=off")));
    if in_user_namespace() {
        options.push_str(",userxattr");
    }
    let options = CString::new(options).map_err(|e| Error::new(Kind::System, e.to_string()))?;
    let (target, here) = (place(target)?, place(Path::new("."))?);
    process::chdir("/proc/self/fd")?;
    let flags = if places.is_none() { MountFlags::RDONLY } else { MountFlags::empty() };
    let mounted = mount::mount("forgeone", fs::fd_path(&target), "overlay", flags, Some(&options));
    process::fchdir(&here)?;
    Ok(mounted?)
}

/// Which of [`SWITCHES`] this kernel has on.
fn switched_on() -> impl Iterator<Item = &'static str> {
    let on = |switch: &&str| {
        let path = format!("/sys/module/overlay/parameters/{switch}");
        fs::read_file_at(fs::CWD, path, 16).is_ok_and(|text| text.starts_with(b"Y"))
    };
    SWITCHES.into_iter().filter(on)
}
