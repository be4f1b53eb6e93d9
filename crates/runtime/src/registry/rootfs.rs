//! Root file systems of containers: what one is made of, as plain data, and how it is mounted.
//!
//! `forgeone-image rootfs` finds what a container is made from and writes `image.json` ([`Source`]); from that and the
//! container's config comes a [`RootfsPlan`], which is kept with the container and mounted whenever it runs.
//!
//! | base | mounted as |
//! |---|---|
//! | layers of the store | overlay, with what is written in the container's `upper` |
//! | the files of layers in one tree (drivers vfs and btrfs) | the container's own copy of it, `tree` |
//! | a directory | itself: what is written stays in it; with an upper, overlay |
//! | a disk image | its file system, through a loop device that goes with the mount; if it is read-only, overlay above it |

mod disk;
mod mount;
mod overlay;
mod quota;
mod upper;
mod view;

use crate::error::{Error, Kind, Result};
pub(super) use crate::lifecycle::in_user_namespace;
pub use mount::Mounted;
pub use overlay::probe as probe_overlay;
pub(super) use quota::release;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// `image.json`: what a container is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The image of the store; nothing for directories, archives and disk images.
    pub image: Option<Image>,
    /// The `config` object of the image's config (OCI image specification 1.1), as it is.
    pub config: Option<Value>,
    /// Its files.
    pub base: Base,
    /// How they are kept apart from what the container writes.
    pub driver: Driver,
}

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its whole name, or its digest if it has none.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its config.
    pub id: String,
}

/// The files that a container begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Directories in the form of overlayfs' lower ones, the lowest last.
    Layers(Vec<PathBuf>),
    /// What the same would show, in one directory: the container has a copy of it.
    Tree(PathBuf),
    /// A directory.
    Directory(PathBuf),
    /// A file system within a file or a block device.
    Disk(Disk),
}

/// A file system within a file or a block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The file.
    pub file: PathBuf,
    /// Where the file system begins, in bytes.
    pub offset: u64,
    /// How large its partition is, in bytes; otherwise it reaches to the end of the file.
    pub size: Option<u64>,
    /// The kernel's name of its type.
    pub filesystem: String,
    /// Whether nothing can or may be written to it.
    pub read_only: bool,
}

/// How the files of an image and what a container writes are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// overlayfs.
    #[default]
    Overlay,
    /// A copy for each container.
    Vfs,
    /// A snapshot of a btrfs subvolume for each container.
    Btrfs,
}

impl Driver {
    /// As `--storage-driver` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Vfs => "vfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// A container's own copy of a tree, in its directory.
pub const TREE: &str = "tree";

/// Where a container's own changes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upper {
    /// The container's directory, which has `upper/` and `work/`, or `disk.img`, or `tree/`.
    pub directory: PathBuf,
    /// How much may be written, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// The project whose quota bounds that (quotactl(2)); without one the limit is that of `disk.img`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<u32>,
}

/// A container's root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsPlan {
    /// What it begins with.
    pub base: Base,
    /// Where what the container changes is kept; otherwise it changes its base.
    pub upper: Option<Upper>,
    /// How that is done.
    #[serde(default)]
    pub driver: Driver,
}

impl RootfsPlan {
    /// Of what `image.json` says, for the container whose directory this is, with so much room for what it writes.
    ///
    /// # Errors
    /// `disk_bytes` for a container that writes to its base.
    pub fn new(source: &Source, directory: &Path, disk_bytes: Option<u64>) -> Result<Self> {
        let base = source.base.clone();
        let own = match &base {
            Base::Layers(_) | Base::Tree(_) => true,
            Base::Directory(_) => false,
            Base::Disk(disk) => disk.read_only,
        };
        if let (false, Some(_)) = (own, disk_bytes) {
            let message = "disk_bytes: there is no limit for what is written into a directory or a disk image in place; run an image or an archive";
            return Err(Error::new(Kind::Config, message));
        }
        if let (Base::Tree(_), Some(_)) = (&base, disk_bytes) {
            let driver = source.driver.word();
            let message = format!(
                "disk_bytes: the storage driver {driver} has no limit; use overlay, or leave the limit out"
            );
            return Err(Error::new(Kind::Config, message));
        }
        let upper = own.then(|| Upper { directory: directory.to_owned(), disk_bytes, project: None });
        Ok(Self { base, upper, driver: source.driver })
    }

    /// What of the container's directory has what the container has changed; nothing if that isn't kept apart from what it
    /// began with.
    pub fn changed(&self) -> Option<&'static str> {
        let upper = self.upper.as_ref()?;
        Some(match &self.base {
            Base::Tree(_) => TREE,
            _ if upper.is_file() => upper::FILE,
            _ => upper::UPPER,
        })
    }
}
