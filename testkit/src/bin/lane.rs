//! Runs a program as on an older kernel, or inside somebody's seccomp filter: the newer system calls fail.
//!
//! `lane ENOSYS|EPERM PROGRAM [ARGUMENT …]`
//!
//! The filter is inherited by all that the program starts. It doesn't set no_new_privs, which would be seen inside a
//! container; so the caller needs `CAP_SYS_ADMIN`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "it has no other way to say what is wrong")]

use forgeone_sys::Errno;
use forgeone_sys::process;
use forgeone_sys::seccomp::{Instruction, seccomp_load};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// The calls that fail. They are younger than the numbering that all architectures share (5.1), so there is one number
/// for each.
const CALLS: [(&str, u32); 10] = [
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("pidfd_open", 434),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("mount_setattr", 442),
];

/// Classic BPF: load a word of `struct seccomp_data`, compare, return.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

fn main() {
    let failure = run().unwrap_or_else(|usage| usage);
    eprintln!("lane: {failure}");
    std::process::exit(125)
}

/// Comes back only with what is wrong.
fn run() -> Result<String, String> {
    let mut args = std::env::args_os().skip(1);
    let usage = || "usage: lane ENOSYS|EPERM PROGRAM [ARGUMENT …]".to_owned();
    let errno = match args.next().as_deref().and_then(|word| word.to_str()) {
        Some("ENOSYS") => Errno::NOSYS,
        Some("EPERM") => Errno::PERM,
        _ => return Err(usage()),
    };
    let argv = strings(args);
    let program = argv.first().ok_or_else(usage)?;
    let env = strings(std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    seccomp_load(&filter(errno), 0).map_err(|e| e.to_string())?;
    Ok(process::execve(program, &argv, &env).to_string())
}

fn strings(values: impl Iterator<Item = OsString>) -> Vec<CString> {
    values.filter_map(|value| CString::new(value.into_vec()).ok()).collect()
}

fn filter(errno: Errno) -> Vec<Instruction> {
    let op = |code, k| Instruction { code, k, ..Instruction::default() };
    let mut program = vec![op(LOAD, 0)];
    for (_, number) in CALLS {
        program.push(Instruction { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: number });
        program.push(op(RETURN, ERRNO | errno.raw_os_error() as u32));
    }
    program.push(op(RETURN, ALLOW));
    program
}
