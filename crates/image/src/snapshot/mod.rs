//! Snapshot drivers: how the files of images are kept apart from what containers write, a driver each.
//!
//! | driver | a container has | it takes |
//! |---|---|---|
//! | overlay | `upper`: what it has changed, above the image's layers | overlayfs, for others than root Linux 5.11 |
//! | btrfs | `tree`: a snapshot of the image's subvolume | a data root on btrfs |
//! | vfs | `tree`: a copy of the image's tree, shared with it where the file system can | nothing |
//!
//! The first of them that works is taken, unless one is named. What a container has is called by
//! [`RootfsPlan::changed`](forgeone_runtime::registry::rootfs::RootfsPlan::changed), mounted by its plan, and copied by its
//! driver for snapshots with names (`named`).

mod btrfs;
mod changes;
pub(crate) mod named;
mod overlay;
pub(crate) mod tree;
mod vfs;

use crate::container::Container;
use crate::failure::Failure;
use crate::store::Store;
use forgeone_runtime::registry::rootfs::{self, Base, Mounted, TREE};
use forgeone_sys::OwnedFd;
use std::fs;
use std::path::{Path, PathBuf};

/// A snapshot driver; unless it says otherwise, one that gives a container the whole tree of files.
pub(crate) trait Driver {
    /// Which it is.
    fn which(&self) -> rootfs::Driver;

    /// That it can be had for what lies in this directory, an empty one of its own; else why not.
    fn probe(&self, directory: &Path) -> Result<(), Failure>;

    /// What a container in this directory is made from, of these layers, the lowest last. What it needs of its own is made.
    fn make(&self, store: &Store, layers: Vec<PathBuf>, container: &Path) -> Result<Base, Failure> {
        let tree = store.tree(&layers)?;
        self.copy(&tree, &container.join(TREE))?;
        Ok(Base::Tree(tree))
    }

    /// What a container has changed; `None` if that is nothing since it has never run.
    fn changes(&self, container: &Container) -> Result<Option<Changes>, Failure> {
        tree::changes(container).map(Some)
    }

    /// Copies what a container has, from a path to one where nothing is, or for the overlay an empty directory.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure>;
}

/// What a container has changed. What it stands on goes with this.
pub(crate) struct Changes {
    /// What it began with.
    pub(crate) base: OwnedFd,
    /// A directory in the form of an overlay's upper one.
    pub(crate) changes: OwnedFd,
    _mounted: Option<Mounted>,
    _beside: Option<Beside>,
}

/// A directory that is gone in the end.
pub(crate) struct Beside(pub(crate) PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It goes with its container otherwise.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In the order in which they are tried.
const DRIVERS: [&dyn Driver; 3] = [&overlay::Overlay, &btrfs::Btrfs, &vfs::Vfs];

/// The driver that a container was made with.
pub(crate) fn driver(which: rootfs::Driver) -> &'static dyn Driver {
    match which {
        rootfs::Driver::Overlay => &overlay::Overlay,
        rootfs::Driver::Btrfs => &btrfs::Btrfs,
        rootfs::Driver::Vfs => &vfs::Vfs,
    }
}

/// The driver for a new container: the one that is asked for, otherwise the first that works here.
pub(crate) fn choose(store: &Store, asked: Option<&str>) -> Result<&'static dyn Driver, Failure> {
    let probe = |driver: &dyn Driver| {
        let place = Beside(store.temporary());
        fs::create_dir(&place.0)
            .map_err(|e| Failure::new(format_args!("store {}: {e}", place.0.display())))?;
        driver.probe(&place.0)
    };
    let Some(asked) = asked else {
        let works = DRIVERS.into_iter().find(|driver| probe(*driver).is_ok());
        return Ok(works.unwrap_or(&vfs::Vfs));
    };
    let Some(driver) = DRIVERS.into_iter().find(|driver| driver.which().word() == asked) else {
        return Err(Failure::new(format_args!(
            "option --storage-driver is overlay, btrfs or vfs, not {asked:?}"
        )));
    };
    let failed = |failure: Failure| {
        failure.during(format_args!("storage driver {asked}")).followed("; vfs works on every file system")
    };
    probe(driver).map(|()| driver).map_err(failed)
}
