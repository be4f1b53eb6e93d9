//! Texts and values, encrypted and back.

use super::keys::{Identities, Recipients};
use crate::document::{edit, Document, Fault, Format, Node, Value, MAX_BYTES};
use crate::sealed::{self, Unseal, VALUE};
use crate::{Error, Kind, Result};
use age::armor::{ArmoredReader, ArmoredWriter, Format as Armor};
use age::DecryptError;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::Engine;
use std::io::{Read, Write};
use zeroize::{Zeroize, Zeroizing};

/// Whether a file is encrypted as a whole.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    sealed::is_file(bytes)
}

/// A text, encrypted, in age's armour: what `age --decrypt` opens.
///
/// ```
/// use forgeone_config::encryption::{decrypt_text, encrypt_text, Identities, Passphrase, Recipients};
/// let passphrase = Passphrase::new("correct horse".to_owned())?;
/// let sealed = encrypt_text("image: nginx\n", &Recipients::passphrase(&passphrase))?;
/// assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
/// let mut identities = Identities::none();
/// identities.add_passphrase(&passphrase);
/// assert_eq!(*decrypt_text(sealed.as_bytes(), &identities)?, "image: nginx\n");
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// A key that age can't encrypt for.
pub fn encrypt_text(text: &str, recipients: &Recipients) -> Result<String> {
    let sealed = seal(text.as_bytes(), recipients, Armor::AsciiArmor).map_err(|e| e.during("encrypt"))?;
    Ok(String::from_utf8_lossy(&sealed).into_owned())
}

/// The text of an encrypted file, in armour or not; at most 4 MiB.
///
/// # Errors
/// What no identity opens, was changed since, isn't UTF-8, or isn't encrypted.
pub fn decrypt_text(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<String>> {
    let mut text = unseal(bytes, identities).map_err(|e| e.during("decrypt"))?;
    match String::from_utf8(std::mem::take(&mut *text)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(e) => {
            e.into_bytes().zeroize();
            Err(Error::new(Kind::Syntax, "decrypt: what was encrypted is no UTF-8"))
        }
    }
}

/// The text with the values at these paths (`env.PASSWORD`) encrypted; the rest stays as it is, with its comments.
///
/// # Errors
/// A path at which no text stands, or an encrypted one; what [`encrypt_text`] refuses; a value that an alias repeats.
pub fn encrypt_values(text: &str, format: Format, paths: &[&str], recipients: &Recipients) -> Result<String> {
    let document = Document::parse(text, format).map_err(|e| e.during("encrypt"))?;
    let mut root = document.root.clone();
    for path in paths {
        let wrong = |what: &str| Error::new(Kind::Content, format!("encrypt {path}: {what}"));
        let node = root.at_path(path).ok_or_else(|| wrong("there is no such value"))?;
        let Value::Text(value) = &mut node.value else { return Err(wrong("it is no text")) };
        if value.starts_with(VALUE) {
            return Err(wrong("it is encrypted already"));
        }
        let bound = Zeroizing::new(format!("{path}\0{value}"));
        let sealed = seal(bound.as_bytes(), recipients, Armor::Binary)
            .map_err(|e| e.during(format_args!("encrypt {path}")))?;
        value.zeroize();
        *value = format!("{VALUE}{}", STANDARD_NO_PAD.encode(sealed));
    }
    changed(&document, &root, format).map(|mut text| std::mem::take(&mut *text))
}

/// The paths of a text's encrypted values.
///
/// # Errors
/// A text that isn't well-formed.
pub fn encrypted_paths(text: &str, format: Format) -> Result<Vec<String>> {
    let mut root = Document::parse(text, format)?.root.clone();
    let mut paths = Vec::new();
    // Nothing in it fails.
    let _ = sealed::each(&mut root, &mut Vec::new(), &mut |path, _| {
        paths.push(path.to_owned());
        Ok(())
    });
    Ok(paths)
}

/// The text with every encrypted value as it was.
///
/// # Errors
/// A value that no identity opens, or that was encrypted for another place.
pub fn decrypt_values(text: &str, format: Format, identities: &Identities) -> Result<Zeroizing<String>> {
    let document = Document::parse(text, format).map_err(|e| e.during("decrypt"))?;
    let mut root = document.root.clone();
    let open = |path: &str, node: &mut Node| {
        let Value::Text(text) = &mut node.value else { return Ok(()) };
        *text = identities.value(path, text).map_err(|e| Fault {
            kind: e.kind(),
            at: Some(node.at),
            path: Vec::new(),
            message: format!("{path}: {e}"),
        })?;
        Ok(())
    };
    let opened = sealed::each(&mut root, &mut Vec::new(), &mut { open });
    opened.map_err(|fault| document.error(fault).during("decrypt"))?;
    let text = changed(&document, &root, format);
    root.wipe();
    text
}

/// The document's text with this tree.
fn changed(document: &Document, root: &Node, format: Format) -> Result<Zeroizing<String>> {
    let text = edit::rewritten(document, root, format).map(Zeroizing::new);
    text.ok_or_else(|| {
        let message = "an alias repeats a value that would change; write it out at both places";
        Error::new(Kind::Unsupported, message)
    })
}

impl Unseal for Identities {
    fn file(&self, bytes: &[u8]) -> Result<String> {
        decrypt_text(bytes, self).map(|mut text| std::mem::take(&mut *text))
    }

    fn value(&self, path: &str, sealed: &str) -> Result<String> {
        let damaged = || Error::new(Kind::Encrypted, "the encrypted value is damaged");
        let bytes = STANDARD_NO_PAD.decode(sealed.strip_prefix(VALUE).unwrap_or_default());
        let plain = unseal(&bytes.map_err(|_| damaged())?, self)?;
        let plain = std::str::from_utf8(&plain).map_err(|_| damaged())?;
        match plain.split_once('\0').ok_or_else(damaged)? {
            (place, value) if place == path => Ok(value.to_owned()),
            (place, _) => {
                let message = format!("it was encrypted for {place}, and stands elsewhere; encrypt it anew");
                Err(Error::new(Kind::Encrypted, message))
            }
        }
    }
}

fn seal(plain: &[u8], recipients: &Recipients, armor: Armor) -> Result<Vec<u8>> {
    let system = |e: std::io::Error| Error::new(Kind::System, e.to_string());
    let encryptor = age::Encryptor::with_recipients(recipients.each());
    let encryptor = encryptor.map_err(|e| Error::new(Kind::Content, e.to_string()))?;
    let armored = ArmoredWriter::wrap_output(Vec::new(), armor).map_err(system)?;
    let mut writer = encryptor.wrap_output(armored).map_err(system)?;
    writer.write_all(plain).map_err(system)?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(system)
}

/// What was encrypted; never more than a configuration may have.
fn unseal(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |e: DecryptError| Error::new(Kind::Encrypted, told(&e));
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(bytes)).map_err(failed)?;
    let reader = decryptor.decrypt(identities.each()).map_err(failed)?;
    // Room for all of it, so that no copy stays behind where it grew from.
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len().min(MAX_BYTES + 1)));
    let read = reader.take(MAX_BYTES as u64 + 1).read_to_end(&mut plain);
    read.map_err(|_| Error::new(Kind::Encrypted, "it was changed after it was encrypted, or is incomplete"))?;
    if plain.len() > MAX_BYTES {
        return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(plain)
}

/// age's error in one line.
fn told(e: &DecryptError) -> &'static str {
    match e {
        DecryptError::NoMatchingKeys => "none of the identities opens it",
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            "the passphrase is another one, or it was changed"
        }
        DecryptError::ExcessiveWork { .. } => "its passphrase asks for more work than is allowed here",
        DecryptError::InvalidMac => "it was changed after it was encrypted",
        _ => "it is no file of age, or damaged",
    }
}
