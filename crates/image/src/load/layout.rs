//! An OCI image layout.

use super::Source;
use crate::failure::Failure;
use crate::image::{DEPTH_MAX, for_platform, host, parts};
use crate::store::{Store, read_document};
use forgeone_distribution::{Content, Descriptor, Manifest, Reference};

/// What may name an image in `index.json`: a whole name, or, by the specification, often a tag alone.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// Copies all images' blobs into the store; their manifests and names.
pub(super) fn images(source: &Source, store: &Store) -> Result<Vec<(Descriptor, Vec<Reference>)>, Failure> {
    let index = read_document(source.file("index.json")?, "index.json")?;
    let index = content(&index, "index.json")?;
    let manifests = index.manifests.unwrap_or_default();
    if manifests.is_empty() {
        return Err(Failure::new("index.json names no image"));
    }
    let image = |found: &Descriptor| {
        let names = NAMES.iter().find_map(|key| found.annotations.get(*key)?.parse().ok());
        let manifest = image(source, store, found, 0)?;
        Ok((manifest, names.into_iter().collect()))
    };
    manifests.iter().map(image).collect()
}

/// Copies one image's blobs, of an index the one for this machine; its manifest.
fn image(source: &Source, store: &Store, found: &Descriptor, depth: u32) -> Result<Descriptor, Failure> {
    let during = |failure: Failure| failure.during(format_args!("manifest {}", found.digest));
    copy(source, store, found)?;
    let manifest = store.document(&found.digest)?;
    let manifest = Manifest::parse(&found.media_type, found.digest.clone(), manifest);
    let manifest = manifest.map_err(|e| during(Failure::new(e)))?;
    if let Some(manifests) = &manifest.content().manifests {
        if depth == DEPTH_MAX {
            return Err(during(Failure::new(format_args!("more than {DEPTH_MAX} indexes name each other"))));
        }
        let here = for_platform(manifests, &host()).map_err(during)?;
        return image(source, store, here, depth + 1);
    }
    let (config, layers) = parts(manifest.content()).map_err(during)?;
    for blob in layers.iter().chain([config]) {
        copy(source, store, blob)?;
    }
    Ok(Descriptor::new(&found.media_type, found.digest.clone(), found.size))
}

fn copy(source: &Source, store: &Store, blob: &Descriptor) -> Result<(), Failure> {
    let algorithm = blob.digest.as_str().split(':').next().unwrap_or_default();
    if algorithm != "sha256" {
        return Err(Failure::new(format_args!("blob {}: only sha256 is taken", blob.digest)));
    }
    match store.has(blob) {
        true => Ok(()),
        false => store.copy(blob, source.file(&format!("blobs/{algorithm}/{}", blob.digest.hex()))?),
    }
}

fn content(bytes: &[u8], what: &str) -> Result<Content, Failure> {
    serde_json::from_slice(bytes).map_err(|e| Failure::new(format_args!("{what}: {e}")))
}
