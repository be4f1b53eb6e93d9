//! `forgeone load`: images out of an archive or a directory.
//!
//! | what | told by |
//! |---|---|
//! | OCI image layout, a directory or a tar of it (`skopeo`, `buildah push oci-archive:`, `umoci`) | `oci-layout` and `index.json` |
//! | what `docker save` and `podman save` write | `manifest.json` |
//!
//! Either may be compressed. Nothing is kept of an image before all of it was verified and unpacked.

mod archive;
mod docker;
mod layout;

use crate::failure::Failure;
use crate::image::{self, Config};
use crate::store::Store;
use archive::Source;
use forgeone_distribution::{Content, Descriptor, Reference};
use std::path::Path;

/// Takes all images of an archive, a directory, or of standard input (`-`) into the store: their names, or their
/// digests where they have none.
pub(crate) fn load(store: &Store, from: &Path) -> Result<Vec<String>, Failure> {
    take(store, from).inspect_err(|_| store.tidy())
}

fn take(store: &Store, from: &Path) -> Result<Vec<String>, Failure> {
    let source = Source::open(from)?;
    let images = match (source.has("index.json"), source.has("manifest.json")) {
        (true, _) => layout::images(&source, store)?,
        (false, true) => docker::images(&source, store)?,
        (false, false) => {
            let message = "it holds neither index.json (an OCI image layout) nor manifest.json (docker save)";
            return Err(Failure::new(message));
        }
    };
    images
        .into_iter()
        .map(|(manifest, names)| keep(store, &manifest, &names))
        .collect::<Result<Vec<_>, _>>()
        .map(|told| told.concat())
}

/// Unpacks an image whose blobs are in the store, and gives it its names.
fn keep(store: &Store, manifest: &Descriptor, names: &[Reference]) -> Result<Vec<String>, Failure> {
    let during = |failure: Failure| failure.during(format_args!("image {}", manifest.digest));
    let content: Content = serde_json::from_slice(&store.document(&manifest.digest)?)
        .map_err(|e| during(Failure::new(format_args!("it is no manifest: {e}"))))?;
    let (config, layers) = image::parts(&content).map_err(during)?;
    let config = Config::parse(&store.document(&config.digest)?).map_err(during)?;
    config.check(layers, &image::host()).map_err(during)?;
    let unpacked = store.unpack(layers, &config).map_err(during)?;
    for name in names {
        store.add(manifest.clone(), Some(name), unpacked)?;
    }
    if names.is_empty() {
        store.add(manifest.clone(), None, unpacked)?;
        return Ok(vec![manifest.digest.to_string()]);
    }
    Ok(names.iter().map(Reference::to_string).collect())
}
