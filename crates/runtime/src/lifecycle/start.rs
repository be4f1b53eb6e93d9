//! `start`, and `run`'s second half: init is told to become the program.

use super::channel::{Channel, Message, unexpected};
use super::create::{self, Until};
use super::listener::Handover;
use super::status::Kept;
use super::{CreateOptions, Notify, Runtime, Started, Status, hooks};
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::state::{self, Dir, Record};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, AtFlags};
use forgeone_sys::{process, socket};
use forgeone_trust as trust;
use std::ffi::OsStr;

impl Runtime {
    /// Creates a container from a bundle; its program waits for [`Runtime::start`].
    ///
    /// # Errors
    /// See [`Kind`]; whatever was done is undone.
    pub fn create(&self, id: &str, options: &CreateOptions) -> Result<Started> {
        Ok(create::create(self, id, options, Until::Started)?.started)
    }

    /// Creates and starts in one go, without the detour over the rendezvous socket.
    ///
    /// # Errors
    /// As [`Runtime::create`] and [`Runtime::start`]; a container whose start fails is removed.
    pub fn run(&self, id: &str, options: &CreateOptions) -> Result<Started> {
        let mut created = create::create(self, id, options, Until::Told)?;
        listen(&created.dir, options.notify_socket.as_deref(), &mut created.started);
        let started = ask_start(id, &created.kept)
            .and_then(|()| execute(&created.channel, &created.record, &created.kept))
            .and_then(|()| after_start(&created.record, &created.dir, &created.kept));
        match started {
            Ok(()) => Ok(created.started),
            Err(e) => {
                // Our own child: it has to be reaped as well.
                let ended = super::remove::end_child(created.started.pid, created.started.pidfd.as_ref());
                let hooks = created.kept.spec.hooks.as_ref();
                let e = self.give_up(&created.record, &created.dir, hooks, e);
                Err(Error::all(std::iter::once(e.clone()).chain(ended.err()).collect()).unwrap_or(e))
            }
        }
    }

    /// Starts the program of a created container; `notify_socket` is the service manager's, as at its creation.
    ///
    /// # Errors
    /// [`Kind::State`] if it isn't created, [`Kind::Program`] if the program can't be executed, [`Kind::Hook`] if a
    /// hook fails: the container is removed then (runtime.md, "Lifecycle", 7 and 9).
    pub fn start(&self, id: &str, notify_socket: Option<&OsStr>) -> Result<Started> {
        let container = self.find_locked(id)?;
        let record = container.record()?;
        let status = container.status()?;
        if status != Status::Created {
            let message = format!("container \"{id}\" is {status}, only a created one can be started");
            return Err(Error::new(Kind::State, message));
        }
        faults::at("start/locked")?;
        ask_start(id, container.kept()?)?;
        faults::at("start/asked")?;
        let pidfd = process::pidfd_open(record.pid).ok();
        let mut answer =
            Started { pid: record.pid, pidfd, terminal: None, notify: None, warnings: Vec::new() };
        listen(&container.dir, notify_socket, &mut answer);
        let channel = socket::connect_seqpacket(&container.dir, "start").during(|| "rendezvous")?;
        faults::at("start/connected")?;
        let kept = container.kept()?;
        let started = execute(&Channel::from_socket(channel), record, kept)
            .and_then(|()| forget_rendezvous(&container.dir))
            .and_then(|()| after_start(record, &container.dir, kept));
        match started {
            Err(e) if e.kind() == Kind::Hook => {
                Err(self.give_up(record, &container.dir, kept.spec.hooks.as_ref(), e))
            }
            started => started.map(|()| answer),
        }
    }
}

/// Gets ready to hear the program. A manager that can't be reached is no reason not to start: `NOTIFY_SOCKET` may be
/// left over from another service.
fn listen(dir: &Dir, notify_socket: Option<&OsStr>, started: &mut Started) {
    let Some(manager) = notify_socket else { return };
    match Notify::listen(dir, manager) {
        Ok(notify) => started.notify = notify,
        Err(e) => {
            started.warnings.push(format!("nobody is told when the program is ready: NOTIFY_SOCKET: {e}"))
        }
    }
}

fn forget_rendezvous(dir: &Dir) -> Result<()> {
    match fs::unlinkat(dir, "start", AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => Err(e.into()),
        _ => Ok(()),
    }
}

/// Asks whether the container may start; the config is the one that was kept at create.
fn ask_start(id: &str, kept: &Kept) -> Result<()> {
    let args = kept.spec.process.as_ref().map_or(&[][..], |process| &process.args);
    super::ask(trust::Operation::Start, id, kept, args).map(drop)
}

/// Lets init go on to the program.
fn execute(channel: &Channel, record: &Record, kept: &Kept) -> Result<()> {
    let handover = Handover { pid: record.pid, kept, record, status: Status::Created };
    let hooks = kept.spec.hooks.as_ref().is_some_and(|hooks| !hooks.start_container.is_empty());
    go(channel, &handover, hooks)
}

/// Lets init, or a process of `exec`, go on, and waits until it has executed the program: then its side is closed
/// without a word. One that runs `hooks` before says when they have run: it may be killed while one of them hangs.
pub(super) fn go(channel: &Channel, handover: &Handover, mut hooks: bool) -> Result<()> {
    channel.send(&Message::Go)?;
    loop {
        match channel.receive()? {
            Message::End if hooks => {
                return Err(Error::new(Kind::System, "hooks.startContainer: init was killed while they ran"));
            }
            Message::End => return Ok(()),
            Message::HooksRan => hooks = false,
            Message::Filter => handover.attend(channel)?,
            Message::Failed(e) => return Err(e),
            other => return Err(unexpected(&other)),
        }
    }
}

fn after_start(record: &Record, dir: &Dir, kept: &Kept) -> Result<()> {
    // Before anybody is told: whoever asks then is to hear that it runs.
    dir.await_program()?;
    faults::at("start/ran")?;
    state::append(dir, &super::event(record, "started"))?;
    faults::at("start/noted")?;
    let Some(list) = &kept.spec.hooks else { return Ok(()) };
    hooks::run("poststart", &list.poststart, &super::spec_state(record, Status::Running))
}

/// For messages.
pub(super) fn not_running(id: &str, status: Status) -> Error {
    Error::new(Kind::State, format!("container \"{id}\" is {status}, not running"))
}
