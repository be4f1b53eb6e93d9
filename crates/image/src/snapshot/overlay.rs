//! overlay: the layers as they are, and a directory above them.

use super::{Changes, Driver};
use crate::container::{self, Container};
use crate::copy::{self, Copier};
use crate::failure::Failure;
use crate::store::Store;
use forgeone_runtime::registry::rootfs::{self, Base, probe_overlay};
use forgeone_sys::AsFd;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub(super) struct Overlay;

impl Driver for Overlay {
    fn which(&self) -> rootfs::Driver {
        rootfs::Driver::Overlay
    }

    fn probe(&self, directory: &Path) -> Result<(), Failure> {
        Ok(probe_overlay(directory)?)
    }

    fn make(&self, _: &Store, layers: Vec<PathBuf>, _: &Path) -> Result<Base, Failure> {
        Ok(Base::Layers(layers))
    }

    fn changes(&self, container: &Container) -> Result<Option<Changes>, Failure> {
        container::alone()?;
        let (mounted, changes) = container.record.rootfs.mount_base(&container.target())?;
        if !changes.is_dir() {
            return Ok(None);
        }
        let (base, changes) = (container::open(&container.target())?, container::open(&changes)?);
        Ok(Some(Changes { base, changes, _mounted: Some(mounted), _beside: None }))
    }

    /// The directory, or the file with the file system that has it.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::new(format_args!("{}: {e}", to.display()));
        if !from.is_dir() {
            let (from, to) = (File::open(from).map_err(failed)?, File::create_new(to).map_err(failed)?);
            return copy::content(&from, &to, from.metadata().map_err(failed)?.len());
        }
        if !to.is_dir() {
            fs::create_dir(to).map_err(failed)?;
        }
        let (from, to) = (container::open_for_reading(from)?, container::open_for_reading(to)?);
        Copier::of_changes().content(from.as_fd(), to.as_fd())
    }
}
