//! What makes an image (OCI image specification 1.1): a manifest, its config and its layers, checked against each other.

use crate::failure::Failure;
use forgeone_distribution::{Algorithm, Content, Descriptor, Digest, MAX_MANIFEST, Platform};
use serde::Deserialize;
use std::collections::BTreeSet;

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

/// How deep indexes may name indexes.
pub(crate) const DEPTH_MAX: u32 = 4;

/// How many layers an image may have: overlayfs takes 500.
const LAYERS_MAX: usize = 500;

/// What a layer's media type begins with, in OCI's words and Docker's, and what may follow: its compression, which its
/// content tells.
const LAYERS: [&str; 4] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];
const COMPRESSIONS: [&str; 5] = ["", "+gzip", "+zstd", ".gzip", ".zstd"];

/// The media types of an image's config.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

impl Config {
    /// Reads a config.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes).map_err(|e| Failure::new(format_args!("it is no image's config: {e}")))
    }

    /// That it fits the layers of the manifest and a platform.
    pub(crate) fn check(&self, layers: &[Descriptor], wanted: &Platform) -> Result<(), Failure> {
        let diffs = self.rootfs.diff_ids.len();
        if layers.len() != diffs {
            let layers = layers.len();
            return Err(Failure::new(format_args!("it has {layers} layers, and a config for {diffs}")));
        }
        if (&self.platform.os, &self.platform.architecture) != (&wanted.os, &wanted.architecture) {
            let (found, wanted_words) = (words(&self.platform), words(wanted));
            let message = match *wanted == host() {
                true => format!("it is for {found}, and this is {wanted_words}"),
                false => format!("it is for {found}, not {wanted_words}"),
            };
            return Err(Failure::new(message));
        }
        Ok(())
    }

    /// The layers with their diff IDs, each once.
    pub(crate) fn layers<'a>(&'a self, layers: &'a [Descriptor]) -> Vec<(&'a Descriptor, &'a Digest)> {
        let mut known = BTreeSet::new();
        let pairs = layers.iter().zip(&self.rootfs.diff_ids);
        pairs.filter(|(layer, diff_id)| known.insert((&layer.digest, *diff_id))).collect()
    }
}

/// What a manifest says of an image that can run: its config and its layers.
pub(crate) fn parts(manifest: &Content) -> Result<(&Descriptor, &[Descriptor]), Failure> {
    let artifact = |what: &str| {
        let what = what.escape_debug();
        Failure::new(format_args!("it is an artifact ({what}), not an image that can run"))
    };
    if let Some(what) = &manifest.artifact_type {
        return Err(artifact(what));
    }
    let config = manifest.config.as_ref().ok_or_else(|| Failure::new("it has no config"))?;
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err(artifact(&config.media_type));
    }
    let layers = manifest.layers.as_deref().unwrap_or_default();
    match layers.len() {
        0 => return Err(Failure::new("it has no layers, so there is nothing to run")),
        1..=LAYERS_MAX => {}
        more => return Err(Failure::new(format_args!("it has {more} layers, more than {LAYERS_MAX}"))),
    }
    for layer in layers {
        let media_type = layer.media_type.as_str();
        let compression = LAYERS.iter().find_map(|known| media_type.strip_prefix(known));
        if !compression.is_some_and(|compression| COMPRESSIONS.contains(&compression)) {
            let media_type = media_type.escape_debug();
            return Err(Failure::new(format_args!(
                "layer {}: \"{media_type}\" is no layer's media type that is known here",
                layer.digest
            )));
        }
    }
    if config.size > MAX_MANIFEST as u64 {
        return Err(Failure::new(format_args!("its config is larger than {MAX_MANIFEST} bytes")));
    }
    match layers.iter().chain([config]).find(|blob| blob.digest.algorithm() != Algorithm::Sha256) {
        Some(blob) => Err(Failure::new(format_args!("blob {}: only sha256 is taken", blob.digest))),
        None => Ok((config, layers)),
    }
}

/// A platform as `--platform` has it: `linux/arm64`, `linux/arm/v7`, or `arm64` alone.
pub(crate) fn platform(text: &str) -> Result<Platform, Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts[..] {
        [architecture] => ("linux", architecture, None),
        [os, architecture] => (os, architecture, None),
        [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
        _ => ("", "", None),
    };
    if os.is_empty() || architecture.is_empty() || variant.as_deref() == Some("") {
        return Err(Failure::new(format_args!(
            "platform {text:?} is not OS/ARCHITECTURE[/VARIANT]: linux/arm64"
        )));
    }
    Ok(Platform { architecture: architecture.to_owned(), os: os.to_owned(), variant })
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

/// The manifest that is for a platform, of those of an index.
pub(crate) fn for_platform<'m>(
    manifests: &'m [Descriptor],
    wanted: &Platform,
) -> Result<&'m Descriptor, Failure> {
    let fits = |found: &&Descriptor| {
        let platform = found.platform.as_ref();
        platform.is_some_and(|found| {
            (&found.os, &found.architecture) == (&wanted.os, &wanted.architecture)
                && (wanted.variant.is_none() || found.variant.is_none() || found.variant == wanted.variant)
        })
    };
    // The very variant before one that is said of none.
    let exact = manifests
        .iter()
        .filter(fits)
        .find(|found| found.platform.as_ref().is_some_and(|found| found.variant == wanted.variant));
    let unsaid = || manifests.iter().find(|found| found.platform.is_none());
    exact.or_else(|| manifests.iter().find(fits)).or_else(unsaid).ok_or_else(|| {
        let known: BTreeSet<String> =
            manifests.iter().filter_map(|found| found.platform.as_ref().map(words)).collect();
        let (wanted, known) = (words(wanted), Vec::from_iter(known).join(", "));
        Failure::new(format_args!("it is not for {wanted}, only for {}", known.escape_debug()))
    })
}

fn words(platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map_or(String::new(), |variant| format!("/{variant}"));
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_an_index_the_platform_that_is_wanted_is_chosen() {
        let manifest = |words: &str, content: &[u8]| {
            let platform = (!words.is_empty()).then(|| platform(words).unwrap());
            Descriptor { platform, ..Descriptor::of("m", content) }
        };
        let index = [
            manifest("unknown/unknown", b"0"),
            manifest("linux/amd64", b"1"),
            manifest("linux/arm/v6", b"2"),
            manifest("linux/arm/v7", b"3"),
            manifest("linux/arm64/v8", b"4"),
        ];
        for (wanted, expected) in [
            ("linux/amd64", Ok(1)),
            ("arm64", Ok(4)),
            ("linux/arm", Ok(2)),
            ("linux/arm/v7", Ok(3)),
            ("linux/amd64/v3", Ok(1)),
            (
                "linux/arm/v5",
                Err("it is not for linux/arm/v5, only for linux/amd64, linux/arm/v6, linux/arm/v7, \
                    linux/arm64/v8, unknown/unknown"),
            ),
        ] {
            let found =
                for_platform(&index, &platform(wanted).unwrap()).map_err(|failure| failure.to_string());
            assert_eq!(found, expected.map(|at| &index[at]).map_err(str::to_owned), "{wanted}");
        }
        let unsaid = [manifest("linux/mips", b"0"), manifest("", b"1")];
        assert_eq!(for_platform(&unsaid, &host()).unwrap(), &unsaid[1]);
        for wrong in ["", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert!(platform(wrong).is_err(), "{wrong}");
        }
    }
}
