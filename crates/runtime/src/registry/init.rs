//! The init of containers that ask for one (`init: true`): process 1, which starts the program, passes signals on to it, and
//! reaps what others leave.
//!
//! It is `forgeone-standalone`, bound inside read-only: nothing but system calls and its own words, so that it works in
//! any root file system. What a terminal's keys send goes to the program by itself, since it is in the same group.

use crate::error::{During, Result};
use forgeone_sys::process;
use forgeone_sys::signal::{self, signal_number};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::{Child, Command};

/// signal(7): sent by the kernel, as a terminal's keys are (`SI_KERNEL`).
const BY_KERNEL: i32 = 0x80;

/// The exit status of an init that fails itself, of a program that can't be executed, and of one that isn't there.
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Starts the program that the words are, behind `--`, and ends as it does; the exit status.
pub fn init(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().skip_while(|word| word == "--").collect();
    let Some((program, arguments)) = words.split_first() else {
        return tell("init: no program is named", FAILED);
    };
    match start(program, arguments) {
        Ok(Started::Program(child, signals)) => match watch(&child, &signals) {
            Ok(status) => status,
            Err(e) => tell(&e.to_string(), FAILED),
        },
        Ok(Started::Not(e)) => {
            let status = if e.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            tell(&format!("{}: {e}", program.display()), status)
        }
        Err(e) => tell(&e.to_string(), FAILED),
    }
}

enum Started {
    Program(Child, forgeone_sys::OwnedFd),
    Not(std::io::Error),
}

/// Signals are blocked before, so that none is lost that comes while the program is started.
fn start(program: &OsString, arguments: &[OsString]) -> Result<Started> {
    signal::block_all().during(|| "init")?;
    let signals = signal::signalfd().during(|| "init")?;
    let mut command = Command::new(program);
    signal::reset_all_in(command.args(arguments));
    Ok(match process::spawn(&mut command) {
        Ok(child) => Started::Program(child, signals),
        Err(e) => Started::Not(e),
    })
}

/// Until the program has ended; then the kernel ends all that is left.
fn watch(child: &Child, signals: &forgeone_sys::OwnedFd) -> Result<u8> {
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    let ended = signal_number("CHLD");
    loop {
        signal::wait_readable(signals, None).during(|| "init")?;
        while let Some(came) = signal::read_signal(signals).during(|| "init")? {
            if Some(came.number) == ended {
                while let Some((reaped, exit)) = process::wait_any_nohang().during(|| "init")? {
                    if reaped == pid {
                        return Ok(u8::try_from(exit.status()).unwrap_or(FAILED));
                    }
                }
            } else if came.code != BY_KERNEL {
                // It may have ended just now.
                let _ = process::kill(pid, came.number);
            }
        }
    }
}

fn tell(line: &str, status: u8) -> u8 {
    // Nobody is left to be told if that fails.
    let _ = writeln!(std::io::stderr(), "forgeone: {line}");
    status
}
