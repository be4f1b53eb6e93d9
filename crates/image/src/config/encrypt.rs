//! `encrypt` and `decrypt`: files and values, for those who may see them.

use super::{keys, log, print};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::encryption::{
    Zeroizing, decrypt_text, decrypt_values, encrypt_text, encrypt_values, is_encrypted,
};
use forgeone_config::{Document, Format, read_bytes_from_file, read_text_from_file, save_text_to_file};
use std::ffi::OsString;

pub(super) const ENCRYPT: &str = "\
encrypt [options] <file>

The file keeps its name, and every command reads it with an identity. By --value
only these values are encrypted, each for its place, and the rest stays readable.

options:
      --value PATH               a value, such as env.PASSWORD; several times
      --recipient KEY            a public key: age1..., ssh-ed25519 ..., ssh-rsa ...
      --recipients-file FILE     public keys, a line each
      --passphrase               ask for a passphrase
      --passphrase-file FILE     it is the file's first line
      --passphrase-env NAME      it is this variable
  -o, --output FILE              write there, and leave the file as it is
";

pub(super) const DECRYPT: &str = "\
decrypt [options] <file>

Shows what was encrypted, files as well as values.

options:
      --identity FILE            private keys of age or one of ssh; several times
                                 (FORGEONE_CONFIG_IDENTITY)
      --passphrase               ask for the passphrase, the file's or the key's
      --passphrase-file FILE     it is the file's first line
      --passphrase-env NAME      it is this variable
      --in-place                 write it back to the file
  -o, --output FILE              write it there
";

pub(super) fn encrypt(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let valued = [keys::CLOSING, &["value", "output|o"]].concat();
    let Some(arguments) = Arguments::read(words, keys::SWITCHES, &valued, (1, 1))? else { return Ok(None) };
    let file = &arguments.words()[0];
    let text = Zeroizing::new(read_text_from_file(file)?);
    if is_encrypted(text.as_bytes()) {
        return Err(Failure::new(format_args!("{file}: it is encrypted already")));
    }
    let load = |e: forgeone_config::Error| Failure::from(e).during(format_args!("load {file}"));
    let format = Format::of_path(file).map_err(load)?;
    Document::parse(&text, format).map_err(load)?;
    let paths: Vec<_> = arguments.values("value").collect();
    let recipients = keys::recipients(&arguments)?;
    let sealed = match paths[..] {
        [] => encrypt_text(&text, &recipients)?,
        _ => encrypt_values(&text, format, &paths, &recipients)?,
    };
    let target = arguments.values("output").last().unwrap_or(file);
    log::change("encrypt", target, None, |path| Ok(save_text_to_file(&sealed, path)?))?;
    Ok(Some(0))
}

pub(super) fn decrypt(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let switches = [keys::SWITCHES, &["in-place"]].concat();
    let valued = [keys::OPENING, &["output|o"]].concat();
    let Some(arguments) = Arguments::read(words, &switches, &valued, (1, 1))? else { return Ok(None) };
    let file = &arguments.words()[0];
    let format = Format::of_path(file)?;
    let identities = keys::identities(&arguments)?;
    let text = plain(file, format, &identities)?;
    let target = arguments.values("output").last().or(arguments.switch("in-place").then_some(file.as_str()));
    match target {
        Some(target) => {
            log::change("decrypt", target, Some(&identities), |path| Ok(save_text_to_file(&text, path)?))?;
        }
        None => print(&text)?,
    }
    Ok(Some(0))
}

/// A file's text with nothing encrypted.
pub(super) fn plain(
    file: &str,
    format: Format,
    identities: &forgeone_config::encryption::Identities,
) -> Result<Zeroizing<String>, Failure> {
    let load = |e: forgeone_config::Error| Failure::from(e).during(format_args!("load {file}"));
    let sealed = Zeroizing::new(read_bytes_from_file(file)?);
    let text = match is_encrypted(&sealed) {
        true => decrypt_text(&sealed, identities).map_err(load)?,
        false => Zeroizing::new(read_text_from_file(file)?),
    };
    decrypt_values(&text, format, identities).map_err(load)
}
