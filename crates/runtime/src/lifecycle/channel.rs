//! The one protocol between the runtime and the processes that it clones: typed messages on a SEQPACKET pair.
//!
//! ```text
//! runtime                         stage (only if something is joined first)   init
//!    │ ◄── Cloned(pid) + pidfd ─────────┘ (over a pair of its own)              │
//!    ├──── Go ───────────────────────────────────── (moved into its cgroup) ───►│
//!    │ ◄── MapIds ──────────────────────────────────── (new user namespace) ────┤
//!    ├──── Go ─────────────────────────────────────────────────────────────────►│
//!    │ ◄── Network + its namespace ──────────────────── (linux.netDevices) ─────┤
//!    ├──── Go ─────────────────────────────────────────────────────────────────►│
//!    │ ◄── Idmap(mount) + its source ───────────────── (a source that a mount makes) ┤
//!    ├──── Go ─────────────────────────────────────────────────────────────────►│
//!    │ ◄── RunHooks ─────────────────────────────────── (hooks or devices) ─────┤
//!    ├──── Go ─────────────────────────────────────────────────────────────────►│
//!    │ ◄── Terminal + master ───────────────────────────────────────────────────┤
//!    │ ◄── Ready ───────────────────────────────────────────────────────────────┤
//!    ├──── Go ───────────────────────────────────────── (run, exec: no socket) ─►│
//!    │ ◄── Filter ───────────────────────────────────── (a filter that notifies) ┤ see `listener.rs`
//!    ├──── Go ─────────────────────────────────────────────────────────────────►│
//!    │ ◄── HooksRan ────────────────────────────────────── (startContainer hooks) ┤ executes: end of file
//! ```
//!
//! At any point init may say Failed: the error crosses whole. End of file before Ready means that it died.

use crate::error::{Error, Kind, Result};
use crate::plan::namespaces::Inodes;
use forgeone_sys::{fs, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Messages are short; an error is cut at this length.
const MAX: usize = 16 << 10;

/// What is said.
#[derive(Debug)]
pub(super) enum Message {
    /// Stage: init is there, with this process id in the runtime's PID namespace, and its pidfd.
    Cloned(i32, Option<OwnedFd>),
    /// Init: write my id maps.
    MapIds,
    /// Init: I am in my network namespace, which is this: move the devices in.
    Network(OwnedFd),
    /// Init: idmap this tree for the mount of this number: I may not have the rights.
    Idmap(usize, OwnedFd),
    /// Init: the mounts are there and the root isn't changed yet: run the hooks of the runtime's namespaces.
    RunHooks,
    /// Init: the terminal's master.
    Terminal(OwnedFd),
    /// Init: all is set up but for the last step; these are its namespaces.
    Ready(Inodes),
    /// Init: next I load a filter that notifies.
    Filter,
    /// Init: the hooks of startContainer have run, next I execute.
    HooksRan,
    /// Runtime: go on, and send me the filter's listener.
    Send,
    /// Init: the filter's listener.
    Listener(OwnedFd),
    /// Init or stage: this failed, and I am gone.
    Failed(Error),
    /// Runtime: go on.
    Go,
    /// The other side is gone.
    End,
}

const KINDS: [Kind; 12] = [
    Kind::Config,
    Kind::Usage,
    Kind::NotFound,
    Kind::Exists,
    Kind::State,
    Kind::Damaged,
    Kind::Unsupported,
    Kind::Permission,
    Kind::Program,
    Kind::Hook,
    Kind::System,
    Kind::Refused,
];

/// One side.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Both sides.
    pub(super) fn pair() -> Result<(Self, Self)> {
        let (a, b) = socket::seqpacket_pair()?;
        Ok((Self(a), Self(b)))
    }

    /// A side that is an accepted or connected socket.
    pub(super) fn from_socket(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Who made the pair, or connected.
    pub(super) fn peer(&self) -> Result<socket::Peer> {
        Ok(socket::peer(&self.0)?)
    }

    /// Says something.
    pub(super) fn send(&self, message: &Message) -> Result<()> {
        let (bytes, fd) = encode(message);
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        Ok(socket::send(&self.0, &bytes, &fds)?)
    }

    /// The same by write(2), which a filter that lets hooks be run doesn't refuse; nothing with a descriptor.
    pub(super) fn write(&self, message: &Message) -> Result<()> {
        Ok(fs::write_all(&self.0, &encode(message).0)?)
    }

    /// Waits for what the other side says.
    pub(super) fn receive(&self) -> Result<Message> {
        let message = match socket::receive(&self.0, MAX + 16) {
            // A peer that died with unread messages resets the connection: it is gone, nothing more.
            Err(e) if e.errno() == forgeone_sys::Errno::CONNRESET => return Ok(Message::End),
            received => received?,
        };
        if message.eof {
            return Ok(Message::End);
        }
        decode(&message.bytes, message.fds)
    }

    /// Waits for leave to go on; the runtime being gone is an error.
    pub(super) fn wait_go(&self) -> Result<()> {
        match self.receive()? {
            Message::Go => Ok(()),
            Message::End => Err(Error::new(Kind::System, "the runtime is gone")),
            other => Err(unexpected(&other)),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message that doesn't belong here.
pub(super) fn unexpected(message: &Message) -> Error {
    Error::new(Kind::System, format!("unexpected message {message:?}"))
}

fn encode(message: &Message) -> (Vec<u8>, Option<&OwnedFd>) {
    match message {
        Message::Cloned(pid, fd) => ([b"c".as_slice(), &pid.to_le_bytes()].concat(), fd.as_ref()),
        Message::MapIds => (b"m".to_vec(), None),
        Message::Network(fd) => (b"n".to_vec(), Some(fd)),
        Message::Idmap(mount, fd) => ([b"i".as_slice(), &mount.to_le_bytes()].concat(), Some(fd)),
        Message::RunHooks => (b"h".to_vec(), None),
        Message::Terminal(fd) => (b"t".to_vec(), Some(fd)),
        Message::Filter => (b"l".to_vec(), None),
        Message::HooksRan => (b"a".to_vec(), None),
        Message::Send => (b"s".to_vec(), None),
        Message::Listener(fd) => (b"o".to_vec(), Some(fd)),
        Message::Ready(inodes) => {
            let inodes = inodes.iter().flat_map(|inode| inode.to_le_bytes());
            (std::iter::once(b'r').chain(inodes).collect(), None)
        }
        Message::Go => (b"g".to_vec(), None),
        Message::End => (b"e".to_vec(), None),
        Message::Failed(error) => {
            let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(0) as u8;
            let text = error.to_string();
            let cut = (0..=text.len().min(MAX)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            ([b"f", &[kind][..], &text.as_bytes()[..cut]].concat(), None)
        }
    }
}

fn decode(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Message> {
    let broken = || Error::new(Kind::System, "a message between the runtime and init is broken");
    let (tag, rest) = bytes.split_first().ok_or_else(broken)?;
    let mut fds = fds.into_iter();
    Ok(match (tag, rest) {
        (b'c', pid) => {
            let pid = i32::from_le_bytes(pid.try_into().map_err(|_| broken())?);
            Message::Cloned(pid, fds.next())
        }
        (b'm', []) => Message::MapIds,
        (b'n', []) => Message::Network(fds.next().ok_or_else(broken)?),
        (b'i', mount) => {
            let mount = usize::from_le_bytes(mount.try_into().map_err(|_| broken())?);
            Message::Idmap(mount, fds.next().ok_or_else(broken)?)
        }
        (b'h', []) => Message::RunHooks,
        (b't', []) => Message::Terminal(fds.next().ok_or_else(broken)?),
        (b'l', []) => Message::Filter,
        (b'a', []) => Message::HooksRan,
        (b's', []) => Message::Send,
        (b'o', []) => Message::Listener(fds.next().ok_or_else(broken)?),
        (b'r', inodes) if inodes.len() == size_of::<Inodes>() => {
            let mut out = Inodes::default();
            for (inode, bytes) in out.iter_mut().zip(inodes.chunks_exact(8)) {
                *inode = u64::from_le_bytes(bytes.try_into().map_err(|_| broken())?);
            }
            Message::Ready(out)
        }
        (b'g', []) => Message::Go,
        (b'e', []) => Message::End,
        (b'f', [kind, text @ ..]) => {
            let kind = KINDS.get(usize::from(*kind)).ok_or_else(broken)?;
            Message::Failed(Error::new(*kind, String::from_utf8_lossy(text)))
        }
        _ => return Err(broken()),
    })
}

/// Reads bytes as a message; what is one is the same when it is written and read again.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(message) = decode(bytes, Vec::new()) else { return };
    let (written, _) = encode(&message);
    let again = decode(&written, Vec::new());
    assert!(
        again.as_ref().is_ok_and(|again| format!("{again:?}") == format!("{message:?}")),
        "{message:?}: {again:?}"
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_whole() {
        let error = Error::new(Kind::Program, "exec: \"ä\": executable file not found in $PATH");
        let (bytes, _) = encode(&Message::Failed(error.clone()));
        assert!(matches!(decode(&bytes, vec![]).unwrap(), Message::Failed(e) if e == error));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let (bytes, _) = encode(&Message::Failed(Error::new(Kind::System, "ä ".repeat(MAX))));
        let Message::Failed(cut) = decode(&bytes, vec![]).unwrap() else { panic!() };
        assert!(cut.to_string().len() <= MAX && cut.to_string().chars().all(|c| c == 'ä' || c == ' '));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"x", b"c12", b"t", b"f", b"f\xff", b"mm"] {
            assert!(decode(bytes, vec![]).is_err(), "{bytes:?}");
        }
    }
}
