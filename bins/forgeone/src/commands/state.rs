//! `state`: the state of a container as JSON.

use super::{Door, show};
use forgeone_cli::Call;
use forgeone_cli::output;
use forgeone_runtime::Result;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let row = door.runtime.state(call.id()?)?;
    output::print(&show::pretty(&show::container(&row, ""), b"  ")?)?;
    Ok(0)
}
