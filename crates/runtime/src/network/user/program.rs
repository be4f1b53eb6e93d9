//! Which program connects a user's containers, and how it is started.

use super::record::Process;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::{BorrowedFd, fs, process, signal};
use serde::{Deserialize, Serialize};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that speaks for containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// pasta(1) of passt: keeps the source addresses of who comes by a published port.
    Pasta,
    /// slirp4netns(1).
    Slirp4netns,
}

impl Program {
    /// The program of this name.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Pasta, Self::Slirp4netns].into_iter().find(|program| program.word() == word)
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Pasta => "passt",
            Self::Slirp4netns => "slirp4netns",
        }
    }
}

/// The program that is asked for, or those that are installed, the best one first.
pub(super) fn find(asked: Option<Program>) -> Result<Vec<(Program, PathBuf)>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from);
    let places: Vec<PathBuf> =
        std::env::split_paths(&path).filter(|place| place.is_absolute()).chain(usual).collect();
    let installed = |program: Program| {
        let found =
            places.iter().map(|place| place.join(program.word())).find(|path| fs::may_execute(path).is_ok());
        found.map(|path| (program, path))
    };
    let candidates = match asked {
        Some(program) => vec![program],
        None => vec![Program::Pasta, Program::Slirp4netns],
    };
    let found: Vec<_> = candidates.into_iter().filter_map(installed).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let message = match asked {
        Some(program) => {
            format!("user network: {} isn't installed; install the package {}", program.word(), program.package())
        }
        None => "user network: neither pasta nor slirp4netns is installed; install the package passt, or use --network none"
            .to_owned(),
    };
    Err(Error::new(Kind::Unsupported, message))
}

/// The program with the namespace as its standard input: `/proc/self/fd/0` is a path of it that needs no right to look into
/// another process.
pub(super) const NAMESPACE: &str = "/proc/self/fd/0";

/// A command with the namespace there, in a session of its own, in the container's directory.
pub(super) fn command(path: &Path, directory: &Path, namespace: BorrowedFd) -> Result<Command> {
    let mut command = Command::new(path);
    command.current_dir(directory).stdin(Stdio::from(fs::dup(namespace)?)).process_group(0);
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"] {
        command.env_remove(name);
    }
    signal::reset_all_in(&mut command);
    Ok(command)
}

pub(super) fn spawn(command: &mut Command) -> Result<Child> {
    process::spawn(command).map_err(|e| Error::new(Kind::System, e.to_string()))
}

/// What a program says is wrong: its last line, without its name.
pub(super) fn said(text: &[u8]) -> Error {
    let text = String::from_utf8_lossy(text);
    // Where there is no system log, it complains about that for each line; slirp4netns tells last that it has failed.
    let idle = |line: &&str| line.is_empty() || line.contains("syslog") || line.starts_with("child failed");
    let mut lines = text.lines().map(str::trim).filter(|line| !idle(line));
    let line = lines.next_back().unwrap_or("ended without a word");
    Error::new(Kind::System, line.trim_end_matches('.').to_owned())
}

/// A process by the number that a program gave.
pub(super) fn process_of(pid: i32) -> Result<Process> {
    Process::of(pid).ok_or_else(|| Error::new(Kind::System, "has ended at once")).during(|| "process")
}
