//! Speaking to a container's monitor.

use super::protocol::{
    MESSAGE_MAX, PIECE, PROTOCOL, Reply, Request, SOCKET, STDERR, STDIN, STDOUT, from_bytes, to_bytes,
};
use super::words::Words;
use super::{Exit, Status};
use crate::background;
use crate::error::{During, Error, Kind, Result};
use crate::registry::Places;
use forgeone_config::RestartPolicy;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd, socket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a monitor that another has just started may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// The exit status of a command that failed by itself, not by the program that it was to start.
pub const FAILED: u8 = 125;

/// Why something could not be done, and the exit status that tells it: 127 for a program that isn't there, 126 for one
/// that can't be executed, 125 for everything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// One line.
    pub error: Error,
    /// 125, 126 or 127.
    pub status: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, status: FAILED }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A connection to a container's monitor. What is asked is answered before the next is asked.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    directory: PathBuf,
}

impl Client {
    /// Speaks to the monitor of the container in this directory, which is started if there is none. One that finds the
    /// container running, since an earlier monitor was lost, goes on where that one ended.
    ///
    /// # Errors
    /// That the monitor can't be started, with its own words.
    pub fn spawn(places: &Places, directory: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(client) = Self::connect(directory)? {
                return Ok(client);
            }
            start_monitor(places, directory)?;
            // Another may have started one at the same time; that one listens in a moment.
            if Instant::now() > deadline {
                let message = format!("monitor of {}: does not listen", directory.display());
                return Err(Error::new(Kind::System, message));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Speaks to the monitor of the container in this directory; `None` if none lives.
    ///
    /// # Errors
    /// That it speaks another language, or the kernel's answer.
    pub fn connect(directory: &Path) -> Result<Option<Self>> {
        let place = fs::open(directory, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        match socket::connect_seqpacket(&place, SOCKET) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            connected => Self::greeted(connected.during(|| "monitor")?, directory),
        }
    }

    /// A monitor that is about to end may still let us in, but doesn't greet.
    fn greeted(socket: OwnedFd, directory: &Path) -> Result<Option<Self>> {
        let client = Self { socket, directory: directory.to_owned() };
        let hello = match client.receive() {
            Ok(Some(hello)) => hello,
            Ok(None) => return Ok(None),
            Err(e) if e.kind() == Kind::System => return Ok(None),
            Err(e) => return Err(e),
        };
        match hello {
            Reply::Hello { protocol: PROTOCOL, .. } => Ok(Some(client)),
            Reply::Hello { protocol, version } => Err(Error::new(
                Kind::Unsupported,
                format!(
                    "the container's monitor is of forgeone {version} and speaks version {protocol} of the protocol, \
                     not {PROTOCOL}: send it SIGUSR2, and it becomes the one that is installed"
                ),
            )),
            other => Err(unexpected(&other)),
        }
    }

    /// The monitor's process.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn pid(&self) -> Result<i32> {
        Ok(socket::peer(&self.socket)?.pid)
    }

    /// Starts the container.
    ///
    /// # Errors
    /// [`Kind::State`] if it runs already; what the door says, with 126 or 127 if it is about the program.
    pub fn start(&mut self) -> std::result::Result<Status, Failure> {
        self.ask(&Request::Start)
    }

    /// Has the container's streams, from now on: `logs` has what was before. Attached before it is started, nothing is
    /// missed. With `stdin`, what is sent goes to its standard input, which ends when that is said by the first who had
    /// it before the start.
    ///
    /// Who is `patient` is waited for: as with a pipe, the container's output stops until it is read. Others miss what
    /// they are too slow for ([`Output::Lost`]).
    ///
    /// # Errors
    /// [`Kind::State`] for the input of a container without one.
    pub fn attach(&self, stdin: bool, patient: bool) -> Result<Attached> {
        let gone = || Error::new(Kind::State, "the container's monitor has ended");
        let own = Self::connect(&self.directory)?.ok_or_else(gone)?;
        own.send(&Request::Attach { stdin, patient })?;
        match own.receive()? {
            Some(Reply::Attached { terminal }) => Ok(Attached { socket: own.socket, terminal }),
            Some(Reply::Failed { message, kind, .. }) => Err(Error::new(kind.kind(), message)),
            Some(other) => Err(unexpected(&other)),
            None => Err(gone()),
        }
    }

    /// Asks the container to end by a signal, and kills it if it still runs after the time-out; both are the container's
    /// own where they aren't given. It isn't started again by itself. Comes back when it has ended; one that doesn't run
    /// is no error.
    ///
    /// # Errors
    /// That it can't be killed.
    pub fn stop(&mut self, signal: Option<i32>, timeout: Option<Duration>) -> Result<Status> {
        let timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Ok(self.ask(&Request::Stop { signal, timeout_ms })?)
    }

    /// Waits until the container has ended and isn't to be started again.
    ///
    /// # Errors
    /// That the monitor was lost.
    pub fn wait(&mut self) -> Result<Exit> {
        self.send(&Request::Wait)?;
        match self.receive()? {
            Some(Reply::Ended { exit }) => Ok(exit),
            Some(Reply::Failed { message, kind, .. }) => Err(Error::new(kind.kind(), message)),
            Some(other) => Err(unexpected(&other)),
            None => Err(lost()),
        }
    }

    /// Changes when the container is started again. It holds for this monitor: whoever asks has written it down.
    ///
    /// # Errors
    /// That the monitor was lost.
    pub fn set_restart(&mut self, policy: RestartPolicy) -> Result<()> {
        Ok(self.ask(&Request::Restart { policy }).map(drop)?)
    }

    /// Has the monitor become another program, with all that it holds.
    ///
    /// # Errors
    /// That it can't be executed; the monitor stays what it is.
    pub fn upgrade(&mut self, program: &Path) -> Result<()> {
        Ok(self.ask(&Request::Upgrade { program: program.to_owned() }).map(drop)?)
    }

    fn ask(&mut self, request: &Request) -> std::result::Result<Status, Failure> {
        self.send(request)?;
        match self.receive()? {
            Some(Reply::Done { status }) => Ok(*status),
            Some(Reply::Failed { message, kind, status }) => {
                Err(Failure { error: Error::new(kind.kind(), message), status })
            }
            Some(other) => Err(unexpected(&other).into()),
            None => Err(lost().into()),
        }
    }

    fn send(&self, request: &Request) -> Result<()> {
        socket::send(&self.socket, &to_bytes(request)?, &[]).map_err(|e| match e.errno() {
            Errno::PIPE | Errno::CONNRESET => lost(),
            _ => e.into(),
        })
    }

    /// `None` when the monitor is gone.
    fn receive(&self) -> Result<Option<Reply>> {
        let message = match socket::receive(&self.socket, MESSAGE_MAX) {
            Err(e) if e.errno() == Errno::CONNRESET => return Ok(None),
            received => received.during(|| "monitor")?,
        };
        if message.eof { Ok(None) } else { from_bytes(&message.bytes).map(Some) }
    }
}

/// To be waited for: readable when a reply has come, or the monitor is gone.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn lost() -> Error {
    Error::new(
        Kind::System,
        "the container's monitor has ended unexpectedly; the next command starts another",
    )
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(Kind::System, format!("monitor: unexpected reply {reply:?}"))
}

/// What an attached container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// It wrote this to its standard output or its terminal.
    Stdout(Vec<u8>),
    /// It wrote this to its standard error.
    Stderr(Vec<u8>),
    /// So many bytes were missed.
    Lost(u64),
    /// It has ended; nothing follows.
    Ended(Exit),
    /// The monitor was lost; the container may run.
    Gone,
}

/// The streams of a container. It is readable for poll when [`Attached::receive`] has something to give, and writable when
/// [`Attached::send`] doesn't wait.
#[derive(Debug)]
pub struct Attached {
    socket: OwnedFd,
    terminal: bool,
}

impl Attached {
    /// The largest piece that is sent as one.
    pub const PIECE: usize = PIECE;

    /// Whether the container has a terminal: then all of its output is one stream.
    pub fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn receive(&mut self) -> Result<Output> {
        let mut message = match socket::receive(&self.socket, MESSAGE_MAX) {
            Err(e) if e.errno() == Errno::CONNRESET => return Ok(Output::Gone),
            received => received.during(|| "monitor")?,
        };
        match message.bytes.first() {
            None => Ok(Output::Gone),
            Some(&STDOUT) => Ok(Output::Stdout(message.bytes.split_off(1))),
            Some(&STDERR) => Ok(Output::Stderr(message.bytes.split_off(1))),
            Some(_) => match from_bytes(&message.bytes)? {
                Reply::Ended { exit } => Ok(Output::Ended(exit)),
                Reply::Lost { bytes } => Ok(Output::Lost(bytes)),
                other => Err(unexpected(&other)),
            },
        }
    }

    /// Sends input, in pieces of at most [`Attached::PIECE`]; waits while the container doesn't read it.
    ///
    /// # Errors
    /// The kernel's answer; a monitor that is gone is none, [`Attached::receive`] tells it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE) {
            let mut message = Vec::with_capacity(piece.len() + 1);
            message.push(STDIN);
            message.extend_from_slice(piece);
            self.say(&message)?;
        }
        Ok(())
    }

    /// Says that the input has ended. Of a terminal nothing ends: its client types the end of file.
    ///
    /// # Errors
    /// As [`Attached::send`].
    pub fn end_input(&mut self) -> Result<()> {
        self.say(&[STDIN])
    }

    /// Gives the container's terminal a size, in characters.
    ///
    /// # Errors
    /// As [`Attached::send`].
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.say(&to_bytes(&Request::Resize { rows, columns })?)
    }

    fn say(&self, message: &[u8]) -> Result<()> {
        match socket::send(&self.socket, message, &[]) {
            Err(e) if matches!(e.errno(), Errno::PIPE | Errno::CONNRESET) => Ok(()),
            sent => sent.during(|| "monitor"),
        }
    }
}

impl AsFd for Attached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Starts a monitor and waits until it listens.
fn start_monitor(places: &Places, directory: &Path) -> Result<()> {
    let words = Words { places: places.clone(), directory: directory.to_owned(), handed: None };
    background::start(&places.monitor, &words.to_words(), "monitor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::State;
    use crate::monitor::protocol::Sort;

    #[test]
    fn requests_and_replies_are_read_as_they_were_written() {
        let policy = RestartPolicy::OnFailure(Some(3));
        for request in [
            Request::Start,
            Request::Attach { stdin: true, patient: false },
            Request::Stop { signal: Some(15), timeout_ms: None },
            Request::Restart { policy },
        ] {
            let bytes = to_bytes(&request).unwrap_or_default();
            assert_eq!(bytes.first(), Some(&b'{'), "told from pieces of streams");
            assert_eq!(from_bytes::<Request>(&bytes), Ok(request));
        }
        let status = Box::new(Status { state: State::Running, ..Status::default() });
        let reply = Reply::Done { status };
        assert_eq!(from_bytes::<Reply>(&to_bytes(&reply).unwrap_or_default()), Ok(reply));
        assert!(from_bytes::<Reply>(b"{}").is_err());
        assert_eq!(Sort::of(Kind::Program).kind(), Kind::Program);
    }
}
