//! The life of a container: create, start, exec, kill, pause, delete, and what is known of it in between.

mod options;

pub use options::*;

use crate::error::{Error, Kind, Result};
use crate::spec::State;

/// The runtime with a place for its state; every command is one of its methods.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Where the states are kept, one directory per container.
    pub settings: Settings,
}

fn absent<T>() -> Result<T> {
    Err(Error::new(Kind::Unsupported, "being built"))
}

impl Runtime {
    /// A runtime with these settings; touches nothing.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Creates a container from a bundle; its program waits for [`Runtime::start`].
    pub fn create(&self, _id: &str, _options: &CreateOptions) -> Result<Started> {
        absent()
    }

    /// Starts the program of a created container.
    pub fn start(&self, _id: &str) -> Result<()> {
        absent()
    }

    /// Creates and starts in one go, without the detour over the rendezvous socket.
    pub fn run(&self, _id: &str, _options: &CreateOptions) -> Result<Started> {
        absent()
    }

    /// Starts another program in a running container.
    pub fn exec(&self, _id: &str, _options: &ExecOptions) -> Result<Started> {
        absent()
    }

    /// Sends a signal to the container's init, or to all of its processes.
    pub fn kill(&self, _id: &str, _signal: i32, _all: bool) -> Result<()> {
        absent()
    }

    /// Removes a stopped container; with `force` it is killed first and a missing one is no error.
    pub fn delete(&self, _id: &str, _force: bool) -> Result<()> {
        absent()
    }

    /// Freezes all processes.
    pub fn pause(&self, _id: &str) -> Result<()> {
        absent()
    }

    /// Thaws them.
    pub fn resume(&self, _id: &str) -> Result<()> {
        absent()
    }

    /// The state as the specification prints it.
    pub fn state(&self, _id: &str) -> Result<State> {
        absent()
    }

    /// What `list` shows, by id; entries that can't be read are given with their error.
    pub fn list(&self) -> Result<Vec<Result<Listed>>> {
        absent()
    }

    /// Process ids of all processes in the container, as the caller's PID namespace sees them.
    pub fn pids(&self, _id: &str) -> Result<Vec<i32>> {
        absent()
    }
}
