//! A client that asks by TCP: one question after the other.

use super::forward::{message, send, take};
use forgeone_sys::signal::PollFd;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long it may be silent, or not take its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a question may be.
const QUESTION_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) address: IpAddr,
    stream: TcpStream,
    got: Vec<u8>,
    unsent: Vec<u8>,
    /// Another server is asked for it.
    waits: bool,
    until: Instant,
}

impl Client {
    pub(super) fn new(number: u64, address: IpAddr, stream: TcpStream, now: Instant) -> Self {
        let (got, unsent) = (Vec::new(), Vec::new());
        Self { number, address, stream, got, unsent, waits: false, until: now + PATIENCE }
    }

    /// Until when something has to happen; a question that another server is asked has its own time.
    pub(super) fn until(&self) -> Option<Instant> {
        (!self.waits).then_some(self.until)
    }

    pub(super) fn poll(&self) -> PollFd<'_> {
        let writes = !self.unsent.is_empty();
        PollFd::new(&self.stream, !writes && !self.waits, writes)
    }

    /// Goes on: its next question, if it is whole. An error is its end.
    pub(super) fn step(&mut self, now: Instant, buffer: &mut [u8]) -> std::io::Result<Option<Vec<u8>>> {
        if !self.unsent.is_empty() {
            send(&mut self.stream, &mut self.unsent)?;
            self.until = now + PATIENCE;
        } else if self.waits {
            // It has hung up.
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        } else {
            take(&mut self.stream, &mut self.got, QUESTION_MAX, buffer)?;
        }
        Ok(self.question())
    }

    /// The next question that it has sent, once the one before is answered.
    fn question(&mut self) -> Option<Vec<u8>> {
        if self.waits || !self.unsent.is_empty() {
            return None;
        }
        let question = message(&self.got)?.to_vec();
        self.got.drain(..question.len() + 2);
        self.waits = true;
        Some(question)
    }

    /// Gives it an answer.
    pub(super) fn answer(&mut self, reply: &[u8], now: Instant) {
        self.waits = false;
        self.until = now + PATIENCE;
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        self.unsent.extend_from_slice(&length.to_be_bytes());
        self.unsent.extend_from_slice(&reply[..usize::from(length)]);
    }
}
