//! Layers, unpacked once each: images share them by their diff IDs.

use super::Store;
use crate::failure::Failure;
use crate::image::Config;
use crate::{parallel, unpack};
use forgeone_distribution::{Descriptor, Digest};
use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Where a layer keeps what its files take, beside its root.
const SIZE: &str = "size";

/// A layer's root directory.
const ROOT: &str = "root";

/// How many layers are unpacked at once: one uses two processors.
const AT_ONCE: usize = 2;

/// A layer that is unpacked, but not yet in its place. Dropped, it is gone.
pub(crate) struct Made {
    diff_id: Digest,
    part: Part,
}

impl Store {
    /// Unpacks the layers that aren't yet; what all of them take, in bytes.
    pub(crate) fn unpack(&self, layers: &[Descriptor], config: &Config) -> Result<u64, Failure> {
        let missing: Vec<_> = config
            .layers(layers)
            .into_iter()
            .filter(|(_, diff_id)| self.unpacked(diff_id).is_none())
            .collect();
        let made = parallel::each(&missing, AT_ONCE, |(layer, diff_id)| {
            let blob = self.blob(&layer.digest);
            let made = blob.and_then(|blob| self.make_layer(diff_id, blob));
            made.map_err(|failure| failure.during(format_args!("layer {}", layer.digest)))
        })?;
        self.settle(made)?;
        self.size(config)
    }

    /// What an image's layers take, in bytes; all are unpacked.
    pub(crate) fn size(&self, config: &Config) -> Result<u64, Failure> {
        let missing = |diff_id| Failure::new(format_args!("store: layer {diff_id} is not unpacked"));
        let sizes =
            config.rootfs.diff_ids.iter().map(|diff_id| self.unpacked(diff_id).ok_or(missing(diff_id)));
        sizes.sum()
    }

    /// What a layer takes that is unpacked already.
    pub(crate) fn unpacked(&self, diff_id: &Digest) -> Option<u64> {
        fs::read_to_string(self.layer_path(diff_id).join(SIZE)).ok()?.parse().ok()
    }

    /// Unpacks a layer, compressed or not.
    pub(crate) fn make_layer(&self, diff_id: &Digest, blob: impl Read + Send) -> Result<Made, Failure> {
        let made = self.make(blob)?;
        if made.diff_id != *diff_id {
            let found = &made.diff_id;
            return Err(Failure::new(format_args!("holds {found}, where the config has {diff_id}")));
        }
        Ok(made)
    }

    /// Unpacks an archive that no config says the diff ID of; says it.
    pub(crate) fn unpack_archive(&self, archive: impl Read + Send) -> Result<Digest, Failure> {
        let made = self.make(archive)?;
        if fs::read_dir(made.part.path.join(ROOT)).is_ok_and(|mut entries| entries.next().is_none()) {
            return Err(Failure::new("it has no entries, so there is nothing to run"));
        }
        let diff_id = made.diff_id.clone();
        self.settle(vec![made])?;
        Ok(diff_id)
    }

    fn make(&self, blob: impl Read + Send) -> Result<Made, Failure> {
        let part = Part { path: self.temporary() };
        let failed = |e| Failure::new(format_args!("store {}: {e}", part.path.display()));
        let root = part.path.join(ROOT);
        DirBuilder::new().mode(0o700).create(&part.path).map_err(failed)?;
        DirBuilder::new().mode(0o755).create(&root).map_err(failed)?;
        let directory = File::open(&root).map_err(failed)?;
        let unpacked = unpack::layer(blob, directory.as_fd())?;
        fs::write(part.path.join(SIZE), unpacked.size.to_string()).map_err(failed)?;
        Ok(Made { diff_id: unpacked.diff_id, part })
    }

    /// Puts layers in their places.
    pub(crate) fn settle(&self, made: Vec<Made>) -> Result<(), Failure> {
        if made.is_empty() {
            return Ok(());
        }
        // All of it is on the disk before any of it is called whole.
        let directory = File::open(&self.path).map_err(|e| Failure::new(format_args!("store: {e}")))?;
        forgeone_sys::fs::syncfs(&directory)?;
        for Made { diff_id, part } in made {
            let place = self.layer_path(&diff_id);
            match fs::rename(&part.path, &place) {
                // Somebody else was faster.
                Err(_) if place.exists() => {}
                renamed => {
                    renamed.map_err(|e| Failure::new(format_args!("store {}: {e}", place.display())))?
                }
            }
        }
        Ok(())
    }

    /// The root directory of a layer.
    pub(super) fn root(&self, diff_id: &Digest) -> PathBuf {
        self.layer_path(diff_id).join(ROOT)
    }

    pub(super) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.path.join("layers").join(diff_id.hex())
    }
}

/// A layer that isn't whole yet. Dropped, it is gone.
struct Part {
    path: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // Nothing is there any more if it was put in its place.
        let _ = fs::remove_dir_all(&self.path);
    }
}
