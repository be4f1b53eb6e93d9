//! What a table of commands is made of.

use std::ffi::OsStr;

/// An option.
#[derive(Debug)]
pub struct Flag {
    /// Its name after `--`.
    pub long: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
    /// What it does, one line.
    pub help: &'static str,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing; `--name=true` and `--name=false` are understood.
    Nothing,
    /// A value, called so in the help.
    Value(&'static str),
    /// `true`, `false` or `auto`: behind `=`, or as the next word if it is one of these; bare it means `true`.
    Mode,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its words in order: `<required>`, `[optional]`, `[any number...]`.
    pub words: &'static [&'static str],
    /// From this many words on everything is a word, options too: it is meant for another program.
    pub verbatim: Option<usize>,
    /// What it does, one line.
    pub about: &'static str,
    /// What else there is to know, lines of at most 80 characters.
    pub text: &'static str,
    /// What its first word may be, for one that stands for several: their names begin with its own, `volume ls`.
    pub group: &'static [Command],
    /// Its options, besides the global ones.
    pub flags: &'static [Flag],
    /// Whether it starts a program that isn't ours, so that the binary must be out of its reach.
    pub starts_program: bool,
    /// The exit status of its failures.
    pub failure: u8,
}

impl Command {
    /// Whether this word means it; one of a group is meant by the last word of its name.
    pub fn is_called(&self, word: &OsStr) -> bool {
        self.name.rsplit(' ').next().is_some_and(|name| word == name)
    }

    /// Whether it makes a container: its id is a new one, and who calls may be a service manager.
    pub fn makes_container(&self) -> bool {
        matches!(self.name, "create" | "run" | "restore")
    }
}

pub(crate) const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { long, short, takes: Takes::Nothing, help }
}

pub(crate) const fn value(
    long: &'static str,
    short: Option<char>,
    name: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short, takes: Takes::Value(name), help }
}

/// What a command is but for its words and options, which are none.
pub(crate) const fn plain(name: &'static str, about: &'static str) -> Command {
    Command {
        name,
        words: &[],
        verbatim: None,
        about,
        text: "",
        group: &[],
        flags: &[],
        starts_program: false,
        failure: 1,
    }
}

/// A program's command line.
#[derive(Debug)]
pub struct Program {
    /// Its commands, in the order of the help.
    pub commands: &'static [Command],
    /// Options that stand before the command, or among its own.
    pub global: &'static [Flag],
}

impl Program {
    /// The command of this name.
    pub fn command(&self, name: &OsStr) -> Option<&'static Command> {
        self.commands.iter().find(|c| name == c.name)
    }
}

/// The names of a table, made while the program is built: the table itself isn't in it then.
pub(crate) const fn names<const N: usize>(commands: &[Command]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = commands[i].name;
        i += 1;
    }
    names
}
