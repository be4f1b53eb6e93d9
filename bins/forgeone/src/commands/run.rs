//! `run`: create, start, wait for the end, delete.

use super::{Door, create_options};
use crate::args::Call;
use crate::foreground::Foreground;
use crate::settings::make_runtime_dir;
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::CreateOptions;
use forgeone_sys::process::set_child_subreaper;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let detach = call.flags.switch("detach");
    let options = create_options(call, detach)?;
    make_runtime_dir(&door.root)?;
    if detach {
        return detached(door, call.id()?, &options);
    }
    if !call.flags.switch("no-subreaper") {
        set_child_subreaper(true)?;
    }
    attended(door, call.id()?, &options, call.flags.switch("keep"))
}

fn detached(door: &Door, id: &str, options: &CreateOptions) -> Result<u8> {
    let started = door.runtime.run(id, options)?;
    door.warn("run", &started);
    door.log.debug(|| format!("started: init is process {}", started.pid));
    Ok(0)
}

fn attended(door: &Door, id: &str, options: &CreateOptions, keep: bool) -> Result<u8> {
    let foreground = Foreground::prepare(door.log)?;
    let started = door.runtime.run(id, options)?;
    door.warn("run", &started);
    let status = foreground.attend(started);
    if let Ok(status) = status {
        leave(door, door.runtime.exited(id, status.into()));
    }
    if !keep {
        let deleted = door.runtime.delete(id, true);
        leave(
            door,
            deleted.map(|warnings| warnings.iter().for_each(|w| door.log.warn(&format!("run: {w}")))),
        );
    }
    status
}

/// The program's status is what the caller waits for: what fails behind it is reported and changes nothing.
fn leave(door: &Door, done: Result<()>) {
    if let Err(e) = done {
        door.log.error(&format!("run: {e}"));
    }
}
