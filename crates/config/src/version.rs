//! The version of the format of files, which says what their keys mean.
//!
//! A file may say it, as `version: 1`; one that doesn't is of the newest. A version is never dropped: what is read today
//! is read for ever. A file of an older one is brought to the newest step by step, on its tree, before it is decoded.
//!
//! Version 0 is what serde makes of the types as they were first written down, without a word on how they are to look
//! in files: enumerations by the names that their variants have in Rust (`Native`, `MicroVm`, `Bind`, `Bridge`, `TCP`).

use crate::document::{Document, Fault, Node, Value};
use crate::{ContainerConfig, Kind, Result};

/// The version that is written.
pub const VERSION: u64 = 1;

pub(crate) const KEY: &str = "version";

/// What makes a tree of one version one of the next, from version 0 on.
const STEPS: [fn(&mut Node); VERSION as usize] = [words_in_lower_case];

/// A configuration of a file, of whatever version it is.
pub(crate) fn decode(document: &mut Document) -> Result<ContainerConfig> {
    let version = of(document)?;
    decode_as(document, version)
}

/// The same, of a version that is known.
pub(crate) fn decode_as(document: &mut Document, version: u64) -> Result<ContainerConfig> {
    document.take(KEY);
    bring(&mut document.root, version);
    document.decode()
}

/// The version that a file says; the newest, if it says none.
pub(crate) fn of(document: &Document) -> Result<u64> {
    let Some(entry) = document.root.entry(KEY) else { return Ok(VERSION) };
    let fault = |message: String| {
        let at = Some(entry.node.at);
        document.error(Fault { kind: Kind::Unsupported, at, path: Vec::new(), message })
    };
    match entry.node.value {
        Value::Int(number) if number > i128::from(VERSION) => {
            Err(fault(format!("version {number} is newer than this program, which knows {VERSION}")))
        }
        Value::Int(number) => {
            u64::try_from(number).map_err(|_| fault(format!("the version is a number from 0 to {VERSION}")))
        }
        _ => Err(fault(format!("the version is a number from 0 to {VERSION}"))),
    }
}

/// Makes a tree of this version one of the newest.
pub(crate) fn bring(root: &mut Node, version: u64) {
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        step(root);
    }
}

/// From 0 to 1.
fn words_in_lower_case(root: &mut Node) {
    lower(root, &["exec_mode"]);
    lower(root, &["mounts", "mount_type"]);
    lower(root, &["network", "mode"]);
    lower(root, &["network", "ports", "protocol"]);
}

/// The words at these keys, within lists also, in lower case.
fn lower(node: &mut Node, keys: &[&str]) {
    match (&mut node.value, keys) {
        (Value::Text(word), []) => *word = word.to_ascii_lowercase(),
        (Value::List(items), [_, ..]) => items.iter_mut().for_each(|item| lower(item, keys)),
        (Value::Map(entries), [key, rest @ ..]) => {
            entries
                .iter_mut()
                .filter(|entry| entry.key == *key)
                .for_each(|entry| lower(&mut entry.node, rest));
        }
        _ => {}
    }
}

/// The JSON of a configuration with the version in front.
pub(crate) fn marked(tree: serde_json::Value) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    map.insert(KEY.to_owned(), VERSION.into());
    if let serde_json::Value::Object(fields) = tree {
        map.extend(fields);
    }
    map.into()
}
