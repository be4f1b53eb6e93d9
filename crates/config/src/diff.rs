//! What differs between two configurations, by meaning and not by text.

use crate::document::{path_text, Step};
use crate::saver::tree;
use crate::{ContainerConfig, Result};
use serde_json::{json, Value};
use std::fmt;

/// A value that is another one, or only in one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    steps: Vec<Step>,
    /// What the first one has there.
    pub old: Option<Value>,
    /// What the second one has there.
    pub new: Option<Value>,
}

impl Change {
    /// Where it is: `network.ports[2].host_port`.
    pub fn path(&self) -> String {
        path_text(&self.steps)
    }

    /// The same as a pointer of RFC 6901.
    pub fn pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Index(index) => format!("/{index}"),
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        };
        self.steps.iter().map(step).collect()
    }
}

impl fmt::Display for Change {
    /// `- path: old` and `+ path: new`, a line each; values are JSON.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let path = self.path();
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "- {path}: {old}\n+ {path}: {new}"),
            (Some(old), None) => write!(f, "- {path}: {old}"),
            (None, Some(new)) => write!(f, "+ {path}: {new}"),
            (None, None) => Ok(()),
        }
    }
}

/// What `new` has other than `old`: fields in their order, keys of maps in alphabetical order, items of lists by their
/// number. What a list has too many is told from its end, so that the changes can be made one after the other.
///
/// ```
/// use forgeone_config::{diff_configs, json_patch, ContainerConfig};
/// let old = ContainerConfig::builder().image("web").env([("LEVEL", "info")]).build();
/// let new = ContainerConfig::builder().image("web").env([("LEVEL", "debug")]).tty(true).build();
/// let changes = diff_configs(&old, &new)?;
/// assert_eq!(changes[0].to_string(), "- env.LEVEL: \"info\"\n+ env.LEVEL: \"debug\"");
/// assert_eq!(changes[1].to_string(), "+ tty: true");
/// let patch = json_patch(&changes);
/// assert_eq!(patch[0]["path"], "/env/LEVEL");
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// A number that is infinite or none, which has no JSON.
pub fn diff_configs(old: &ContainerConfig, new: &ContainerConfig) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    compare(&tree(old)?, &tree(new)?, &mut Vec::new(), &mut changes);
    Ok(changes)
}

/// The changes as a JSON Patch (RFC 6902): applied to the JSON of the first configuration it gives that of the second.
pub fn json_patch(changes: &[Change]) -> Value {
    let operation = |change: &Change| match &change.new {
        None => json!({"op": "remove", "path": change.pointer()}),
        Some(new) if change.old.is_none() => json!({"op": "add", "path": change.pointer(), "value": new}),
        Some(new) => json!({"op": "replace", "path": change.pointer(), "value": new}),
    };
    changes.iter().map(operation).collect()
}

fn compare(old: &Value, new: &Value, path: &mut Vec<Step>, changes: &mut Vec<Change>) {
    let mut at = |path: &mut Vec<Step>, step: Step, old: Option<&Value>, new: Option<&Value>| {
        path.push(step);
        match (old, new) {
            (Some(old), Some(new)) => compare(old, new, path, changes),
            _ => changes.push(Change { steps: path.clone(), old: old.cloned(), new: new.cloned() }),
        }
        path.pop();
    };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                at(path, Step::Key(key.clone()), Some(value), new.get(key));
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                at(path, Step::Key(key.clone()), None, Some(value));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                at(path, Step::Index(index), Some(old), Some(new));
            }
            for (index, value) in old.iter().enumerate().skip(new.len()).rev() {
                at(path, Step::Index(index), Some(value), None);
            }
            for (index, value) in new.iter().enumerate().skip(old.len()) {
                at(path, Step::Index(index), None, Some(value));
            }
        }
        _ => changes.push(Change { steps: path.clone(), old: Some(old.clone()), new: Some(new.clone()) }),
    }
}
