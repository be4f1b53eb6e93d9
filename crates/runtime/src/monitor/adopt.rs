//! A monitor that comes after another: the one before was lost, or has become this one.
//!
//! What was lost is found: the container's init by its number in `status.json` and the door's state, its FIFOs by their
//! names, what was to be logged in the spool. What hands itself over executes the newer program with its descriptors open,
//! and tells it their numbers and what it knows in a file in memory.

use super::connection::{Connection, Role};
use super::life::{Init, Stage};
use super::network::Connected;
use super::policy::InARow;
use super::serve::Monitor;
use super::status::{State, boot_id};
use super::streams::Streams;
use super::words::Words;
use super::{FAILED, birth};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, set_cloexec, take_fd};
use forgeone_sys::process::{self, pidfd_open};
use forgeone_sys::{OwnedFd, signal};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a monitor hands over is read up to this size: most of it is input that waits.
const HANDED_MAX: usize = 1 << 20;

/// What a monitor tells the program that it becomes. Numbers are those of descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct Handed {
    lock: u32,
    listener: u32,
    mounted: bool,
    /// The container's network namespace, and the ports of the host that are kept for it.
    network: Option<(Option<u32>, Vec<u32>)>,
    /// The init, whether it is our child, and for how long it has run, in milliseconds.
    running: Option<(i32, bool, u64)>,
    /// How long it isn't started again yet, in milliseconds.
    pausing: Option<u64>,
    streams: [Option<u32>; 3],
    terminal: bool,
    input: Vec<u8>,
    input_ends: bool,
    in_a_row: u32,
    connections: Vec<(u32, Role)>,
    /// Which of them asked for this.
    asked: Option<usize>,
}

impl Monitor {
    /// Finds what a monitor before this one has left, if it was lost.
    pub(super) fn look_around(&mut self) -> Result<()> {
        if !matches!(self.status.state, State::Running | State::Paused | State::Restarting) {
            return Ok(());
        }
        if self.status.boot_id != boot_id()? {
            // The machine was started anew since.
            (self.status.state, self.status.pid, self.status.exit) = (State::Exited, 0, None);
            self.note();
            return Ok(());
        }
        self.tell("adopt", &[]);
        if self.status.state == State::Restarting {
            // What was made for it went with the monitor before; it is made anew.
            self.reconnect(None)?;
            self.disconnect()?;
            self.stage = Stage::Pausing(Instant::now());
            return Ok(());
        }
        self.open_log()?;
        let pid = self.status.pid;
        let lives = self.door.runtime().state(&self.duties.id).is_ok_and(|state| state.pid == pid && pid > 0);
        self.reconnect(lives.then_some(pid))?;
        if !lives {
            // Nobody saw how.
            self.stage = Stage::Ending { exit: None, ran: Duration::ZERO };
            return Ok(());
        }
        self.streams = match self.duties.terminal {
            true => Streams::default(),
            false => Streams::reopen(&self.dir, self.duties.stdin)?,
        };
        self.goes_on(pid, false, Instant::now());
        Ok(())
    }

    /// Looks after a container that runs already.
    fn goes_on(&mut self, pid: i32, child: bool, since: Instant) {
        let pidfd = pidfd_open(pid).ok();
        // Without a descriptor it is gone by now.
        let gone = if pidfd.is_none() && !child { Some(since) } else { None };
        self.stage = Stage::Running(Init { pid, pidfd, child, since, gone });
        let health = self.status.health.take();
        self.watch();
        if let (Some(checks), Some(health)) = (self.checks.take(), health) {
            self.checks = Some(checks.resume(health));
        }
        self.note();
    }

    /// Becomes another program, with all that is open. It comes back only if that fails, or isn't possible now.
    pub(super) fn upgrade(&mut self, program: &Path, asked: Option<usize>) {
        let failed = match self.stage {
            Stage::Starting(_) | Stage::Ending { .. } => {
                Error::new(Kind::State, "the container is being started or has just ended; try again")
            }
            _ if self.connections.iter().any(Connection::is_behind) => {
                Error::new(Kind::State, "somebody who is attached has not read all; try again")
            }
            _ => self.become_program(program, asked).during("become another program"),
        };
        self.tell("error", &[("error", failed.to_string().into())]);
        if let Some(at) = asked {
            self.connections[at].refuse(&failed, FAILED);
        }
    }

    fn become_program(&mut self, program: &Path, asked: Option<usize>) -> Error {
        if let Some(checks) = self.checks.take() {
            self.status.health = Some(checks.abandon());
        }
        self.note();
        let error = match self.execute(program, asked) {
            Ok(never) => match never {},
            Err(e) => e,
        };
        for fd in self.open() {
            let _ = set_cloexec(fd, true);
        }
        if let Stage::Running(Init { pid, child, since, .. }) = self.stage {
            self.goes_on(pid, child, since);
        }
        error
    }

    /// The descriptors that are handed over.
    fn open(&self) -> Vec<BorrowedFd<'_>> {
        let Streams { input, output, errors, .. } = &self.streams;
        let streams = [input, output, errors].into_iter().flatten().map(AsFd::as_fd);
        let clients = self.connections.iter().map(|connection| connection.socket.as_fd());
        let network = self.network.iter().flat_map(Connected::open);
        [self.lock.as_fd(), self.listener.as_fd()]
            .into_iter()
            .chain(streams)
            .chain(clients)
            .chain(network)
            .collect()
    }

    fn execute(&self, program: &Path, asked: Option<usize>) -> Result<std::convert::Infallible> {
        let handed = fs::memfd_create("monitor", false)?;
        let text =
            serde_json::to_vec(&self.handed(asked)).map_err(|e| Error::new(Kind::System, e.to_string()))?;
        fs::write_all(&handed, &text)?;
        fs::rewind(&handed)?;
        for fd in self.open().into_iter().chain([handed.as_fd()]) {
            set_cloexec(fd, false)?;
        }
        let words = Words {
            places: self.places.clone(),
            directory: self.directory.clone(),
            handed: Some(number(&handed)),
        };
        let c_string = |bytes: &[u8]| {
            CString::new(bytes).map_err(|e| Error::new(Kind::System, format!("arguments: {e}")))
        };
        let name = c_string(program.as_os_str().as_bytes())?;
        let mut argv = vec![name.clone()];
        for word in words.to_words() {
            argv.push(c_string(word.as_bytes())?);
        }
        let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        let environment = std::env::vars_os().map(variable).collect::<Result<Vec<_>>>()?;
        Err(process::execve(&name, &argv, &environment).into())
    }

    fn handed(&self, asked: Option<usize>) -> Handed {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (running, pausing) = match &self.stage {
            Stage::Running(init) => (Some((init.pid, init.child, milliseconds(init.since.elapsed()))), None),
            Stage::Pausing(until) => {
                (None, Some(milliseconds(until.saturating_duration_since(Instant::now()))))
            }
            _ => (None, None),
        };
        let Streams { input, output, errors, terminal } = &self.streams;
        Handed {
            lock: number(&self.lock),
            listener: number(&self.listener),
            mounted: self.mounted,
            network: self.network.as_ref().map(|network| {
                (network.namespace.as_ref().map(number), network.kept.iter().map(number).collect())
            }),
            running,
            pausing,
            streams: [input, output, errors].map(|fd| fd.as_ref().map(number)),
            terminal: *terminal,
            input: self.input.clone(),
            input_ends: self.input_ends,
            in_a_row: self.row.0,
            connections: self.connections.iter().map(|c| (number(&c.socket), c.role)).collect(),
            asked,
        }
    }

    /// Goes on as the monitor that has become this program.
    pub(super) fn take_over(words: Words, handed: u32) -> Result<Self> {
        let text = fs::read_to_end(take_fd(handed)?, HANDED_MAX).during(|| "monitor")?;
        let handed: Handed = serde_json::from_slice(&text)
            .map_err(|e| Error::new(Kind::System, format!("monitor: what was handed over: {e}")))?;
        signal::block_all()?;
        let born = birth::Born {
            dir: super::door::open_directory(&words.directory)?,
            lock: take_fd(handed.lock)?,
            listener: take_fd(handed.listener)?,
            signals: signal::signalfd()?,
        };
        let mut monitor = Self::new(&words.directory, words.places, born)?;
        let take = |fd: Option<u32>| fd.map(take_fd).transpose();
        let [input, output, errors] = handed.streams;
        monitor.streams = Streams {
            input: take(input)?,
            output: take(output)?,
            errors: take(errors)?,
            terminal: handed.terminal,
        };
        if let Some((namespace, kept)) = handed.network {
            let kept = kept.into_iter().map(take_fd).collect::<std::result::Result<_, _>>()?;
            monitor.network = Some(Connected { namespace: take(namespace)?, kept });
        }
        (monitor.mounted, monitor.row) = (handed.mounted, InARow(handed.in_a_row));
        (monitor.input, monitor.input_ends) = (handed.input, handed.input_ends);
        for (socket, role) in handed.connections {
            monitor.connections.push(Connection::new(take_fd(socket)?).with(role));
        }
        if let Some(left) = handed.pausing {
            monitor.stage = Stage::Pausing(Instant::now() + Duration::from_millis(left));
        }
        if let Some((pid, child, ran)) = handed.running {
            monitor.open_log()?;
            let now = Instant::now();
            monitor.goes_on(pid, child, now.checked_sub(Duration::from_millis(ran)).unwrap_or(now));
            // Ended while nobody listened: the signal may have been for the program before.
            monitor.reap()?;
        }
        monitor.tell("upgrade", &[("version", env!("CARGO_PKG_VERSION").into())]);
        if let Some(at) = handed.asked {
            monitor.done(at);
        }
        Ok(monitor)
    }
}

fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}
