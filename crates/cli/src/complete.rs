//! What a word may become: for shells, by the same tables that parse.
//!
//! Several programs may have a command of the same name (`run` of a bundle and of an image): its options and words are those
//! of all of them.

use crate::parse::lookup;
use crate::table::{Command, Flag, Program, Takes};
use crate::values::Values;
use std::ffi::{OsStr, OsString};

/// What is wanted at the place of the last word.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// The name of a command.
    Command,
    /// The name of a command of this group.
    Of(&'static Command),
    /// An option of these commands of one name, or a global one.
    Option(Vec<&'static Command>),
    /// An option's value; it stands behind `=` if there is a length of what stands before.
    Value(&'static Flag, usize),
    /// This one of the words of these commands of one name.
    Word(Vec<&'static Command>, usize),
    /// What another program understands.
    Foreign,
}

/// What the last of these words is to be; global options before it go to `global`.
pub(crate) fn wanted(
    programs: &'static [&'static Program],
    words: &[OsString],
    global: &mut Values,
) -> Wanted {
    let Some((last, before)) = words.split_last() else { return Wanted::Command };
    let mut reader = Reader { programs, commands: Vec::new(), count: 0, open: None, ended: false };
    for word in before {
        reader.read(word, global);
    }
    reader.wanted(last)
}

/// Options that are understood at this place, each once.
pub(crate) fn options(global: &'static [Flag], commands: &[&'static Command]) -> Vec<&'static Flag> {
    let mut found: Vec<&Flag> = Vec::new();
    let hidden = |flag: &&Flag| commands.is_empty() || flag.long != "version";
    for flag in commands.iter().flat_map(|command| command.flags).chain(global.iter().filter(hidden)) {
        if !found.iter().any(|known| known.long == flag.long) {
            found.push(flag);
        }
    }
    found
}

/// The words up to the last, as far as they matter.
struct Reader {
    programs: &'static [&'static Program],
    commands: Vec<&'static Command>,
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
            _ => match self.commands.first() {
                None => self.commands = self.programs.iter().filter_map(|p| p.command(word)).collect(),
                Some(group) if !group.group.is_empty() => {
                    let of_group = group.group.iter().find(|c| c.is_called(word));
                    self.commands = of_group.into_iter().collect();
                }
                Some(_) => self.count += 1,
            },
        }
    }

    fn wanted(&self, last: &OsStr) -> Wanted {
        let text = last.to_str().unwrap_or_default();
        let option = !self.ended && text.starts_with('-');
        match (self.commands.first(), self.open) {
            (_, Some(flag)) => Wanted::Value(flag, 0),
            (Some(_), None) if self.is_foreign() => Wanted::Foreign,
            (_, None) if option => match text.split_once('=') {
                Some((name, _)) => {
                    let flag = self.find(name);
                    flag.map_or(Wanted::Option(self.commands.clone()), |flag| {
                        Wanted::Value(flag, name.len() + 1)
                    })
                }
                None => Wanted::Option(self.commands.clone()),
            },
            (Some(command), None) if !command.group.is_empty() => Wanted::Of(command),
            (Some(_), None) => Wanted::Word(self.commands.clone(), self.count),
            (None, None) => Wanted::Command,
        }
    }

    /// Only to choose the containers that a word may name.
    fn keep(&self, flag: &'static Flag, value: &OsStr, global: &mut Values) {
        if self.programs.iter().flat_map(|p| p.global).any(|of_all| std::ptr::eq(of_all, flag)) {
            global.push(flag, value.to_owned());
        }
    }

    /// Whether what follows is meant for another program.
    fn is_foreign(&self) -> bool {
        let verbatim = self.commands.first().and_then(|command| command.verbatim);
        verbatim.is_some_and(|count| self.count >= count)
    }

    fn is_option(&self, text: &str) -> bool {
        !self.ended && !self.is_foreign() && text.len() > 1 && text.starts_with('-')
    }

    /// By its long name, or the last of its short ones.
    fn find(&self, name: &str) -> Option<&'static Flag> {
        let own = self.commands.iter().map(|command| command.flags);
        let tables: Vec<_> = own.chain(self.programs.first().map(|program| program.global)).collect();
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
