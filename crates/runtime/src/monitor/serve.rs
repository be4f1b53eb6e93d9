//! The monitor's loop: one poll(2) over everything that may happen, and what is done about it.

use super::connection::{self, Connection};
use super::door::Door;
use super::duties::Duties;
use super::health::{Checks, milliseconds_until};
use super::life::Stage;
use super::log::{Log, Stream};
use super::network::Connected;
use super::policy::InARow;
use super::protocol::{PIECE, STDERR, STDOUT};
use super::status::Status;
use super::stop::Stop;
use super::streams::Streams;
use super::words::Words;
use super::{birth, events};
use crate::background;
use crate::cgroup::OomWatch;
use crate::error::{During, Result};
use crate::registry::Places;
use forgeone_sys::process::{Exit, wait_any_nohang};
use forgeone_sys::signal::{PollFd, poll, read_signal, signal_number};
use forgeone_sys::{OwnedFd, memory, socket};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So much output of a container that has ended is still taken: others may go on writing for ever.
const LEFTOVER: usize = 1 << 20;

/// How long whoever has started a monitor may take to connect.
const AWAITED: Duration = Duration::from_secs(30);

/// A monitor at work.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) dir: OwnedFd,
    pub(super) directory: PathBuf,
    pub(super) places: Places,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) signals: OwnedFd,
    pub(super) duties: Duties,
    pub(super) door: Door,
    pub(super) status: Status,
    pub(super) stage: Stage,
    pub(super) mounted: bool,
    pub(super) network: Option<Connected>,
    pub(super) log: Option<Log>,
    pub(super) streams: Streams,
    pub(super) connections: Vec<Connection>,
    /// Input that the container hasn't taken yet.
    pub(super) input: Vec<u8>,
    /// Whether the input ends behind that.
    pub(super) input_ends: bool,
    pub(super) checks: Option<Checks>,
    pub(super) oom: Option<OomWatch>,
    pub(super) row: InARow,
    pub(super) stop: Option<Stop>,
    /// Why the log can't be written at the moment.
    log_error: Option<String>,
    /// Children that ended while it wasn't known yet whose they are.
    pub(super) strays: Vec<(i32, Exit)>,
    /// A piece of output, behind the byte that says of which stream it is.
    buffer: Vec<u8>,
    leftover: usize,
    /// Until when whoever has started it may come.
    awaited: Option<Instant>,
}

/// What there is something to do about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Signals,
    Listener,
    Connection { at: usize, read: bool, write: bool },
    Output(Stream),
    Input,
    Console,
    Init,
    Memory,
    Check,
}

/// Does a monitor's work, from its birth to the end of the container; the exit status.
///
/// # Errors
/// That it can't begin; later failures are in the container's status and events.
pub(super) fn serve(words: Words) -> Result<u8> {
    if let Some(handed) = words.handed {
        return Monitor::take_over(words, handed)?.work();
    }
    match birth::give(&words.directory)? {
        birth::Birth::Bystander => Ok(0),
        birth::Birth::Monitor(born) => {
            let mut monitor = Monitor::new(&words.directory, words.places, born)?;
            monitor.look_around()?;
            background::ready().during(|| "monitor")?;
            monitor.work()
        }
    }
}

impl Monitor {
    pub(super) fn new(directory: &Path, places: Places, born: birth::Born) -> Result<Self> {
        let birth::Born { dir, lock, listener, signals } = born;
        let duties = Duties::read(&dir, directory)?;
        Ok(Self {
            door: Door::new(places.clone(), &duties.id, directory),
            status: Status::written(&dir)?,
            dir,
            directory: directory.to_owned(),
            places,
            lock,
            listener,
            signals,
            duties,
            stage: Stage::Idle,
            mounted: false,
            network: None,
            log: None,
            streams: Streams::default(),
            connections: Vec::new(),
            input: Vec::new(),
            input_ends: false,
            checks: None,
            oom: None,
            row: InARow::default(),
            stop: None,
            log_error: None,
            strays: Vec::new(),
            buffer: vec![0; PIECE + 1],
            leftover: LEFTOVER,
            awaited: Some(Instant::now() + AWAITED),
        })
    }

    /// Works until there is nothing left to do, and nobody who may ask for something.
    pub(super) fn work(&mut self) -> Result<u8> {
        memory::malloc_trim();
        loop {
            self.connections.retain(|connection| !connection.is_done());
            let visited = self.awaited.is_none_or(|until| until <= Instant::now());
            if self.stage == Stage::Idle && self.connections.is_empty() && visited {
                return Ok(0);
            }
            for ready in self.wait()? {
                self.act(ready)?;
            }
            self.on_time(Instant::now())?;
        }
    }

    /// Waits until something is ready.
    fn wait(&self) -> Result<Vec<Ready>> {
        let mut kinds = vec![Ready::Signals, Ready::Listener];
        let mut fds = vec![PollFd::readable(&self.signals), PollFd::readable(&self.listener)];
        for (at, connection) in self.connections.iter().enumerate() {
            // Input that isn't taken yet keeps those waiting who have more of it.
            let read = (self.input.is_empty() || !connection.has_input()) && !connection.last;
            kinds.push(Ready::Connection { at, read: false, write: false });
            fds.push(PollFd::new(&connection.socket, read, connection.is_behind()));
        }
        if self.stage.has_streams() && !self.is_held_up() {
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(pipe) = self.streams.of(stream) {
                    kinds.push(Ready::Output(stream));
                    fds.push(PollFd::readable(pipe));
                }
            }
        }
        if let Some(input) = self.streams.input.as_ref().filter(|_| !self.input.is_empty()) {
            kinds.push(Ready::Input);
            fds.push(PollFd::writable(input));
        }
        if let Some(console) = self.stage.console() {
            kinds.push(Ready::Console);
            fds.push(PollFd::readable(console));
        }
        if let Some(init) = self.stage.foreign_init() {
            kinds.push(Ready::Init);
            fds.push(PollFd::readable(init));
        }
        if let Some(oom) = &self.oom {
            kinds.push(Ready::Memory);
            fds.push(oom.poll_fd());
        }
        if let Some(output) = self.checks.as_ref().and_then(Checks::output) {
            kinds.push(Ready::Check);
            fds.push(PollFd::readable(output));
        }
        let now = Instant::now();
        poll(&mut fds, self.due().map(|due| milliseconds_until(due, now))).during(|| "monitor")?;
        let ready = kinds.into_iter().zip(&fds).filter(|(_, fd)| fd.is_ready());
        Ok(ready
            .map(|(kind, fd)| match kind {
                Ready::Connection { at, .. } => Ready::Connection {
                    at,
                    read: fd.is_readable() || fd.is_hung_up() || fd.is_error(),
                    write: fd.is_writable(),
                },
                kind => kind,
            })
            .collect())
    }

    /// When something is to be done though nothing happens.
    fn due(&self) -> Option<Instant> {
        let stop = self.stop.as_ref().and_then(|stop| stop.deadline);
        let check = self.checks.as_ref().and_then(Checks::due);
        let awaited = self.awaited.filter(|_| self.stage == Stage::Idle);
        [self.stage.due(), stop, check, awaited].into_iter().flatten().min()
    }

    fn act(&mut self, ready: Ready) -> Result<()> {
        match ready {
            Ready::Signals => self.read_signals()?,
            Ready::Listener => {
                // One that is gone already is none.
                if let Ok(Some(connection)) = connection::accept(&self.listener) {
                    self.connections.push(connection);
                    self.awaited = None;
                }
            }
            Ready::Connection { at, read, write } => {
                if write {
                    self.connections[at].flush();
                }
                if read {
                    self.hear(at)?;
                }
            }
            Ready::Output(stream) => {
                self.pump(stream);
            }
            Ready::Input => self.feed(&[]),
            Ready::Console => self.take_terminal()?,
            Ready::Init => self.foreign_init_ended()?,
            Ready::Memory => self.look_at_memory(),
            Ready::Check => self.checks.iter_mut().for_each(Checks::read),
        }
        Ok(())
    }

    fn read_signals(&mut self) -> Result<()> {
        while let Some(signal) = read_signal(&self.signals)? {
            let is = |name| signal_number(name) == Some(signal.number);
            if is("CHLD") {
                self.reap()?;
            } else if is("TERM") || is("INT") || is("HUP") {
                self.end_gracefully()?;
            } else if is("USR2") {
                let program = self.places.monitor.clone();
                self.upgrade(&program, None);
            }
        }
        Ok(())
    }

    /// Waits for all children that have ended: doors, the container's init, health checks, and orphans.
    pub(super) fn reap(&mut self) -> Result<()> {
        while let Some((pid, exit)) = wait_any_nohang()? {
            if self.stage.door() == Some(pid) {
                self.door_ended(exit)?;
            } else if self.stage.init() == Some(pid) {
                self.init_ended(Some(exit))?;
            } else if let Some(checks) = &mut self.checks
                && let Some(changed) = checks.ended(pid, exit, &self.strays, &self.dir)
            {
                self.checked(changed)?;
            } else {
                self.strays.push((pid, exit));
            }
        }
        if self.stage.door().is_none() && !self.checks.as_ref().is_some_and(Checks::is_starting) {
            self.strays = Vec::new();
        }
        Ok(())
    }

    /// Whether somebody patient hasn't read what was written before.
    fn is_held_up(&self) -> bool {
        self.connections.iter().any(Connection::holds_up)
    }

    /// Takes a piece of output, for the log and for those who are attached; how much it was.
    pub(super) fn pump(&mut self, stream: Stream) -> usize {
        if self.is_held_up() {
            return 0;
        }
        let (count, written) = match &mut self.log {
            Some(log) if !self.streams.terminal => {
                let Some(pipe) = self.streams.of(stream) else { return 0 };
                log.take(stream, pipe, &mut self.buffer[1..]).unwrap_or_else(|e| (0, Err(e)))
            }
            log => {
                let count = self.streams.read(stream, &mut self.buffer[1..]);
                let written = log.as_mut().filter(|_| count > 0);
                (count, written.map_or(Ok(()), |log| log.write(stream, &self.buffer[1..=count])))
            }
        };
        self.log_was_written(written);
        if count > 0 {
            self.buffer[0] = if stream == Stream::Stdout { STDOUT } else { STDERR };
            for connection in &mut self.connections {
                connection.pass(&self.buffer[..=count]);
            }
        }
        count
    }

    /// A log that can't be written is told once, and that it can be again.
    fn log_was_written(&mut self, written: Result<()>) {
        let error = written.err().map(|e| e.to_string());
        // The cause may differ in a number each time.
        if error.is_some() == self.log_error.is_some() {
            return;
        }
        self.tell("log", &[("error", error.clone().map_or(Value::Null, Value::from))]);
        (self.status.error, self.log_error) = (error.clone(), error);
        self.note();
    }

    /// Takes what is left of the output of a container that has ended; whether that was all.
    pub(super) fn drain(&mut self) -> bool {
        loop {
            if self.is_held_up() {
                return false;
            }
            let count = self.pump(Stream::Stdout) + self.pump(Stream::Stderr);
            self.leftover = self.leftover.saturating_sub(count);
            if (count == 0 && !self.is_held_up()) || self.leftover == 0 {
                self.leftover = LEFTOVER;
                return true;
            }
        }
    }

    /// Gives the container input, as much as it takes; the rest waits.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        if !self.input.is_empty() {
            let count = self.streams.write(&self.input);
            self.input.drain(..count);
        }
        if self.input.is_empty() {
            self.input = Vec::new();
            if self.input_ends && !self.streams.terminal {
                self.streams.input = None;
            }
        }
    }

    fn look_at_memory(&mut self) {
        let Some(oom) = &mut self.oom else { return };
        match oom.happened() {
            Ok(true) if !self.status.oom => {
                self.status.oom = true;
                self.tell("oom", &[]);
                self.note();
            }
            Ok(_) => {}
            // A group that can't be asked any more would wake us again and again.
            Err(_) => self.oom = None,
        }
    }

    /// Replaces status.json, behind the event that tells why: who sees the status sees the event. One that can't be written is told by an event; the container goes on.
    pub(super) fn note(&mut self) {
        if let Some(checks) = &self.checks {
            self.status.health = Some(checks.health().clone());
        }
        if let Err(e) = self.status.write(&self.dir) {
            self.tell("error", &[("error", e.to_string().into())]);
        }
    }

    /// Appends an event. On a full disk there is nowhere to tell that it can't be.
    pub(super) fn tell(&self, event: &str, details: &[(&str, Value)]) {
        let _ = events::append(&self.dir, event, details);
    }

    fn take_terminal(&mut self) -> Result<()> {
        let Some(console) = self.stage.console() else { return Ok(()) };
        let message = socket::accept(console).and_then(|peer| socket::receive(&peer, 4096));
        let master = message.during(|| "terminal")?.fds.pop();
        self.stage.give_terminal(master);
        Ok(())
    }
}
