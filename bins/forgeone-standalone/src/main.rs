//! `forgeone-standalone`: containers from images, without a daemon. The door executes it with the words that it got; it
//! lies in libexec, is lean and has one thread, as the door.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod asked;
mod attached;
mod commands;
mod here;

use forgeone_cli::tables::{IMAGE, OCI, STANDALONE};
use forgeone_cli::{Command, Failure, Log, Misuse, Parsed, Values, help, help_of, output, parse, version};
use forgeone_sys::signal::keep_children;
use std::ffi::OsString;

#[cfg(not(test))]
forgeone_sys::entry!(run);

#[cfg_attr(test, allow(dead_code))]
fn run() -> u8 {
    let words = forgeone_sys::entry::args().into_iter().skip(1).collect::<Vec<OsString>>();
    if words.first().is_some_and(|word| word == "init") {
        return forgeone_runtime::registry::init(words.into_iter().skip(1));
    }
    // Who started us may ignore its own.
    if let Err(e) = keep_children() {
        return Failure::of_door(e.into()).report(&Log::default());
    }
    if words.first().is_some_and(|word| word == "monitor") {
        return forgeone_runtime::monitor::main(words.into_iter().skip(1));
    }
    if words.first().is_some_and(|word| word == "resolver") {
        return forgeone_runtime::network::resolver::main(words.into_iter().skip(1));
    }
    let mut global = Values::default();
    let parsed = understand(&words, &mut global).map_err(Failure::of_misuse);
    let log = match Log::open(&global) {
        Ok(log) => log,
        Err(e) => return Failure::of_door(e).report(&Log::default()),
    };
    match parsed.and_then(|parsed| answer(parsed, &global, &log)) {
        Ok(status) => status,
        Err(failure) => failure.report(&log),
    }
}

/// Options without a command are those of `run`: `forgeone --name web --rootfs web.tar.gz --cmd "…"`.
fn understand(words: &[OsString], global: &mut Values) -> Result<Parsed, Misuse> {
    let parsed = parse(&STANDALONE, words.iter().cloned(), global);
    match parsed {
        Err(Misuse { command: None, unknown: None, .. }) => {
            let run = std::iter::once(OsString::from("run")).chain(words.iter().cloned());
            *global = Values::default();
            let again = parse(&STANDALONE, run, global);
            // What isn't an option of `run` either is told as what it was written as.
            match again {
                Err(Misuse { command: Some(_), .. }) => parsed,
                again => again,
            }
        }
        Err(misuse) => match misuse.command {
            // As Podman and Docker.
            Some(Command { failure: FAILED, .. }) => Err(Misuse { status: FAILED, ..misuse }),
            _ => Err(misuse),
        },
        parsed => parsed,
    }
}

/// The exit status where a command fails whose program has one of its own.
const FAILED: u8 = 125;

/// All commands, those of the door first.
const GROUPS: &[(&str, &[Command])] = &[
    ("containers", OCI.commands),
    ("containers from images", STANDALONE.commands),
    ("images", IMAGE.commands),
];

fn answer(parsed: Parsed, global: &Values, log: &Log) -> Result<u8, Failure> {
    let call = match parsed {
        Parsed::Help(Some(command)) => return say(&help_of(command)),
        Parsed::Help(None) => return say(&help(GROUPS)),
        Parsed::Version => return say(&version()),
        Parsed::Call(call) => call,
    };
    let done = commands::carry_out(&call, global, log);
    done.map_err(|failed| Failure::of_command(failed.error, call.command).with_status(failed.status))
}

fn say(text: &str) -> Result<u8, Failure> {
    output::print(text).map(|()| 0).map_err(Failure::of_door)
}
