//! The container's standard streams: FIFOs in its directory, or its terminal's master.
//!
//! ```text
//! container ──stdout, open for reading, too──► FIFO ──► monitor        whoever dies, the other's end stays
//! container ◄──stdin── FIFO ◄── monitor
//! ```
//!
//! The input is open for writing on the container's side, too, unless somebody was attached to it when it was started:
//! then it ends when that one says so, and with the monitor.

use super::log::Stream;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, FileType, Mode, OFlags};
use forgeone_sys::pty;
use forgeone_sys::{AsFd, Errno, OwnedFd};

/// The FIFOs' names.
const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The monitor's ends.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Where input goes; nothing once it has ended.
    pub(super) input: Option<OwnedFd>,
    /// Standard output, or the terminal; nothing once the terminal is hung up.
    pub(super) output: Option<OwnedFd>,
    /// Standard error.
    pub(super) errors: Option<OwnedFd>,
    /// Whether it is a terminal.
    pub(super) terminal: bool,
}

/// The container's ends.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Streams {
    /// Opens FIFOs, which are made where there are none, and the container's ends of them. `ends` says that the input is
    /// to end when the monitor's end is closed; without `stdin` there is none.
    pub(super) fn open(dir: &OwnedFd, stdin: bool, ends: bool) -> Result<(Self, Inside)> {
        let streams = Self::reopen(dir, stdin)?;
        let [input, output, errors] = NAMES;
        let inside = match (stdin, ends) {
            (false, _) => fs::open("/dev/null", OFlags::RDONLY, Mode::empty())?,
            (true, true) => end(dir, input, OFlags::RDONLY)?,
            (true, false) => end(dir, input, OFlags::RDWR)?,
        };
        let inside = Inside {
            stdin: inside,
            stdout: end(dir, output, OFlags::RDWR)?,
            stderr: end(dir, errors, OFlags::RDWR)?,
        };
        // Write-only from now on: a reader that is gone is seen.
        let input = match stdin {
            true => Some(end(dir, input, OFlags::WRONLY | OFlags::NONBLOCK)?),
            false => None,
        };
        Ok((Self { input, ..streams }, inside))
    }

    /// Opens the monitor's ends alone: those of a container that runs, whose FIFOs are there.
    pub(super) fn reopen(dir: &OwnedFd, stdin: bool) -> Result<Self> {
        for name in NAMES {
            match fs::mknodat(dir, name, FileType::Fifo, 0o600, 0, 0) {
                Err(e) if e.errno() != Errno::EXIST => return Err(e).during(|| "streams"),
                _ => {}
            }
        }
        // For reading and writing: it never waits, and there is no end of file while nobody else has it open.
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let [input, output, errors] = NAMES.map(|name| end(dir, name, flags));
        let input = if stdin { Some(input?) } else { None };
        Ok(Self { input, output: Some(output?), errors: Some(errors?), terminal: false })
    }

    /// A terminal's master.
    pub(super) fn of_terminal(master: OwnedFd) -> Result<Self> {
        fs::set_nonblocking(&master, true)?;
        Ok(Self { input: Some(fs::dup(&master)?), output: Some(master), errors: None, terminal: true })
    }

    /// One of the outputs.
    pub(super) fn of(&self, stream: Stream) -> Option<&OwnedFd> {
        match stream {
            Stream::Stdout => self.output.as_ref(),
            Stream::Stderr => self.errors.as_ref(),
        }
    }

    /// Writes what fits of a piece of input: how much it was, all of it where nobody reads any more.
    pub(super) fn write(&mut self, piece: &[u8]) -> usize {
        let Some(input) = &self.input else { return piece.len() };
        match fs::write(input, piece) {
            Ok(count) => count,
            Err(e) if e.errno() == Errno::AGAIN => 0,
            Err(_) => {
                self.input = None;
                piece.len()
            }
        }
    }

    /// Takes a piece of output: how much it was. A terminal that is hung up is closed.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> usize {
        let Some(source) = self.of(stream) else { return 0 };
        match fs::read(source, buffer) {
            Ok(count) if count > 0 => count,
            Err(e) if e.errno() == Errno::AGAIN => 0,
            // EIO: nobody has it open any more.
            _ => {
                (self.output, self.errors, self.input) = (None, None, None);
                0
            }
        }
    }

    /// Throws away what is in the pipes: of a door that failed.
    pub(super) fn discard(&self) {
        let mut buffer = [0; 4096];
        for pipe in [&self.output, &self.errors].into_iter().flatten().filter(|_| !self.terminal) {
            while matches!(fs::read(pipe, &mut buffer), Ok(count) if count > 0) {}
        }
    }

    /// Gives the terminal a size. One that has just gone makes it fail, which is seen elsewhere.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        if let Some(master) = self.output.as_ref().filter(|_| self.terminal) {
            let _ = pty::set_window_size(master, rows, columns);
        }
    }
}

fn end(dir: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd> {
    fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty()).during(|| "streams")
}
