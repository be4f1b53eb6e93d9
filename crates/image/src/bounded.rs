//! Work that its input may make endless (templates, users' rules) is done by a process of its own, with limits.

use crate::failure::Failure;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first word of that process.
pub(crate) const WORD: &str = "bounded";

const MEMORY: u64 = 1 << 30;
const SECONDS: u64 = 10;

static INSIDE: AtomicBool = AtomicBool::new(false);

/// Limits this process, which does the work.
pub(crate) fn enter() -> Result<(), Failure> {
    for (limit, value) in [("RLIMIT_AS", MEMORY), ("RLIMIT_CPU", SECONDS), ("RLIMIT_CORE", 0)] {
        let (_, hard) = forgeone_sys::rlimit::getrlimit(limit).map_err(Failure::new)?;
        let value = value.min(hard);
        forgeone_sys::rlimit::setrlimit(limit, value, value).map_err(Failure::new)?;
    }
    INSIDE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Has `config COMMAND WORDS` done by such a process; its exit status. `None` if this process is it.
pub(crate) fn apart(command: &str, words: &[OsString]) -> Result<Option<u8>, Failure> {
    if INSIDE.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let failed = |e: std::io::Error| Failure::new(format_args!("execute this program again: {e}"));
    let mut child = Command::new(std::env::current_exe().map_err(failed)?);
    child.args([WORD, "config", command]).args(words).stderr(Stdio::piped());
    let output = child.stdout(Stdio::inherit()).stdin(Stdio::inherit()).spawn().map_err(failed)?;
    let output = output.wait_with_output().map_err(failed)?;
    let Some(status) = output.status.code() else {
        let (memory, seconds) = (MEMORY >> 20, SECONDS);
        let message = format!("it takes more than {memory} MiB of memory or {seconds} s of processor time");
        return Err(Failure::new(message));
    };
    // Nobody is left to be told if that fails.
    let _ = std::io::stderr().write_all(&output.stderr);
    Ok(Some(u8::try_from(status).unwrap_or(1)))
}
