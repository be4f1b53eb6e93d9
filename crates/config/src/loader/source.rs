//! From a source: the name of a file, or a URL.

use super::{file, remote};
#[cfg(feature = "encryption")]
use crate::encryption::Identities;
#[cfg(feature = "encryption")]
use crate::sealed::Decrypted;
use crate::sealed::{NoKeys, Unseal};
#[cfg(feature = "encryption")]
use crate::Document;
use crate::{ContainerConfig, Result};

/// Loads a configuration from a file, as [`load_config_from_file`], or from a URL: `https://HOST/PATH`,
/// `oci://HOST/NAME:TAG`, `vault://MOUNT/PATH`, `k8s://NAMESPACE/configmap/NAME` or `k8s://NAMESPACE/secret/NAME`. A text
/// from a URL extends no files.
///
/// ```no_run
/// let config = forgeone_config::load_config("https://configs.example/web.yaml")?;
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// As [`load_config_from_file`]. [`Kind::Remote`]: who is asked isn't there, can't be trusted, doesn't let us, has no such
/// thing, or takes more than a minute in each of three attempts. What may be secret in a URL, behind its `?`, is in none.
///
/// [`load_config_from_file`]: crate::load_config_from_file
/// [`Kind::Remote`]: crate::Kind::Remote
pub fn load_config(source: &str) -> Result<ContainerConfig> {
    load_with(source, &NoKeys)?.1
}

/// As [`load_config`] of what is encrypted, or has values that are.
///
/// # Errors
/// As [`load_config`]; what no identity opens, or was changed after it was encrypted.
#[cfg(feature = "encryption")]
pub fn load_encrypted_config(source: &str, identities: &Identities) -> Result<Decrypted> {
    load_encrypted_document(source, identities)?.1
}

/// The same with the text's tree, as [`load_document_from_file`](crate::load_document_from_file).
///
/// # Errors
/// As there; what no identity opens.
#[cfg(feature = "encryption")]
pub fn load_encrypted_document(
    source: &str,
    identities: &Identities,
) -> Result<(Document, Result<Decrypted>)> {
    load_with(source, file::keys(identities)).map(file::decrypted)
}

/// A source as messages show it: a URL without what may be secret in it, a file as it is.
pub fn source_name(source: &str) -> &str {
    if remote::is_remote(source) {
        remote::shown(source)
    } else {
        source
    }
}

fn load_with(source: &str, keys: &dyn Unseal) -> Result<file::Loaded> {
    if remote::is_remote(source) {
        remote::load(source, keys)
    } else {
        file::load_with(source, keys)
    }
}
