//! overlayfs: many layers below, one above (overlayfs.rst).
//!
//! Layers are given one by one (`lowerdir+`, Linux 6.5): all at once, five hundred paths are longer than the page that
//! mount(2) takes. Older kernels get all of them as numbers of descriptors, looked up in `/proc/self/fd`.

use super::upper::Places;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::in_user_namespace;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountFlags};
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
            let way = "(without root it takes Linux 5.11; a directory, --rootfs DIR, goes without)";
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

/// By fsopen(2) and its like; `false` where they or `lowerdir+` aren't known.
fn by_context(target: &Path, lowers: &[PathBuf], places: Option<&Places>) -> Result<bool> {
    let context = match mount::fsopen("overlay") {
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => return Ok(false),
        context => context?,
    };
    // Paths that are too long for a value go by descriptors, which stay open until the end.
    let mut open = Vec::new();
    for lower in lowers {
        let value = value(lower, &mut open)?;
        match mount::fsconfig_string(&context, "lowerdir+", &value) {
            Err(e) if e.errno() == Errno::INVAL && open.is_empty() && std::ptr::eq(lower, &lowers[0]) => {
                return Ok(false);
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
    mount::fsconfig_create(&context)?;
    let made = mount::fsmount(&context, MountAttrFlags::empty())?;
    mount::move_mount_at(made, fs::CWD, target)?;
    Ok(true)
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
