//! What is handed on to forgeone-image: `config`, which needs formats that the door doesn't read, and the commands for
//! images.

use super::{Door, wants_json};
use crate::args::Call;
use forgeone_runtime::{Error, Kind, Result};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Where it lies, from where the door's directory is.
const HELPER: &str = "libexec/forgeone/forgeone-image";

/// Comes back only if the helper can't be executed.
pub(crate) fn run(_: &Door, call: &Call) -> Result<u8> {
    wants_json(call)?;
    let door = std::env::current_exe().unwrap_or_default();
    let helper = door.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join(HELPER);
    let failure =
        Command::new(&helper).arg(call.command.name).args(call.flags.words()).args(&call.words).exec();
    let message = format!("execute {}: {failure}; make install brings it", helper.display());
    Err(Error::new(Kind::System, message))
}
