//! From a registry: an OCI artifact with one layer, the configuration in JSON.

use super::file::decode;
use crate::document::MAX_BYTES;
use crate::{ContainerConfig, Error, Format, Kind, Result};
use forgeone_distribution::{Client, Digest, Manifest, Options, Reference};

/// What sort of artifact a configuration is, and the media type of its layer.
pub const ARTIFACT_TYPE: &str = "application/vnd.forgeone.config.v1+json";

/// Loads a configuration that was saved to a registry: `registry.example/team/web:1`, also with `oci://` before it. It is
/// found, and whoever asks is known, as Podman and Docker have it: their auth files, certificates and so on.
///
/// # Errors
/// [`Kind::Remote`]: a registry that isn't there, can't be trusted, or doesn't let us; a name that it doesn't know.
/// [`Kind::Content`]: what the name stands for is no configuration.
pub fn load_config_from_registry(registry_url: &str) -> Result<ContainerConfig> {
    let load = |e: Error| e.during(format_args!("load {registry_url}"));
    let (client, reference) = asked(registry_url).map_err(load)?;
    pull_config(&client, &reference).map(|(config, _)| config)
}

/// The text that was saved there.
#[cfg(feature = "remote")]
pub(super) fn load_text(registry_url: &str) -> Result<String> {
    let (client, reference) = asked(registry_url)?;
    let manifest = client.manifest(&reference).map_err(remote)?;
    text(&client, &reference, &manifest)
}

/// Who asks, and what for.
fn asked(registry_url: &str) -> Result<(Client, Reference)> {
    let reference = reference(registry_url)?;
    Ok((Client::new(Options::default()).map_err(remote)?, reference))
}

/// As [`load_config_from_registry`], by a client with options of its own; also the digest of what was pulled, by which
/// the very same configuration is pulled again.
///
/// # Errors
/// As [`load_config_from_registry`].
pub fn pull_config(client: &Client, reference: &Reference) -> Result<(ContainerConfig, Digest)> {
    let manifest = client.manifest(reference).map_err(remote)?;
    let pull = |e: Error| e.during(format_args!("pull {reference}"));
    let text = text(client, reference, &manifest).map_err(pull)?;
    let config = decode(&text, Format::Json).map_err(pull)?;
    Ok((config, manifest.digest().clone()))
}

/// The text of the artifact's one layer.
fn text(client: &Client, reference: &Reference, manifest: &Manifest) -> Result<String> {
    let wrong = |message: String| Error::new(Kind::Content, message);
    let content = manifest.content();
    let config = content.config.as_ref().map(|config| config.media_type.as_str());
    let Some(config) = config else {
        return Err(wrong(
            "it is an index of several manifests; a configuration is one, named by its digest".into(),
        ));
    };
    let kind = content.artifact_type.as_deref().unwrap_or(config);
    if kind != ARTIFACT_TYPE {
        let message = format!("it is {kind:?}, no configuration; those are saved by forgeone config push");
        return Err(wrong(message));
    }
    let [layer] = content.layers.as_deref().unwrap_or_default() else {
        return Err(wrong("a configuration has one layer".into()));
    };
    if layer.media_type != ARTIFACT_TYPE {
        return Err(wrong(format!("its layer is {:?}, not {ARTIFACT_TYPE}", layer.media_type)));
    }
    if layer.size > MAX_BYTES as u64 {
        return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    let mut bytes = Vec::new();
    client.blob(reference.repository(), layer, &mut bytes).map_err(remote)?;
    String::from_utf8(bytes).map_err(|_| Error::new(Kind::Syntax, "it is no UTF-8"))
}

/// The reference that a place in a registry is written as.
pub(crate) fn reference(registry_url: &str) -> Result<Reference> {
    let text = registry_url.strip_prefix("oci://").unwrap_or(registry_url);
    Reference::parse(text).map_err(|wrong| Error::new(Kind::Content, wrong.to_string()))
}

/// The client's failure as ours.
pub(crate) fn remote(error: forgeone_distribution::Error) -> Error {
    Error::new(Kind::Remote, error.to_string())
}
