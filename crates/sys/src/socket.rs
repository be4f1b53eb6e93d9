//! Unix sockets: message pairs between our processes, path sockets, descriptors passed along.

use crate::error::{Errno, Error, Fail, Result, check, retry, with_c_str};
use crate::fs::{self, CWD, FileType, Mode, OFlags};
use crate::show;
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::path::Arg;
use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The most descriptors that the kernel passes in one message (`SCM_MAX_FD`).
const FDS_MAX: usize = 253;

/// A connected pair of `SEQPACKET` sockets: messages stay whole and in order, and the end of a peer is seen.
pub fn seqpacket_pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .fail(|| "socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC)".into())
}

/// Sends one message, with copies of descriptors.
///
/// An empty message is refused (`EINVAL`), since a receiver could not tell it from the end. A lost peer is
/// `EPIPE`, not a signal. On a stream socket, a part of the bytes that was sent alone is an error (`EIO`).
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd]) -> Result<()> {
    let call = || {
        let fds: Vec<String> = fds.iter().map(|fd| show::Fd(*fd).to_string()).collect();
        format!("sendmsg({}, {} bytes, fds=[{}])", show::fd(&socket), bytes.len(), fds.join(", "))
    };
    if bytes.is_empty() || fds.len() > FDS_MAX {
        return Err(Error::new(call(), Errno::INVAL));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let sent = retry(|| {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL);
        }
        rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    });
    match sent.fail(call)? {
        count if count == bytes.len() => Ok(()),
        count => Err(Error::new(format!("{} = {count}", call()), Errno::IO)),
    }
}

/// Sends one message without waiting; `false` if there is no room for it now.
///
/// As [`send`] otherwise.
pub fn try_send(socket: impl AsFd, bytes: &[u8]) -> Result<bool> {
    let call = || format!("send({}, {} bytes, MSG_DONTWAIT)", show::fd(&socket), bytes.len());
    if bytes.is_empty() {
        return Err(Error::new(call(), Errno::INVAL));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match retry(|| rustix::net::send(&socket, bytes, flags)) {
        Err(Errno::AGAIN | Errno::NOBUFS) => Ok(false),
        Err(errno) => Err(errno).fail(call),
        Ok(count) if count == bytes.len() => Ok(true),
        Ok(_) => Err(Error::new(call(), Errno::IO)),
    }
}

/// What [`receive`] got.
#[derive(Debug)]
pub struct Message {
    /// The content.
    pub bytes: Vec<u8>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
    /// The peer has closed its end; then there is no content.
    pub eof: bool,
}

/// Receives one message of at most `max` bytes; a longer one, or descriptors that had no room, are an error
/// (`EMSGSIZE`), and what came of it is closed.
pub fn receive(socket: impl AsFd, max: usize) -> Result<Message> {
    let call = || format!("recvmsg({}, {max} bytes)", show::fd(&socket));
    let mut bytes = vec![0; max];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })
    .fail(call)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Error::new(format!("{}: message truncated", call()), Errno::MSGSIZE));
    }
    bytes.truncate(received.bytes);
    let eof = bytes.is_empty() && fds.is_empty();
    Ok(Message { bytes, fds, eof })
}

fn socket(kind: SocketType) -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .fail(|| format!("socket(AF_UNIX, {kind:?}|SOCK_CLOEXEC)"))
}

/// A path as a socket's address; `ENAMETOOLONG` for more than 108 bytes.
fn address(path: &Path, call: impl FnOnce() -> String) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new(path).fail(call)
}

/// A single component, or `EINVAL`.
fn check_name(name: &str, call: impl FnOnce() -> String) -> Result<()> {
    let single = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    if single { Ok(()) } else { Err(Error::new(call(), Errno::INVAL)) }
}

/// Binds a `SEQPACKET` socket to `name` in `dir` and listens. Its mode is 0600, whatever the umask: its owner alone may
/// connect.
///
/// The address is `/proc/self/fd/N/name`, so that `dir` may have any length of path and is not resolved
/// again.
pub fn listen_seqpacket(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    listen(dir, name, SocketType::SEQPACKET)
}

/// The same with a `STREAM` socket.
pub fn listen_stream(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    listen(dir, name, SocketType::STREAM)
}

fn listen(dir: impl AsFd, name: &str, kind: SocketType) -> Result<OwnedFd> {
    let call = || format!("bind({}, {name:?})", show::fd(&dir));
    check_name(name, call)?;
    let socket = socket(kind)?;
    let address = address(&fs::fd_path(&dir).join(name), call)?;
    // The file takes its mode from the socket (unix(7), Linux), so there is no moment in which it has another.
    fs::fchmod(&socket, 0o600)?;
    rustix::net::bind(&socket, &address).fail(call)?;
    rustix::net::listen(&socket, 16).fail(|| format!("listen({}/{name})", show::fd(&dir)))?;
    Ok(socket)
}

/// Binds a datagram socket to `name` in `dir`, in the place of another socket; whoever reaches it may send.
///
/// The address is as that of [`listen_seqpacket`].
pub fn bind_datagram(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    let call = || format!("bind({}, {name:?})", show::fd(&dir));
    check_name(name, call)?;
    let socket = socket(SocketType::DGRAM)?;
    let address = address(&fs::fd_path(&dir).join(name), call)?;
    match fs::unlinkat(&dir, name, fs::AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => return Err(e),
        _ => {}
    }
    rustix::net::bind(&socket, &address).fail(call)?;
    // Not by the socket's own mode, which the umask is taken from at the bind; and not by name, which may be a link by now.
    let place = fs::openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    fs::fchmodat(CWD, fs::fd_path(&place), 0o666)?;
    Ok(socket)
}

/// Connects to a datagram socket as sd_notify(3) names it: an absolute path of any length, or `@` and an abstract name.
///
/// Another name is refused (`EAFNOSUPPORT`): a machine's manager may listen at a `vsock:`, which isn't a Unix socket.
pub fn connect_datagram(name: &OsStr) -> Result<OwnedFd> {
    let call = || format!("connect({name:?})");
    match name.as_bytes() {
        [b'/', ..] => {
            let place = fs::openat(CWD, name, OFlags::PATH, Mode::empty())?;
            connect(&place, SocketType::DGRAM).fail(call)
        }
        [b'@', abstract_name @ ..] => {
            let socket = socket(SocketType::DGRAM)?;
            let address = SocketAddrUnix::new_abstract_name(abstract_name).fail(call)?;
            retry(|| rustix::net::connect(&socket, &address)).fail(call)?;
            Ok(socket)
        }
        _ => Err(Error::new(call(), Errno::AFNOSUPPORT)),
    }
}

/// Connects to the `SEQPACKET` socket `name` in `dir`, which must be a socket and not a link to one.
pub fn connect_seqpacket(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    let call = || format!("connect({}, {name:?})", show::fd(&dir));
    check_name(name, call)?;
    let place = fs::openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    connect(&place, SocketType::SEQPACKET).fail(call)
}

/// Connects to the `STREAM` socket at a path of any length.
pub fn connect_stream(path: impl Arg) -> Result<OwnedFd> {
    with_c_str("connect", path, |path| {
        let place = fs::openat(CWD, path, OFlags::PATH, Mode::empty())?;
        connect(&place, SocketType::STREAM).fail(|| format!("connect({})", show::Text(path)))
    })
}

/// Connects to the socket that a place is.
fn connect(place: &OwnedFd, kind: SocketType) -> std::result::Result<OwnedFd, Errno> {
    let stat = rustix::fs::fstat(place)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(Errno::NOTSOCK);
    }
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let address = SocketAddrUnix::new(fs::fd_path(place))?;
    retry(|| rustix::net::connect(&socket, &address))?;
    Ok(socket)
}

/// Connects to the `STREAM` socket that `place` is (`O_PATH`). Neither this nor a later send takes longer than `limit`,
/// also where nobody accepts or reads (`EAGAIN` then).
pub fn connect_stream_within(place: impl AsFd, limit: Duration) -> Result<OwnedFd> {
    let call = || format!("connect({})", show::fd(&place));
    let address = SocketAddrUnix::new(fs::fd_path(&place)).fail(call)?;
    connect_within(&address, limit).fail(call)
}

/// The same for a socket with an abstract name (unix(7)).
pub fn connect_abstract_within(name: &[u8], limit: Duration) -> Result<OwnedFd> {
    let call = || format!("connect(@{})", name.escape_ascii());
    let address = SocketAddrUnix::new_abstract_name(name).fail(call)?;
    connect_within(&address, limit).fail(call)
}

fn connect_within(address: &SocketAddrUnix, limit: Duration) -> std::result::Result<OwnedFd, Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    retry(|| rustix::net::connect(&socket, address))?;
    Ok(socket)
}

/// `accept4(2)`.
pub fn accept(socket: impl AsFd) -> Result<OwnedFd> {
    retry(|| rustix::net::accept_with(&socket, SocketFlags::CLOEXEC))
        .fail(|| format!("accept4({}, SOCK_CLOEXEC)", show::fd(&socket)))
}

/// Who is at the other end, as of `connect`, `listen` or `socketpair`, in the terms of the caller's
/// namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; 0 if it has no number in this PID namespace.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// `SO_PEERCRED`.
pub fn peer(socket: impl AsFd) -> Result<Peer> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let raw = socket.as_fd().as_raw_fd();
    // SAFETY: the option writes at most `size` bytes into `credentials`; both outlive the call.
    let got = unsafe {
        libc::getsockopt(
            raw,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    };
    check(got).fail(|| format!("getsockopt({}, SOL_SOCKET, SO_PEERCRED)", show::fd(&socket)))?;
    Ok(Peer { pid: credentials.pid, uid: credentials.uid, gid: credentials.gid })
}
