//! The native engine: the kernel executes the program.

use super::{Engine, Program};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use forgeone_sys::process;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Engine for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn adapt(&self, _plan: &mut Plan) -> Result<()> {
        // The plan describes the native engine's container: there is nothing to change.
        Ok(())
    }

    fn execute(&self, program: &Program) -> Error {
        let failed = process::execve(&program.path, &program.args, &program.env);
        // Without the arguments: they may be long, or secret.
        let call = format!("exec: \"{}\"", program.path.to_string_lossy());
        Error::new(Kind::Program, forgeone_sys::Error::new(call, failed.errno()).to_string())
    }
}
