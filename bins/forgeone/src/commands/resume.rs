//! `resume`: the processes of a paused container go on.

use super::Door;
use forgeone_cli::Call;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    door.runtime.resume(call.id()?).map(|()| 0)
}
