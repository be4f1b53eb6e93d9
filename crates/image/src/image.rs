//! What makes an image (OCI image specification 1.1): a manifest, its config and its layers, checked against each other.

use crate::failure::Failure;
use forgeone_distribution::{Content, Descriptor, Digest, Platform};
use serde::Deserialize;

/// An image's config, as far as images are handled by it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    /// When it was made (RFC 3339).
    #[serde(default)]
    pub(crate) created: Option<String>,
    pub(crate) rootfs: Rootfs,
}

/// The layers without compression, the lowest first.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rootfs {
    pub(crate) diff_ids: Vec<Digest>,
}

/// How many layers an image may have: overlayfs takes 500.
const LAYERS_MAX: usize = 500;

impl Config {
    /// Reads a config.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes).map_err(|e| Failure::new(format_args!("it is no image's config: {e}")))
    }

    /// That it fits the manifest and this machine; gives the layers.
    pub(crate) fn check<'m>(&self, manifest: &'m Content) -> Result<&'m [Descriptor], Failure> {
        let layers = manifest.layers.as_deref().unwrap_or_default();
        if manifest.artifact_type.is_some() {
            return Err(Failure::new("it is an artifact, not an image that can run"));
        }
        if layers.is_empty() {
            return Err(Failure::new("it has no layers, so there is nothing to run"));
        }
        let diffs = self.rootfs.diff_ids.len();
        if layers.len() != diffs {
            return Err(Failure::new(format_args!(
                "it has {} layers, and a config for {diffs}",
                layers.len()
            )));
        }
        if diffs > LAYERS_MAX {
            return Err(Failure::new(format_args!("it has {diffs} layers, more than {LAYERS_MAX}")));
        }
        let here = host();
        if (&self.platform.os, &self.platform.architecture) != (&here.os, &here.architecture) {
            let Platform { os, architecture, .. } = &self.platform;
            let message =
                format!("it is for {os}/{architecture}, and this is {}/{}", here.os, here.architecture);
            return Err(Failure::new(message));
        }
        Ok(layers)
    }
}

/// This machine, in Go's words.
pub(crate) fn host() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
}

/// The manifest that is for this machine, of those of an index.
pub(crate) fn for_host(manifests: &[Descriptor]) -> Result<&Descriptor, Failure> {
    let here = host();
    let fits = |found: &&Descriptor| {
        let platform = found.platform.as_ref();
        platform
            .is_none_or(|platform| (&platform.os, &platform.architecture) == (&here.os, &here.architecture))
    };
    manifests.iter().find(fits).ok_or_else(|| {
        let words = |platform: &Platform| format!("{}/{}", platform.os, platform.architecture);
        let known: Vec<String> =
            manifests.iter().filter_map(|found| found.platform.as_ref().map(words)).collect();
        let (here, known) = (words(&here), known.join(", "));
        Failure::new(format_args!("it is not for {here}, only for {known}"))
    })
}
