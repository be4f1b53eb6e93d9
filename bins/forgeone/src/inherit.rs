//! What the door is given by its caller besides words: descriptors that are to be passed on, and a service manager's
//! socket.
//!
//! Descriptors are looked at before the door opens anything, so that a number that the caller left free can't come to
//! mean the log or another file of ours. The others that were left open to us are for nobody: hooks, which we execute
//! as well, don't get them (CVE-2024-21626).

use forgeone_cli::Failure;
use forgeone_cli::{Call, Parsed, usage};
use forgeone_sys::process::{close_range_cloexec, getpid};
use std::ffi::OsString;
use std::path::Path;

/// The first descriptor behind the standard ones.
const FIRST: u32 = 3;

/// Checks that the descriptors which the environment and `--preserve-fds` promise are there, and keeps the others to
/// ourselves.
pub(crate) fn check(parsed: Parsed) -> Result<Parsed, Failure> {
    if let Parsed::Call(call) = &parsed {
        check_call(call).map_err(|e| Failure::of_command(e, call.command))?;
    }
    Ok(parsed)
}

fn check_call(call: &Call) -> forgeone_runtime::Result<()> {
    let listen = if call.command.makes_container() { listen_fds() } else { 0 };
    let preserve = call.flags.number("preserve-fds")?.unwrap_or(0);
    let end = FIRST.saturating_add(listen).saturating_add(preserve);
    let is_open = |number: &u32| Path::new(&format!("/proc/self/fd/{number}")).symlink_metadata().is_ok();
    match (FIRST..end).find(|number| !is_open(number)) {
        Some(number) if number - FIRST < listen => {
            Err(usage(format!("LISTEN_FDS {listen}: descriptor {number} is not open")))
        }
        Some(number) => {
            Err(usage(format!("option --preserve-fds {preserve}: descriptor {number} is not open")))
        }
        None => Ok(close_range_cloexec(end)?),
    }
}

/// How many sockets the service manager has given us (sd_listen_fds(3)): none if they were meant for another process.
pub(crate) fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    match number("LISTEN_PID") {
        Some(pid) if i64::from(pid) == i64::from(getpid()) => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

/// Where the service manager wants to be told that the service is ready (sd_notify(3)).
pub(crate) fn notify_socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
}
