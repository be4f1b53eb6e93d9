//! From a file or a text.

use super::base::{self, Chain};
use crate::document::{Document, Format, MAX_BYTES};
#[cfg(feature = "encryption")]
use crate::encryption::Identities;
#[cfg(feature = "encryption")]
use crate::sealed::Decrypted;
use crate::sealed::{self, Hidden, NoKeys, Unseal};
use crate::version;
use crate::{ContainerConfig, Error, Kind, Result};
use std::fs::File;
use std::io::Read;

/// Loads a configuration from a file: JSON, YAML or TOML by its extension. What files that its key `extends` names say
/// is below what it says itself, see [`loader`](crate::loader).
///
/// ```no_run
/// let config = forgeone_config::load_config_from_file("web.yaml")?;
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// A file that can't be read; a text that isn't well-formed, with line and column; a key that isn't known, with the one
/// that was probably meant, or stands there twice; a wrong type; more than 4 MiB, 32 levels or 200,000 values; files
/// that extend each other in a circle.
pub fn load_config_from_file(config_path: &str) -> Result<ContainerConfig> {
    load_document_from_file(config_path)?.1
}

/// As [`load_config_from_file`], with the text's tree, which knows the place of each value; the configuration of a
/// well-formed text may be an error of its own.
///
/// # Errors
/// A file that can't be read, or whose text isn't well-formed.
pub fn load_document_from_file(config_path: &str) -> Result<(Document, Result<ContainerConfig>)> {
    load_with(config_path, &NoKeys).map(|(document, config, _)| (document, config))
}

/// As [`load_config_from_file`] from a file that is encrypted, or values of which are, or of a file that it extends.
///
/// # Errors
/// As [`load_config_from_file`]; what no identity opens, or was changed after it was encrypted. They show nothing of
/// what was encrypted.
#[cfg(feature = "encryption")]
pub fn load_encrypted_config_from_file(config_path: &str, identities: &Identities) -> Result<Decrypted> {
    load_encrypted_document_from_file(config_path, identities)?.1
}

/// The same with the text's tree, as [`load_document_from_file`].
///
/// # Errors
/// As there; what no identity opens.
#[cfg(feature = "encryption")]
pub fn load_encrypted_document_from_file(
    config_path: &str,
    identities: &Identities,
) -> Result<(Document, Result<Decrypted>)> {
    load_with(config_path, keys(identities)).map(decrypted)
}

/// Who decrypts: without identities nobody does, and says so.
#[cfg(feature = "encryption")]
pub(super) fn keys(identities: &Identities) -> &dyn Unseal {
    if identities.is_empty() {
        &NoKeys
    } else {
        identities
    }
}

/// What was loaded, for who may know what of it was encrypted.
#[cfg(feature = "encryption")]
pub(super) fn decrypted((document, config, hidden): Loaded) -> (Document, Result<Decrypted>) {
    (document, config.map(|config| Decrypted { config, hidden }))
}

/// As [`load_encrypted_document_from_file`], with this text in the place of the file's: `extends` counts from there.
///
/// # Errors
/// As there, but that the file isn't read.
#[cfg(feature = "encryption")]
pub fn parse_config_beside(
    text: &str,
    format: Format,
    config_path: &str,
    identities: &Identities,
) -> Result<(Document, Result<Decrypted>)> {
    let mut chain = Chain::new(config_path, identities);
    let (document, config) = load_text(text, format, &mut chain, config_path)?;
    Ok((document, config.map(|config| Decrypted { config, hidden: std::mem::take(&mut chain.hidden) })))
}

/// A text's tree, what it says, and what of it was encrypted.
pub(super) type Loaded = (Document, Result<ContainerConfig>, Hidden);

pub(super) fn load_with(path: &str, keys: &dyn Unseal) -> Result<Loaded> {
    let format = Format::of_path(path).map_err(|e| e.during(format_args!("load {path}")))?;
    let mut chain = Chain::new(path, keys);
    let (document, config) = load_file(path, format, &mut chain)?;
    Ok((document, config, std::mem::take(&mut chain.hidden)))
}

/// What a file says, which may be encrypted.
pub(super) fn load_file(
    path: &str,
    format: Format,
    chain: &mut Chain,
) -> Result<(Document, Result<ContainerConfig>)> {
    let load = |e: Error| e.during(format_args!("load {path}"));
    let bytes = bytes(path).map_err(load)?;
    if !sealed::is_file(&bytes) {
        return load_text(&text(bytes).map_err(load)?, format, chain, path);
    }
    let text = chain.keys.file(&bytes).map_err(load)?;
    chain.hidden.all = true;
    let document = Document::parse_hidden(&text, format);
    #[cfg(feature = "encryption")]
    drop(zeroize::Zeroizing::new(text));
    load_tree(document.map_err(load)?, chain, path)
}

/// What a file with this text says.
pub(super) fn load_text(
    text: &str,
    format: Format,
    chain: &mut Chain,
    shown: &str,
) -> Result<(Document, Result<ContainerConfig>)> {
    let document = Document::parse(text, format).map_err(|e| e.during(format_args!("load {shown}")))?;
    load_tree(document, chain, shown)
}

fn load_tree(
    mut document: Document,
    chain: &mut Chain,
    shown: &str,
) -> Result<(Document, Result<ContainerConfig>)> {
    let load = |e: Error| e.during(format_args!("load {shown}"));
    let names =
        sealed::open(&mut document, chain.keys).and_then(|()| base::take(&mut document)).map_err(load);
    chain.hidden.extend(&document.hidden);
    let config = names.and_then(|names| {
        let config = version::decode(&mut document).map_err(load)?;
        base::below(config, &names, &document, chain)
    });
    Ok((document, config))
}

/// Makes a configuration of a text. A text has no place that `extends` could count from: it is refused.
///
/// ```
/// use forgeone_config::{parse_config, Format};
/// let config = parse_config(r#"{"image": "nginx:1.27", "restart": "on-failure:3"}"#, Format::Json)?;
/// assert_eq!(config.image, "nginx:1.27");
/// let error = parse_config(r#"{"imgae": "nginx"}"#, Format::Json).unwrap_err();
/// assert_eq!(error.to_string(), r#"parse json:1:2: key "imgae" isn't known; did you mean "image"?"#);
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// As [`load_config_from_file`].
pub fn parse_config(text: &str, format: Format) -> Result<ContainerConfig> {
    decode(text, format).map_err(|e| e.during(format_args!("parse {format}")))
}

/// What a text that extends nothing says.
pub(super) fn decode(text: &str, format: Format) -> Result<ContainerConfig> {
    let mut document = Document::parse(text, format)?;
    base::refuse(&document)?;
    version::decode(&mut document)
}

/// The text of a file, as [`load_config_from_file`] would read it; for what works with texts.
///
/// # Errors
/// A file that can't be read, has more than 4 MiB, or isn't UTF-8.
pub fn read_text_from_file(path: &str) -> Result<String> {
    read(path).map_err(|e| e.during(format_args!("load {path}")))
}

/// The file's text, which may have `MAX_BYTES`.
pub(super) fn read(path: &str) -> Result<String> {
    bytes(path).and_then(text)
}

/// The same in bytes, since a file that is encrypted without armour is no text.
///
/// # Errors
/// A file that can't be read, or has more than 4 MiB.
pub fn read_bytes_from_file(path: &str) -> Result<Vec<u8>> {
    bytes(path).map_err(|e| e.during(format_args!("load {path}")))
}

fn bytes(path: &str) -> Result<Vec<u8>> {
    let system = |e: std::io::Error| Error::new(Kind::System, e.to_string());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(system)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(system)?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    let wrong = |e: std::string::FromUtf8Error| {
        let at = e.utf8_error().valid_up_to();
        Error::new(Kind::Syntax, format!("byte {at} and what follows is no UTF-8"))
    };
    String::from_utf8(bytes).map_err(wrong)
}
