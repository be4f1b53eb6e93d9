//! A text in one of the formats, as a tree whose nodes know where they stand.
//!
//! Each format has a reader that makes the same tree, so that duplicate keys, limits, places of errors and unknown
//! keys are dealt with once. The tree of a text is never much larger than the text: what YAML's anchors name counts again,
//! there and each time that it is used, and too many nodes or levels are an error.

mod decode;
pub(crate) mod edit;
mod format;
mod json;
mod node;
#[cfg(feature = "toml")]
mod toml;
mod write;
#[cfg(feature = "yaml")]
mod yaml;

use crate::error::Place;
use crate::sealed::{self, Hidden};
use crate::{Error, Kind, Result};
use serde::de::DeserializeOwned;
use std::fmt;

pub use format::Format;
pub(crate) use node::{Entry, Node, Value};

/// A text may be so many bytes long.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Lists and objects in each other.
const MAX_DEPTH: usize = 32;

/// Values in a text, those of aliases counted where they are used.
const MAX_NODES: usize = 200_000;

/// Characters of a message, which may quote what a text has.
const MAX_MESSAGE: usize = 500;

/// What is wrong at a place of the text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) at: Option<usize>,
    pub(crate) path: Vec<Step>,
    pub(crate) message: String,
}

/// A step of a path such as `network.ports[2].host_port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Fault {
    fn syntax(at: usize, message: impl Into<String>) -> Self {
        Self { kind: Kind::Syntax, at: Some(at), path: Vec::new(), message: message.into() }
    }

    fn duplicate(at: usize, key: &str) -> Self {
        Self { kind: Kind::Content, ..Self::syntax(at, format!("key {key:?} stands here a second time")) }
    }
}

/// A path as it is shown; the steps are in order.
pub(crate) fn path_text<'a>(steps: impl IntoIterator<Item = &'a Step>) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
        }
    }
    text
}

/// A text that was read: its tree, and the text itself for messages. What was encrypted of it is in no message.
#[derive(Clone)]
pub struct Document {
    text: String,
    pub(crate) root: Node,
    pub(crate) hidden: Hidden,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut shown = f.debug_struct("Document");
        if self.hidden.is_empty() {
            shown.field("text", &self.text).field("root", &self.root);
        } else {
            shown.field("secrets", &self.hidden);
        }
        shown.finish()
    }
}

#[cfg(feature = "encryption")]
impl Drop for Document {
    fn drop(&mut self) {
        if !self.hidden.is_empty() {
            zeroize::Zeroize::zeroize(&mut self.text);
            self.root.wipe();
        }
    }
}

impl Document {
    /// Reads `text`.
    ///
    /// # Errors
    /// What isn't well-formed, has a key twice, or is too large or too deep; with its place. A format that was left out
    /// of this build.
    pub fn parse(text: &str, format: Format) -> Result<Self> {
        Self::read(
            text,
            match format {
                Format::Json => json::read,
                #[cfg(feature = "yaml")]
                Format::Yaml => yaml::read,
                #[cfg(feature = "toml")]
                Format::Toml => toml::read,
                #[allow(unreachable_patterns, reason = "reachable if a format is left out")]
                _ => return Err(left_out(format)),
            },
        )
    }

    /// As [`Document::parse`] others' YAML, in which `<<` merges.
    #[cfg(feature = "convert")]
    pub(crate) fn parse_merging(text: &str) -> Result<Self> {
        Self::read(text, yaml::read_merging)
    }

    fn read(text: &str, read: fn(&str) -> Result<Node, Fault>) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match read(text) {
            Ok(root) => Ok(Self { text: text.to_owned(), root, hidden: Hidden::default() }),
            Err(fault) => Err(located(text, fault)),
        }
    }

    /// As [`Document::parse`] a text that was encrypted: nothing of it is in messages.
    pub(crate) fn parse_hidden(text: &str, format: Format) -> Result<Self> {
        let mut document = Self::parse(text, format).map_err(|e| {
            let message = format!(
                "it isn't well-formed {format}; what stands there isn't shown, since it is encrypted"
            );
            let error = Error::new(e.kind(), message);
            match e.place() {
                Some(place) => error.at(hidden(place.clone())),
                None => error,
            }
        })?;
        document.hidden.all = true;
        Ok(document)
    }

    /// Makes a `T` of it.
    ///
    /// # Errors
    /// Keys that aren't known, with the one that was probably meant; missing ones; wrong types; with their place. Values
    /// that are encrypted still.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        sealed::refuse(self)?;
        decode::decode(&self.root).map_err(|fault| self.error(fault))
    }

    /// The same as JSON, without places. An infinite number, which JSON hasn't, is `null`.
    pub fn to_value(&self) -> serde_json::Value {
        self.root.to_value()
    }

    /// The same as a byte of the text.
    #[cfg(feature = "rules")]
    pub(crate) fn offset_of(&self, path: &str) -> usize {
        self.root.find(path).at
    }

    /// Where the value at a path such as `network.ports[2].host_port` stands, or what there is of the way to it.
    pub fn place_of(&self, path: &str) -> Place {
        let place = place(&self.text, self.root.find(path).at);
        if self.hidden.all {
            hidden(place)
        } else {
            place
        }
    }

    /// Takes a key of the outermost object away.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.root.value else { return None };
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at).node)
    }

    pub(crate) fn error(&self, fault: Fault) -> Error {
        let path = path_text(fault.path.iter().rev());
        if !self.hidden.covers(&path) {
            return located(&self.text, fault);
        }
        let message = "what stands there doesn't fit; it isn't shown, since it is encrypted".to_owned();
        let error = located(&self.text, Fault { message, ..fault });
        match error.place() {
            Some(place) => {
                let place = hidden(place.clone());
                error.at(place)
            }
            None => error,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// What `tree` is in this format, with a line feed at the end.
///
/// # Errors
/// A format that was left out of this build.
pub(crate) fn write(tree: &serde_json::Value, format: Format) -> Result<String> {
    Ok(match format {
        Format::Json => write::json(tree),
        Format::Yaml => write::yaml(tree),
        #[cfg(feature = "toml")]
        Format::Toml => toml::write(tree)?,
        #[cfg(not(feature = "toml"))]
        Format::Toml => return Err(left_out(format)),
    })
}

#[allow(dead_code, reason = "used if a format is left out")]
fn left_out(format: Format) -> Error {
    Error::new(Kind::Unsupported, format!("this build has no {format}; JSON it has"))
}

fn located(text: &str, fault: Fault) -> Error {
    let path = path_text(fault.path.iter().rev());
    let message = if path.is_empty() { fault.message } else { format!("{path}: {}", fault.message) };
    // One line, whatever is quoted: a key of YAML may have line feeds in it.
    let line = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = line.take(MAX_MESSAGE).collect();
    if message.chars().nth(MAX_MESSAGE).is_some() {
        short.push('…');
    }
    let error = Error::new(fault.kind, short);
    match fault.at {
        Some(at) => error.at(place(text, at)),
        None => error,
    }
}

/// A place without its line's text.
fn hidden(place: Place) -> Place {
    Place { text: sealed::MASK.to_owned(), mark: 0, ..place }
}

/// The place of a byte of a text.
pub(crate) fn place(text: &str, at: usize) -> Place {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let column = text[start..at].chars().count();
    // Of a long line the part around the place.
    let from = column.saturating_sub(60);
    let shown: String =
        line.chars().skip(from).take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Place {
        line: text[..start].matches('\n').count() + 1,
        column: column + 1,
        text: shown,
        mark: column - from,
    }
}

/// Counts values and levels while a tree is built.
#[derive(Debug, Default)]
struct Budget {
    nodes: usize,
    #[cfg(feature = "yaml")]
    bytes: usize,
    depth: usize,
}

impl Budget {
    fn node(&mut self, at: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Fault::syntax(at, format!("there are more than {MAX_NODES} values")));
        }
        Ok(())
    }

    /// Counts a text that is there once more.
    #[cfg(feature = "yaml")]
    fn text(&mut self, text: &str, at: usize) -> Result<(), Fault> {
        self.bytes += text.len();
        if self.bytes > MAX_BYTES {
            return Err(Fault::syntax(
                at,
                format!("anchors and aliases make more than {} MiB of it", MAX_BYTES >> 20),
            ));
        }
        Ok(())
    }

    fn enter(&mut self, at: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::syntax(at, format!("more than {MAX_DEPTH} lists and objects in each other")));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}

/// Keys of an object, in a set once there are many, so that a large object isn't read in quadratic time.
#[derive(Debug, Default)]
struct Keys(std::collections::HashSet<String>);

impl Keys {
    fn add(&mut self, key: &str, at: usize) -> Result<(), Fault> {
        if self.is_new(key) {
            Ok(())
        } else {
            Err(Fault::duplicate(at, key))
        }
    }

    /// Adds a key, unless it is there.
    fn is_new(&mut self, key: &str) -> bool {
        self.0.insert(key.to_owned())
    }
}
