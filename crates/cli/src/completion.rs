//! `completion`: scripts for shells, and the answers that they ask for.
//!
//! An answer is one candidate a line, then a tabulator and what it is; `:files` or `:dirs` instead where the shell
//! knows better.

use crate::complete::{Wanted, options, wanted};
use crate::parse::usage;
use crate::table::{Command, Flag, Program, Takes};
use crate::tables::{IMAGE, OCI, STANDALONE};
use crate::values::Values;
use forgeone_runtime::Result;
use forgeone_sys::credentials::CAPABILITIES;
use forgeone_sys::signal::signal_name;
use std::ffi::{OsStr, OsString};

const PROGRAMS: &[&Program] = &[&STANDALONE, &IMAGE, &OCI];

const SHELLS: [(&str, &str); 3] = [
    ("bash", include_str!("completion/bash")),
    ("zsh", include_str!("completion/zsh")),
    ("fish", include_str!("completion/fish")),
];

/// The script of a shell, or the answer that a script asks for (`words` and the words up to the cursor). `known` tells
/// what of this machine a word may name, such as `<container>`, with what it is; by the global options among the words.
///
/// # Errors
/// Another shell.
pub fn completion(
    words: &[OsString],
    known: impl Fn(&str, &Values) -> Vec<(String, String)>,
) -> Result<String> {
    let (shell, words) = words.split_first().map_or((OsStr::new(""), &[][..]), |(s, w)| (s.as_os_str(), w));
    if shell == "words" {
        return Ok(answer(words, known));
    }
    let script = SHELLS.iter().find(|(name, _)| shell == *name).map(|(_, script)| script);
    let script = script.ok_or_else(|| usage(format!("shell is bash, zsh or fish, not {shell:?}")))?;
    match words.first() {
        Some(extra) => Err(usage(format!("unexpected argument {}", extra.to_string_lossy()))),
        None => Ok((*script).to_owned()),
    }
}

/// Candidates, as they are found.
struct Answer<'a> {
    begins: &'a str,
    text: String,
}

impl Answer<'_> {
    fn offer(&mut self, candidate: &str, about: &str) {
        let known = self.text.lines().any(|line| line.split('\t').next() == Some(candidate));
        if candidate.starts_with(self.begins) && !known {
            for piece in [candidate, "\t", about, "\n"] {
                self.text.push_str(piece);
            }
        }
    }

    fn offer_all<S: AsRef<str>>(&mut self, before: &str, candidates: impl IntoIterator<Item = S>) {
        for candidate in candidates {
            self.offer(&[before, candidate.as_ref()].concat(), "");
        }
    }
}

fn answer(words: &[OsString], known: impl Fn(&str, &Values) -> Vec<(String, String)>) -> String {
    let mut global = Values::default();
    let wanted = wanted(PROGRAMS, words, &mut global);
    let last = words.last().and_then(|word| word.to_str()).unwrap_or_default();
    let mut answer = Answer { begins: last, text: String::new() };
    match wanted {
        Wanted::Command => {
            let mut names: Vec<(&str, &str)> = vec![("help", "show the help of a command")];
            for command in PROGRAMS.iter().flat_map(|program| program.commands) {
                if !names.iter().any(|(name, _)| *name == command.name) {
                    names.push((command.name, command.about));
                }
            }
            names.iter().for_each(|(name, about)| answer.offer(name, about));
        }
        Wanted::Of(group) => {
            for command in group.group {
                answer.offer(command.name.rsplit(' ').next().unwrap_or_default(), command.about);
            }
        }
        Wanted::Option(commands) => {
            let offer = |flag: &&Flag| answer.offer(&["--", flag.long].concat(), flag.help);
            options(STANDALONE.global, &commands).iter().for_each(offer);
        }
        Wanted::Value(flag, at) => value(&mut answer, flag, last.get(..at).unwrap_or_default()),
        Wanted::Word(commands, index) => {
            for command in commands {
                word(&mut answer, command, index, |noun| known(noun, &global));
            }
        }
        Wanted::Foreign => answer.text.push_str(":files\n"),
    }
    answer.text
}

/// What an option may have as its value follows from what the help calls it.
fn value(answer: &mut Answer, flag: &Flag, before: &str) {
    match flag.takes {
        Takes::Value("DIR") => answer.text.push_str(":dirs\n"),
        Takes::Value("FILE" | "PATH") => answer.text.push_str(":files\n"),
        Takes::Value("FORMAT") if flag.long == "log-format" => answer.offer_all(before, ["text", "json"]),
        Takes::Value("FORMAT") => answer.offer_all(before, ["table", "json"]),
        Takes::Value("CAPABILITY") => answer.offer_all(before, CAPABILITIES),
        Takes::Value(_) => {}
        Takes::Nothing => answer.offer_all(before, ["true", "false"]),
        Takes::Mode => answer.offer_all(before, ["true", "false", "auto"]),
    }
}

fn word(answer: &mut Answer, command: &Command, index: usize, known: impl Fn(&str) -> Vec<(String, String)>) {
    // The last of them may be repeated.
    let wanted = command.words.get(index).or(command.words.last().filter(|last| last.ends_with("...]")));
    match wanted {
        Some(&"<container-id>") if command.makes_container() => {}
        Some(&"[signal]") => answer.offer_all("", (1..=31).map(|n| signal_name(n).replacen("SIG", "", 1))),
        Some(&"<shell>") => answer.offer_all("", SHELLS.map(|(name, _)| name)),
        Some(&"[file]") => answer.text.push_str(":files\n"),
        Some(noun) => known(noun).iter().for_each(|(name, about)| answer.offer(name, about)),
        None => {}
    }
}
