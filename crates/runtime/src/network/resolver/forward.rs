//! A question that another server is asked.
//!
//! Each has a socket of its own, on a port that the kernel draws, connected to the server it waits for, and an id that is
//! drawn, too: an answer counts if server, port, id and question are right. What else comes is not looked at.

use super::message::{Question, is_failure};
use forgeone_sys::net::connect_tcp;
use forgeone_sys::random::getrandom;
use forgeone_sys::signal::PollFd;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long a server has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all servers are asked; glibc asks twice, too.
const ROUNDS: usize = 2;
/// How many wrong answers are looked at before others have their turn.
const WRONG: usize = 16;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// By UDP: at which listener, from where, and how long an answer may be.
    Udp { listener: usize, peer: SocketAddr, limit: usize },
    /// By TCP: which client.
    Tcp { client: u64, address: IpAddr },
}

impl Asker {
    /// From where.
    pub(super) fn address(&self) -> IpAddr {
        match self {
            Self::Udp { peer, .. } => peer.ip(),
            Self::Tcp { address, .. } => *address,
        }
    }

    /// How long an answer may be.
    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Udp { limit, .. } => *limit,
            Self::Tcp { .. } => usize::from(u16::MAX),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) asker: Asker,
    pub(super) question: Question,
    /// The asker's.
    pub(super) asked_as: u16,
    servers: Vec<SocketAddr>,
    /// How many were tried.
    tries: usize,
    id: u16,
    way: Way,
    until: Instant,
    /// What a server said that could not answer.
    failure: Option<Vec<u8>>,
}

/// How a server is asked.
#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        unsent: Vec<u8>,
        got: Vec<u8>,
    },
    /// No server is left.
    None,
}

/// What has become of a question.
pub(super) enum Step {
    Waits(Forward),
    /// What the asker is told.
    Answered(Asker, Vec<u8>),
}

impl Forward {
    /// Asks the first of these servers that can be asked.
    pub(super) fn begin(
        asker: Asker,
        question: Question,
        asked_as: u16,
        servers: Vec<SocketAddr>,
        now: Instant,
    ) -> Step {
        let way = Way::None;
        Self { asker, question, asked_as, servers, tries: 0, id: 0, way, until: now, failure: None }.next(now)
    }

    /// When the server has had its time.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn poll(&self) -> Option<PollFd<'_>> {
        match &self.way {
            Way::Udp(socket) => Some(PollFd::readable(socket)),
            Way::Tcp { stream, unsent, .. } => {
                Some(PollFd::new(stream, unsent.is_empty(), !unsent.is_empty()))
            }
            Way::None => None,
        }
    }

    /// Goes on, since something has come or time has passed.
    pub(super) fn step(mut self, ready: bool, now: Instant, buffer: &mut [u8]) -> Step {
        let came = if ready { self.receive(buffer) } else { Ok(None) };
        match came {
            Ok(Some(reply)) if is_failure(&reply) && self.tries < self.servers.len() => {
                self.failure = Some(reply);
                self.next(now)
            }
            Ok(Some(reply)) => self.answered(reply),
            Ok(None) if now < self.until => Step::Waits(self),
            Ok(None) | Err(_) => self.next(now),
        }
    }

    /// Asks the next server, or gives up.
    fn next(mut self, now: Instant) -> Step {
        while self.tries < self.servers.len() * ROUNDS {
            let server = self.servers[self.tries % self.servers.len()];
            self.tries += 1;
            if let Ok(way) = self.ask(server) {
                self.way = way;
                self.until = now + PATIENCE;
                return Step::Waits(self);
            }
        }
        match self.failure.take() {
            Some(reply) => self.answered(reply),
            None => Step::Answered(self.asker, self.question.failure(self.asked_as)),
        }
    }

    fn answered(self, reply: Vec<u8>) -> Step {
        let reply = self.question.pass_on(reply, self.asked_as, self.asker.limit());
        Step::Answered(self.asker, reply)
    }

    fn ask(&mut self, server: SocketAddr) -> Result<Way, Box<dyn Error>> {
        let mut id = [0; 2];
        getrandom(&mut id)?;
        self.id = u16::from_be_bytes(id);
        let message = self.question.with_id(self.id);
        if let Asker::Udp { .. } = self.asker {
            let any =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.set_nonblocking(true)?;
            socket.connect(server)?;
            socket.send(message)?;
            return Ok(Way::Udp(socket));
        }
        let length = u16::try_from(message.len())?;
        let unsent = [&length.to_be_bytes(), message].concat();
        Ok(Way::Tcp { stream: connect_tcp(server)?.into(), unsent, got: Vec::new() })
    }

    /// The answer, if it has come; an error if this server gives none.
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<Option<Vec<u8>>> {
        let (question, id) = (&self.question, self.id);
        let right = |reply: &[u8]| question.is_answered_by(reply, id);
        match &mut self.way {
            Way::Udp(socket) => {
                for _ in 0..WRONG {
                    match socket.recv(buffer) {
                        Ok(length) if right(&buffer[..length]) => return Ok(Some(buffer[..length].to_vec())),
                        Ok(_) => {}
                        Err(e) if is_soon(&e) => return Ok(None),
                        Err(e) => return Err(e),
                    }
                }
                Ok(None)
            }
            Way::Tcp { stream, unsent, got } => {
                match unsent.is_empty() {
                    false => send(stream, unsent)?,
                    true => take(stream, got, usize::from(u16::MAX), buffer)?,
                }
                match message(got) {
                    Some(reply) if right(reply) => Ok(Some(reply.to_vec())),
                    Some(_) => Err(ErrorKind::InvalidData.into()),
                    None => Ok(None),
                }
            }
            Way::None => Err(ErrorKind::NotConnected.into()),
        }
    }
}

/// Whether it is no error, but too early.
pub(super) fn is_soon(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Sends what there is room for.
pub(super) fn send(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.write(unsent) {
        Ok(count) => drop(unsent.drain(..count)),
        Err(e) if is_soon(&e) => {}
        Err(e) => return Err(e),
    }
    Ok(())
}

/// Takes what has come of a message of at most `max` bytes, which its length stands before.
pub(super) fn take(
    stream: &mut TcpStream,
    got: &mut Vec<u8>,
    max: usize,
    buffer: &mut [u8],
) -> std::io::Result<()> {
    let room = (max + 2 - got.len()).min(buffer.len());
    match stream.read(&mut buffer[..room]) {
        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => got.extend_from_slice(&buffer[..count]),
        Err(e) if is_soon(&e) => {}
        Err(e) => return Err(e),
    }
    match got.first_chunk().map(|length| u16::from_be_bytes(*length)) {
        Some(length) if usize::from(length) > max => Err(ErrorKind::InvalidData.into()),
        _ => Ok(()),
    }
}

/// The message that is there as a whole.
pub(super) fn message(got: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes(*got.first_chunk()?);
    got.get(2..2 + usize::from(length))
}
