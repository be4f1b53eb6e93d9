//! `pause`: all processes of a container are suspended.

use super::Door;
use forgeone_cli::Call;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    door.runtime.pause(call.id()?).map(|()| 0)
}
