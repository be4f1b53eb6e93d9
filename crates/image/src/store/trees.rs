//! Trees: the layers of an image laid over each other, for drivers that have no overlay. They are named by their layers, and
//! are there as long as a container is made of them.

use super::{Store, discard};
use crate::failure::Failure;
use crate::snapshot::tree;
use forgeone_distribution::Digest;
use forgeone_sys::fs as sys;
use std::fs::{self, File};
use std::path::PathBuf;

/// What the directory of trees is called.
pub(super) const TREES: &str = "trees";

impl Store {
    /// The tree of these layers, the lowest last, made if it isn't there.
    pub(crate) fn tree(&self, layers: &[PathBuf]) -> Result<PathBuf, Failure> {
        let name = |layer: &PathBuf| {
            let directory = layer.parent().and_then(|parent| parent.file_name()).unwrap_or_default();
            directory.to_string_lossy().into_owned()
        };
        let names: Vec<String> = layers.iter().map(name).collect();
        let trees = self.path.join(TREES);
        let place = trees.join(Digest::of(names.join(" ").as_bytes()).hex());
        if place.exists() {
            return Ok(place);
        }
        let failed = |e: std::io::Error| Failure::new(format_args!("store {}: {e}", place.display()));
        fs::create_dir_all(&trees).map_err(failed)?;
        let made = self.temporary();
        let done = (|| {
            tree::create(&made)?;
            layers.iter().rev().try_for_each(|layer| tree::lay(layer, &made))?;
            // All of it is on the disk before it is called whole.
            sys::syncfs(File::open(&made).map_err(failed)?)?;
            match fs::rename(&made, &place) {
                // Somebody else was faster.
                Err(_) if place.exists() => Ok(()),
                renamed => renamed.map_err(failed),
            }
        })();
        if made.exists() {
            discard(&made);
        }
        done.map(|()| place)
    }
}
