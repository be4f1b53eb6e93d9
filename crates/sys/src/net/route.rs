//! rtnetlink(7): links and their addresses, of the network namespace that the socket was opened in.

mod inside;
mod links;
mod routes;
mod shape;
mod watch;

pub use inside::inside;
pub use links::{Device, Veth};
pub use routes::{Destination, Kind as RouteKind};
pub use watch::LinkWatch;

use super::message::{Reply, Request, attributes, number, replies};
use super::netlink::{self, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use crate::error::{Errno, Error, Fail, Result, retry};
use rustix::net::{RecvFlags, SendFlags};
use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A socket to the kernel's routing tables.
#[derive(Debug)]
pub struct Route {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, in its network namespace.
    pub index: u32,
    /// Its name, likewise.
    pub name: String,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `AF_INET` or `AF_INET6`.
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    /// Those attributes that are given to the kernel again.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// An address as it is given to an interface for good. It is valid at once: nobody is asked whether another has it
    /// (`IFA_F_NODAD`, which IPv4 has no use for).
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let flags = IFA_F_PERMANENT | IFA_F_NODAD;
        let attributes = |bytes: &[u8]| vec![(IFA_ADDRESS, bytes.to_vec()), (IFA_LOCAL, bytes.to_vec())];
        match address {
            IpAddr::V4(address) => {
                let mut attributes = attributes(&address.octets());
                if prefix < 31 {
                    let broadcast = u32::from(address) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    attributes.push((IFA_BROADCAST, broadcast.to_be_bytes().to_vec()));
                }
                Self { family: libc::AF_INET as u8, prefix, scope: 0, flags, attributes }
            }
            IpAddr::V6(address) => {
                let attributes = attributes(&address.octets());
                Self { family: libc::AF_INET6 as u8, prefix, scope: 0, flags, attributes }
            }
        }
    }

    /// The interface's own address, and how many bits of it the others on its link share.
    pub fn ip(&self) -> Option<(IpAddr, u8)> {
        // The interface's own, which a peer's address may stand before.
        let own = self.attributes.iter().find(|(kind, _)| *kind == IFA_LOCAL).or(self.attributes.first());
        ip_of(own?.1.as_slice()).map(|address| (address, self.prefix))
    }

    /// Whether it was set by somebody (`IFA_F_PERMANENT`), and not given for a time.
    pub fn is_permanent(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0
    }

    /// Whether it is valid everywhere (`RT_SCOPE_UNIVERSE`).
    pub fn is_global(&self) -> bool {
        self.scope == 0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.ip() {
            Some((address, prefix)) => write!(f, "{address}/{prefix}"),
            None => write!(f, "{:?}", self.attributes),
        }
    }
}

const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_EXCL_CREATE: u16 = 0x600;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_FLAGS: u16 = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// And `IFA_RT_PRIORITY`.
const IFA_KEPT: [u16; 4] = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, 9];
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;
/// What an address's flags may ask for; the others say how it fares. `IFA_F_NODAD`, `HOMEADDRESS`, `MANAGETEMPADDR`,
/// `NOPREFIXROUTE`, `MCAUTOJOIN`.
const IFA_F_ASKED: u32 = IFA_F_NODAD | 0x10 | 0x100 | 0x200 | 0x400;
const IFF_UP: u32 = 1;

/// The kernel's messages are shorter, but for interfaces with hundreds of virtual functions.
const BUFFER: usize = 64 << 10;

/// How often a list is asked for that changed meanwhile.
const TRIES: u32 = 16;

impl Route {
    /// Opens a socket in the current network namespace, where it stays.
    pub fn open() -> Result<Self> {
        let socket = netlink::open(None, "NETLINK_ROUTE")?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// The interface of this name; `ENODEV` if there is none.
    pub fn link(&self, name: &str) -> Result<Link> {
        let request = Request::new(RTM_GETLINK, NLM_F_REQUEST, &link_header(0, 0, 0));
        let call = || format!("rtnetlink(RTM_GETLINK, {name:?})");
        let mut found = None;
        self.ask(request.attribute(IFLA_IFNAME, &text(name)), &call, &mut |reply| found = link_of(reply))?;
        found.ok_or_else(|| Error::new(call(), Errno::NODEV))
    }

    /// Sets an interface up or down.
    pub fn set_link_up(&self, index: u32, up: bool) -> Result<()> {
        let header = link_header(index, if up { IFF_UP } else { 0 }, IFF_UP);
        let request = Request::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &header);
        let word = if up { "up" } else { "down" };
        self.ask(request, &|| format!("rtnetlink(RTM_NEWLINK, {index}, {word})"), &mut |_| {})
    }

    /// Gives an interface, which is down, another name; `%d` in it becomes a number that makes it unique.
    pub fn rename_link(&self, index: u32, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &link_header(index, 0, 0));
        let request = request.attribute(IFLA_IFNAME, &text(name));
        self.ask(request, &|| format!("rtnetlink(RTM_NEWLINK, {index}, {name:?})"), &mut |_| {})
    }

    /// Moves an interface to another network namespace, under this name. It loses its addresses and is down.
    pub fn move_link(&self, index: u32, namespace: BorrowedFd, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &link_header(index, 0, 0));
        let request = request.attribute(IFLA_IFNAME, &text(name));
        let number = namespace.as_raw_fd().to_ne_bytes();
        let call = || {
            let namespace = crate::show::fd(&namespace);
            format!("rtnetlink(RTM_NEWLINK, {index}, {name:?}, IFLA_NET_NS_FD={namespace})")
        };
        self.ask(request.attribute(IFLA_NET_NS_FD, &number), &call, &mut |_| {})
    }

    /// The addresses of an interface, as they are listed.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let request = || Request::new(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &[0; 8]);
        let call = || format!("rtnetlink(RTM_GETADDR, {index})");
        self.list(&request, &call, |reply| address_of(reply, index))
    }

    /// Adds an address to an interface; `EEXIST` if it has it.
    pub fn add_address(&self, index: u32, address: &Address) -> Result<()> {
        let mut header = vec![address.family, address.prefix, 0, address.scope];
        header.extend(index.to_ne_bytes());
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL_CREATE;
        let request = Request::new(RTM_NEWADDR, flags, &header);
        let request = request.attribute(IFA_FLAGS, &(address.flags & IFA_F_ASKED).to_ne_bytes());
        let request =
            address.attributes.iter().fold(request, |request, (kind, value)| request.attribute(*kind, value));
        self.ask(request, &|| format!("rtnetlink(RTM_NEWADDR, {index}, {address})"), &mut |_| {})
    }

    /// Asks for a list, until it is had without a change meanwhile.
    fn list<T>(
        &self,
        request: &dyn Fn() -> Request,
        call: &dyn Fn() -> String,
        read: impl Fn(&Reply) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..TRIES {
            let (mut found, mut changed) = (Vec::new(), false);
            self.ask(request(), call, &mut |reply| {
                changed |= reply.flags & NLM_F_DUMP_INTR != 0;
                found.extend(read(reply));
            })?;
            if !changed {
                return Ok(found);
            }
        }
        Err(Error::new(call(), Errno::AGAIN))
    }

    /// Sends a request and takes the replies, up to the acknowledgement, the end of the list or the one answer.
    fn ask(&self, request: Request, call: &dyn Fn() -> String, take: &mut dyn FnMut(&Reply)) -> Result<()> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let bytes = request.bytes(sequence);
        retry(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty())).fail(call)?;
        let lists = u16::from_ne_bytes([bytes[6], bytes[7]]) & (NLM_F_ACK | NLM_F_DUMP) != 0;
        let mut buffer = vec![0; BUFFER];
        loop {
            let received = retry(|| rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::TRUNC));
            let (length, whole) = received.fail(call)?;
            if whole > length {
                return Err(Error::new(call(), Errno::MSGSIZE));
            }
            for reply in replies(&buffer[..length]).filter(|reply| reply.sequence == sequence) {
                match reply.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return netlink::verdict(&reply, call),
                    _ => take(&reply),
                }
                if !lists {
                    return Ok(());
                }
            }
        }
    }
}

impl AsFd for Route {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [0, index, flags, change].iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// Four bytes are an IPv4 address, sixteen one of IPv6.
fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    let short = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    short.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// With the NUL byte at its end.
fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

fn link_of(reply: &Reply) -> Option<Link> {
    let (index, flags) = (number(reply.body, 4)?, number(reply.body, 8)?);
    let (_, name) = attributes(reply.body.get(16..)?).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    Some(Link { index, name, up: flags & IFF_UP != 0 })
}

/// An address, if it is one of this interface: `struct ifaddrmsg` and attributes.
fn address_of(reply: &Reply, of: u32) -> Option<Address> {
    let &[family, prefix, flags, scope, ..] = reply.body else { return None };
    if reply.kind != RTM_NEWADDR || number(reply.body, 4)? != of {
        return None;
    }
    let all = || attributes(reply.body.get(8..).unwrap_or_default());
    let flags = all()
        .find(|(kind, _)| *kind == IFA_FLAGS)
        .and_then(|(_, value)| number(value, 0))
        .unwrap_or(flags.into());
    let kept = all().filter(|(kind, _)| IFA_KEPT.contains(kind)).map(|(kind, value)| (kind, value.to_vec()));
    Some(Address { family, prefix, scope, flags, attributes: kept.collect() })
}
