//! What the door is given by its caller besides words: descriptors that are to be passed on.
//!
//! They are looked at before the door opens anything, so that a number that the caller left free can't come to
//! mean the log or another file of ours. The others that were left open to us are for nobody: hooks, which we execute
//! as well, don't get them (CVE-2024-21626).

use crate::args::{Parsed, usage};
use crate::report::Failure;
use forgeone_sys::process::close_range_cloexec;
use std::path::Path;

/// The first descriptor behind the standard ones.
const FIRST: u32 = 3;

/// Checks that the descriptors which `--preserve-fds` promises are there, and keeps the others to ourselves.
pub(crate) fn check(parsed: Parsed) -> Result<Parsed, Failure> {
    if let Parsed::Call(call) = &parsed {
        let checked = call.flags.number("preserve-fds").and_then(|count| {
            let count = count.unwrap_or(0);
            open(count)?;
            Ok(close_range_cloexec(FIRST.saturating_add(count))?)
        });
        checked.map_err(|e| Failure::of_command(e, call.command))?;
    }
    Ok(parsed)
}

fn open(count: u32) -> forgeone_runtime::Result<()> {
    let is_open = |number: &u32| Path::new(&format!("/proc/self/fd/{number}")).symlink_metadata().is_ok();
    match (FIRST..FIRST.saturating_add(count)).find(|number| !is_open(number)) {
        Some(number) => Err(usage(format!("option --preserve-fds {count}: descriptor {number} is not open"))),
        None => Ok(()),
    }
}
