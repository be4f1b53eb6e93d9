//! What is said at `monitor.sock`, a `SEQPACKET` socket: messages stay whole.
//!
//! ```text
//! monitor ──► Hello{protocol, version}        first, to everybody who connects
//! client  ──► a Request, and its data         one at a time; Attach makes the connection one for streams
//! monitor ──► Replies
//! ```
//!
//! A message that begins with `{` is JSON, a [`Request`] or a [`Reply`]; others are bytes of a stream, behind one byte
//! that says which. An empty piece of input is its end.

use super::{Exit, Status};
use crate::error::{Error, Kind, Result};
use forgeone_config::RestartPolicy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of what is said here. A monitor may be older than the program that speaks to it.
pub(super) const PROTOCOL: u32 = 1;

/// The socket's name in the container's directory.
pub(super) const SOCKET: &str = "monitor.sock";

/// The largest piece of a stream in one message.
pub(super) const PIECE: usize = 16 << 10;

/// The largest message: a piece, or JSON that quotes a status with its health checks.
pub(super) const MESSAGE_MAX: usize = 64 << 10;

/// The streams of a container, by the byte that their pieces begin with.
pub(super) const STDIN: u8 = b'0';
pub(super) const STDOUT: u8 = b'1';
pub(super) const STDERR: u8 = b'2';

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub(super) enum Request {
    /// Start the container: [`Reply::Done`], [`Reply::Failed`].
    Start,
    /// Have its streams: [`Reply::Attached`], pieces, [`Reply::Lost`], [`Reply::Ended`] as the last.
    Attach { stdin: bool, patient: bool },
    /// Give its terminal a size. No reply.
    Resize { rows: u16, columns: u16 },
    /// Ask it to end, and kill it after a time: [`Reply::Done`] when it has ended.
    Stop { signal: Option<i32>, timeout_ms: Option<u64> },
    /// Wait for its end: [`Reply::Ended`].
    Wait,
    /// Change when it is started again: [`Reply::Done`].
    Restart { policy: RestartPolicy },
    /// Become a newer program: [`Reply::Done`] by the newer one.
    Upgrade { program: PathBuf },
}

/// What the monitor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub(super) enum Reply {
    /// The first word.
    Hello { protocol: u32, version: String },
    /// It is done.
    Done { status: Box<Status> },
    /// It is not.
    Failed { message: String, kind: Sort, status: u8 },
    /// Pieces follow.
    Attached { terminal: bool },
    /// So much was not sent to a client that was too slow.
    Lost { bytes: u64 },
    /// The container has ended and isn't started again.
    Ended { exit: Exit },
}

/// [`Kind`], as far as a client acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    State,
    Program,
    Unsupported,
    Other,
}

impl Sort {
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::State => Self::State,
            Kind::Program => Self::Program,
            Kind::Unsupported => Self::Unsupported,
            _ => Self::Other,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::State => Kind::State,
            Self::Program => Kind::Program,
            Self::Unsupported => Kind::Unsupported,
            Self::Other => Kind::System,
        }
    }
}

/// A message as it is sent.
pub(super) fn to_bytes(message: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(|e| Error::new(Kind::System, format!("monitor: {e}")))
}

/// A message that is JSON.
pub(super) fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::new(Kind::Unsupported, format!("monitor: says what is not understood here: {e}")))
}
