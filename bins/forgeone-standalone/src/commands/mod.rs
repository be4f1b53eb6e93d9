//! The commands, one a file.

mod complete;

use forgeone_cli::{Call, usage};
use forgeone_runtime::Result;

/// Carries a command out; the exit status.
pub(crate) fn carry_out(call: &Call) -> Result<u8> {
    match call.command.name {
        "completion" => complete::run(call),
        _ => Err(usage("no such command")),
    }
}
