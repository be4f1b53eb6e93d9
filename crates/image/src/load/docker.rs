//! What `docker save` and `podman save` write: `manifest.json`, configs, and layers without compression.

use super::Source;
use crate::compression::Compression;
use crate::failure::Failure;
use crate::store::{Store, read_document};
use forgeone_distribution::{Content, Descriptor, Reference, media_type};
use serde::Deserialize;
use std::io::Read;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Copies all images' blobs into the store and makes a manifest for each; these, and the names.
pub(super) fn images(source: &Source, store: &Store) -> Result<Vec<(Descriptor, Vec<Reference>)>, Failure> {
    let bytes = read_document(source.file("manifest.json")?, "manifest.json")?;
    let saved: Vec<Saved> =
        serde_json::from_slice(&bytes).map_err(|e| Failure::new(format_args!("manifest.json: {e}")))?;
    if saved.is_empty() {
        return Err(Failure::new("manifest.json names no image"));
    }
    saved.iter().map(|saved| image(source, store, saved)).collect()
}

fn image(source: &Source, store: &Store, saved: &Saved) -> Result<(Descriptor, Vec<Reference>), Failure> {
    let parse = |name: &String| {
        name.parse().map_err(|e| Failure::new(format_args!("manifest.json: name {name:?}: {e}")))
    };
    let names = saved.repo_tags.iter().flatten().map(parse).collect::<Result<_, _>>()?;
    let take = |name: &str, media_type: &str| {
        let mut incoming = store.incoming()?;
        incoming.take_in(source.file(name)?)?;
        incoming.finish(media_type, |_| Ok(()))
    };
    let layer = |name: &String| {
        let mut start = Vec::new();
        let read = source.file(name)?.take(6).read_to_end(&mut start);
        read.map_err(|e| Failure::new(format_args!("{name}: {e}")))?;
        take(
            name,
            &match Compression::of(&start) {
                Compression::Gzip => format!("{LAYER}+gzip"),
                Compression::Zstd => format!("{LAYER}+zstd"),
                _ => LAYER.to_owned(),
            },
        )
    };
    let mut manifest = Content::of_type(media_type::MANIFEST);
    manifest.config = Some(take(&saved.config, CONFIG)?);
    let layers = saved.layers.iter().map(layer).collect::<Result<_, _>>()?;
    manifest.layers = Some(layers);
    let bytes = manifest.to_bytes().map_err(Failure::new)?;
    let descriptor = Descriptor::of(media_type::MANIFEST, &bytes);
    store.copy(&descriptor, &bytes[..])?;
    Ok((descriptor, names))
}
