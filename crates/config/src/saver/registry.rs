//! To a registry, as the artifact that [`load_config_from_registry`](crate::load_config_from_registry) reads.

use crate::loader::registry::{reference, remote, ARTIFACT_TYPE};
use crate::{config_to_string, ContainerConfig, Error, Format, Result};
use forgeone_distribution::{media_type, Client, Content, Descriptor, Digest, Options, Reference};
use std::io::Cursor;

/// Saves a configuration to a registry: `registry.example/team/web:1`, also with `oci://` before it. The same
/// configuration always has the same digest.
///
/// # Errors
/// [`Kind::Remote`](crate::Kind::Remote): a registry that isn't there, can't be trusted, or doesn't let us. A number that
/// is infinite or none.
pub fn save_config_to_registry(config: &ContainerConfig, registry_url: &str) -> Result<()> {
    let save = |e: Error| e.during(format_args!("save {registry_url}"));
    let reference = reference(registry_url).map_err(save)?;
    let client = Client::new(Options::default()).map_err(remote).map_err(save)?;
    push_config(&client, &reference, config).map(drop)
}

/// As [`save_config_to_registry`], by a client with options of its own; the digest of what was pushed.
///
/// # Errors
/// As [`save_config_to_registry`].
pub fn push_config(client: &Client, reference: &Reference, config: &ContainerConfig) -> Result<Digest> {
    let text =
        config_to_string(config, Format::Json).map_err(|e| e.during(format_args!("push {reference}")))?;
    let layer = Descriptor {
        annotations: [("org.opencontainers.image.title".to_owned(), "config.json".to_owned())].into(),
        ..Descriptor::of(ARTIFACT_TYPE, text.as_bytes())
    };
    let empty = Descriptor::of(media_type::EMPTY, b"{}");
    let repository = reference.repository();
    client.put_blob(repository, &layer, None, &mut Cursor::new(text.as_bytes())).map_err(remote)?;
    client.put_blob(repository, &empty, None, &mut Cursor::new(b"{}")).map_err(remote)?;
    let manifest = Content {
        artifact_type: Some(ARTIFACT_TYPE.to_owned()),
        config: Some(empty),
        layers: Some(vec![layer]),
        ..Content::of_type(media_type::MANIFEST)
    };
    let bytes = manifest.to_bytes().map_err(remote)?;
    client.put_manifest(reference, media_type::MANIFEST, &bytes).map_err(remote)
}
