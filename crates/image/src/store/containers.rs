//! What containers hold: an image or a layer that a container's `image.json` names is kept, whatever becomes of its name.

use super::{Image, Store};
use crate::failure::Failure;
use forgeone_distribution::{Descriptor, Digest};
use forgeone_runtime::registry::rootfs::{Base, Source};
use std::fs;
use std::io::ErrorKind;

/// What one container holds.
pub(super) struct Held {
    /// Its image.
    image: Option<Digest>,
    /// The digits of its layers' diff IDs.
    pub(super) layers: Vec<String>,
}

impl Store {
    /// What all containers beside this store hold.
    ///
    /// # Errors
    /// An `image.json` that can't be read: what its container needs is not known then.
    pub(super) fn held(&self) -> Result<Vec<Held>, Failure> {
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
            let source: Source = serde_json::from_slice(&bytes).map_err(|e| failed(&e))?;
            let digest = |image: forgeone_runtime::registry::rootfs::Image| {
                image.digest.parse::<Digest>().map_err(|e| failed(&e))
            };
            held.push(Held {
                image: source.image.map(digest).transpose()?,
                layers: self.layers_in(&source.base),
            });
        }
        Ok(held)
    }

    /// The images that containers hold and that are still there.
    pub(super) fn held_images(held: &[Held]) -> impl Iterator<Item = Image> {
        held.iter()
            .filter_map(|held| held.image.clone())
            .map(|digest| Image { name: None, manifest: Descriptor::new("", digest, 0) })
    }

    fn layers_in(&self, base: &Base) -> Vec<String> {
        let Base::Layers(layers) = base else { return Vec::new() };
        let name =
            |layer: &std::path::PathBuf| Some(layer.parent()?.file_name()?.to_string_lossy().into_owned());
        layers.iter().filter_map(name).collect()
    }
}
