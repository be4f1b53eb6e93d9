//! A connection to a D-Bus: one call at a time, each answered within a bounded time.
//!
//! ```text
//!  connect ── "\0AUTH EXTERNAL" ── DATA ── OK ── BEGIN ── Hello (on a bus) ── calls, replies, signals
//! ```
//!
//! The name that EXTERNAL takes is left empty: the other side then takes the user from the socket, as it sees it,
//! which is right in a user namespace, too. Source: D-Bus Specification 0.38, "Authentication Protocol".

use super::message::{self, Incoming, Target, Value};
use crate::error::{During, Error, Kind, Result};
use crate::numbers::radix;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd, signal, socket};
use std::time::{Duration, Instant};

/// How long connecting and authenticating may take, and the answer to a call.
const HANDSHAKE: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);

/// Until when something is waited for, and how long that was.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant, Duration);

impl Deadline {
    fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit, limit)
    }
}

/// The longest line of authentication.
const LINE_MAX: usize = 4096;

const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// Where it leads, for messages.
    address: String,
    serial: u32,
    /// What was received and not read yet.
    received: Vec<u8>,
    /// Signals that came while something else was waited for.
    signals: Vec<Incoming>,
}

impl Connection {
    /// Connects to a bus by its address, `unix:path=/run/dbus/system_bus_socket`; of several, `;` between them, the
    /// first that can be reached.
    pub(super) fn to_bus(address: &str) -> Result<Self> {
        let mut failed = None;
        for address in address.split(';').filter(|address| !address.is_empty()) {
            match Self::open(address) {
                Ok(mut connection) => {
                    connection.call_within(BUS, "Hello", &[], HANDSHAKE)?;
                    return Ok(connection);
                }
                Err(e) => drop(failed.get_or_insert(e)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(Kind::Config, "D-Bus: the address of the bus is empty")))
    }

    /// Connects to a program that speaks D-Bus itself, without a bus between.
    pub(super) fn open(address: &str) -> Result<Self> {
        let during = || format!("D-Bus {address}");
        let socket = connect(address).during(during)?;
        let (received, signals) = (Vec::new(), Vec::new());
        let mut connection = Self { socket, address: address.to_owned(), serial: 0, received, signals };
        connection.authenticate().during(during)?;
        Ok(connection)
    }

    /// Where it leads.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn authenticate(&mut self) -> Result<()> {
        let deadline = Deadline::after(HANDSHAKE);
        self.send(b"\0AUTH EXTERNAL\r\n")?;
        loop {
            let line = self.line(deadline)?;
            match line.split(' ').next().unwrap_or_default() {
                "DATA" => self.send(b"DATA\r\n")?,
                "OK" => return self.send(b"BEGIN\r\n"),
                _ => {
                    let why = format!("authentication is refused: {:?}", line.escape_debug().to_string());
                    return Err(Error::new(Kind::Permission, why));
                }
            }
        }
    }

    fn line(&mut self, deadline: Deadline) -> Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let rest = self.received.split_off(end + 2);
                let line = std::mem::replace(&mut self.received, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.received.len() > LINE_MAX {
                return Err(Error::new(Kind::System, "the answer to authentication has no end"));
            }
            self.more(deadline, "authentication")?;
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        match socket::send(&self.socket, bytes, &[]) {
            Err(e) if e.errno() == Errno::AGAIN => Err(timeout("a message", HANDSHAKE)),
            sent => Ok(sent?),
        }
    }

    /// Waits for more bytes.
    fn more(&mut self, deadline: Deadline, what: &str) -> Result<()> {
        let left = deadline.0.saturating_duration_since(Instant::now());
        // Rounded up: less than a millisecond is not none.
        let left_ms = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        if left.is_zero() || !signal::wait_readable(&self.socket, Some(left_ms))? {
            return Err(timeout(what, deadline.1));
        }
        let mut buffer = [0; 4096];
        match fs::read(&self.socket, &mut buffer) {
            Err(e) if e.errno() != Errno::CONNRESET => Err(e.into()),
            Ok(0) | Err(_) => {
                let why = format!("the connection was closed before the answer to {what}");
                Err(Error::new(Kind::System, why))
            }
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    fn message(&mut self, deadline: Deadline, what: &str) -> Result<Incoming> {
        loop {
            if let Some(length) = message::length(&self.received)?.filter(|n| *n <= self.received.len()) {
                let rest = self.received.split_off(length);
                return message::decode(&std::mem::replace(&mut self.received, rest));
            }
            self.more(deadline, what)?;
        }
    }

    /// Calls a method, and waits for the answer.
    ///
    /// # Errors
    /// When it doesn't come in time, or is an error: [`Failure::Answer`] then.
    pub(super) fn call(
        &mut self,
        to: Target,
        member: &str,
        arguments: &[Value],
    ) -> std::result::Result<Incoming, Failure> {
        self.call_within(to, member, arguments, ANSWER)
    }

    fn call_within(
        &mut self,
        to: Target,
        member: &str,
        arguments: &[Value],
        limit: Duration,
    ) -> std::result::Result<Incoming, Failure> {
        self.serial += 1;
        let address = self.address.clone();
        let during = || format!("D-Bus {address}");
        let deadline = Deadline::after(limit);
        self.send(&message::call(self.serial, to, member, arguments)).during(during)?;
        loop {
            let message = self.message(deadline, member).during(during)?;
            match message.kind {
                message::SIGNAL => self.signals.push(message),
                message::RETURN if message.reply_to == self.serial => return Ok(message),
                message::ERROR if message.reply_to == self.serial => {
                    let text = message.body.first().and_then(Value::as_text).unwrap_or(&message.error);
                    let text = text.trim_end_matches('.').replace(char::is_control, " ");
                    return Err(Failure::Answer { error: message.error, text });
                }
                // Nobody has reason to call us, and what answers no call of ours is not for us.
                _ => {}
            }
        }
    }

    /// Has the bus send us signals.
    pub(super) fn subscribe(&mut self, rule: &str) -> Result<()> {
        self.call(BUS, "AddMatch", &[Value::text(rule)])?;
        Ok(())
    }

    /// Waits for a signal: the first that came since the last time for which `wanted` gives something.
    pub(super) fn signal<T>(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: &dyn Fn(&Incoming) -> Option<T>,
    ) -> Result<T> {
        if let Some(found) = self.signals.drain(..).find_map(|signal| wanted(&signal)) {
            return Ok(found);
        }
        let address = self.address.clone();
        let deadline = Deadline::after(limit);
        loop {
            let message = self.message(deadline, what).during(|| format!("D-Bus {address}"))?;
            if let (message::SIGNAL, Some(found)) = (message.kind, wanted(&message)) {
                return Ok(found);
            }
        }
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The other side answered so: the error's name, and what it says.
    Answer {
        /// `org.freedesktop.systemd1.UnitExists`.
        error: String,
        /// A line for people.
        text: String,
    },
    /// There was no answer.
    Connection(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Connection(e)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer { error, text } => {
                let denied = error.ends_with(".AccessDenied") || error.ends_with("AuthorizationRequired");
                Self::new(if denied { Kind::Permission } else { Kind::System }, text)
            }
            Failure::Connection(e) => e,
        }
    }
}

fn timeout(what: &str, limit: Duration) -> Error {
    Error::new(Kind::System, format!("no answer to {what} within {} seconds", limit.as_secs()))
}

/// Connects to one address: `unix:path=…` or `unix:abstract=…`, with `%XX` for what can't stand there.
fn connect(address: &str) -> Result<OwnedFd> {
    let keys = address.strip_prefix("unix:").unwrap_or_default();
    for (key, value) in keys.split(',').filter_map(|pair| pair.split_once('=')) {
        match key {
            "path" => {
                let path = fs::open(unescape(value), OFlags::PATH, Mode::empty())?;
                return Ok(socket::connect_stream_within(&path, HANDSHAKE)?);
            }
            "abstract" => return Ok(socket::connect_abstract_within(&unescape(value), HANDSHAKE)?),
            _ => {}
        }
    }
    Err(Error::new(Kind::Unsupported, "is not the address of a Unix socket"))
}

fn unescape(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| radix(two, 16)) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte as u8);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
