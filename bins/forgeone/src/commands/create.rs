//! `create`: a container whose program waits for `start`.

use super::{Door, create_options};
use forgeone_cli::Call;
use forgeone_cli::settings::make_runtime_dir;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let options = create_options(door, call, true)?;
    make_runtime_dir(&door.root)?;
    let started = door.runtime.create(call.id()?, &options)?;
    door.warn("create", &started);
    door.log.debug(|| format!("created: init is process {}", started.pid));
    Ok(0)
}
