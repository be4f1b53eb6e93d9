//! A text in one of the formats, as a tree whose nodes know where they stand.
//!
//! Each format has a reader that makes the same tree, so that duplicate keys, limits, places of errors and unknown
//! keys are dealt with once. The tree of a text is never much larger than the text: what YAML's anchors name counts again,
//! there and each time that it is used, and too many nodes or levels are an error.

mod decode;
pub(crate) mod edit;
mod json;
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

/// A text may be so many bytes long.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Lists and objects in each other.
const MAX_DEPTH: usize = 32;

/// Values in a text, those of aliases counted where they are used.
const MAX_NODES: usize = 200_000;

/// Characters of a message, which may quote what a text has.
const MAX_MESSAGE: usize = 500;

/// What a configuration is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2, core schema.
    Yaml,
    /// TOML 1.0.
    Toml,
}

impl Format {
    /// By its name or by an extension of files: `json`, `yaml`, `yml`, `toml`, in any case.
    ///
    /// # Errors
    /// Another name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            _ => {
                let hint = crate::suggest::hint(name, ["json", "yaml", "toml"]);
                let message = format!("format {name:?} is none of json, yaml and toml{hint}");
                return Err(Error::new(Kind::Unsupported, message));
            }
        })
    }

    /// By a file's extension.
    ///
    /// # Errors
    /// Another extension, or none.
    pub fn of_path(path: &str) -> Result<Self> {
        // As age(1) is told to name what it encrypts.
        let path = path.strip_suffix(".age").unwrap_or(path);
        let extension = std::path::Path::new(path).extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("j2" | "jinja")) {
            let message = "it is a template: forgeone config render makes a configuration of it";
            return Err(Error::new(Kind::Unsupported, message));
        }
        let without = || {
            let message = "its name has no extension: .json, .yaml, .yml or .toml says what it is";
            Error::new(Kind::Unsupported, message)
        };
        Self::named(extension.ok_or_else(without)?)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
        })
    }
}

/// A value, and where it begins and ends in the text: bytes from 0. The ends of lists and objects are nobody's concern
/// and where they begin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) end: usize,
    pub(crate) value: Value,
}

/// The values that the formats have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Within the range of `i64` and `u64`.
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of an object, where it stands, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) node: Node,
}

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
        if text.len() > MAX_BYTES {
            return Err(Error::new(Kind::Syntax, format!("it has more than {} MiB", MAX_BYTES >> 20)));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = match format {
            Format::Json => json::read(text),
            #[cfg(feature = "yaml")]
            Format::Yaml => yaml::read(text),
            #[cfg(feature = "toml")]
            Format::Toml => toml::read(text),
            #[allow(unreachable_patterns, reason = "reachable if a format is left out")]
            _ => return Err(left_out(format)),
        };
        match read {
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

impl Node {
    /// The entry of a key, if it is an object.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key)
    }

    /// The same, to be changed.
    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|entry| entry.key == key)
    }

    pub(crate) fn to_value(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            // Readers make numbers that fit one of them.
            Value::Int(number) => match u64::try_from(*number) {
                Ok(number) => number.into(),
                Err(_) => i64::try_from(*number).unwrap_or_default().into(),
            },
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_value).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect()
            }
        }
    }

    /// The value at exactly this path, to be changed.
    #[cfg(feature = "encryption")]
    pub(crate) fn at_path(&mut self, path: &str) -> Option<&mut Self> {
        if path.is_empty() {
            return Some(self);
        }
        match &mut self.value {
            Value::List(items) => {
                let (index, tail) = path.strip_prefix('[')?.split_once(']')?;
                items.get_mut(index.parse::<usize>().ok()?)?.at_path(tail.strip_prefix('.').unwrap_or(tail))
            }
            // Keys may have dots themselves: the longest that fits.
            Value::Map(entries) => {
                let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
                let fits = |entry: &&mut Entry| path.strip_prefix(entry.key.as_str()).is_some_and(ends);
                let entry = entries.iter_mut().filter(fits).max_by_key(|entry| entry.key.len())?;
                let tail = &path[entry.key.len()..];
                entry.node.at_path(tail.strip_prefix('.').unwrap_or(tail))
            }
            _ => None,
        }
    }

    /// Overwrites its texts.
    #[cfg(feature = "encryption")]
    pub(crate) fn wipe(&mut self) {
        match &mut self.value {
            Value::Text(text) => zeroize::Zeroize::zeroize(text),
            Value::List(items) => items.iter_mut().for_each(Self::wipe),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.wipe()),
            _ => {}
        }
    }

    /// The value at a path, or the last one on the way to it that exists.
    fn find(&self, path: &str) -> &Self {
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let next = match (&node.value, rest.strip_prefix('[')) {
                (Value::List(items), Some(tail)) => tail.split_once(']').and_then(|(index, tail)| {
                    Some((items.get(index.parse::<usize>().ok()?)?, tail.strip_prefix('.').unwrap_or(tail)))
                }),
                // Keys may have dots themselves: the longest that fits.
                (Value::Map(entries), None) => {
                    let fits = entries.iter().filter_map(|entry| {
                        let tail = rest.strip_prefix(entry.key.as_str())?;
                        let ends = tail.is_empty() || tail.starts_with('[');
                        Some((entry, if ends { tail } else { tail.strip_prefix('.')? }))
                    });
                    fits.max_by_key(|(entry, _)| entry.key.len()).map(|(entry, tail)| (&entry.node, tail))
                }
                _ => None,
            };
            match next {
                Some(found) => (node, rest) = found,
                None => return node,
            }
        }
        node
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
        if self.0.insert(key.to_owned()) {
            return Ok(());
        }
        Err(Fault::duplicate(at, key))
    }
}
