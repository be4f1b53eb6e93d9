//! Options and words of a command.

use crate::failure::Failure;
use lexopt::{Arg, Parser};
use std::ffi::OsString;

/// What a command was called with.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    words: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

impl Arguments {
    /// Reads options, of which `valued` have a value and `switches` have none, and words, at least `least` of them and
    /// at most `most`. `quiet|q` has a short form. `None` if help is asked for.
    pub(crate) fn read(
        words: Vec<OsString>,
        switches: &[&str],
        valued: &[&str],
        (least, most): (usize, usize),
    ) -> Result<Option<Self>, Failure> {
        let mut parser = Parser::from_args(words);
        let mut read = Self::default();
        let usage = |e: lexopt::Error| Failure::new(e);
        while let Some(argument) = parser.next().map_err(usage)? {
            let given = match &argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Value(word) => {
                    read.words.push(text(word.clone())?);
                    continue;
                }
                Arg::Long(name) => format!("--{name}"),
                Arg::Short(name) => format!("-{name}"),
            };
            if let Some(name) = named(switches, &argument) {
                read.options.push((name.to_owned(), None));
            } else if let Some(name) = named(valued, &argument) {
                let missing = |_| Failure::new(format_args!("option {given} needs a value"));
                let value = text(parser.value().map_err(missing)?)?;
                read.options.push((name.to_owned(), Some(value)));
            } else {
                return Err(Failure::new(format_args!("unknown option {given}")));
            }
        }
        match read.words.get(most) {
            Some(extra) => Err(Failure::new(format_args!("unexpected argument {}", extra.escape_debug()))),
            None if read.words.len() < least => Err(Failure::new("missing <file>")),
            None => Ok(Some(read)),
        }
    }

    /// The words that are no options.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether a switch was given.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| given == name)
    }

    /// An option's values, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(given, _)| given == name).filter_map(|(_, value)| value.as_deref())
    }

    /// An option's last value, which is one of these; the first of these if it wasn't given.
    pub(crate) fn choice<'a>(&self, name: &str, values: &[&'a str]) -> Result<&'a str, Failure> {
        let Some(value) = self.values(name).last() else { return Ok(values[0]) };
        let known = values.iter().find(|known| **known == value);
        known.copied().ok_or_else(|| {
            Failure::new(format_args!("option --{name} is {}, not {value:?}", values.join(" or ")))
        })
    }
}

/// The option that is meant, by its long name.
fn named<'a>(options: &[&'a str], given: &Arg) -> Option<&'a str> {
    options.iter().find_map(|option| {
        let (long, short) = option.split_once('|').unwrap_or((option, ""));
        match given {
            Arg::Long(name) => (*name == long).then_some(long),
            Arg::Short(name) => short.starts_with(*name).then_some(long),
            Arg::Value(_) => None,
        }
    })
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::new(format_args!("{word:?} is no UTF-8")))
}
