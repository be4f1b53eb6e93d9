//! Starts other programs from a process that is itself small, so that it isn't measured with them.
//!
//! `launch peak PROGRAM [ARGUMENT …]` prints the peak of resident memory in KiB, of the program and of all that it
//! waited for. `launch burst N PROGRAM [ARGUMENT …]` starts it N times at once, `{}` in an argument being the number
//! of each, and waits for all. The exit status is the last one that isn't 0.
#![forbid(unsafe_code)]
#![no_main]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

use forgeone_sys::process::{CloneArgs, Forked, clone, execve, exit, wait, wait_with_peak};
use forgeone_sys::{Errno, Result};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

forgeone_sys::entry!(launch);

fn launch() -> u8 {
    let words: Vec<String> =
        forgeone_sys::entry::args().into_iter().skip(1).filter_map(|word| word.into_string().ok()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let status = match words.as_slice() {
        ["peak", command @ ..] if !command.is_empty() => peak(command),
        ["burst", times, command @ ..] if !command.is_empty() => burst(times.parse().unwrap_or(0), command),
        _ => {
            eprintln!("usage: launch peak|burst N PROGRAM [ARGUMENT …]");
            return 2;
        }
    };
    status.unwrap_or_else(|e| {
        eprintln!("launch: {e}");
        125
    })
}

fn peak(command: &[&str]) -> Result<u8> {
    let (exit, peak) = wait_with_peak(start(command, 0)?)?;
    println!("{peak}");
    Ok(exit.status() as u8)
}

fn burst(times: u32, command: &[&str]) -> Result<u8> {
    let children = (0..times).map(|number| start(command, number)).collect::<Result<Vec<i32>>>()?;
    let mut status = 0;
    for child in children {
        match wait(child)?.status() {
            0 => {}
            bad => status = bad as u8,
        }
    }
    Ok(status)
}

/// The number of the new process.
fn start(command: &[&str], number: u32) -> Result<i32> {
    match clone(&CloneArgs::default())? {
        Forked::Parent(child) => Ok(child.pid),
        Forked::Child => {
            let words = command.iter().map(|word| word.replace("{}", &number.to_string()));
            let argv: Vec<_> = words.filter_map(|word| CString::new(word).ok()).collect();
            let env: Vec<_> = std::env::vars_os().filter_map(variable).collect();
            let failed = execve(&argv[0], &argv, &env);
            eprintln!("launch: {failed}");
            exit(if failed.errno() == Errno::NOENT { 127 } else { 126 })
        }
    }
}

fn variable((mut name, value): (OsString, OsString)) -> Option<CString> {
    name.push("=");
    name.push(value);
    CString::new(name.into_vec()).ok()
}
