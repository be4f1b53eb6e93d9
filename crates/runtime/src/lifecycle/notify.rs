//! `NOTIFY_SOCKET`: a program's word that it is ready, carried on to the service manager (sd_notify(3)).
//!
//! ```text
//! program ──READY=1──► /run/notify/notify.sock, bound from <state>/ID/notify ──► us ──READY=1, MAINPID=…──► manager
//! ```
//!
//! `create` mounts the directory, `start` (or `run`) makes the socket in it. Of what the program says only READY=1 is
//! carried on: the rest would make the manager believe a container about processes and descriptors of the host.

use super::proc;
use crate::error::{During, Result};
use crate::fs::Procfs;
use crate::spec::{Mount, Spec};
use crate::state::Dir;
use forgeone_sys::Errno;
use forgeone_sys::signal::{PollFd, poll, wait_readable};
use forgeone_sys::{fs, socket};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The directory in the container's state, and in `/run` inside.
const DIRECTORY: &str = "notify";

const SOCKET: &str = "notify.sock";

/// A notification is shorter (systemd takes 4096 bytes); what is longer isn't understood.
const MESSAGE_MAX: usize = 4096;

/// How long the manager may take to have read what it was sent, in milliseconds: as runc.
const BARRIER_MS: i32 = 30_000;

/// How often is looked whether init is still there, in milliseconds, where there are no pidfds.
const LOOK_MS: i32 = 100;

/// Adds to a config what the program needs to speak: a mount and a variable. `state` is the container's directory.
pub(super) fn plan(spec: &mut Spec, state: &Path) {
    spec.mounts.push(Mount {
        destination: format!("/run/{DIRECTORY}"),
        kind: "bind".to_owned(),
        source: state.join(DIRECTORY).display().to_string(),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET=/run/{DIRECTORY}/{SOCKET}"));
    }
}

/// Makes the directory that is mounted.
pub(super) fn prepare(dir: &Dir) -> Result<()> {
    dir.make_directory(DIRECTORY)
}

/// A container's socket, and the service manager's.
#[derive(Debug)]
pub struct Notify {
    inside: OwnedFd,
    manager: OwnedFd,
}

impl Notify {
    /// Connects to the service manager, and makes the container's socket; `None` if it was created without one.
    pub(super) fn listen(dir: &Dir, manager: &OsStr) -> Result<Option<Self>> {
        let Some(place) = dir.directory(DIRECTORY)? else { return Ok(None) };
        let manager = socket::connect_datagram(manager)?;
        Ok(Some(Self { inside: socket::bind_datagram(&place, SOCKET)?, manager }))
    }

    /// Reads one message, and says whether the program is ready by it. There must be one, or this waits.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn is_ready(&self) -> Result<bool> {
        match socket::receive(&self.inside, MESSAGE_MAX) {
            Ok(message) => Ok(says_ready(&message.bytes)),
            Err(e) if e.errno() == Errno::MSGSIZE => Ok(false),
            Err(e) => Err(e).during(|| "NOTIFY_SOCKET"),
        }
    }

    /// Tells the manager that the service is ready, and that this is its main process.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn tell(&self, main_pid: i32) -> Result<()> {
        let text = format!("READY=1\nMAINPID={main_pid}");
        socket::send(&self.manager, text.as_bytes(), &[]).during(|| "NOTIFY_SOCKET")
    }

    /// Waits until the program says that it is ready or init has ended. For those who go away then: the manager has
    /// read it, since it couldn't tell who said it otherwise (sd_notify_barrier(3)).
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn relay(&self, init: i32, pidfd: Option<&OwnedFd>) -> Result<()> {
        loop {
            let mut waited = vec![PollFd::readable(&self.inside)];
            waited.extend(pidfd.map(PollFd::readable));
            poll(&mut waited, pidfd.is_none().then_some(LOOK_MS)).during(|| "NOTIFY_SOCKET")?;
            let (said, ended) = (waited[0].is_ready(), waited.get(1).map(PollFd::is_ready));
            if said {
                if self.is_ready()? {
                    self.tell(init)?;
                    return self.barrier();
                }
            } else if ended.map_or_else(|| is_gone(init), Ok)? {
                return Ok(());
            }
        }
    }

    /// Waits until the manager has closed a pipe that was sent behind the rest; one that doesn't know the protocol is
    /// not waited for longer than [`BARRIER_MS`].
    fn barrier(&self) -> Result<()> {
        let (reader, writer) = fs::pipe()?;
        socket::send(&self.manager, b"BARRIER=1", &[writer.as_fd()]).during(|| "NOTIFY_SOCKET")?;
        drop(writer);
        wait_readable(&reader, Some(BARRIER_MS)).during(|| "NOTIFY_SOCKET")?;
        Ok(())
    }
}

/// To be waited for: readable when the program has said something.
impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}

fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

fn is_gone(pid: i32) -> Result<bool> {
    Ok(!proc::stat(&Procfs::open()?, pid)?.is_some_and(|stat| stat.is_alive()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_a_message() {
        let table: &[(&[u8], bool)] = &[
            (b"READY=1", true),
            (b"READY=1\n", true),
            (b"STATUS=up\nREADY=1\nMAINPID=1", true),
            (b"READY=0", false),
            (b"READY=11", false),
            (b"STATUS=READY=1", false),
            (b"READY", false),
            (b"", false),
        ];
        for (message, ready) in table {
            assert_eq!(says_ready(message), *ready, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn the_program_is_told_where_to_speak() {
        let mut spec = Spec { process: Some(Default::default()), ..Spec::default() };
        plan(&mut spec, Path::new("/run/forgeone/web"));
        assert_eq!(spec.mounts[0].source, "/run/forgeone/web/notify");
        assert_eq!(spec.mounts[0].destination, "/run/notify");
        let env = spec.process.map(|process| process.env).unwrap_or_default();
        assert_eq!(env, ["NOTIFY_SOCKET=/run/notify/notify.sock"]);
    }
}
