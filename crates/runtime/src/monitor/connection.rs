//! Those who are connected: what they asked for, and what they haven't been sent yet.

use super::protocol::{MESSAGE_MAX, PIECE, Reply, Request, STDIN, from_bytes, to_bytes};
use crate::error::{Error, Result};
use forgeone_sys::{Errno, OwnedFd, socket};
use std::collections::VecDeque;

/// What a connection is for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Role {
    /// It may ask.
    Asking,
    /// It is told when the container has started, or has not.
    Starting,
    /// It is told when the container has ended by its request.
    Stopping,
    /// It is told when the container has ended for good.
    Waiting,
    /// It has the container's streams.
    Attached { stdin: bool, patient: bool },
}

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) role: Role,
    /// Not sent yet, since it doesn't read.
    pending: VecDeque<Vec<u8>>,
    /// So many bytes it has missed, and wasn't told.
    lost: u64,
    /// It is closed when all is sent.
    pub(super) last: bool,
    pub(super) gone: bool,
}

/// What came of a client.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Request(Request),
    Input(Vec<u8>),
    /// It has closed its end, or said what isn't understood.
    Gone,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, role: Role::Asking, pending: VecDeque::new(), lost: 0, last: false, gone: false }
    }

    /// The same in this role.
    pub(super) fn with(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Whether there is something that it hasn't read.
    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether the container's output waits for it.
    pub(super) fn holds_up(&self) -> bool {
        self.is_behind() && !self.gone && matches!(self.role, Role::Attached { patient: true, .. })
    }

    /// Whether it has the container's input.
    pub(super) fn has_input(&self) -> bool {
        matches!(self.role, Role::Attached { stdin: true, .. })
    }

    /// Reads one message, which is there.
    pub(super) fn receive(&mut self) -> Said {
        let Ok(message) = socket::receive(&self.socket, PIECE + 1) else { return Said::Gone };
        match message.bytes.first() {
            Some(&STDIN) => Said::Input(message.bytes[1..].to_vec()),
            Some(_) => from_bytes(&message.bytes).map_or(Said::Gone, Said::Request),
            None => Said::Gone,
        }
    }

    /// Sends a reply, now or later.
    pub(super) fn reply(&mut self, reply: &Reply) {
        match to_bytes(reply) {
            Ok(bytes) if bytes.len() <= MESSAGE_MAX => self.send(bytes),
            _ => self.gone = true,
        }
    }

    /// Tells that what was asked for failed.
    pub(super) fn refuse(&mut self, error: &Error, status: u8) {
        let kind = super::protocol::Sort::of(error.kind());
        self.reply(&Reply::Failed { message: error.to_string(), kind, status });
    }

    /// Passes a piece of output on, in a message with its first byte. Who isn't patient misses it if there is no room.
    pub(super) fn pass(&mut self, message: &[u8]) {
        let Role::Attached { patient, .. } = self.role else { return };
        if patient {
            return self.send(message.to_vec());
        }
        if self.lost > 0 {
            let told = to_bytes(&Reply::Lost { bytes: self.lost });
            match told.and_then(|told| Ok(socket::try_send(&self.socket, &told)?)) {
                Ok(true) => self.lost = 0,
                Ok(false) => {}
                Err(_) => self.gone = true,
            }
        }
        match if self.lost > 0 { Ok(false) } else { socket::try_send(&self.socket, message) } {
            Ok(true) => {}
            Ok(false) => self.lost += message.len() as u64 - 1,
            Err(_) => self.gone = true,
        }
    }

    fn send(&mut self, message: Vec<u8>) {
        self.pending.push_back(message);
        self.flush();
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        while let Some(message) = self.pending.front() {
            match socket::try_send(&self.socket, message) {
                Ok(true) => drop(self.pending.pop_front()),
                Ok(false) => return,
                Err(e) => {
                    self.gone = !matches!(e.errno(), Errno::AGAIN);
                    return;
                }
            }
        }
        if self.pending.capacity() > 4 {
            self.pending.shrink_to_fit();
        }
    }

    /// Whether it may be closed.
    pub(super) fn is_done(&self) -> bool {
        self.gone || (self.last && !self.is_behind())
    }
}

/// Lets whoever has just connected in: the user whose container it is, or root.
pub(super) fn accept(listener: &OwnedFd) -> Result<Option<Connection>> {
    let socket = socket::accept(listener)?;
    let (peer, own) = (socket::peer(&socket)?.uid, forgeone_sys::process::geteuid());
    if peer != own && peer != 0 {
        return Ok(None);
    }
    let mut connection = Connection::new(socket);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    connection.reply(&Reply::Hello { protocol: super::protocol::PROTOCOL, version });
    Ok(Some(connection))
}
