//! Mounting a root file system, in a mount namespace of the caller's own: what is mounted goes with it.

use super::{Base, Disk, RootfsPlan, TREE, Upper, disk, overlay, upper};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, UnmountFlags};
use std::path::{Path, PathBuf};

/// Where a disk image is mounted below an overlay, in the container's directory.
const BASE: &str = "base";

/// What was mounted. It stays until it is unmounted or its mount namespace ends.
#[derive(Debug, Default)]
#[must_use]
pub struct Mounted {
    /// Mount points, in the order in which they were made.
    pub(super) points: Vec<PathBuf>,
}

impl Mounted {
    /// Unmounts all of it; what is still in use goes when nobody uses it any more.
    ///
    /// # Errors
    /// All that failed, in one line.
    pub fn unmount(self) -> Result<()> {
        let umount = |point: &PathBuf| {
            mount::umount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).map_err(Error::from).err()
        };
        match Error::all(self.points.iter().rev().filter_map(umount).collect()) {
            Some(error) => Err(error.during("unmount the root file system")),
            None => Ok(()),
        }
    }
}

impl RootfsPlan {
    /// Mounts it at `target`, an empty directory of the container's own. The caller is alone in its mount namespace,
    /// from which nothing propagates to others, and has one thread.
    ///
    /// # Errors
    /// What can't be mounted and why; then nothing is.
    pub fn mount(&self, target: &Path) -> Result<Mounted> {
        let mut mounted = Mounted::default();
        match self.mount_into(target, &mut mounted) {
            Ok(()) => Ok(mounted),
            Err(error) => {
                // What failed first is what is told.
                let _ = mounted.unmount();
                Err(error.during("root file system"))
            }
        }
    }

    fn mount_into(&self, target: &Path, mounted: &mut Mounted) -> Result<()> {
        let lowers = match (&self.base, &self.upper) {
            (Base::Directory(directory), None) => {
                bind(directory, target)?;
                mounted.points.push(target.to_owned());
                return Ok(());
            }
            (Base::Disk(disk), None) => {
                disk::mount(disk, target, disk.read_only)?;
                mounted.points.push(target.to_owned());
                return Ok(());
            }
            (Base::Tree(tree), upper) => {
                let own = upper.as_ref().map_or(tree.clone(), |upper| upper.directory.join(TREE));
                bind(&own, target)?;
                mounted.points.push(target.to_owned());
                return Ok(());
            }
            (Base::Layers(layers), _) => layers.clone(),
            (Base::Directory(directory), Some(_)) => vec![directory.clone()],
            (Base::Disk(disk), Some(upper)) => vec![below(disk, upper, mounted)?],
        };
        overlay::check(&lowers)?;
        let places = match &self.upper {
            Some(upper) => Some(upper::places(upper, &lowers, &mut mounted.points)?),
            None => None,
        };
        overlay::mount(target, &lowers, places.as_ref())?;
        mounted.points.push(target.to_owned());
        Ok(())
    }
}

/// Mounts a disk image to be a lower layer; where.
pub(super) fn below(disk: &Disk, upper: &Upper, mounted: &mut Mounted) -> Result<PathBuf> {
    let point = upper.directory.join(BASE);
    make_directory(&point, 0o700)?;
    disk::mount(disk, &point, true)?;
    mounted.points.push(point.clone());
    Ok(point)
}

/// Binds a directory, with all that is mounted in it.
pub(super) fn bind(directory: &Path, target: &Path) -> Result<()> {
    let place = fs::open(directory, OFlags::PATH, Mode::empty())
        .map_err(|e| Error::new(Kind::NotFound, format!("directory {}: {e}", directory.display())))?;
    if !fs::FileType::from_raw_mode(fs::fstat(&place)?.st_mode).is_dir() {
        let message = format!("{} is no directory", directory.display());
        return Err(Error::new(Kind::Config, message));
    }
    mount::mount_bind(fs::fd_path(&place), target, true).during(|| directory.display().to_string())
}

/// Makes a directory unless it is there.
pub(super) fn make_directory(path: &Path, mode: u32) -> Result<()> {
    match fs::mkdirat(fs::CWD, path, mode) {
        Err(e) if e.errno() == forgeone_sys::Errno::EXIST => Ok(()),
        made => Ok(made?),
    }
}

/// Attributes of file systems that come from elsewhere: their devices are none.
pub(super) const FOREIGN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
