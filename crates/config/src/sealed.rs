//! What is encrypted, in builds that can decrypt it and in those that can't: both know it, and never take it for what
//! it stands for. How it is encrypted is `encryption`'s.

use crate::document::{path_text, Document, Fault, Node, Step, Value};
#[cfg(feature = "encryption")]
use crate::ContainerConfig;
use crate::{Error, Kind, Result};
use std::fmt;

/// What an encrypted value begins with; base64 of an age file follows.
pub(crate) const VALUE: &str = "age-encrypted:";

/// What is shown instead of a secret.
pub(crate) const MASK: &str = "(secret)";

const HELP: &str = "give an identity or a passphrase that opens it";

/// Whether a file is encrypted as a whole, in armour or not.
pub(crate) fn is_file(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/")
        || bytes.trim_ascii_start().starts_with(b"-----BEGIN AGE ENCRYPTED")
}

/// Who can decrypt.
pub(crate) trait Unseal {
    /// The text of an encrypted file.
    fn file(&self, bytes: &[u8]) -> Result<String>;
    /// The text of an encrypted value that stands at this path.
    fn value(&self, path: &str, sealed: &str) -> Result<String>;
}

/// Without a key.
pub(crate) struct NoKeys;

impl Unseal for NoKeys {
    fn file(&self, _: &[u8]) -> Result<String> {
        Err(Error::new(Kind::Encrypted, format!("it is encrypted; {HELP}")))
    }

    fn value(&self, _: &str, _: &str) -> Result<String> {
        Err(Error::new(Kind::Encrypted, format!("it is encrypted; {HELP}")))
    }
}

/// What was encrypted of something that was read, and so is never shown.
#[derive(Clone, Default)]
pub(crate) struct Hidden {
    /// All of it.
    pub(crate) all: bool,
    /// The values at these paths.
    pub(crate) paths: Vec<String>,
    /// These values.
    pub(crate) values: Vec<String>,
}

impl Hidden {
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.paths.is_empty()
    }

    /// Whether a text tells something.
    #[cfg(feature = "encryption")]
    pub(crate) fn told_by(&self, text: &str) -> bool {
        self.values.iter().any(|secret| !secret.is_empty() && text.contains(secret.as_str()))
    }

    /// Whether what stands at a path is, holds or belongs to something hidden.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.all || self.paths.iter().any(|secret| within(path, secret) || within(secret, path))
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.all |= other.all;
        self.paths.extend(other.paths.iter().cloned());
        self.values.extend(other.values.iter().cloned());
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.all {
            return f.write_str("everything");
        }
        f.debug_list().entries(&self.paths).finish()
    }
}

#[cfg(feature = "encryption")]
impl Drop for Hidden {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.values);
    }
}

/// Decrypts the encrypted values of a document, which hides them from then on.
pub(crate) fn open(document: &mut Document, keys: &dyn Unseal) -> Result<()> {
    let mut hidden = Hidden::default();
    let opened = each(&mut document.root, &mut Vec::new(), &mut |path, node| {
        let Value::Text(text) = &mut node.value else { return Ok(()) };
        let opened = keys.value(path, text).map_err(|e| Fault {
            kind: e.kind(),
            at: Some(node.at),
            path: Vec::new(),
            message: format!("{path}: {e}"),
        })?;
        hidden.paths.push(path.to_owned());
        hidden.values.push(opened.clone());
        *text = opened;
        Ok(())
    });
    document.hidden.extend(&hidden);
    opened.map_err(|fault| document.error(fault))
}

/// Refuses a document that has encrypted values still.
pub(crate) fn refuse(document: &Document) -> Result<()> {
    let Some((path, at)) = first(&document.root, &mut Vec::new()) else { return Ok(()) };
    let message = format!("{path}: it is encrypted; {HELP}");
    Err(document.error(Fault { kind: Kind::Encrypted, at: Some(at), path: Vec::new(), message }))
}

fn first(node: &Node, path: &mut Vec<Step>) -> Option<(String, usize)> {
    let mut within = |step: Step, node: &Node| {
        path.push(step);
        let found = first(node, path);
        path.pop();
        found
    };
    match &node.value {
        Value::Text(text) if text.starts_with(VALUE) => Some((path_text(&*path), node.at)),
        Value::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| within(Step::Index(index), item))
        }
        Value::Map(entries) => {
            entries.iter().find_map(|entry| within(Step::Key(entry.key.clone()), &entry.node))
        }
        _ => None,
    }
}

/// Does something with each encrypted value.
pub(crate) fn each(
    node: &mut Node,
    path: &mut Vec<Step>,
    work: &mut dyn FnMut(&str, &mut Node) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match &mut node.value {
        Value::Text(text) if text.starts_with(VALUE) => work(&path_text(&*path), node),
        Value::List(items) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
            path.push(Step::Index(index));
            let done = each(item, path, work);
            path.pop();
            done
        }),
        Value::Map(entries) => entries.iter_mut().try_for_each(|entry| {
            path.push(Step::Key(entry.key.clone()));
            let done = each(&mut entry.node, path, work);
            path.pop();
            done
        }),
        _ => Ok(()),
    }
}

/// A configuration some of which was encrypted. It is never shown by `{:?}`, and its texts are overwritten when it is
/// dropped.
#[cfg(feature = "encryption")]
pub struct Decrypted {
    pub(crate) config: ContainerConfig,
    pub(crate) hidden: Hidden,
}

#[cfg(feature = "encryption")]
impl Decrypted {
    /// The configuration, with its secrets: what is made of it may show them.
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Whether anything of it was encrypted.
    pub fn has_secrets(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Whether a value at this path (`env.PASSWORD`), or this text, tells a secret.
    pub fn is_secret(&self, path: &str, text: &str) -> bool {
        self.hidden.covers(path) || self.hidden.told_by(text)
    }

    /// As [`check_config`](crate::check_config); findings don't show secrets.
    pub fn check(&self) -> Vec<crate::Finding> {
        self.masked(crate::check_config(&self.config))
    }

    /// Findings about this configuration, without secrets.
    pub fn masked(&self, findings: Vec<crate::Finding>) -> Vec<crate::Finding> {
        let mask = |finding: crate::Finding| {
            let tells = self.hidden.told_by(&finding.to_string());
            if !tells && (finding.value.is_empty() || !self.hidden.covers(&finding.path)) {
                return finding;
            }
            crate::Finding {
                value: MASK.to_owned(),
                reason: "it doesn't fit; why isn't shown, since it is encrypted".to_owned(),
                help: "decrypt it, and validate that".to_owned(),
                ..finding
            }
        };
        findings.into_iter().map(mask).collect()
    }
}

#[cfg(feature = "encryption")]
impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Decrypted").field("secrets", &self.hidden).finish_non_exhaustive()
    }
}
