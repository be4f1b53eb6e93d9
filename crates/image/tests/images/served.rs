//! A registry that serves an image made in memory, as a test says.

use crate::place::{MANIFEST, architecture};
use forgeone_distribution::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::server::{Asked, Reply};

pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image, and whatever else is served.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// By tag or digest: media type and bytes.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(crate) manifest: Value,
}

impl Served {
    /// With two layers, each with a file of this size that doesn't compress, and the tag `1`.
    pub(crate) fn image(size: usize) -> Self {
        let mut served = Self::default();
        let layers = [1, 2].map(|number| tar(number, size));
        let config = json!({ "architecture": architecture(), "os": "linux", "rootfs": {
            "type": "layers", "diff_ids": layers.each_ref().map(|layer| digest(layer)) } });
        let layers = layers.map(|layer| served.blob(LAYER, layer));
        let config = served.blob(CONFIG, config.to_string().into_bytes());
        served.tag(
            "1",
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }),
        );
        served
    }

    pub(crate) fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = json!({ "mediaType": media_type, "digest": digest(&bytes), "size": bytes.len() });
        self.blobs.insert(digest(&bytes), bytes);
        descriptor
    }

    /// Gives a manifest this tag; its descriptor.
    pub(crate) fn tag(&mut self, tag: &str, manifest: Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        let found = json!({ "mediaType": media_type, "digest": digest(&bytes), "size": bytes.len() });
        for name in [tag.to_owned(), digest(&bytes)] {
            self.manifests.insert(name, (media_type.clone(), bytes.clone()));
        }
        self.manifest = manifest;
        found
    }

    /// What a registry that has it answers.
    pub(crate) fn answer(&self, asked: &Asked) -> Reply {
        let missing = || Reply::new(404, "");
        let last = asked.target.rsplit('/').next().unwrap_or_default();
        if asked.target.contains("/manifests/") {
            let found = self.manifests.get(last);
            return found.map_or_else(missing, |(media_type, bytes)| {
                Reply::new(200, bytes.clone()).with("content-type", media_type)
            });
        }
        let Some(bytes) = self.blobs.get(last) else { return missing() };
        match asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')) {
            None => Reply::new(200, bytes.clone()),
            Some(start) => {
                let start: usize = start.parse().unwrap();
                Reply::new(206, &bytes[start..])
                    .with("content-range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
            }
        }
    }

    /// The digest of a layer.
    pub(crate) fn layer(&self, index: usize) -> String {
        self.manifest["layers"][index]["digest"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// An archive with a file of this size.
pub(crate) fn tar(number: u32, size: usize) -> Vec<u8> {
    let mut state = number;
    let content = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let content: Vec<u8> = content.take(size).collect();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    archive.append_data(&mut header, format!("file{number}"), &content[..]).unwrap();
    archive.into_inner().unwrap()
}
