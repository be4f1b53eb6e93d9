//! `completion`: scripts for shells, and the answers that they ask for.
//!
//! An answer is one candidate a line, then a tabulator and what it is; `:files` or `:dirs` instead where the shell
//! knows better.

use super::Door;
use crate::args::{Call, Command, Flag, Takes, Values, Wanted, commands, options, usage, wanted};
use crate::output;
use forgeone_runtime::Result;
use forgeone_sys::credentials::CAPABILITIES;
use forgeone_sys::signal::signal_name;
use std::ffi::{OsStr, OsString};

const SHELLS: [(&str, &str); 3] = [
    ("bash", include_str!("completion/bash")),
    ("zsh", include_str!("completion/zsh")),
    ("fish", include_str!("completion/fish")),
];

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let (shell, words) =
        call.words.split_first().map_or((OsStr::new(""), &[][..]), |(s, w)| (s.as_os_str(), w));
    if shell == "words" {
        output::print(&answer(door, words))?;
        return Ok(0);
    }
    let script = SHELLS.iter().find(|(name, _)| shell == *name).map(|(_, script)| script);
    let script = script.ok_or_else(|| usage(format!("shell is bash, zsh or fish, not {shell:?}")))?;
    if let Some(extra) = words.first() {
        return Err(usage(format!("unexpected argument {}", extra.to_string_lossy())));
    }
    output::print(script)?;
    Ok(0)
}

/// Candidates, as they are found.
struct Answer<'a> {
    begins: &'a str,
    text: String,
}

impl Answer<'_> {
    fn offer(&mut self, candidate: &str, about: &str) {
        if candidate.starts_with(self.begins) {
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

fn answer(door: &Door, words: &[OsString]) -> String {
    let mut global = Values::default();
    let wanted = wanted(words, &mut global);
    let last = words.last().and_then(|word| word.to_str()).unwrap_or_default();
    let mut answer = Answer { begins: last, text: String::new() };
    match wanted {
        Wanted::Command => commands().for_each(|(name, about)| answer.offer(name, about)),
        Wanted::Option(command) => {
            options(command).for_each(|flag| answer.offer(&["--", flag.long].concat(), flag.help));
        }
        Wanted::Value(flag, at) => value(&mut answer, flag, last.get(..at).unwrap_or_default()),
        Wanted::Word(command, index) => word(&mut answer, door, &global, command, index),
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

fn word(answer: &mut Answer, door: &Door, global: &Values, command: &Command, index: usize) {
    match command.words.get(index) {
        Some(&"<container-id>") if !command.makes_container() => ids(answer, door, global),
        Some(&"[signal]") => answer.offer_all("", (1..=31).map(|n| signal_name(n).replacen("SIG", "", 1))),
        Some(&"<shell>") => answer.offer_all("", SHELLS.map(|(name, _)| name)),
        _ => {}
    }
}

/// Ids of the state root that the words name. A root that can't be read has none: there is nobody to tell.
fn ids(answer: &mut Answer, door: &Door, global: &Values) {
    let Ok(door) = Door::open(global, door.log) else { return };
    for row in door.runtime.list().into_iter().flatten().flatten() {
        answer.offer(&row.id, &row.status);
    }
}
