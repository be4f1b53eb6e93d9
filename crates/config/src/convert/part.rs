//! Reading foreign trees: what isn't asked for is lost, and said to be.

use super::Lost;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashMap;

/// What was lost so far.
#[derive(Debug, Default)]
pub(super) struct Losses(RefCell<Vec<Lost>>);

impl Losses {
    pub(super) fn add(&self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.borrow_mut().push(Lost { path: path.into(), reason: reason.into() });
    }

    pub(super) fn all(self) -> Vec<Lost> {
        self.0.into_inner()
    }
}

/// An object that is read key by key. What is left when it goes is lost.
pub(super) struct Part<'a> {
    path: String,
    map: Map<String, Value>,
    losses: &'a Losses,
}

impl<'a> Part<'a> {
    pub(super) fn new(path: impl Into<String>, value: Value, losses: &'a Losses) -> Self {
        let path = path.into();
        let map = match value {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            other => {
                losses.add(&path, format!("it is {}, not an object", shape(&other)));
                Map::new()
            }
        };
        Self { path, map, losses }
    }

    /// Where a key of it stands.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn lose(&self, key: &str, reason: impl Into<String>) {
        self.losses.add(self.at(key), reason);
    }

    pub(super) fn losses(&self) -> &'a Losses {
        self.losses
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    /// Keys that say nothing that a configuration could.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.map.retain(|key, _| !keys.contains(&key.as_str()));
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        let text = scalar(&value);
        if text.is_none() {
            self.lose(key, format!("it is {}, not a text", shape(&value)));
        }
        text
    }

    /// A text that has to be read; lost with the reason if it can't be.
    pub(super) fn read<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        read(&text).map_err(|reason| self.lose(key, reason)).ok()
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, |text| text.parse().map_err(|_| format!("{text:?} is neither true nor false")))
    }

    pub(super) fn number(&mut self, key: &str) -> Option<u64> {
        self.read(key, |text| text.parse().map_err(|_| format!("{text:?} is no number from 0")))
    }

    /// A list of values, each with its path; one alone is a list, too.
    pub(super) fn items(&mut self, key: &str) -> Option<Vec<(String, Value)>> {
        let path = self.at(key);
        Some(match self.take(key)? {
            Value::Array(items) => {
                items.into_iter().enumerate().map(|(at, item)| (format!("{path}[{at}]"), item)).collect()
            }
            other => vec![(path, other)],
        })
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let losses = self.losses;
        let text = |(path, value): (String, Value)| {
            let text = scalar(&value);
            if text.is_none() {
                losses.add(path, format!("it is {}, not a text", shape(&value)));
            }
            text
        };
        Some(self.items(key)?.into_iter().filter_map(text).collect())
    }

    pub(super) fn part(&mut self, key: &str) -> Option<Part<'a>> {
        let value = self.take(key)?;
        Some(Part::new(self.at(key), value, self.losses))
    }

    pub(super) fn parts(&mut self, key: &str) -> Vec<Part<'a>> {
        let losses = self.losses;
        let items = self.items(key).unwrap_or_default().into_iter();
        items.map(|(path, value)| Part::new(path, value, losses)).collect()
    }

    /// The objects of an object, with their names.
    pub(super) fn named(&mut self, key: &str) -> Vec<(String, Part<'a>)> {
        let Some(mut part) = self.part(key) else { return Vec::new() };
        let keys: Vec<_> = part.map.keys().cloned().collect();
        let value = |key: String| {
            let value = part.map.shift_remove(&key).unwrap_or_default();
            (key.clone(), Part::new(part.at(&key), value, part.losses))
        };
        keys.into_iter().map(value).collect()
    }

    /// Names and texts: an object, or a list of `NAME=TEXT`.
    pub(super) fn pairs(&mut self, key: &str) -> Option<HashMap<String, String>> {
        let path = self.at(key);
        let mut pairs = HashMap::new();
        match self.take(key)? {
            Value::Object(map) => {
                for (name, value) in map {
                    match scalar(&value) {
                        Some(text) => drop(pairs.insert(name, text)),
                        None => self.losses.add(format!("{path}.{name}"), NO_VALUE),
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    match item.as_str().and_then(|item| item.split_once('=')) {
                        Some((name, text)) => drop(pairs.insert(name.to_owned(), text.to_owned())),
                        None => self.losses.add(format!("{path}[{at}]"), NO_VALUE),
                    }
                }
            }
            _ => self.losses.add(path, "it is neither names and values nor a list of them"),
        }
        Some(pairs)
    }
}

const NO_VALUE: &str = "it has no value here: whoever starts it would give one";

impl Drop for Part<'_> {
    fn drop(&mut self) {
        for key in self.map.keys() {
            self.losses.add(self.at(key), "a configuration has nothing like it");
        }
    }
}

/// A text, or what is written as one.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A tree without what is empty.
pub(super) fn full(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let there = map.into_iter().map(|(key, value)| (key, full(value)));
            Value::Object(
                there.filter(|(_, value)| !value.is_null() && *value != Value::Object(Map::new())).collect(),
            )
        }
        other => other,
    }
}
