//! Root file systems out of tar archives: unpacked as one layer, and found again by the archive's digest.
//!
//! `archives/<digest of the file>` has the diff ID of the layer; as long as that layer is there, nothing is unpacked.

use super::Store;
use crate::failure::Failure;
use forgeone_distribution::{Algorithm, Digest, Hasher};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// How much is hashed at once, in bytes.
const CHUNK: usize = 256 << 10;

impl Store {
    /// The root directory of an archive's layer, unpacked if it isn't yet.
    pub(crate) fn archive(&self, archive: &Path) -> Result<PathBuf, Failure> {
        let unreadable = |e: std::io::Error| Failure::new(format_args!("read: {e}"));
        let mut file = File::open(archive).map_err(unreadable)?;
        let (mut hasher, mut chunk) = (Hasher::new(Algorithm::Sha256), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk).map_err(unreadable)? {
                0 => break,
                read => hasher.update(&chunk[..read]),
            }
        }
        let place = format!("archives/{}", hasher.finish().hex());
        let known = fs::read_to_string(self.path.join(&place)).ok().and_then(|text| text.parse().ok());
        if let Some(diff_id) = known.filter(|diff_id| self.unpacked(diff_id).is_some()) {
            return Ok(self.root(&diff_id));
        }
        file.rewind().map_err(unreadable)?;
        let diff_id = self.unpack_archive(file)?;
        fs::create_dir_all(self.path.join("archives"))
            .map_err(|e| Failure::new(format_args!("store: {e}")))?;
        self.replace(&place, diff_id.as_str().as_bytes())?;
        Ok(self.root(&diff_id))
    }

    /// The root directories of an image's layers, the lowest last, as overlayfs takes them. One that is there twice counts
    /// where it is highest: it then hides whatever the lower one would show.
    pub(crate) fn layers(&self, config: &crate::image::Config) -> Result<Vec<PathBuf>, Failure> {
        let mut layers = Vec::new();
        for diff_id in config.rootfs.diff_ids.iter().rev() {
            let root = self.root(diff_id);
            if self.unpacked(diff_id).is_none() {
                return Err(Failure::new(format_args!(
                    "layer {diff_id} is gone; pull or load the image again"
                )));
            }
            if !layers.contains(&root) {
                layers.push(root);
            }
        }
        Ok(layers)
    }

    /// Removes what is known of archives whose layers are gone.
    pub(super) fn forget_archives(&self) {
        for entry in fs::read_dir(self.path.join("archives")).into_iter().flatten().flatten() {
            let known = fs::read_to_string(entry.path()).ok().and_then(|text| text.parse::<Digest>().ok());
            if known.is_none_or(|diff_id| self.unpacked(&diff_id).is_none()) {
                super::discard(&entry.path());
            }
        }
    }
}
