//! Layers, unpacked once each: images share them by their diff IDs.

use super::Store;
use crate::failure::Failure;
use crate::image::Config;
use crate::unpack;
use forgeone_distribution::{Descriptor, Digest};
use std::fs::{self, DirBuilder, File};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Where a layer keeps what its files take, beside its root.
const SIZE: &str = "size";

impl Store {
    /// Unpacks the layers that aren't yet; what all of them take, in bytes.
    pub(crate) fn unpack(&self, layers: &[Descriptor], config: &Config) -> Result<u64, Failure> {
        let (mut size, mut made) = (0_u64, Vec::new());
        for (layer, diff_id) in layers.iter().zip(&config.rootfs.diff_ids) {
            let taken = match self.unpacked(diff_id) {
                Some(taken) => taken,
                None => {
                    let part = Part { path: self.temporary() };
                    let taken = self
                        .unpack_one(layer, diff_id, &part)
                        .map_err(|failure| failure.during(format_args!("layer {}", layer.digest)))?;
                    made.push((diff_id, part));
                    taken
                }
            };
            size = size.saturating_add(taken);
        }
        if made.is_empty() {
            return Ok(size);
        }
        // All of it is on the disk before any of it is called whole.
        let directory = File::open(&self.path).map_err(|e| Failure::new(format_args!("store: {e}")))?;
        forgeone_sys::fs::syncfs(&directory)?;
        for (diff_id, part) in made {
            let place = self.layer_path(diff_id);
            match fs::rename(&part.path, &place) {
                // Somebody else was faster.
                Err(_) if place.exists() => {}
                renamed => {
                    renamed.map_err(|e| Failure::new(format_args!("store {}: {e}", place.display())))?
                }
            }
        }
        Ok(size)
    }

    /// What a layer takes that is unpacked already.
    fn unpacked(&self, diff_id: &Digest) -> Option<u64> {
        fs::read_to_string(self.layer_path(diff_id).join(SIZE)).ok()?.parse().ok()
    }

    fn unpack_one(&self, layer: &Descriptor, diff_id: &Digest, part: &Part) -> Result<u64, Failure> {
        let failed = |e| Failure::new(format_args!("store {}: {e}", part.path.display()));
        let root = part.path.join("root");
        DirBuilder::new().mode(0o700).create(&part.path).map_err(failed)?;
        DirBuilder::new().mode(0o755).create(&root).map_err(failed)?;
        let directory = File::open(&root).map_err(failed)?;
        let unpacked = unpack::layer(self.blob(&layer.digest)?, directory.as_fd())?;
        if unpacked.diff_id != *diff_id {
            let found = unpacked.diff_id;
            return Err(Failure::new(format_args!("holds {found}, where the config has {diff_id}")));
        }
        fs::write(part.path.join(SIZE), unpacked.size.to_string()).map_err(failed)?;
        Ok(unpacked.size)
    }

    fn layer_path(&self, diff_id: &Digest) -> PathBuf {
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
