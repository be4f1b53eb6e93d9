//! Whether ports of the host can be published, and are: pasta goes on without those that it can't have, and tells nobody.

use crate::error::{Error, Kind, Result};
use crate::network::Protocol;
use crate::network::model::Port;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Whether a program may listen at all of them.
pub(super) fn are_free(ports: &[Port]) -> Result<()> {
    ports.iter().try_for_each(|port| {
        let (kind, cause) = match listen(port) {
            Ok(()) => return Ok(()),
            Err(ErrorKind::Unsupported) => (Kind::Unsupported, "users other than root publish TCP and UDP"),
            Err(ErrorKind::AddrInUse) => (Kind::Exists, "is in use"),
            Err(ErrorKind::AddrNotAvailable) => (Kind::Config, "the host has no such address"),
            Err(ErrorKind::PermissionDenied) => {
                (Kind::Permission, "is root's; see /proc/sys/net/ipv4/ip_unprivileged_port_start")
            }
            Err(_) => (Kind::System, "can't be opened"),
        };
        Err(failed(port, kind, cause))
    })
}

/// Whether somebody listens at all of them by now.
pub(super) fn are_heard(ports: &[Port]) -> Result<()> {
    let open = |port: &&Port| listen(port) != Err(ErrorKind::AddrInUse);
    match ports.iter().find(open) {
        None => Ok(()),
        Some(port) => Err(failed(port, Kind::System, "could not be opened")),
    }
}

fn failed(port: &Port, kind: Kind, cause: &str) -> Error {
    let address = port.host.map(|host| format!(" of {host}")).unwrap_or_default();
    Error::new(kind, format!("port {}/{}{address}: {cause}", port.host_port, port.protocol.word()))
}

/// Listens at a port for a moment.
fn listen(port: &Port) -> std::result::Result<(), ErrorKind> {
    let at = (port.host.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port.host_port);
    let listened = match port.protocol {
        Protocol::Tcp => TcpListener::bind(at).map(drop),
        Protocol::Udp => UdpSocket::bind(at).map(drop),
        Protocol::Sctp => Err(ErrorKind::Unsupported.into()),
    };
    listened.map_err(|e| e.kind())
}
