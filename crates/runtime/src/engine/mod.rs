//! Engines: what executes a container's program, in the sandbox that all of them share.
//!
//! The sandbox (namespaces, cgroup, mounts, capabilities, seccomp) is always built by `lifecycle`. An engine
//! only says what it needs changed in the plan, and takes the last step inside.

mod native;

pub use native::Native;

use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use forgeone_config::ExecMode;
use std::ffi::CString;

/// An engine.
pub trait Engine {
    /// Its name in `state.json` and in annotations.
    fn name(&self) -> &'static str;

    /// Changes the plan to what the engine needs: root, mounts, devices, descriptors. Pure.
    ///
    /// # Errors
    /// [`Kind::Config`] or [`Kind::Unsupported`] for a plan that it can't execute, naming the field.
    fn adapt(&self, plan: &mut Plan) -> Result<()>;

    /// The last step of init, in the finished sandbox: becomes the program. Returns only on failure.
    fn execute(&self, program: &Program) -> Error;
}

/// What the last step is given.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program's path inside the container, already found.
    pub path: CString,
    /// Its arguments.
    pub args: Vec<CString>,
    /// Its environment.
    pub env: Vec<CString>,
}

/// The engine of a mode.
///
/// # Errors
/// [`Kind::Unsupported`] for one that is not part of this version.
pub fn of(mode: ExecMode) -> Result<&'static dyn Engine> {
    match mode {
        ExecMode::Native => Ok(&Native),
        other => {
            Err(Error::new(Kind::Unsupported, format!("the engine {other:?} is not part of this version")))
        }
    }
}
