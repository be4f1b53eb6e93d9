//! What a word may become: for shells, by the same table that parses.

use super::table::{COMMANDS, Command, Flag, GLOBAL, Takes};
use super::{Values, command, lookup};
use std::ffi::{OsStr, OsString};

/// What is wanted at the place of the last word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// The name of a command.
    Command,
    /// An option of this command, or a global one.
    Option(Option<&'static Command>),
    /// An option's value; it stands behind `=` if there is a length of what stands before.
    Value(&'static Flag, usize),
    /// This one of a command's words.
    Word(&'static Command, usize),
    /// What another program understands.
    Foreign,
}

/// What the last of these words is to be; global options before it go to `global`.
pub(crate) fn wanted(words: &[OsString], global: &mut Values) -> Wanted {
    let Some((last, before)) = words.split_last() else { return Wanted::Command };
    let mut reader = Reader::default();
    for word in before {
        reader.read(word, global);
    }
    reader.wanted(last)
}

/// Options that are understood at this place. `help` is no command of the table.
pub(crate) fn options(command: Option<&'static Command>) -> impl Iterator<Item = &'static Flag> {
    let own = command.map_or(&[][..], |command| command.flags);
    let hidden = move |flag: &&Flag| command.is_none() || flag.long != "version";
    own.iter().chain(GLOBAL.iter().filter(hidden))
}

/// The words up to the last, as far as they matter.
#[derive(Default)]
struct Reader {
    command: Option<&'static Command>,
    /// Words of the command.
    count: usize,
    /// The option whose value comes next.
    open: Option<&'static Flag>,
    /// Whether `--` was read.
    ended: bool,
}

impl Reader {
    fn read(&mut self, word: &OsStr, global: &mut Values) {
        if let Some(flag) = self.open.take() {
            self.keep(flag, word, global);
            return;
        }
        match word.to_str() {
            Some("--") if !self.ended => self.ended = true,
            Some(text) if self.is_option(text) => {
                let (name, value) = split(text);
                match (self.find(name), value) {
                    (Some(flag), Some(value)) => self.keep(flag, value.as_ref(), global),
                    (Some(flag), None) if matches!(flag.takes, Takes::Value(_)) => self.open = Some(flag),
                    _ => {}
                }
            }
            _ if self.command.is_some() => self.count += 1,
            _ => {
                self.command = command(word);
            }
        }
    }

    fn wanted(&self, last: &OsStr) -> Wanted {
        let text = last.to_str().unwrap_or_default();
        match (self.command, self.open) {
            (_, Some(flag)) => Wanted::Value(flag, 0),
            (Some(command), None) if command.verbatim.is_some_and(|count| self.count >= count) => {
                Wanted::Foreign
            }
            (command, None) if !self.ended && text.starts_with('-') => match text.split_once('=') {
                Some((name, _)) => {
                    let flag = self.find(name);
                    flag.map_or(Wanted::Option(command), |flag| Wanted::Value(flag, name.len() + 1))
                }
                None => Wanted::Option(command),
            },
            (Some(command), None) => Wanted::Word(command, self.count),
            (None, None) => Wanted::Command,
        }
    }

    /// Only to choose the containers that a word may name.
    fn keep(&self, flag: &'static Flag, value: &OsStr, global: &mut Values) {
        if GLOBAL.iter().any(|of_all| std::ptr::eq(of_all, flag)) {
            global.push(flag, value.to_owned());
        }
    }

    fn is_option(&self, text: &str) -> bool {
        let foreign =
            self.command.is_some_and(|command| command.verbatim.is_some_and(|count| self.count >= count));
        !self.ended && !foreign && text.len() > 1 && text.starts_with('-')
    }

    /// By its long name, or the last of its short ones.
    fn find(&self, name: &str) -> Option<&'static Flag> {
        let own = self.command.map_or(&[][..], |command| command.flags);
        let tables = [own, GLOBAL];
        let long = name.trim_start_matches('-');
        let short = name.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        let short = short.and_then(|rest| rest.chars().last());
        lookup(&tables, |flag| flag.long == long)
            .or_else(|| lookup(&tables, |flag| short.is_some() && flag.short == short))
    }
}

fn split(option: &str) -> (&str, Option<&str>) {
    option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)))
}

/// Names of commands, with what they do.
pub(crate) fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    COMMANDS
        .iter()
        .map(|command| (command.name, command.about))
        .chain([("help", "show the help of a command")])
}
