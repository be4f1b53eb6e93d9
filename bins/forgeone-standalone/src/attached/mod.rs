//! Standing in for a container on our caller's streams: its output becomes ours, our input its own, signals go to it, its
//! exit status becomes ours.
//!
//! One thread, one loop over poll. All signals are blocked before it is started and read from a descriptor.

mod keys;

use crate::here::Here;
use forgeone_runtime::error::During;
use forgeone_runtime::monitor::{Attached, Exit, Output};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::fs::{self, stdin, stdout};
use forgeone_sys::pty::{RawGuard, in_foreground, is_terminal, raw_mode, window_size};
use forgeone_sys::signal::{self, PollFd, poll, signal_name};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd};
pub(crate) use keys::Keys;

/// How it is stood in for.
#[derive(Debug)]
pub(crate) struct How {
    /// Whether our input is passed on.
    pub(crate) stdin: bool,
    /// Whether signals are.
    pub(crate) signals: bool,
    /// What is typed to go away.
    pub(crate) keys: Keys,
}

/// How it ended for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The container has ended.
    Exit(Exit),
    /// We were asked to go away; it goes on.
    Detached,
}

/// Signals are blocked from here on.
pub(crate) struct Stand {
    signals: OwnedFd,
}

impl Stand {
    /// Call it before the container is started.
    pub(crate) fn prepare() -> Result<Self> {
        signal::block_all().during(|| "block signals")?;
        Ok(Self { signals: signal::signalfd().during(|| "read signals")? })
    }

    /// Stays until the container has ended or the keys were typed.
    pub(crate) fn attend(&self, here: &Here, id: &str, mut attached: Attached, mut how: How) -> Result<End> {
        let ours = how.stdin && is_terminal(stdin()) && in_foreground(stdin());
        let raw: Option<RawGuard> =
            if ours && attached.has_terminal() { raw_mode(stdin()).ok() } else { None };
        if attached.has_terminal() {
            resize(&mut attached)?;
        }
        let mut input = Input::new(how.stdin, raw.is_some());
        loop {
            let (came, readable, signalled) = self.wait(&attached, &input)?;
            if came && let Some(end) = show(&mut attached)? {
                return Ok(end);
            }
            if signalled {
                self.signals(here, id, &mut attached, how.signals)?;
            }
            if readable && input.pass_on(&mut attached, &mut how.keys)? {
                return Ok(End::Detached);
            }
        }
    }

    /// What is ready: the container's side, our input, signals.
    fn wait(&self, attached: &Attached, input: &Input) -> Result<(bool, bool, bool)> {
        let own = stdin();
        let mut watched = vec![PollFd::readable(attached), PollFd::readable(&self.signals)];
        if input.open {
            watched.push(PollFd::readable(&own));
        }
        poll(&mut watched, None).during(|| "wait for the container")?;
        Ok((watched[0].is_ready(), watched.get(2).is_some_and(PollFd::is_ready), watched[1].is_ready()))
    }

    fn signals(&self, here: &Here, id: &str, attached: &mut Attached, pass_on: bool) -> Result<()> {
        while let Some(signal) = signal::read_signal(&self.signals)? {
            match signal_name(signal.number).as_str() {
                "SIGWINCH" if attached.has_terminal() => resize(attached)?,
                "SIGCHLD" | "SIGURG" | "SIGWINCH" | "SIGPIPE" | "SIGTTIN" | "SIGTTOU" => {}
                _ if pass_on => {
                    // One that has ended meanwhile has no use for it.
                    let _ = here.runtime().kill(id, signal.number, false);
                }
                "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" => {
                    let message =
                        format!("{} ended this command; the container goes on", signal_name(signal.number));
                    return Err(Error::new(Kind::State, message));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes what came; the end, if it is that.
fn show(attached: &mut Attached) -> Result<Option<End>> {
    match attached.receive()? {
        Output::Stdout(bytes) => write(stdout(), &bytes).map(|()| None),
        Output::Stderr(bytes) => write(fs::stderr(), &bytes).map(|()| None),
        Output::Lost(count) => {
            let line = format!("forgeone: {count} bytes were missed; 'forgeone logs' has them\r\n");
            write(fs::stderr(), line.as_bytes()).map(|()| None)
        }
        Output::Ended(exit) => Ok(Some(End::Exit(exit))),
        Output::Gone => Err(Error::new(
            Kind::System,
            "the container's monitor has ended unexpectedly; the next command starts another",
        )),
    }
}

/// A reader that has gone away is no failure: the container goes on.
fn write(to: BorrowedFd, bytes: &[u8]) -> Result<()> {
    match fs::write_all(to, bytes) {
        Err(e) if e.errno() == Errno::PIPE => Ok(()),
        written => written.during(|| "write output"),
    }
}

fn resize(attached: &mut Attached) -> Result<()> {
    let streams = [stdin(), stdout(), fs::stderr()];
    let size = streams.iter().find_map(|stream| window_size(stream).ok());
    match size {
        Some((rows, columns)) if rows > 0 && columns > 0 => attached.resize(rows, columns),
        _ => Ok(()),
    }
}

/// Our input, on its way.
struct Input {
    open: bool,
    terminal: bool,
}

impl Input {
    fn new(open: bool, terminal: bool) -> Self {
        Self { open, terminal }
    }

    /// Reads once and sends it; whether the keys were typed.
    fn pass_on(&mut self, attached: &mut Attached, keys: &mut Keys) -> Result<bool> {
        let mut buffer = vec![0; Attached::PIECE];
        let count = match fs::read(stdin(), &mut buffer) {
            Ok(count) => count,
            Err(e) if matches!(e.errno(), Errno::AGAIN | Errno::INTR) => return Ok(false),
            // A terminal that was hung up, or that isn't ours at the moment.
            Err(_) => 0,
        };
        if count == 0 {
            self.open = false;
            attached.end_input()?;
            return Ok(false);
        }
        if !self.terminal {
            attached.send(&buffer[..count])?;
            return Ok(false);
        }
        let (bytes, typed) = keys.filter(&buffer[..count]);
        attached.send(&bytes)?;
        Ok(typed)
    }
}

/// The exit status for our caller: the container's; 125 where nobody saw it.
pub(crate) fn status(exit: &Exit) -> u8 {
    exit.status.and_then(|status| u8::try_from(status).ok()).unwrap_or(forgeone_runtime::monitor::FAILED)
}

/// Whether a stream of ours is a terminal.
pub(crate) fn has_terminal() -> bool {
    is_terminal(stdin().as_fd())
}
