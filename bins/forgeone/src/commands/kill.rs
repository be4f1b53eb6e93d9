//! `kill`: a signal for the container.

use super::Door;
use forgeone_cli::{Call, usage};
use forgeone_runtime::{Kind, Result};
use forgeone_sys::signal::signal_number;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let word = call.words.get(1).filter(|word| !word.is_empty());
    let name = word.map_or("TERM".into(), |word| word.to_string_lossy());
    let signal = signal_number(&name).ok_or_else(|| usage(format!("unknown signal {name:?}")))?;
    let all = call.flags.switch("all");
    match door.runtime.kill(call.id()?, signal, all) {
        // As with runc: all processes of a stopped container have had the signal.
        Err(e) if all && e.kind() == Kind::State => Ok(0),
        done => done.map(|()| 0),
    }
}
