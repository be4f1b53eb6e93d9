//! What the monitor has the door do: make the container run, run programs in it, take it away.

use super::streams::Inside;
use super::{FAILED, Failure};
use crate::error::{During, Error, Kind, Result};
use crate::lifecycle::{Runtime, Settings};
use crate::registry::Places;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd, process, signal};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files in the container's directory.
const PID: &str = "pid";
const LOG: &str = "door.log";
pub(super) const CONSOLE: &str = "console.sock";

/// What the door logs is read up to this size.
const LOG_MAX: usize = 1 << 20;

/// The door, for one container.
#[derive(Debug)]
pub(super) struct Door {
    places: Places,
    id: String,
    directory: PathBuf,
}

/// The standard streams of a door that is started.
pub(super) enum Stdio3 {
    /// None: the container gets a terminal.
    Terminal,
    /// The container's.
    Pipes(Inside),
}

impl Door {
    pub(super) fn new(places: Places, id: &str, directory: &Path) -> Self {
        Self { places, id: id.to_owned(), directory: directory.to_owned() }
    }

    /// The runtime, for what makes no processes.
    pub(super) fn runtime(&self) -> Runtime {
        Runtime::new(self.settings())
    }

    fn settings(&self) -> Settings {
        Settings { root: self.places.state_root.clone(), systemd_cgroup: false, rootless: None }
    }

    /// Starts `run`; gives the door's process, which ends when the container's program runs. Its init is then a child of
    /// ours, and its number in a file, see [`Door::init`].
    pub(super) fn run(&self, streams: Stdio3) -> Result<i32> {
        let mut command = self.command();
        command.args(["--log-format", "json", "--log"]).arg(self.directory.join(LOG));
        command.args(["run", "--detach", "--bundle"]).arg(&self.directory);
        command.arg("--pid-file").arg(self.directory.join(PID));
        match streams {
            Stdio3::Terminal => {
                command.arg("--console-socket").arg(self.directory.join(CONSOLE));
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            }
            Stdio3::Pipes(Inside { stdin, stdout, stderr }) => {
                command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
            }
        }
        self.spawn(command.arg(&self.id))
    }

    /// Starts another program in the container, which becomes a child of ours; gives the door's process, as
    /// [`Door::run`] does. What both write goes to `output`.
    pub(super) fn exec(&self, words: &[String], pid_file: &str, output: &OwnedFd) -> Result<i32> {
        let mut command = self.command();
        command.args(["exec", "--detach", "--pid-file"]).arg(self.directory.join(pid_file));
        command.arg(&self.id).args(words).stdin(Stdio::null());
        command.stdout(Stdio::from(fs::dup(output)?)).stderr(Stdio::from(fs::dup(output)?));
        self.spawn(&mut command)
    }

    /// Takes away what there is of the container in the door's states, if there is anything.
    pub(super) fn delete(&self, dir: &OwnedFd) -> Result<()> {
        if !self.places.state_root.join(&self.id).exists() {
            return Ok(());
        }
        forget(dir, LOG)?;
        let mut command = self.command();
        command.args(["--log-format", "json", "--log"]).arg(self.directory.join(LOG));
        command.args(["delete", "--force", &self.id]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match process::wait(self.spawn(&mut command)?)? {
            process::Exit::Code(0) => Ok(()),
            exit => Err(self.failure(dir, exit).error),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.places.door);
        command.arg("--root").arg(&self.places.state_root).current_dir("/");
        // The mask of blocked signals would be inherited.
        signal::reset_all_in(&mut command);
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<i32> {
        let failed = |e: std::io::Error| {
            Error::new(Kind::System, format!("execute {}: {e}", self.places.door.display()))
        };
        // It is waited for with all other children.
        Ok(process::spawn(command).map_err(failed)?.id().cast_signed())
    }

    /// Takes away what an earlier start has left in the directory.
    pub(super) fn clear(&self, dir: &OwnedFd) -> Result<()> {
        [PID, LOG, CONSOLE].into_iter().try_for_each(|name| forget(dir, name))
    }

    /// The number of the container's init, once `run` has succeeded.
    pub(super) fn init(&self, dir: &OwnedFd) -> Result<i32> {
        pid(dir, PID)
    }

    /// What the door had to say: warnings where it succeeded.
    pub(super) fn said(&self, dir: &OwnedFd) -> Vec<String> {
        let text = fs::read_file_at(dir, LOG, LOG_MAX).unwrap_or_default();
        let entries = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        entries.filter_map(|entry: Value| Some(entry["msg"].as_str()?.to_owned())).collect()
    }

    /// Why `run` failed: the last of it.
    pub(super) fn failure(&self, dir: &OwnedFd, exit: process::Exit) -> Failure {
        match self.said(dir).pop() {
            Some(message) => {
                let status = status_of(&message);
                let kind = if status == FAILED { Kind::System } else { Kind::Program };
                Failure { error: Error::new(kind, message), status }
            }
            None => Error::new(Kind::System, format!("the runtime ended with {exit:?}")).into(),
        }
    }
}

/// Docker's and Podman's exit statuses for a program that isn't there, or can't be executed. The door's message is
/// `… exec: "PROGRAM": CAUSE`.
fn status_of(message: &str) -> u8 {
    let Some((_, cause)) = message.split_once("exec: \"").and_then(|(_, rest)| rest.rsplit_once("\": "))
    else {
        return FAILED;
    };
    match ["no such file", "not found"].iter().any(|words| cause.contains(words)) {
        true => 127,
        false => 126,
    }
}

/// A process's number from a file of the door's.
pub(super) fn pid(dir: &OwnedFd, name: &str) -> Result<i32> {
    let text = fs::read_file_at(dir, name, 64).during(|| "process id")?;
    let text = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    text.parse().map_err(|_| Error::new(Kind::System, format!("process id: {text:?} is none")))
}

/// Removes a file, if it is there.
pub(super) fn forget(dir: &OwnedFd, name: &str) -> Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => Err(e.into()),
        _ => Ok(()),
    }
}

/// Opens a container's directory.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(fs::open(path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_dockers() {
        for (message, status) in [
            (r#"run: exec: "nope": executable file not found in $PATH"#, 127),
            (r#"run: exec: "/nope": stat /nope: no such file or directory"#, 127),
            (r#"run: exec: "/etc": is a directory: permission denied"#, 126),
            (r#"run: exec: "/etc/passwd": permission denied"#, 126),
            (r#"run: exec: "/x": exec format error (ENOEXEC)"#, 126),
            (r#"run: mounts[3]: /nope: no such file or directory"#, 125),
            ("", 125),
        ] {
            assert_eq!(status_of(message), status, "{message}");
        }
    }
}
