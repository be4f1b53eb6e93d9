//! vfs: each container has a copy of all files. They share their content with the image's as long as neither is written to,
//! where the file system can (btrfs, xfs, bcachefs); elsewhere it takes the room and the time of a copy.

use super::{Changes, Driver, tree};
use crate::container::{Container, open_for_reading};
use crate::copy::Copier;
use crate::failure::Failure;
use crate::store::Store;
use forgeone_runtime::registry::rootfs::{self, Base, TREE};
use forgeone_sys::AsFd;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) struct Vfs;

impl Driver for Vfs {
    fn which(&self) -> rootfs::Driver {
        rootfs::Driver::Vfs
    }

    fn probe(&self, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    fn make(&self, store: &Store, layers: Vec<PathBuf>, container: &Path) -> Result<Base, Failure> {
        let tree = store.tree(&layers)?;
        self.copy(&tree, &container.join(TREE))?;
        Ok(Base::Tree(tree))
    }

    fn changes(&self, container: &Container) -> Result<Option<Changes>, Failure> {
        tree::changes(container).map(Some)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        fs::create_dir(to).map_err(|e| Failure::new(format_args!("{}: {e}", to.display())))?;
        let (from, to) = (open_for_reading(from)?, open_for_reading(to)?);
        Copier::default().content(from.as_fd(), to.as_fd())
    }
}
