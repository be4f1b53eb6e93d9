//! What `${NAME}` in a Compose file stands for (Compose specification, "interpolation").

use super::env_file;
use super::part::Losses;
use super::Lost;
use crate::document::MAX_BYTES;
use crate::{Error, Kind, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// How deep `${A:-${B:-c}}` may go.
const MAX_DEPTH: usize = 16;

/// Variables for [`import_configs`](crate::import_configs): those that are given, and below them those of `.env` files.
#[derive(Clone, Default)]
pub struct Variables {
    given: HashMap<String, String>,
    of_files: HashMap<String, String>,
    unset: Vec<Lost>,
}

impl Variables {
    /// Those of this process, but for what is no UTF-8.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// Adds what a file such as `.env` says, as Compose reads it. A later file has precedence over an earlier one.
    ///
    /// # Errors
    /// A file that can't be read; a line that says nothing. They show none of the values.
    pub fn add_file(&mut self, path: &str) -> Result<()> {
        let load = |line: usize, reason: String| {
            Error::new(Kind::Syntax, reason).during(format_args!("load {path}:{line}"))
        };
        let text = crate::read_text_from_file(path)?;
        let mut left = MAX_BYTES;
        for entry in env_file::entries(&text).map_err(|(line, reason)| load(line, reason))? {
            let value = match entry.literal {
                true => entry.value,
                false => {
                    let mut filler = Filler { variables: self, left, unset: Vec::new() };
                    let value = filler.filled(&entry.value).map_err(|reason| load(entry.line, reason))?;
                    let place = format!("{path}:{}", entry.line);
                    let unset = filler.unset.iter().map(|name| not_set(&place, name)).collect::<Vec<_>>();
                    left = filler.left;
                    self.unset.extend(unset);
                    value
                }
            };
            self.of_files.insert(entry.name, value);
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).or_else(|| self.of_files.get(name)).map(String::as_str)
    }

    /// A tree with its variables filled in: in values, not in keys.
    pub(super) fn fill(&self, tree: Value, losses: &Losses) -> Result<Value> {
        self.unset.iter().for_each(|lost| losses.add(&lost.path, &lost.reason));
        let mut filler = Filler { variables: self, left: MAX_BYTES, unset: Vec::new() };
        filler.tree(tree, "", losses)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self { given: pairs.into_iter().collect(), ..Self::default() }
    }
}

/// Their values may be secret.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut names: Vec<_> = self.given.keys().chain(self.of_files.keys()).collect();
        names.sort();
        f.debug_tuple("Variables").field(&names).finish()
    }
}

fn not_set(path: &str, name: &str) -> Lost {
    let reason = format!("variable {name} isn't set, so that nothing stands in its place");
    Lost { path: path.to_owned(), reason }
}

/// Fills in variables.
struct Filler<'a> {
    variables: &'a Variables,
    /// Bytes that variables may still make.
    left: usize,
    /// Those that aren't set where it matters.
    unset: Vec<String>,
}

impl Filler<'_> {
    fn tree(&mut self, value: Value, path: &str, losses: &Losses) -> Result<Value> {
        Ok(match value {
            Value::String(text) => {
                let filled = self.filled(&text);
                let filled = filled.map_err(|e| Error::new(Kind::Content, format!("{path}: {e}")))?;
                for name in self.unset.drain(..) {
                    let Lost { path, reason } = not_set(path, &name);
                    losses.add(path, reason);
                }
                Value::String(filled)
            }
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                let filled = items.map(|(at, item)| self.tree(item, &format!("{path}[{at}]"), losses));
                Value::Array(filled.collect::<Result<_>>()?)
            }
            Value::Object(map) => {
                let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
                let filled = map.into_iter().map(|(key, item)| {
                    let item = self.tree(item, &format!("{prefix}{key}"), losses)?;
                    Ok((key, item))
                });
                Value::Object(filled.collect::<Result<_>>()?)
            }
            other => other,
        })
    }

    fn filled(&mut self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        self.fill(text, 0, &mut out)?;
        Ok(out)
    }

    fn fill(&mut self, text: &str, depth: usize, out: &mut String) -> Result<(), String> {
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if tail.starts_with('{') {
                let end = closing(tail).ok_or("a ${ isn't closed; $$ is a dollar sign")?;
                self.braced(&tail[1..end], depth, out)?;
                rest = &tail[end + 1..];
            } else {
                // What is no name stays as it is.
                let (name, after) = tail.split_at(name_length(tail));
                match name {
                    "" => out.push('$'),
                    name => self.direct(name, out)?,
                }
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(())
    }

    /// What stands between `${` and `}`.
    fn braced(&mut self, inside: &str, depth: usize, out: &mut String) -> Result<(), String> {
        if depth >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} variables in each other"));
        }
        let (name, rest) = inside.split_at(name_length(inside));
        let wrong = || {
            let shown: String = inside.chars().take(40).collect();
            format!("${{{shown}}} isn't ${{NAME}}, or that with -, ? or + and a text; $$ is a dollar sign")
        };
        if name.is_empty() {
            return Err(wrong());
        }
        if rest.is_empty() {
            return self.direct(name, out);
        }
        let (empty_counts, operator) = match rest.strip_prefix(':') {
            Some(rest) => (false, rest),
            None => (true, rest),
        };
        let variables = self.variables;
        let value = variables.get(name).filter(|value| empty_counts || !value.is_empty());
        let mut operator = operator.chars();
        match (operator.next(), value) {
            (Some('-' | '?'), Some(value)) => self.push(value, out),
            (Some('-'), None) | (Some('+'), Some(_)) => self.fill(operator.as_str(), depth + 1, out),
            (Some('+'), None) => Ok(()),
            (Some('?'), None) => {
                let mut message = String::new();
                self.fill(operator.as_str(), depth + 1, &mut message)?;
                let message = match message.trim() {
                    "" => "set it, in the environment or in .env",
                    message => message,
                };
                Err(format!("variable {name} has no value: {message}"))
            }
            _ => Err(wrong()),
        }
    }

    /// `$NAME` and `${NAME}`.
    fn direct(&mut self, name: &str, out: &mut String) -> Result<(), String> {
        let variables = self.variables;
        match variables.get(name) {
            Some(value) => self.push(value, out),
            None => {
                self.unset.push(name.to_owned());
                Ok(())
            }
        }
    }

    fn push(&mut self, value: &str, out: &mut String) -> Result<(), String> {
        let left = self.left.checked_sub(value.len());
        self.left = left.ok_or_else(|| format!("variables make more than {} MiB of it", MAX_BYTES >> 20))?;
        out.push_str(value);
        Ok(())
    }
}

/// The bytes of a name that a text begins with.
fn name_length(text: &str) -> usize {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => 0,
        false => text.find(|c| !plain(c)).unwrap_or(text.len()),
    }
}

/// Where the `{` that a text begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (1, 1);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'$', b'$', ..] => at += 1,
            [b'$', b'{', ..] => {
                at += 1;
                open += 1;
            }
            [b'}', ..] if open == 1 => return Some(at),
            [b'}', ..] => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}
