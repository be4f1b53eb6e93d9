//! Network interfaces: the loopback interface of every container, and links and addresses, and the packet filter, by netlink.

mod message;
mod netlink;
pub mod nftables;
mod reserve;
mod route;

pub use reserve::{Transport, reserve};
pub use route::{Address, Destination, Device, Link, LinkWatch, Route, RouteKind, Veth, inside};

use crate::error::{Errno, Fail, Result, check};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Sets the loopback interface of the current network namespace up (`SIOCSIFFLAGS`), which also gives it its
/// addresses.
pub fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .fail(|| "socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC)".into())?;
    // SAFETY: a structure of integers and unions of them, for which all bits zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: this request reads the name from `request` and writes the flags into it; it outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) })
        .fail(|| "ioctl(SIOCGIFFLAGS, \"lo\")".into())?;
    // SAFETY: the request before has written this field of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: this request reads name and flags from `request`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
        .fail(|| "ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)".into())
}

/// Begins to connect to a server by TCP without waiting for it: the socket, which doesn't block, is writable when it is
/// connected.
pub fn connect_tcp(server: SocketAddr) -> Result<OwnedFd> {
    let call = || format!("connect(TCP, {server})");
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).fail(call)?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno).fail(call),
    }
}

/// Reads bytes as the kernel's answers.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz(bytes: &[u8]) {
    message::fuzz(bytes);
    nftables::fuzz(bytes);
}
