//! `start`: the program of a created container.

use super::Door;
use crate::args::Call;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    door.runtime.start(call.id()?).map(|()| 0)
}
