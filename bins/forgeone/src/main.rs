//! The door: runc's command line over the ForgeOne runtime.
//!
//! It parses, hands over what is another program's work ([`mod@hand_over`]), puts its binary out of the program's reach if one
//! is to be started, opens the log, carries out one command ([`commands`]) and reports once.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod commands;
mod foreground;
mod hand_over;
mod inherit;
mod own;

use commands::Door;
use forgeone_cli::tables::OCI;
use forgeone_cli::{Command, Failure, Log, Misuse, Parsed, Values, help, help_of, output, parse, version};
use forgeone_runtime::{Error, Kind, lifecycle};
use forgeone_sys::signal::keep_children;
use std::ffi::OsString;

#[cfg(not(test))]
forgeone_sys::entry!(run);

#[cfg_attr(test, allow(dead_code))]
fn run() -> u8 {
    let words = forgeone_sys::entry::args();
    if words.first().is_some_and(|name| name == own::NAME) {
        return own::report::main();
    }
    let words = words.get(1..).unwrap_or_default();
    // Before any child is made; who started us may ignore its own.
    if let Err(e) = keep_children() {
        return Failure::of_door(e.into()).report(&Log::default());
    }
    let mut global = Values::default();
    let parsed = parse(&OCI, words.iter().cloned(), &mut global);
    let parsed = hand_over(parsed, words).map_err(Failure::of_misuse);
    let parsed = parsed.and_then(protect).and_then(inherit::check);
    let log = match Log::open(&global) {
        Ok(log) => log,
        Err(e) => return Failure::of_door(e).report(&Log::default()),
    };
    match parsed.and_then(|parsed| answer(parsed, words, &global, &log)) {
        Ok(status) => status,
        Err(failure) => failure.report(&log),
    }
}

/// Comes back with what is the door's work. Without the other program, words that might be meant for it are the door's
/// to refuse.
fn hand_over(parsed: Result<Parsed, Misuse>, words: &[OsString]) -> Result<Parsed, Misuse> {
    let Some((program, needed)) = hand_over::whose(&parsed, words) else { return parsed };
    let failure = match (words.first(), words.get(1)) {
        // `help images` is `images --help` there.
        (Some(help), Some(topic)) if needed && help == "help" => {
            program.execute([topic.clone(), "--help".into()])
        }
        _ => program.execute(words),
    };
    match parsed {
        Err(misuse) if needed => {
            Err(Misuse { error: Error::new(Kind::System, failure), status: 1, ..misuse })
        }
        parsed => parsed,
    }
}
/// Executes the door again from a place where nobody can write to it, if it isn't there yet and is about to start a
/// program that could.
fn protect(parsed: Parsed) -> Result<Parsed, Failure> {
    if let Parsed::Call(call) = &parsed
        && call.command.starts_program
    {
        lifecycle::protect().map_err(|e| Failure::of_command(e, call.command))?;
    }
    Ok(parsed)
}

/// Does what was asked for; the exit status.
fn answer(parsed: Parsed, words: &[OsString], global: &Values, log: &Log) -> Result<u8, Failure> {
    let call = match parsed {
        Parsed::Help(None) => return say(&whole()),
        Parsed::Help(Some(command)) => return tell(command),
        Parsed::Version => return say(&version()),
        Parsed::Call(call) => call,
    };
    let done = Door::open(global, log).and_then(|door| {
        let done = commands::carry_out(&door, &call);
        if let Err(e) = &done
            && matches!(e.kind(), Kind::NotFound | Kind::Usage)
            && let Some(program) = hand_over::elsewhere(&call, global, &door.root.path)
        {
            program.execute(words);
        }
        done
    });
    done.map_err(|e| Failure::of_command(e, call.command))
}

/// The help of the whole: the other program knows all of it.
fn whole() -> String {
    hand_over::STANDALONE.execute(["--help"]);
    help(&[("containers", OCI.commands)])
}

/// A command's help; what else it can with containers from images, the other program tells.
fn tell(command: &Command) -> Result<u8, Failure> {
    let status = say(&help_of(command))?;
    if let Some(program) = hand_over::program(command.name.as_ref()) {
        program.execute([command.name, "--help"]);
    }
    Ok(status)
}

fn say(text: &str) -> Result<u8, Failure> {
    output::print(text).map(|()| 0).map_err(Failure::of_door)
}
