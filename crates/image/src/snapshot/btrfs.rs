//! btrfs: an image's tree is a subvolume, and each container has a snapshot of it, which takes no time and no room.

use super::Driver;
use crate::container::open_for_reading;
use crate::failure::Failure;
use forgeone_runtime::registry::rootfs;
use forgeone_sys::btrfs;
use std::ffi::OsStr;
use std::path::Path;

pub(super) struct Btrfs;

impl Driver for Btrfs {
    fn which(&self) -> rootfs::Driver {
        rootfs::Driver::Btrfs
    }

    fn probe(&self, directory: &Path) -> Result<(), Failure> {
        let place = open_for_reading(directory)?;
        match btrfs::is_btrfs(&place)? {
            true => Ok(btrfs::create(&place, OsStr::new("probe"))?),
            false => Err(Failure::new("the data root isn't on btrfs")),
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        let nowhere = || Failure::new(format_args!("{} is no place for a subvolume", to.display()));
        let (parent, name) = to.parent().zip(to.file_name()).ok_or_else(nowhere)?;
        Ok(btrfs::snapshot(open_for_reading(from)?, open_for_reading(parent)?, name)?)
    }
}
