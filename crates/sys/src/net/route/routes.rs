//! Routes, and the hardware addresses of neighbours.

use super::*;

/// Where packets to some addresses go: a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// To which addresses; `0.0.0.0/0` and `::/0` are all.
    pub to: (IpAddr, u8),
    /// Through which interface, if it names a single one.
    pub index: Option<u32>,
    /// By whom, if not directly.
    pub gateway: Option<IpAddr>,
    /// What becomes of the packets.
    pub kind: Kind,
}

/// What becomes of packets (`RTN_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are sent on.
    Unicast,
    /// They are for this machine.
    Local,
    /// Another.
    Other,
}

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_DELNEIGH: u16 = 29;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTM_F_CLONED: u32 = 0x200;
const NDA_DST: u16 = 1;

impl Route {
    /// All routes of both families, of all tables.
    pub fn routes(&self) -> Result<Vec<Destination>> {
        let request = || Request::new(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, &[0; 12]);
        self.list(&request, &|| "rtnetlink(RTM_GETROUTE)".into(), destination_of)
    }

    /// Sends packets to everybody who isn't named by another route to `gateway`; `EEXIST` if there is such a route.
    pub fn add_default_route(&self, index: u32, gateway: IpAddr) -> Result<()> {
        let (family, bytes) = bytes_of(gateway);
        // struct rtmsg: family, length of destination and source, tos, table, protocol, scope, type, flags.
        let header = [family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNICAST, 0, 0, 0, 0];
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL_CREATE;
        let request = Request::new(RTM_NEWROUTE, flags, &header)
            .attribute(RTA_GATEWAY, &bytes)
            .attribute(RTA_OIF, &index.to_ne_bytes());
        self.ask(request, &|| format!("rtnetlink(RTM_NEWROUTE, {index}, via {gateway})"), &mut |_| {})
    }

    /// Forgets the hardware address of a neighbour; `ENOENT` if it isn't known.
    pub fn forget_neighbour(&self, index: u32, address: IpAddr) -> Result<()> {
        let (family, bytes) = bytes_of(address);
        // struct ndmsg: family, padding, index, state, flags, type.
        let mut header = vec![family, 0, 0, 0];
        header.extend(index.to_ne_bytes());
        header.extend([0; 4]);
        let request = Request::new(RTM_DELNEIGH, NLM_F_REQUEST | NLM_F_ACK, &header);
        let call = || format!("rtnetlink(RTM_DELNEIGH, {index}, {address})");
        self.ask(request.attribute(NDA_DST, &bytes), &call, &mut |_| {})
    }
}

fn bytes_of(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
    }
}

fn destination_of(reply: &Reply) -> Option<Destination> {
    let &[family, prefix, _, _, _, _, _, kind, ..] = reply.body else { return None };
    if reply.kind != RTM_NEWROUTE || number(reply.body, 8)? & RTM_F_CLONED != 0 {
        return None;
    }
    let all = || attributes(reply.body.get(12..).unwrap_or_default());
    let find = |wanted: u16| all().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::from([0; 4]),
        libc::AF_INET6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    Some(Destination {
        to: (find(RTA_DST).map_or(Some(any), ip_of)?, prefix),
        index: find(RTA_OIF).and_then(|value| number(value, 0)),
        gateway: find(RTA_GATEWAY).and_then(ip_of),
        kind: match kind {
            RTN_UNICAST => Kind::Unicast,
            RTN_LOCAL => Kind::Local,
            _ => Kind::Other,
        },
    })
}
