//! The life of a container, as its monitor sees it.
//!
//! ```text
//! Idle ──start──► Starting ──door ended──► Running ──init ended──► Ending ──all read──► Idle
//!   ▲                ▲  └─ it failed ─┐                               │
//!   │                │                ▼                               │
//!   └── no more ─────┴───────── Pausing ◄── to be started again ──────┘
//! ```

use super::connection::Role;
use super::door::{CONSOLE, Stdio3};
use super::duties::Duties;
use super::duties::Unhealthy;
use super::health::Checks;
use super::log::Log;
use super::protocol::Reply;
use super::serve::Monitor;
use super::status::{Healthy, State, boot_id};
use super::streams::Streams;
use super::{Exit, FAILED, Failure};
use crate::background;
use crate::cgroup::OomWatch;
use crate::clock;
use crate::error::{Error, Result};
use crate::registry::{Register, Removal};
use crate::state::Root;
use forgeone_config::RestartPolicy;
use forgeone_sys::process::{self, pidfd_exit, pidfd_open};
use forgeone_sys::{OwnedFd, socket};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long an init that isn't our child may take to be reaped by whose child it is, so that the kernel tells its exit.
const REAPED: Duration = Duration::from_secs(5);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Where the container is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It doesn't run, and won't by itself.
    Idle,
    /// The door makes it run.
    Starting(Starting),
    /// It runs.
    Running(Init),
    /// Its init has ended; its output isn't all taken yet.
    Ending { exit: Option<i32>, ran: Duration },
    /// It is started again then.
    Pausing(Instant),
}

/// A door that makes a container run.
#[derive(Debug)]
pub(super) struct Starting {
    door: i32,
    /// Where the terminal's master comes from.
    console: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

/// The container's first process.
#[derive(Debug)]
pub(super) struct Init {
    pub(super) pid: i32,
    pub(super) pidfd: Option<OwnedFd>,
    /// Whether it is a child of ours: otherwise an earlier monitor was its parent.
    pub(super) child: bool,
    pub(super) since: Instant,
    /// Since when one that isn't ours is known to have ended, while the kernel doesn't tell how.
    pub(super) gone: Option<Instant>,
}

impl PartialEq for Stage {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Stage {
    pub(super) fn has_streams(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Ending { .. })
    }

    pub(super) fn console(&self) -> Option<&OwnedFd> {
        match self {
            Self::Starting(starting) => starting.console.as_ref(),
            _ => None,
        }
    }

    pub(super) fn give_terminal(&mut self, master: Option<OwnedFd>) {
        if let Self::Starting(starting) = self {
            (starting.console, starting.terminal) = (None, master);
        }
    }

    pub(super) fn door(&self) -> Option<i32> {
        match self {
            Self::Starting(starting) => Some(starting.door),
            _ => None,
        }
    }

    pub(super) fn init(&self) -> Option<i32> {
        match self {
            Self::Running(init) if init.child => Some(init.pid),
            _ => None,
        }
    }

    /// The init that isn't our child, as long as it isn't known to have ended.
    pub(super) fn foreign_init(&self) -> Option<&OwnedFd> {
        match self {
            Self::Running(Init { child: false, gone: None, pidfd, .. }) => pidfd.as_ref(),
            _ => None,
        }
    }

    /// When it changes by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Pausing(until) => Some(*until),
            Self::Running(Init { gone: Some(since), .. }) => Some(Instant::now().min(*since + REAPED) + LOOK),
            _ => None,
        }
    }
}

impl Monitor {
    /// Starts the container. What it is to be is read anew: it may have been changed.
    pub(super) fn start(&mut self) -> std::result::Result<(), Failure> {
        let container = Register::open(self.places.clone())?.find(&self.duties.id)?;
        self.duties = Duties::of(container.record())?;
        self.door.delete(&self.dir)?;
        self.door.clear(&self.dir)?;
        if !self.mounted {
            // It is there as long as this mount namespace is: as long as we and the container.
            let _stays = container.record().rootfs.mount(&self.directory.join("rootfs"))?;
            self.mounted = true;
        }
        let given = self.connect(&container)?;
        container.prepare(&given)?;
        drop(container);
        self.open_log()?;
        (self.input, self.input_ends) = (Vec::new(), false);
        let starting = if self.duties.terminal {
            let console = socket::listen_stream(&self.dir, CONSOLE).map_err(Error::from)?;
            self.streams = Streams::default();
            Starting { door: self.door.run(Stdio3::Terminal)?, console: Some(console), terminal: None }
        } else {
            let ends = self.connections.iter().any(|connection| connection.has_input());
            let (streams, inside) = Streams::open(&self.dir, self.duties.stdin, ends)?;
            self.streams = streams;
            Starting { door: self.door.run(Stdio3::Pipes(inside))?, console: None, terminal: None }
        };
        self.stage = Stage::Starting(starting);
        Ok(())
    }

    /// Opens the log, where one is kept.
    pub(super) fn open_log(&mut self) -> Result<()> {
        self.log = self.duties.log.map(|limits| Log::open(&self.dir, limits)).transpose()?;
        Ok(())
    }

    /// The door has ended: the container's program runs, or it never will.
    pub(super) fn door_ended(&mut self, exit: process::Exit) -> Result<()> {
        let Stage::Starting(mut starting) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return Ok(());
        };
        if exit != process::Exit::Code(0) {
            self.streams.discard();
            let failure = self.door.failure(&self.dir, exit);
            return self.start_failed(failure);
        }
        let pid = match self.door.init(&self.dir) {
            Ok(pid) => pid,
            Err(e) => return self.start_failed(e.into()),
        };
        // The master may still wait to be taken.
        if let Some(console) = starting.console.take() {
            let message = socket::accept(&console).and_then(|peer| socket::receive(&peer, 4096));
            starting.terminal = message.ok().and_then(|mut message| message.fds.pop());
        }
        if let Some(master) = starting.terminal {
            self.streams = Streams::of_terminal(master)?;
        }
        let since = Instant::now();
        self.stage =
            Stage::Running(Init { pid, pidfd: pidfd_open(pid).ok(), child: true, since, gone: None });
        self.is_running(pid)?;
        if let Some((_, exit)) = self.strays.iter().find(|(stray, _)| *stray == pid) {
            let exit = *exit;
            return self.init_ended(Some(exit));
        }
        self.signal_stop()
    }

    /// Writes down that it runs, and begins to look after it.
    fn is_running(&mut self, pid: i32) -> Result<()> {
        self.status.state = State::Running;
        (self.status.pid, self.status.boot_id) = (pid, boot_id()?);
        self.status.started = Some(clock::now());
        (self.status.finished, self.status.exit) = (None, None);
        (self.status.oom, self.status.error, self.status.health) = (false, None, None);
        self.watch();
        for warning in self.door.said(&self.dir) {
            self.tell("warning", &[("message", warning.into())]);
        }
        self.tell("start", &[("pid", pid.into())]);
        self.note();
        let status = self.status.clone();
        for connection in self.connections.iter_mut().filter(|connection| connection.role == Role::Starting) {
            connection.role = Role::Asking;
            connection.reply(&Reply::Done { status: Box::new(status.clone()) });
        }
        forgeone_sys::memory::malloc_trim();
        Ok(())
    }

    /// Looks after its memory and health.
    pub(super) fn watch(&mut self) {
        self.checks = self.duties.probe.clone().map(Checks::new);
        let record = Root::new(&self.places.state_root).open(&self.duties.id).and_then(|dir| dir.read());
        let watched = record.map(|record| record.map(|record| OomWatch::new(&record.cgroup)));
        self.oom = match watched {
            Ok(Some(Ok(oom))) => oom,
            Ok(None) => None,
            Ok(Some(Err(e))) | Err(e) => {
                self.tell("warning", &[("message", e.to_string().into())]);
                None
            }
        };
    }

    /// It could not be started: whoever asked is told; by itself it is tried again as after a failed run.
    pub(super) fn start_failed(&mut self, failure: Failure) -> Result<()> {
        self.streams = Streams::default();
        self.status.error = Some(failure.error.to_string());
        if let Err(e) = self.door.delete(&self.dir) {
            self.tell("error", &[("error", e.to_string().into())]);
        }
        let asked: Vec<_> =
            self.connections.iter_mut().filter(|connection| connection.role == Role::Starting).collect();
        let by_hand = !asked.is_empty();
        for connection in asked {
            connection.role = Role::Asking;
            connection.refuse(&failure.error, failure.status);
        }
        self.tell("error", &[("error", failure.error.to_string().into())]);
        let status = if failure.status == FAILED { None } else { Some(i32::from(failure.status)) };
        if by_hand || self.stop.is_some() {
            self.status.state = match self.status.started {
                None => State::Created,
                Some(_) => State::Exited,
            };
            self.status.exit = self.status.exit.or(status);
            return self.at_rest();
        }
        self.again_or_rest(status, Duration::ZERO)
    }

    /// The container's init has ended; `None` if nobody saw how.
    pub(super) fn init_ended(&mut self, exit: Option<process::Exit>) -> Result<()> {
        let Stage::Running(init) = std::mem::replace(&mut self.stage, Stage::Idle) else { return Ok(()) };
        // What the kernel did to its memory is known by now.
        if let Some(oom) = &mut self.oom
            && oom.happened().unwrap_or(false)
            && !self.status.oom
        {
            self.status.oom = true;
            self.tell("oom", &[]);
        }
        self.oom = None;
        if let Some(checks) = self.checks.take() {
            self.status.health = Some(checks.abandon());
        }
        self.stage = Stage::Ending { exit: exit.map(process::Exit::status), ran: init.since.elapsed() };
        self.on_time(Instant::now())
    }

    /// One that isn't our child has ended, and the kernel may say how.
    pub(super) fn foreign_init_ended(&mut self) -> Result<()> {
        let Stage::Running(init) = &mut self.stage else { return Ok(()) };
        let exit = init.pidfd.as_ref().and_then(pidfd_exit);
        let since = *init.gone.get_or_insert_with(Instant::now);
        if exit.is_some() || since.elapsed() >= REAPED { self.init_ended(exit) } else { Ok(()) }
    }

    /// All that it wrote is taken: it is taken away, and started again if that is wanted.
    fn ended(&mut self, exit: Option<i32>, ran: Duration) -> Result<()> {
        self.streams = Streams::default();
        (self.input, self.input_ends) = (Vec::new(), false);
        self.status.finished = Some(clock::now());
        (self.status.exit, self.status.pid) = (exit, 0);
        self.tell(
            "die",
            &[("status", exit.map_or(Value::Null, Value::from)), ("oom", self.status.oom.into())],
        );
        if let Err(e) = self.door.delete(&self.dir) {
            self.status.error = Some(e.to_string());
            self.tell("error", &[("error", e.to_string().into())]);
        }
        self.again_or_rest(exit, ran)
    }

    fn again_or_rest(&mut self, exit: Option<i32>, ran: Duration) -> Result<()> {
        let again = match self.stop.take_if(|stop| stop.again) {
            Some(_) => self.row.after(RestartPolicy::Always, exit, ran),
            None if self.stop.is_some() => None,
            None => self.row.after(self.duties.restart, exit, ran),
        };
        match again {
            Some(pause) => {
                self.status.state = State::Restarting;
                self.note();
                self.stage = Stage::Pausing(Instant::now() + pause);
                Ok(())
            }
            None => {
                self.status.state = State::Exited;
                self.at_rest()
            }
        }
    }

    /// It doesn't run and won't by itself: all who wait for that are told.
    pub(super) fn at_rest(&mut self) -> Result<()> {
        self.stage = Stage::Idle;
        if let Some(stop) = self.stop.take() {
            self.status.stopped |= stop.by_hand;
        }
        if let Err(e) = self.disconnect() {
            self.status.error = Some(e.to_string());
            self.tell("error", &[("error", e.to_string().into())]);
        }
        self.note();
        self.log = None;
        if self.duties.auto_remove
            && self.status.started.is_some()
            && let Err(e) = self.remove()
        {
            self.status.error = Some(e.to_string());
            self.note();
        }
        let exit = Exit { status: self.status.exit, oom: self.status.oom };
        let status = self.status.clone();
        for connection in &mut self.connections {
            match connection.role {
                Role::Asking | Role::Starting => {}
                Role::Stopping => connection.reply(&Reply::Done { status: Box::new(status.clone()) }),
                Role::Waiting => connection.reply(&Reply::Ended { exit: exit.clone() }),
                Role::Attached { .. } => {
                    connection.reply(&Reply::Ended { exit: exit.clone() });
                    connection.last = true;
                }
            }
            if matches!(connection.role, Role::Stopping | Role::Waiting) {
                connection.role = Role::Asking;
            }
        }
        Ok(())
    }

    /// Removes it, once nothing is mounted in its directory: what is mounted would be emptied with it.
    fn remove(&mut self) -> Result<()> {
        background::unmount_below(&self.directory)?;
        self.mounted = false;
        let container = Register::open(self.places.clone())?.find(&self.duties.id)?;
        container.remove(Removal { force: true })
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Instant) -> Result<()> {
        if let Stage::Ending { exit, ran } = self.stage
            && self.drain()
        {
            self.ended(exit, ran)?;
        }
        match &self.stage {
            Stage::Pausing(until) if *until <= now => {
                self.status.restarts += 1;
                self.tell("restart", &[("restarts", self.status.restarts.into())]);
                if let Err(failure) = self.start() {
                    self.start_failed(failure)?;
                }
            }
            Stage::Running(Init { gone: Some(_), .. }) => self.foreign_init_ended()?,
            _ => {}
        }
        if self.stop.as_ref().and_then(|stop| stop.deadline).is_some_and(|deadline| deadline <= now) {
            self.kill();
        }
        let Some(checks) = &mut self.checks else { return Ok(()) };
        let before = checks.health().log.len();
        match checks.tick(now, &self.door, &self.duties.id, &self.dir) {
            None if checks.health().log.len() == before => Ok(()),
            changed => self.checked(changed),
        }
    }

    /// A health check was made.
    pub(super) fn checked(&mut self, changed: Option<Healthy>) -> Result<()> {
        if let Some(status) = changed {
            self.tell("health", &[("status", status.word().into())]);
        }
        self.note();
        if changed == Some(Healthy::Unhealthy) && self.stop.is_none() {
            match self.duties.unhealthy {
                Unhealthy::Nothing => {}
                Unhealthy::Kill => self.kill(),
                Unhealthy::Stop => self.stop(None, None, false)?,
                Unhealthy::Restart => {
                    self.stop(None, None, false)?;
                    self.stop.iter_mut().for_each(|stop| stop.again = true);
                }
            }
        }
        Ok(())
    }

    /// Changes when it is started again.
    pub(super) fn set_restart(&mut self, policy: RestartPolicy) {
        self.duties.restart = policy;
    }
}
