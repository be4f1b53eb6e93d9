//! From words to a call: strict parsing by a program's tables.
//!
//! Options may stand before and after a command's words (`delete ID --force`), global ones anywhere, up to where
//! a command's words belong to another program. As with runc, `-name` means `--name`.

use crate::table::{Command, Flag, Program, Takes};
use crate::values::Values;
use forgeone_runtime::{Error, Kind, Result};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};

/// What the words ask for.
#[derive(Debug)]
pub enum Parsed {
    /// The help of a command, or of the whole.
    Help(Option<&'static Command>),
    /// The version.
    Version,
    /// A command.
    Call(Call),
}

/// A command with its options and words.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub command: &'static Command,
    /// Its options.
    pub flags: Values,
    /// Its words; as many as the table wants.
    pub words: Vec<OsString>,
}

impl Call {
    /// The first word, where the table requires one.
    pub fn id(&self) -> Result<&str> {
        let word = self.words.first().map_or(OsStr::new(""), |w| w);
        word.to_str().ok_or_else(|| usage(format!("container id {word:?} is not UTF-8")))
    }

    /// A word as text; empty if there are fewer.
    pub fn text(&self, index: usize) -> Result<&str> {
        let word = self.words.get(index).map_or(OsStr::new(""), |word| word);
        word.to_str().ok_or_else(|| usage(format!("{word:?} is not UTF-8")))
    }

    /// All words as text.
    pub fn texts(&self) -> Result<Vec<&str>> {
        (0..self.words.len()).map(|index| self.text(index)).collect()
    }
}

/// A failure of the caller's words.
pub fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

/// Why the words make no call: the failure, and the command that they name, if they do.
#[derive(Debug)]
pub struct Misuse {
    /// What is wrong.
    pub error: Error,
    /// Whose help tells more.
    pub command: Option<&'static Command>,
    /// The exit status, as runc's.
    pub status: u8,
    /// What was taken for a command, and is none of this program's.
    pub unknown: Option<OsString>,
}

/// The exit status of words that aren't understood.
const MISUSED: u8 = 1;

/// The exit status of a command that doesn't exist.
const UNKNOWN: u8 = 3;

/// Parses the words behind the program's name. Global options go to `global` as they are found, so that a failure
/// further on can still be logged where they say.
pub fn parse(
    program: &'static Program,
    words: impl IntoIterator<Item = OsString>,
    global: &mut Values,
) -> std::result::Result<Parsed, Misuse> {
    let mut words = Words { global: program.global, parser: Parser::from_args(words), ended: false };
    let misused = |error| Misuse { error, command: None, status: MISUSED, unknown: None };
    let name = match words.global(global).map_err(misused)? {
        Some(Before::Command(name)) => name,
        Some(Before::Version) => return Ok(Parsed::Version),
        None => return Ok(Parsed::Help(None)),
    };
    if name == "help" || name == "h" {
        let Some(topic) = words.rest().into_iter().next() else { return Ok(Parsed::Help(None)) };
        return Ok(Parsed::Help(Some(find(program, &topic)?)));
    }
    let command = find(program, &name)?;
    words.call(command, global).map_err(|e| Misuse {
        error: e.during(command.name),
        command: Some(command),
        status: MISUSED,
        unknown: None,
    })
}

fn find(program: &'static Program, name: &OsStr) -> std::result::Result<&'static Command, Misuse> {
    program.command(name).ok_or_else(|| {
        let error = usage(format!("unknown command {}", name.to_string_lossy()));
        Misuse { error, command: None, status: UNKNOWN, unknown: Some(name.to_owned()) }
    })
}

/// What the words before the command's own options come to.
enum Before {
    Command(OsString),
    Version,
}

/// One option or word.
enum Token {
    Flag(&'static Flag, OsString),
    Word(OsString),
}

/// The words that are still to be read.
struct Words {
    global: &'static [Flag],
    parser: Parser,
    /// Whether `--` was read.
    ended: bool,
}

impl Words {
    /// Reads global options up to the command.
    fn global(&mut self, global: &mut Values) -> Result<Option<Before>> {
        loop {
            match self.next(&[self.global])? {
                Some(Token::Word(name)) => return Ok(Some(Before::Command(name))),
                Some(Token::Flag(flag, _)) if flag.long == "version" => return Ok(Some(Before::Version)),
                Some(Token::Flag(flag, _)) if flag.long == "help" => return Ok(None),
                Some(Token::Flag(flag, value)) => global.push(flag, value),
                None => return Ok(None),
            }
        }
    }

    /// Reads a command's options and words to the end.
    fn call(&mut self, command: &'static Command, global: &mut Values) -> Result<Parsed> {
        let mut call = Call { command, flags: Values::default(), words: Vec::new() };
        if command.verbatim == Some(0) {
            call.words = self.rest();
        }
        while let Some(token) = self.next(&[command.flags, self.global])? {
            match token {
                Token::Word(word) if !command.group.is_empty() => {
                    let unknown = || usage(format!("unknown command {}", word.to_string_lossy()));
                    let chosen = command.group.iter().find(|c| c.is_called(&word)).ok_or_else(unknown)?;
                    return self.call(chosen, global);
                }
                Token::Word(word) => {
                    call.words.push(word);
                    if command.verbatim == Some(call.words.len()) {
                        call.words.append(&mut self.rest());
                    }
                }
                Token::Flag(flag, _) if flag.long == "help" => return Ok(Parsed::Help(Some(command))),
                Token::Flag(flag, value) if command.flags.iter().any(|f| std::ptr::eq(f, flag)) => {
                    call.flags.push(flag, value);
                }
                Token::Flag(flag, value) => global.push(flag, value),
            }
        }
        count(command, &call.words)?;
        Ok(Parsed::Call(call))
    }

    /// All that is left, as it is.
    fn rest(&mut self) -> Vec<OsString> {
        self.parser.try_raw_args().map_or_else(Vec::new, Iterator::collect)
    }

    fn next(&mut self, tables: &[&'static [Flag]]) -> Result<Option<Token>> {
        let peeked = match self.parser.try_raw_args() {
            Some(raw) if !self.ended => raw.peek().map(OsStr::to_owned),
            _ => None,
        };
        if let Some(word) = peeked {
            self.ended = word == "--";
            if let Some((flag, attached)) = single_dash(&word, tables) {
                self.rest_skip_one();
                return self.take(flag, attached).map(Some);
            }
        }
        let name = match self.parser.next().map_err(|e| usage(e.to_string()))? {
            None => return Ok(None),
            Some(Arg::Value(word)) => return Ok(Some(Token::Word(word))),
            Some(Arg::Short(short)) => {
                let flag = lookup(tables, |f| f.short == Some(short));
                let flag = flag.ok_or_else(|| usage(format!("unknown option -{short}")))?;
                let joined = flag.takes != Takes::Nothing;
                let attached = if joined { self.parser.optional_value() } else { None };
                return self.take(flag, attached).map(Some);
            }
            Some(Arg::Long(long)) => long.to_owned(),
        };
        let flag = lookup(tables, |f| f.long == name);
        let flag = flag.ok_or_else(|| usage(format!("unknown option --{name}")))?;
        let attached = self.parser.optional_value();
        self.take(flag, attached).map(Some)
    }

    fn rest_skip_one(&mut self) {
        if let Some(mut raw) = self.parser.try_raw_args() {
            raw.next();
        }
    }

    /// Completes an option with its value.
    fn take(&mut self, flag: &'static Flag, attached: Option<OsString>) -> Result<Token> {
        let value = match (flag.takes, attached) {
            (Takes::Value(_), Some(value)) => value,
            (Takes::Value(name), None) => {
                let missing = |_| usage(format!("option --{} needs a value: {name}", flag.long));
                self.parser.value().map_err(missing)?
            }
            (Takes::Nothing, None) => "true".into(),
            (Takes::Nothing, Some(value)) => truth(flag, &value)?.into(),
            (Takes::Mode, Some(value)) if value.eq_ignore_ascii_case("auto") => "auto".into(),
            (Takes::Mode, Some(value)) => {
                let mode = truth(flag, &value);
                mode.map_err(|_| {
                    usage(format!("option --{} is true, false or auto, not {value:?}", flag.long))
                })?
                .into()
            }
            (Takes::Mode, None) => self.mode(),
        };
        Ok(Token::Flag(flag, value))
    }

    /// The next word if it is a mode, else `true`.
    fn mode(&mut self) -> OsString {
        if let Some(mut raw) = self.parser.try_raw_args()
            && let Some("true" | "false" | "auto") = raw.peek().and_then(OsStr::to_str)
        {
            return raw.next().unwrap_or_default();
        }
        "true".into()
    }
}

/// `-name` or `-name=value`, where `name` is all of an option's long or short name.
fn single_dash(word: &OsStr, tables: &[&'static [Flag]]) -> Option<(&'static Flag, Option<OsString>)> {
    let name = word.to_str()?.strip_prefix('-')?;
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value.into())),
        None => (name, None),
    };
    let is_short = |f: &Flag| f.short.is_some_and(|c| name.len() == 1 && name.starts_with(c));
    lookup(tables, |f| f.long == name || is_short(f)).map(|flag| (flag, value))
}

/// The option that fits; before its own ones a command has no version to show.
pub(crate) fn lookup(tables: &[&'static [Flag]], fits: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    let hidden = |flag: &Flag| tables.len() > 1 && flag.long == "version";
    tables.iter().copied().flatten().find(|flag| fits(flag) && !hidden(flag))
}

/// `true` or `false` of what Go's `strconv.ParseBool` takes for one.
fn truth(flag: &Flag, value: &OsStr) -> Result<&'static str> {
    match value.to_str() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok("true"),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok("false"),
        _ => Err(usage(format!("option --{} is true or false, not {value:?}", flag.long))),
    }
}

/// Checks the number of words.
fn count(command: &Command, words: &[OsString]) -> Result<()> {
    if let Some(missing) = command.words.get(words.len()).filter(|w| w.starts_with('<')) {
        return Err(usage(format!("missing {missing}")));
    }
    let any = command.words.last().is_some_and(|w| w.ends_with("...]"));
    match words.get(command.words.len()) {
        Some(extra) if !any => Err(usage(format!("unexpected argument {}", extra.to_string_lossy()))),
        _ => Ok(()),
    }
}

/// Whether a table or JSON is wanted.
///
/// # Errors
/// Any other format.
pub fn wants_json(call: &Call) -> Result<bool> {
    match call.flags.text("format")? {
        None | Some("table") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(usage(format!("option --format is table or json, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
