//! What containers hold: an image or a layer that a container's `image.json` names is kept, whatever becomes of its name.

use super::Store;
use crate::failure::Failure;
use forgeone_distribution::Digest;
use forgeone_runtime::registry::rootfs::{Base, Source};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What one container holds.
pub(crate) struct Held {
    /// Its name, or the beginning of its id.
    pub(crate) container: String,
    /// Its image.
    pub(crate) image: Option<Digest>,
    /// The digits of its layers' diff IDs.
    pub(super) layers: Vec<String>,
    /// The name of its tree.
    pub(super) tree: Option<String>,
}

impl Store {
    /// What all containers beside this store hold.
    ///
    /// # Errors
    /// An `image.json` that can't be read: what its container needs is not known then.
    pub(crate) fn held(&self) -> Result<Vec<Held>, Failure> {
        let containers = self.path.with_file_name("containers");
        let mut held = Vec::new();
        for entry in fs::read_dir(containers).into_iter().flatten().flatten() {
            let path = entry.path().join("image.json");
            let failed = |e: &dyn std::fmt::Display| Failure::new(format_args!("{}: {e}", path.display()));
            let bytes = match fs::read(&path) {
                // Not whole yet, or gone by now.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                bytes => bytes.map_err(|e| failed(&e))?,
            };
            let source: Source = serde_json::from_slice(&bytes).map_err(|e| {
                failed(&e).followed("; remove this container, whose image isn't known any more")
            })?;
            let digest = |image: forgeone_runtime::registry::rootfs::Image| {
                image.digest.parse::<Digest>().map_err(|e| failed(&e))
            };
            held.push(Held {
                container: called(&entry.path()),
                image: source.image.map(digest).transpose()?,
                layers: layers_in(&source.base),
                tree: tree_in(&source.base),
            });
        }
        Ok(held)
    }
}

fn layers_in(base: &Base) -> Vec<String> {
    let Base::Layers(layers) = base else { return Vec::new() };
    let name = |layer: &PathBuf| Some(layer.parent()?.file_name()?.to_string_lossy().into_owned());
    layers.iter().filter_map(name).collect()
}

fn tree_in(base: &Base) -> Option<String> {
    let Base::Tree(tree) = base else { return None };
    Some(tree.file_name()?.to_string_lossy().into_owned())
}

/// What a container is called by who has it: its record may be of another version.
fn called(directory: &Path) -> String {
    let record = super::read_bounded(&directory.join("container.json")).ok();
    let record = record.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let name = record.and_then(|record| record["name"].as_str().map(str::to_owned));
    let id = directory.file_name().map(|id| id.to_string_lossy().chars().take(12).collect());
    name.or(id).unwrap_or_default()
}
