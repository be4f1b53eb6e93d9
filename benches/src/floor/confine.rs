//! What a process gets right before its program: session, limits, capabilities, filter.

use crate::arguments::Arguments;
use forgeone_sys::credentials::{Capabilities, bounding_drop, capset};
use forgeone_sys::fs::{CWD, read_file_at};
use forgeone_sys::process::{chdir, execve, exit, set_no_new_privs, setsid};
use forgeone_sys::rlimit::setrlimit;
use forgeone_sys::seccomp::{Instruction, seccomp_load};
use forgeone_sys::{Error, Result};
use std::ffi::CString;

/// `CAP_KILL`, `CAP_NET_BIND_SERVICE`, `CAP_AUDIT_WRITE`.
const KEPT: u64 = 1 << 5 | 1 << 10 | 1 << 29;
/// `CAP_CHECKPOINT_RESTORE`, the last one since Linux 5.9.
const LAST: u32 = 40;

/// The filter's instructions, as they lie in the file; none without a file.
pub(crate) fn filter(arguments: &Arguments) -> Result<Vec<Instruction>> {
    if arguments.filter.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = read_file_at(CWD, arguments.filter.as_str(), 1 << 16)?;
    let (instructions, _) = bytes.as_chunks::<8>();
    Ok(instructions.iter().map(instruction).collect())
}

fn instruction(&[a, b, jt, jf, k0, k1, k2, k3]: &[u8; 8]) -> Instruction {
    Instruction { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
}

/// Becomes the program; comes back only with what is wrong.
pub(crate) fn become_program(arguments: &Arguments, filter: &[Instruction]) -> Result<Error> {
    setsid()?;
    setrlimit("RLIMIT_NOFILE", 1024, 1024)?;
    (0..=LAST).filter(|number| KEPT >> number & 1 == 0).try_for_each(bounding_drop)?;
    capset(&Capabilities { effective: KEPT, permitted: KEPT, inheritable: 0 })?;
    set_no_new_privs()?;
    chdir("/")?;
    if !filter.is_empty() {
        seccomp_load(filter, 0)?;
    }
    let env = [CString::from(c"PATH=/bin"), CString::from(c"TERM=xterm"), CString::from(c"HOME=/root")];
    Ok(execve(&arguments.program[0], &arguments.program, &env))
}

/// Ends a child that could not become the program.
pub(crate) fn give_up(failed: Result<Error>) -> ! {
    let (Ok(e) | Err(e)) = failed;
    eprintln!("floor: {e}");
    exit(125)
}
