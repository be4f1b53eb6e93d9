//! Bytes between our standard streams and the program's terminal.
//!
//! ```text
//! stdin ──► input ──► master   (the program's terminal)
//! stdout ◄── output ◄── master
//! ```
//!
//! Each way holds one piece at a time: it is read when the last one is written. The end of our input is typed to
//! the program (see [`end_of_input`]), so that a shell in a terminal ends when its script does. The end of our
//! output hangs the terminal up.

use super::end_of_input::{self, END_OF_FILE, EndOfInput};
use super::terminal::Terminal;
use forgeone_runtime::Result;
use forgeone_runtime::error::During;
use forgeone_sys::fs::{dup, set_nonblocking, stdin, stdout};
use forgeone_sys::pty::{keep_line_ends, set_window_size};
use forgeone_sys::signal::{PollFd, poll, read_signal};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much is moved at once: what a pipe that is ready takes without making us wait (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// How much output is still fetched when the program has ended: more than a terminal holds. Processes that it left
/// behind may go on writing for ever.
const LEFTOVER: usize = 64 * PIECE;

/// One way, from a source to a sink.
#[derive(Debug, Default)]
struct Way {
    /// Read and not yet written.
    piece: Vec<u8>,
    /// Nothing more can be read.
    ended: bool,
    /// Nothing more can be written.
    broken: bool,
}

impl Way {
    fn wants_to_read(&self) -> bool {
        self.piece.is_empty() && !self.ended && !self.broken
    }

    fn wants_to_write(&self) -> bool {
        !self.piece.is_empty() && !self.broken
    }

    /// Reads a piece; whether the source said that this is its end.
    fn read(&mut self, source: &mut impl Read) -> bool {
        let mut buffer = [0; PIECE];
        match source.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.piece.extend_from_slice(&buffer[..count]),
            Err(e) if is_for_later(&e) => {}
            // A terminal that is hung up, or not ours to read: EIO.
            Err(_) => {
                self.ended = true;
                return false;
            }
        }
        self.ended
    }

    fn write(&mut self, sink: &mut impl Write) {
        match sink.write(&self.piece) {
            Ok(count) => drop(self.piece.drain(..count)),
            Err(e) if is_for_later(&e) => {}
            Err(_) => self.broken = true,
        }
    }
}

fn is_for_later(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What can be done without waiting.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    watched: bool,
    stdin: bool,
    stdout: bool,
    from_master: bool,
    to_master: bool,
}

/// Our streams, the program's terminal, and what is on its way between them.
#[derive(Debug)]
pub(super) struct Relay {
    /// Gone once our output is.
    master: Option<File>,
    stdin: File,
    stdout: File,
    input: Way,
    output: Way,
    /// Our input has ended, and the program is to know.
    end: Option<EndOfInput>,
    terminal: Terminal,
}

impl Relay {
    /// Joins our streams with the terminal whose `master` this is.
    pub(super) fn new(master: OwnedFd, terminal: Terminal) -> Result<Self> {
        let relay = Self::between(master, dup(stdin())?.into(), dup(stdout())?.into(), terminal)?;
        relay.resize();
        Ok(relay)
    }

    fn between(master: OwnedFd, stdin: File, stdout: File, terminal: Terminal) -> Result<Self> {
        // It is ours alone. A write that is too long for its peer must not make us wait, who are to read its answer.
        set_nonblocking(&master, true).and_then(|()| keep_line_ends(&master)).during(|| "terminal")?;
        let (input, output) = (Way::default(), Way::default());
        Ok(Self { master: Some(master.into()), stdin, stdout, input, output, end: None, terminal })
    }

    /// Gives the program's terminal the size of ours. Only a terminal that has just gone makes it fail.
    pub(super) fn resize(&self) {
        if let (Some(master), Some((rows, columns))) = (&self.master, self.terminal.size()) {
            let _ = set_window_size(master, rows, columns);
        }
    }

    /// Waits until something is ready, and moves it; whether there is something to read from what else is `watched`.
    pub(super) fn step(&mut self, watched: &[BorrowedFd], timeout_ms: Option<i32>) -> Result<bool> {
        let due_ms = self.end.as_ref().map(EndOfInput::wait_ms);
        let ready = self.wait(watched, [timeout_ms, due_ms].into_iter().flatten().min())?;
        self.carry(ready);
        self.type_end_of_file();
        Ok(ready.watched)
    }

    /// What is waited for follows from what is on its way. A descriptor that nothing is wanted of is left out: a
    /// hang-up on it would wake us again and again.
    fn wait(&self, watched: &[BorrowedFd], timeout_ms: Option<i32>) -> Result<Ready> {
        let wanted = [
            (Some(&self.stdin), self.input.wants_to_read() && self.master.is_some(), false),
            (Some(&self.stdout), false, self.output.wants_to_write()),
            (self.master.as_ref(), self.output.wants_to_read(), self.input.wants_to_write()),
        ];
        let asked = |(fd, read, write): &(Option<&'_ File>, bool, bool)| fd.is_some() && (*read || *write);
        let mut fds: Vec<_> = watched.iter().map(PollFd::readable).collect();
        for (fd, read, write) in wanted.iter().filter(|wanted| asked(wanted)) {
            fds.extend(fd.as_ref().map(|fd| PollFd::new(fd, *read, *write)));
        }
        poll(&mut fds, timeout_ms).during(|| "wait for input")?;

        let (came, ours) = fds.split_at(watched.len());
        let mut answers = ours.iter();
        let mut next = |i: usize| if asked(&wanted[i]) { answers.next() } else { None };
        let (stdin, stdout, master) = (next(0), next(1), next(2));
        // A hang-up or an error is for whoever reads or writes next to find out.
        let failed = |fd: &PollFd| fd.is_hung_up() || fd.is_error();
        Ok(Ready {
            watched: came.iter().any(PollFd::is_ready),
            stdin: stdin.is_some_and(PollFd::is_ready),
            stdout: stdout.is_some_and(PollFd::is_ready),
            from_master: wanted[2].1 && master.is_some_and(|fd| fd.is_readable() || failed(fd)),
            to_master: wanted[2].2 && master.is_some_and(|fd| fd.is_writable() || failed(fd)),
        })
    }

    fn carry(&mut self, ready: Ready) {
        if ready.stdin && self.input.read(&mut self.stdin) {
            self.end = Some(EndOfInput::now());
        }
        if let Some(master) = &mut self.master {
            if ready.to_master {
                self.input.write(master);
            }
            if ready.from_master {
                self.output.read(master);
                self.input.broken = self.output.ended; // nobody has the terminal open any more
            }
        }
        if ready.stdout {
            self.output.write(&mut self.stdout);
        }
        if self.output.broken {
            self.master = None; // nobody sees it any more: the program is told by a hang-up
        }
    }

    fn type_end_of_file(&mut self) {
        let (Some(end), Some(master)) = (&mut self.end, &self.master) else { return };
        if self.input.broken {
            self.end = None;
            return;
        }
        if !end.is_due() || self.input.wants_to_write() {
            return;
        }
        end.again();
        match end_of_input::is_read(master) {
            Ok(false) => {}
            Ok(true) => self.input.piece.push(END_OF_FILE),
            // Not to be known here: once, for better or worse.
            Err(_) => {
                self.input.piece.push(END_OF_FILE);
                self.end = None;
            }
        }
    }

    /// The program has ended: shows the rest of its output, unless a signal for us to go comes first.
    pub(super) fn finish(mut self, signals: &OwnedFd, ends_us: fn(i32) -> bool) -> Result<()> {
        (self.input, self.end) = (Way { ended: true, ..Way::default() }, None);
        let mut left = LEFTOVER;
        loop {
            if self.output.wants_to_write() {
                if self.step(&[signals.as_fd()], None)? && ended(signals, ends_us)? {
                    return Ok(());
                }
            } else if self.output.wants_to_read() && self.master.is_some() && left > 0 {
                // What the program has written can be read at once.
                self.step(&[signals.as_fd()], Some(0))?;
                if self.output.piece.is_empty() {
                    return Ok(());
                }
                left = left.saturating_sub(self.output.piece.len());
            } else {
                return Ok(());
            }
        }
    }
}

/// Whether one of the signals that came ends us.
fn ended(signals: &OwnedFd, ends_us: fn(i32) -> bool) -> Result<bool> {
    while let Some(signal) = read_signal(signals)? {
        if ends_us(signal.number) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
