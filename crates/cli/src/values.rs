//! Options as they were given, and how a command reads them.

use crate::parse::usage;
use crate::table::Flag;
use forgeone_runtime::Result;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Options as they were given, in order. A value that is empty counts as not given, and of several the last
/// counts, but for [`Values::all`].
#[derive(Debug, Default)]
pub struct Values(Vec<(&'static Flag, OsString)>);

impl Values {
    pub(crate) fn push(&mut self, flag: &'static Flag, value: OsString) {
        self.0.push((flag, value));
    }

    /// `name=value`, in order.
    #[cfg(test)]
    pub(crate) fn given(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(flag, value)| format!("{}={}", flag.long, value.to_string_lossy()))
    }

    /// All values of an option, in order.
    pub fn all<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a OsStr> {
        self.0.iter().filter(move |(flag, _)| flag.long == long).map(|(_, value)| value.as_os_str())
    }

    /// Its value.
    pub fn value(&self, long: &str) -> Option<&OsStr> {
        let given = self.0.iter().rev().find(|(flag, _)| flag.long == long);
        given.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// Every option that was given, in order, as text.
    pub fn texts_in_order(&self) -> Result<Vec<(&'static str, &str)>> {
        self.0.iter().map(|(flag, value)| Ok((flag.long, text(flag.long, value)?))).collect()
    }

    /// Whether it was given without a value.
    pub fn is_empty(&self, long: &str) -> bool {
        self.value(long).is_none() && self.all(long).next().is_some()
    }

    /// Its value as text.
    pub fn text(&self, long: &str) -> Result<Option<&str>> {
        self.value(long).map(|value| text(long, value)).transpose()
    }

    /// All its values as text.
    pub fn texts(&self, long: &str) -> Result<Vec<String>> {
        self.all(long).map(|value| text(long, value).map(str::to_owned)).collect()
    }

    /// All its values as `KEY=VALUE`; the last counts for a key, and one without a value has an empty one.
    pub fn pairs(&self, long: &str) -> Result<BTreeMap<String, String>> {
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Ok(self.texts(long)?.into_iter().map(pair).collect())
    }

    /// Its value as an absolute path.
    pub fn path(&self, long: &str) -> Result<Option<PathBuf>> {
        let absolute = |value: &OsStr| {
            std::path::absolute(value)
                .map_err(|e| usage(format!("option --{long}: {}: {e}", value.display())))
        };
        self.value(long).map(absolute).transpose()
    }

    /// Its value as a number.
    pub fn number(&self, long: &str) -> Result<Option<u32>> {
        let Some(value) = self.text(long)? else { return Ok(None) };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(usage(format!("option --{long} is a number, not {value:?}"))),
        }
    }

    /// Whether a switch is on, if it was given.
    pub fn choice(&self, long: &str) -> Option<bool> {
        self.value(long).map(|value| value == "true")
    }

    /// Whether a switch is on.
    pub fn switch(&self, long: &str) -> bool {
        self.choice(long).unwrap_or(false)
    }
}

fn text<'a>(long: &str, value: &'a OsStr) -> Result<&'a str> {
    value.to_str().ok_or_else(|| usage(format!("option --{long}: {value:?} is not UTF-8")))
}
