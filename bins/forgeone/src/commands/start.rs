//! `start`: the program of a created container.

use super::Door;
use crate::inherit::notify_socket;
use forgeone_cli::Call;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let started = door.runtime.start(call.id()?, notify_socket().as_deref())?;
    door.warn("start", &started);
    door.log.debug(|| format!("started: init is process {}", started.pid));
    door.await_ready("start", &started);
    Ok(0)
}
