//! vfs: each container has a copy of all files. They share their content with the image's as long as neither is written to,
//! where the file system can (btrfs, xfs, bcachefs); elsewhere it takes the room and the time of a copy.

use super::Driver;
use crate::container::open_for_reading;
use crate::copy::Copier;
use crate::failure::Failure;
use forgeone_runtime::registry::rootfs;
use forgeone_sys::AsFd;
use std::fs;
use std::path::Path;

pub(super) struct Vfs;

impl Driver for Vfs {
    fn which(&self) -> rootfs::Driver {
        rootfs::Driver::Vfs
    }

    fn probe(&self, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        fs::create_dir(to).map_err(|e| Failure::new(format_args!("{}: {e}", to.display())))?;
        let (from, to) = (open_for_reading(from)?, open_for_reading(to)?);
        Copier::default().content(from.as_fd(), to.as_fd())
    }
}
