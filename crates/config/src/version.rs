//! The version of the format of files, which says what their keys mean.
//!
//! A file may say it, as `version: 1`; one that doesn't is of the newest. A version is never dropped: what is read today
//! is read for ever.

use crate::document::{Document, Fault, Value};
use crate::{ContainerConfig, Kind, Result};

/// The version that is written.
pub const VERSION: u64 = 1;

const KEY: &str = "version";

/// A configuration of a file, of whatever version it is.
pub(crate) fn decode(document: &mut Document) -> Result<ContainerConfig> {
    if let Some(node) = document.take(KEY) {
        let fault = |message: String| {
            document.error(Fault { kind: Kind::Unsupported, at: Some(node.at), path: Vec::new(), message })
        };
        match node.value {
            Value::Int(number) if number == i128::from(VERSION) => {}
            Value::Int(number) if number > i128::from(VERSION) => {
                let message = format!("version {number} is newer than this program, which knows {VERSION}");
                return Err(fault(message));
            }
            _ => return Err(fault(format!("the version is a number from 1 to {VERSION}"))),
        }
    }
    document.decode()
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
