//! What is needed stays, the rest is removed: blobs and layers that no image has, no container is made of, and no pull that
//! was begun goes on with.

use super::{Store, discard};
use crate::failure::Failure;
use crate::image::Config;
use forgeone_distribution::{Content, Digest};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;

impl Store {
    /// Removes every blob and layer that nobody needs, with `pulls` also what the next pull would go on with; how many
    /// bytes that were. Waits until nobody else makes something.
    pub(crate) fn collect(&self, pulls: bool) -> Result<u64, Failure> {
        let failed = |e| Failure::new(format_args!("store {}: {e}", self.path.display()));
        self.lock.lock().map_err(failed)?;
        let done = self.collect_locked(pulls);
        self.lock.lock_shared().map_err(failed)?;
        done
    }

    /// The same after a failure, which left blobs behind: if somebody else makes something, another time.
    pub(crate) fn tidy(&self) {
        if self.lock.try_lock().is_ok() {
            // The failure is what is told.
            let _ = self.collect_locked(false);
        }
        let _ = self.lock.lock_shared();
    }

    fn collect_locked(&self, pulls: bool) -> Result<u64, Failure> {
        let mut needed = Needed::default();
        for image in self.images()? {
            needed.manifest(self, &image.manifest.digest)?;
        }
        for held in self.held()? {
            needed.layers.extend(held.layers);
            if let Some(manifest) = held.image {
                // What a container is made of are its layers.
                let _ = needed.manifest(self, &manifest);
            }
        }
        if pulls {
            self.collect_begun(|_| false, true)?;
        }
        for manifest in self.claims()? {
            needed.blobs.insert(Digest::of(&manifest).hex().to_owned());
            // What isn't there yet names nothing.
            let _ = needed.named(self, &manifest);
        }
        self.collect_begun(|blob| needed.blobs.contains(blob), false)?;
        let mut freed = 0;
        for (directory, kept) in [("blobs/sha256", needed.blobs), ("layers", needed.layers)] {
            freed += self.remove_others(directory, &kept)?;
        }
        self.forget_archives();
        Ok(freed)
    }

    fn remove_others(&self, directory: &str, kept: &BTreeSet<String>) -> Result<u64, Failure> {
        let path = self.path.join(directory);
        let entries =
            fs::read_dir(&path).map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))?;
        let mut freed = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if kept.contains(name) {
                continue;
            }
            let unpacked = format!("sha256:{name}").parse().ok().and_then(|diff_id| self.unpacked(&diff_id));
            let size = || entry.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
            freed += unpacked.filter(|_| directory == "layers").or_else(size).unwrap_or(0);
            discard(&entry.path());
        }
        Ok(freed)
    }
}

/// What is needed, by its digests' digits.
#[derive(Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
}

impl Needed {
    /// A manifest of the store, and what it names.
    fn manifest(&mut self, store: &Store, digest: &Digest) -> Result<(), Failure> {
        self.blobs.insert(digest.hex().to_owned());
        self.named(store, &store.document(digest)?)
    }

    /// What a manifest names, and its config.
    fn named(&mut self, store: &Store, manifest: &[u8]) -> Result<(), Failure> {
        let wrong = |e: &dyn Display| Failure::new(format_args!("manifest {}: {e}", Digest::of(manifest)));
        let manifest: Content = serde_json::from_slice(manifest).map_err(|e| wrong(&e))?;
        let config = manifest.config.as_ref().ok_or_else(|| wrong(&"it has no config"))?;
        let blobs = manifest.layers.iter().flatten().chain([config]);
        self.blobs.extend(blobs.map(|blob| blob.digest.hex().to_owned()));
        let config = Config::parse(&store.document(&config.digest)?)?;
        self.layers.extend(config.rootfs.diff_ids.iter().map(|diff_id| diff_id.hex().to_owned()));
        Ok(())
    }
}
