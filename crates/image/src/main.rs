//! `forgeone-image`: what the door hands on because it needs more than a lean program has. It lies in libexec and is
//! executed by `forgeone config …`, `forgeone load …` and so on; its first word is that command.
#![forbid(unsafe_code)]

mod arguments;
mod bounded;
mod compression;
mod config;
mod container;
mod copy;
mod failure;
mod image;
mod images;
mod load;
mod namespace;
mod pack;
mod parallel;
mod progress;
mod pull;
mod push;
mod remote;
mod rootfs;
mod save;
mod snapshot;
mod store;
mod terminal;
mod unpack;

use failure::Failure;
use forgeone_cli::{Parsed, Values, help_of, parse, tables};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&words) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            // Nobody is left to be told if that fails.
            let _ = writeln!(std::io::stderr(), "forgeone: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn run(words: &[OsString]) -> Result<u8, Failure> {
    if words.first().is_some_and(|word| word == bounded::WORD) {
        bounded::enter()?;
        return config::run(words.iter().skip(2).cloned().collect());
    }
    let mut global = Values::default();
    let container = words.first().and_then(|word| tables::IMAGE_FOR_CONTAINERS.command(word));
    let table = if container.is_some() { &tables::IMAGE_FOR_CONTAINERS } else { &tables::IMAGE };
    let parsed = parse(table, words.iter().cloned(), &mut global);
    match parsed.map_err(|misuse| Failure::new(misuse.error).with_status(misuse.status))? {
        Parsed::Call(call) if call.command.name == "config" => config::run(call.words),
        // What these write is this user's, nobody else's.
        Parsed::Call(call) if matches!(call.command.name, "login" | "logout") => images::run(&call, &global),
        Parsed::Call(call) => match namespace::enter()? {
            Some(status) => Ok(status),
            None if container.is_some() => rootfs::run(&call, &global),
            None => images::run(&call, &global),
        },
        Parsed::Help(Some(command)) => config::print(&help_of(command)).map(|()| 0),
        Parsed::Help(None) | Parsed::Version => {
            Err(Failure::new("this program is started by forgeone; see 'forgeone --help'"))
        }
    }
}
