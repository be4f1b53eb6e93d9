//! Networks of users other than root, who may not change the host's: a program of theirs speaks for the container, with
//! sockets of its own.
//!
//! ```text
//! container ── eth0, a TAP ── pasta, or slirp4netns ── sockets ──► the world
//!                                └── listens at published ports
//! ```
//!
//! Who calls is the monitor: root of a user namespace, in the host's network namespace. What it starts outlives it, since
//! the container may, too: a record in the container's directory names the process, so that whoever comes later ends it.
//! Both programs show the container the same: 10.0.2.100, the gateway 10.0.2.2, and DNS at 10.0.2.3.

pub(super) mod child;
mod pasta;
mod ports;
mod program;
mod record;
mod slirp;

use super::model::{Mac, Port};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::BorrowedFd;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

pub use program::Program;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
const PREFIX: u8 = 24;
/// Also the host, where its loopback interface may be reached.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The most that both programs take.
const MTU: u32 = 65520;

/// What a container asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// By which program; pasta where it is installed.
    pub program: Option<Program>,
    /// The interface inside.
    pub interface: String,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Bytes of a packet.
    pub mtu: Option<u32>,
    /// Ports of the host that lead inside. The program listens at them: who calls must not hold them.
    pub ports: Vec<Port>,
    /// Whether the container reaches servers at the host's loopback interface, at the gateway's address.
    pub host_loopback: bool,
}

/// What a container has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// By which program.
    pub program: Program,
    /// The interface inside.
    pub interface: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Where packets to everybody else go.
    pub gateway: IpAddr,
    /// The servers that it asks for names.
    pub dns: Vec<IpAddr>,
    /// Ports of the host that lead inside.
    pub ports: Vec<Port>,
}

/// Connects a network namespace, that of the container whose directory this is. A failure leaves nothing.
///
/// # Errors
/// [`Kind::Unsupported`] if neither program is installed, or the one that is can't do what is asked; what it says.
pub fn connect(directory: &Path, namespace: BorrowedFd, wish: &Wish) -> Result<Connected> {
    disconnect(directory)?;
    let programs = program::find(wish.program)?;
    ports::are_free(&wish.ports).during(|| wish.program.map_or("user network", Program::word))?;
    // pasta needs a way out of the host, which there isn't without a cable.
    let mut errors = Vec::new();
    for (program, path) in programs {
        match start(program, &path, directory, namespace, wish) {
            Ok(connected) => return Ok(connected),
            Err(e) => errors.push(e),
        }
    }
    Err(Error::all(errors).unwrap_or_else(|| Error::new(Kind::Unsupported, "user network")))
}

fn start(
    program: Program,
    path: &Path,
    directory: &Path,
    namespace: BorrowedFd,
    wish: &Wish,
) -> Result<Connected> {
    let started = match program {
        Program::Pasta => pasta::start(path, directory, namespace, wish),
        Program::Slirp4netns => slirp::start(path, directory, namespace, wish),
    };
    let process = started.during(|| program.word())?;
    let heard = ports::are_heard(&wish.ports).during(|| program.word());
    let kept = heard.and_then(|()| kept(program, namespace, wish)).and_then(|connected| {
        record::keep(directory, process, &connected)?;
        Ok(connected)
    });
    kept.inspect_err(|_| process.end())
}

/// Ends what connects the container whose directory this is, if anything does; it may have been started by a monitor that is
/// lost.
///
/// # Errors
/// If it can't be ended.
pub fn disconnect(directory: &Path) -> Result<()> {
    record::end(directory).during(|| "user network")
}

/// What the container whose directory this is has; `None` if nothing connects it, or that has ended.
///
/// # Errors
/// [`Kind::Damaged`] if it can't be read.
pub fn connected(directory: &Path) -> Result<Option<Connected>> {
    record::connected(directory).during(|| "user network")
}

/// What the container has got.
fn kept(program: Program, namespace: BorrowedFd, wish: &Wish) -> Result<Connected> {
    let found = child::look(namespace, &wish.interface)?;
    let gone = || Error::new(Kind::System, format!("{}: has made no {}", program.word(), wish.interface));
    let mac = found.mac.ok_or_else(gone)?;
    let own = Ipv4Net::new_assert(ADDRESS, PREFIX);
    let dns = match program {
        Program::Pasta => pasta::servers(),
        Program::Slirp4netns => vec![DNS.into()],
    };
    Ok(Connected {
        program,
        interface: wish.interface.clone(),
        mac,
        addresses: std::iter::once(IpNet::V4(own)).chain(found.addresses).collect(),
        gateway: GATEWAY.into(),
        dns,
        ports: wish.ports.clone(),
    })
}

/// Whether the host speaks IPv6 with the world.
fn has_ipv6() -> bool {
    // The route to ::/0 by another interface than the loopback's.
    let table = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    table.lines().any(|line| line.starts_with(&format!("{} 00 ", "0".repeat(32))) && !line.ends_with(" lo"))
}
