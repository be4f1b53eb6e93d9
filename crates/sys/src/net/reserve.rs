//! Ports of this machine that are kept from others.

use crate::error::{Fail, Result};
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use rustix::net::{
    AddressFamily, Protocol, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// A transport protocol whose ports can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol, which not every kernel has.
    Sctp,
}

/// Keeps a port from everybody else for as long as the socket is open, which is bound and doesn't listen; gives the port,
/// a free one for 0. Without an address it is that of all addresses of both families. `None` if the kernel doesn't know
/// the protocol.
///
/// # Errors
/// `EADDRINUSE` if somebody has it, `EADDRNOTAVAIL` if the address isn't this machine's, `EACCES` for low ports.
pub fn reserve(transport: Transport, address: Option<IpAddr>, port: u16) -> Result<Option<(OwnedFd, u16)>> {
    let both = SocketAddr::from((address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port));
    match (keep(transport, both), address) {
        // A kernel without IPv6.
        (Err(e), None) if matches!(e.errno(), Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            keep(transport, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        (kept, _) => kept,
    }
}

fn keep(transport: Transport, address: SocketAddr) -> Result<Option<(OwnedFd, u16)>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol): (SocketType, Protocol) = match transport {
        Transport::Tcp => (SocketType::STREAM, ipproto::TCP),
        Transport::Udp => (SocketType::DGRAM, ipproto::UDP),
        Transport::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let call = || format!("bind({transport:?}, {address})");
    let socket = match socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol)) {
        Err(Errno::PROTONOSUPPORT) => return Ok(None),
        made => made.fail(call)?,
    };
    if family == AddressFamily::INET6 {
        set_ipv6_v6only(&socket, !address.ip().is_unspecified()).fail(call)?;
    }
    bind(&socket, &address).fail(call)?;
    let bound = getsockname(&socket).fail(call)?;
    let bound = SocketAddr::try_from(bound).fail(call)?;
    Ok(Some((socket, bound.port())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_port_that_is_kept_is_nobody_elses() {
        let (kept, port) = reserve(Transport::Tcp, None, 0).unwrap().unwrap();
        assert_ne!(port, 0);
        for address in ["0.0.0.0", "127.0.0.1"] {
            let taken = TcpListener::bind((address, port)).unwrap_err();
            assert_eq!(taken.raw_os_error(), Some(libc::EADDRINUSE), "{address}");
        }
        let again = reserve(Transport::Tcp, Some(Ipv4Addr::LOCALHOST.into()), port).unwrap_err();
        assert_eq!(again.errno(), Errno::ADDRINUSE);
        drop(kept);
        TcpListener::bind(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn one_that_somebody_has_cant_be_kept() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(reserve(Transport::Udp, None, port).unwrap_err().errno(), Errno::ADDRINUSE);
        assert!(reserve(Transport::Udp, Some("127.0.0.2".parse().unwrap()), port).unwrap().is_some());
        let foreign = reserve(Transport::Tcp, Some("192.0.2.1".parse().unwrap()), 0).unwrap_err();
        assert_eq!(foreign.errno(), Errno::ADDRNOTAVAIL);
    }
}
