//! The door: runc's command line over the ForgeOne runtime.
//!
//! It parses ([`args`]), puts its binary out of the program's reach if one is to be started, opens the log
//! ([`log`]), carries out one command ([`commands`]) and reports once ([`report`]).

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod args;
mod commands;
mod foreground;
mod inherit;
mod log;
mod output;
mod own;
mod report;
mod settings;

use args::{Parsed, Values};
use commands::Door;
use forgeone_runtime::lifecycle;
use forgeone_sys::signal::keep_children;
use log::Log;
use report::Failure;

#[cfg(not(test))]
forgeone_sys::entry!(run);

#[cfg_attr(test, allow(dead_code))]
fn run() -> u8 {
    let words = forgeone_sys::entry::args();
    if words.first().is_some_and(|name| name == own::NAME) {
        return own::report::main();
    }
    // Before any child is made; who started us may ignore its own.
    if let Err(e) = keep_children() {
        return Failure::of_door(e.into()).report(&Log::default());
    }
    let mut global = Values::default();
    let parsed = args::parse(words.into_iter().skip(1), &mut global);
    let parsed = parsed.map_err(Failure::of_misuse).and_then(protect).and_then(inherit::check);
    let log = match Log::open(&global) {
        Ok(log) => log,
        Err(e) => return Failure::of_door(e).report(&Log::default()),
    };
    match parsed.and_then(|parsed| answer(parsed, &global, &log)) {
        Ok(status) => status,
        Err(failure) => failure.report(&log),
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
fn answer(parsed: Parsed, global: &Values, log: &Log) -> Result<u8, Failure> {
    let call = match parsed {
        Parsed::Help(command) => return say(&args::help(command)),
        Parsed::Version => return say(&report::version()),
        Parsed::Call(call) => call,
    };
    let done = Door::open(global, log).and_then(|door| (call.command.run)(&door, &call));
    done.map_err(|e| Failure::of_command(e, call.command))
}

fn say(text: &str) -> Result<u8, Failure> {
    output::print(text).map(|()| 0).map_err(Failure::of_door)
}
