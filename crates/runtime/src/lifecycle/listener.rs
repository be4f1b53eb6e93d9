//! A filter that notifies: its listener goes from the process that loads it to the agent at `listenerPath`
//! (config-linux.md, "Seccomp"), before the program is executed.
//!
//! The filter may be about any system call, those by which a descriptor is handed over too. So the process makes none
//! between loading and exec: the runtime stops it right behind seccomp(2) and takes the listener out of it.
//!
//! ```text
//! runtime                                           process
//!    │ ◄── Filter ────────────────────────────────────┤ is about to load
//!    │ connects to the agent, seizes the process       │
//!    ├──── Go ────────────────────────────────────────►│ seccomp(2) … stopped
//!    │ pidfd_getfd, the state goes to the agent        │
//!    │ detaches                                        │ … execve(2)
//! ```
//!
//! Where the runtime may not trace the process, as an ordinary user may not (it isn't dumpable), or the kernel can't
//! (before Linux 5.6), it says `Send` in place of `Go`, and the process sends the listener itself; the plan knows
//! whether the filter would stop that.

use super::channel::{Channel, Message, unexpected};
use super::spec_state;
use super::status::{Kept, Status};
use crate::error::{During, Error, Kind, Result};
use crate::spec::{self, ContainerProcessState, Seccomp};
use crate::state::Record;
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, FileType};
use forgeone_sys::process;
use forgeone_sys::ptrace::{self, Stop, Syscall};
use forgeone_sys::seccomp::SYS_SECCOMP;
use forgeone_sys::socket;
use std::os::fd::{AsFd, OwnedFd};

const SIGKILL: i32 = 9;

/// Whose listener it is, and who gets it.
pub(super) struct Handover<'a> {
    /// The process that loads the filter.
    pub pid: i32,
    /// The container's config.
    pub kept: &'a Kept,
    /// The container.
    pub record: &'a Record,
    /// What the container is at the moment.
    pub status: Status,
}

fn field() -> &'static str {
    "linux.seccomp.listenerPath"
}

/// Whether a socket is where the agent should be: looked at before anything is made.
pub(super) fn check(filter: &Seccomp) -> Result<()> {
    let path = &filter.listener_path;
    let found = fs::statat(fs::CWD, path.as_str(), fs::AtFlags::empty()).during(field)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Socket {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("{}: {path} is not a socket", field())))
}

impl Handover<'_> {
    /// Answers a process that is about to load a filter which notifies; it goes on when the agent has the listener.
    pub(super) fn attend(&self, channel: &Channel) -> Result<()> {
        let filter = self.kept.spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let filter = filter.ok_or_else(|| unexpected(&Message::Filter))?;
        let agent = socket::connect_stream(filter.listener_path.as_str()).during(field)?;
        match Watch::begin(self.pid) {
            Some(watch) => {
                channel.send(&Message::Go)?;
                // Without one, loading has failed, and the process says why.
                let Some(listener) = watch.listener()? else { return Ok(()) };
                self.send(filter, &agent, &listener)?;
                watch.end()
            }
            None => {
                channel.send(&Message::Send)?;
                match channel.receive()? {
                    Message::Listener(listener) => self.send(filter, &agent, &listener)?,
                    Message::Failed(e) => return Err(e),
                    Message::End => {
                        let cause = "linux.seccomp: the process could not send its listener (sendmsg)";
                        return Err(Error::new(Kind::System, cause));
                    }
                    other => return Err(unexpected(&other)),
                }
                channel.send(&Message::Go)
            }
        }
    }

    /// The container process state, with the listener; one to a connection.
    fn send(&self, filter: &Seccomp, agent: &OwnedFd, listener: &OwnedFd) -> Result<()> {
        let state = ContainerProcessState {
            version: spec::VERSION.to_owned(),
            fds: vec!["seccompFd".to_owned()],
            pid: self.pid,
            metadata: filter.listener_metadata.clone(),
            state: spec_state(self.record, self.status),
            ..ContainerProcessState::default()
        };
        let text = serde_json::to_vec(&state).map_err(|e| Error::new(Kind::System, e.to_string()))?;
        socket::send(agent, &text, &[listener.as_fd()]).during(field)
    }
}

/// A process that is followed until it has loaded its filter. Whatever goes wrong meanwhile, it doesn't go on.
struct Watch {
    pid: i32,
    pidfd: OwnedFd,
    ended: bool,
}

impl Watch {
    /// Stops the process; `None` where that, or taking a descriptor out of it, isn't to be had.
    fn begin(pid: i32) -> Option<Self> {
        let pidfd = process::pidfd_open(pid).ok()?;
        // The process has its standard input, or it doesn't: either way the call is known and allowed.
        match process::pidfd_getfd(&pidfd, 0) {
            Err(e) if e.errno() != Errno::BADF => return None,
            _ => {}
        }
        ptrace::ptrace_seize(pid).ok()?;
        let watch = Self { pid, pidfd, ended: false };
        ptrace::ptrace_interrupt(pid).ok()?;
        loop {
            let signal = match ptrace::wait_stop(pid).ok()? {
                Stop::Event => return Some(watch),
                Stop::Ended(_) => return None,
                // One that came just before.
                Stop::Signal(signal) => signal,
                Stop::Syscall => 0,
            };
            ptrace::ptrace_syscall(pid, signal).ok()?;
        }
    }

    /// Lets it go on until it has loaded a filter, and takes the listener; `None` if it ended.
    fn listener(&self) -> Result<Option<OwnedFd>> {
        let (mut signal, mut call) = (0, None);
        loop {
            ptrace::ptrace_syscall(self.pid, signal).during(field)?;
            signal = 0;
            match ptrace::wait_stop(self.pid).during(field)? {
                Stop::Syscall => match ptrace::ptrace_get_syscall_info(self.pid).during(field)? {
                    Syscall::Entry(number) => call = Some(number),
                    Syscall::Exit(value @ 0..) if call == Some(SYS_SECCOMP) => {
                        return Ok(Some(process::pidfd_getfd(&self.pidfd, value as i32).during(field)?));
                    }
                    _ => {}
                },
                Stop::Signal(number) => signal = number,
                Stop::Event => {}
                Stop::Ended(_) => return Ok(None),
            }
        }
    }

    /// Lets it go.
    fn end(mut self) -> Result<()> {
        self.ended = true;
        ptrace::ptrace_detach(self.pid).during(field)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            // If it is gone already, all is well; if this fails, the kernel does it when we end (PTRACE_O_EXITKILL).
            let _ = process::pidfd_send_signal(&self.pidfd, SIGKILL);
        }
    }
}
