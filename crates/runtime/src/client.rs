//! The runtime for programs that have threads: whatever clones is done by the door, as a process of its own.
//!
//! A fork of a threaded process may do next to nothing before it executes, so the library never clones in its
//! caller: it checks the bundle, and spawns `forgeone` for the rest. What only reads or signals is done here.

use crate::bundle;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::{CreateOptions, Listed, Runtime, Settings};
use crate::plan;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// See the module.
#[derive(Debug)]
pub struct Client {
    door: PathBuf,
    settings: Settings,
}

impl Client {
    /// A client that spawns `door` (the `forgeone` binary), with its states where `settings` say.
    pub fn new(door: impl Into<PathBuf>, settings: Settings) -> Self {
        Self { door: door.into(), settings }
    }

    /// Creates a container. Its standard streams are `/dev/null`: a program with threads and a container don't
    /// share theirs by accident.
    ///
    /// # Errors
    /// What is wrong with the id or the bundle, before anything is spawned; otherwise what the door says.
    pub fn create(&self, id: &str, options: &CreateOptions) -> Result<()> {
        plan::check_id(id)?;
        bundle::load(&options.bundle)?;
        let mut command = self.command("create");
        command.arg("--bundle").arg(&options.bundle);
        let files = [("--console-socket", &options.console_socket), ("--pid-file", &options.pid_file)];
        for (flag, file) in files {
            if let Some(file) = file {
                command.arg(flag).arg(file);
            }
        }
        for (flag, on) in [("--no-pivot", options.no_pivot), ("--no-new-keyring", options.no_new_keyring)] {
            if on {
                command.arg(flag);
            }
        }
        finish(command.arg(id))
    }

    /// Starts the program of a created container.
    ///
    /// # Errors
    /// What the door says.
    pub fn start(&self, id: &str) -> Result<()> {
        finish(self.command("start").arg(id))
    }

    /// Starts another program in a running container and leaves it alone; its process id goes into `pid_file`.
    ///
    /// # Errors
    /// What the door says.
    pub fn exec(&self, id: &str, process: &Path, pid_file: Option<&Path>) -> Result<()> {
        let mut command = self.command("exec");
        command.args([OsStr::new("--detach"), OsStr::new("--process"), process.as_os_str()]);
        if let Some(file) = pid_file {
            command.arg("--pid-file").arg(file);
        }
        finish(command.arg(id))
    }

    /// Removes a container; its hooks make processes, so the door does it.
    ///
    /// # Errors
    /// What the door says.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let mut command = self.command("delete");
        if force {
            command.arg("--force");
        }
        finish(command.arg(id))
    }

    /// Sends a signal to the container's init, or to all of its processes.
    ///
    /// # Errors
    /// As [`Runtime::kill`].
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        Runtime::new(self.settings.clone()).kill(id, signal, all)
    }

    /// The container's state.
    ///
    /// # Errors
    /// As [`Runtime::state`].
    pub fn state(&self, id: &str) -> Result<Listed> {
        Runtime::new(self.settings.clone()).state(id)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.door);
        command.arg("--root").arg(&self.settings.root);
        if self.settings.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        if let Some(rootless) = self.settings.rootless {
            command.arg(format!("--rootless={rootless}"));
        }
        // Whoever this program is a service of is told by itself.
        command.env_remove("NOTIFY_SOCKET");
        command.arg(name).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Runs the door to its end. Its error is a file in memory: a container keeps the stream open for as long as it lives,
/// and a pipe would be waited for that long.
fn finish(command: &mut Command) -> Result<()> {
    let failed = |cause: String| Error::new(Kind::System, format!("spawn the runtime: {cause}"));
    let errors = forgeone_sys::fs::memfd_create("stderr", false)?;
    let written = forgeone_sys::fs::dup(&errors)?;
    let status = command.stderr(Stdio::from(written)).status().map_err(|e| failed(e.to_string()))?;
    if status.success() {
        return Ok(());
    }
    forgeone_sys::fs::rewind(&errors)?;
    let text = forgeone_sys::fs::read_up_to(&errors, 16 << 10)?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().last().unwrap_or_default();
    let line = line.strip_prefix("forgeone: ").unwrap_or(line);
    Err(Error::new(Kind::System, if line.is_empty() { status.to_string() } else { line.to_owned() }))
}
