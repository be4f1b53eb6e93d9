//! What is needed stays, the rest is removed: blobs and layers that no image has, no container is made of, and no pull that
//! was begun goes on with.

use super::trees::TREES;
use super::{Image, Store, discard};
use crate::failure::Failure;
use crate::image::Config;
use forgeone_distribution::{Content, Digest};
use forgeone_runtime::registry::disk_usage;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What has what may be removed.
const DIRECTORIES: [&str; 3] = [BLOBS, LAYERS, TREES];
const BLOBS: &str = "blobs/sha256";
const LAYERS: &str = "layers";

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

    /// What all of it takes, and what nobody needs but for its name.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let ids = |images: Vec<Image>| {
            images.iter().map(|image| self.id(image)).collect::<Result<BTreeSet<_>, _>>()
        };
        let held = self.held()?;
        let images = self.images()?;
        let is_held =
            |image: &&Image| held.iter().any(|held| held.image.as_ref() == Some(&image.manifest.digest));
        let active = ids(images.iter().filter(is_held).cloned().collect())?.len();
        let needed = self.needed(false)?;
        let others = DIRECTORIES.map(|directory| self.others(directory, needed.of(directory)));
        let others = others.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Usage {
            total: ids(images)?.len(),
            active,
            size: disk_usage([&self.path]),
            reclaimable: disk_usage(others),
        })
    }

    /// What somebody needs: a container, a pull that goes on, and with `named` an image's name.
    fn needed(&self, named: bool) -> Result<Needed, Failure> {
        let mut needed = Needed::default();
        for image in self.images()?.iter().filter(|_| named) {
            needed.manifest(self, &image.manifest.digest)?;
        }
        for held in self.held()? {
            needed.layers.extend(held.layers);
            needed.trees.extend(held.tree);
            if let Some(manifest) = held.image {
                // What a container is made of are its layers.
                let _ = needed.manifest(self, &manifest);
            }
        }
        for manifest in self.claims()? {
            needed.blobs.insert(Digest::of(&manifest).hex().to_owned());
            // What isn't there yet names nothing.
            let _ = needed.named(self, &manifest);
        }
        Ok(needed)
    }

    fn collect_locked(&self, pulls: bool) -> Result<u64, Failure> {
        if pulls {
            self.collect_begun(|_| false, true)?;
        }
        let needed = self.needed(true)?;
        self.collect_begun(|blob| needed.blobs.contains(blob), false)?;
        let mut freed = 0;
        for directory in DIRECTORIES {
            for path in self.others(directory, needed.of(directory))? {
                freed += disk_usage([&path]);
                discard(&path);
            }
        }
        self.forget_archives();
        Ok(freed)
    }

    /// What a directory has but for these names.
    fn others(&self, directory: &str, kept: &BTreeSet<String>) -> Result<Vec<PathBuf>, Failure> {
        let path = self.path.join(directory);
        let entries = match fs::read_dir(&path) {
            // No container wanted a tree.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))?,
        };
        let other =
            |entry: &fs::DirEntry| !entry.file_name().to_str().is_some_and(|name| kept.contains(name));
        Ok(entries.flatten().filter(other).map(|entry| entry.path()).collect())
    }
}

/// What images take.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Usage {
    /// How many there are, by their ids.
    total: usize,
    /// How many of them containers are made of.
    active: usize,
    /// All that is in the store, in bytes.
    size: u64,
    /// What of it would go with the images that no container has.
    reclaimable: u64,
}

/// What is needed; blobs and layers by their digests' digits.
#[derive(Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
    /// By their names.
    trees: BTreeSet<String>,
}

impl Needed {
    /// What of a directory of the store is needed.
    fn of(&self, directory: &str) -> &BTreeSet<String> {
        match directory {
            LAYERS => &self.layers,
            TREES => &self.trees,
            _ => &self.blobs,
        }
    }

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
