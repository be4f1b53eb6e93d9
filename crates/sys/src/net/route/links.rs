//! Interfaces that are made, looked at and removed.

use super::*;
use crate::net::message::nest;

/// A network interface as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its number, in its network namespace.
    pub index: u32,
    /// Its name, likewise.
    pub name: String,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
    /// Whether packets pass, as far as the kernel has taken notice (`IF_OPER_UP`).
    pub running: bool,
    /// What makes it: `bridge`, `veth`; empty for most physical ones.
    pub kind: String,
    /// A text that somebody gave it.
    pub alias: String,
    /// Its hardware address, if that is one of Ethernet.
    pub mac: Option<[u8; 6]>,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// The interface that it stands on, or its other end: a number in that one's namespace.
    pub lower: Option<u32>,
    /// Bytes of a packet.
    pub mtu: u32,
}

/// A pair of interfaces, of which one end is made in another network namespace.
#[derive(Debug)]
pub struct Veth<'a> {
    /// The name of the end in the socket's namespace, which is up.
    pub name: &'a str,
    /// The bridge that this end becomes a port of.
    pub master: u32,
    /// The other end's namespace.
    pub namespace: BorrowedFd<'a>,
    /// Its name there.
    pub peer: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Bytes of a packet, at both ends; the kernel's choice where absent.
    pub mtu: Option<u32>,
}

const NLM_F_NEW: u16 = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL_CREATE;
const RTM_DELLINK: u16 = 17;
const RTM_SETLINK: u16 = 19;
const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const NLA_F_NESTED: u16 = 0x8000;
const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IF_OPER_UP: u8 = 6;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;

impl Route {
    /// The interface of this name, if there is one. Since Linux 6.8 what has happened to its link is taken notice of before.
    pub fn device(&self, name: &str) -> Result<Option<Device>> {
        let request = Request::new(RTM_GETLINK, NLM_F_REQUEST, &link_header(0, 0, 0));
        let call = || format!("rtnetlink(RTM_GETLINK, {name:?})");
        let mut found = None;
        let request = request.attribute(IFLA_IFNAME, &text(name));
        match self.ask(request, &call, &mut |reply| found = device_of(reply)) {
            Err(e) if e.errno() == Errno::NODEV => Ok(None),
            asked => asked.map(|()| found),
        }
    }

    /// The number of the interface of this name, if there is one (`SIOCGIFINDEX`): less work than [`Route::device`].
    pub fn index(&self, name: &str) -> Result<Option<u32>> {
        match rustix::net::netdevice::name_to_index(&self.socket, name) {
            Err(Errno::NODEV) => Ok(None),
            index => index.map(Some).fail(|| format!("ioctl(SIOCGIFINDEX, {name:?})")),
        }
    }

    /// All interfaces.
    pub fn devices(&self) -> Result<Vec<Device>> {
        let request = || Request::new(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, &link_header(0, 0, 0));
        self.list(&request, &|| "rtnetlink(RTM_GETLINK)".into(), device_of)
    }

    /// Makes a bridge, which is up; `EEXIST` if the name is taken.
    pub fn add_bridge(&self, name: &str, mac: [u8; 6], mtu: Option<u32>) -> Result<()> {
        let request = new(name, mtu).attribute(IFLA_ADDRESS, &mac);
        self.make(request.attribute(IFLA_LINKINFO, &info("bridge", None)), "bridge", name)
    }

    /// Makes a pair; `EEXIST` if a name is taken.
    pub fn add_veth(&self, veth: &Veth) -> Result<()> {
        let mut peer = link_header(0, 0, 0);
        let (name, namespace) = (text(veth.peer), veth.namespace.as_raw_fd().to_ne_bytes());
        let mut told =
            vec![(IFLA_IFNAME, &name[..]), (IFLA_NET_NS_FD, &namespace), (IFLA_ADDRESS, &veth.mac)];
        let mtu = veth.mtu.map(u32::to_ne_bytes);
        told.extend(mtu.as_ref().map(|mtu| (IFLA_MTU, &mtu[..])));
        peer.extend(nest(&told));
        let data = nest(&[(VETH_INFO_PEER, &peer)]);
        let request = new(veth.name, veth.mtu).attribute(IFLA_MASTER, &veth.master.to_ne_bytes());
        self.make(request.attribute(IFLA_LINKINFO, &info("veth", Some(&data))), "veth", veth.name)
    }

    /// Makes the sub-interface of a VLAN, which is up, and a port of a bridge.
    pub fn add_vlan(&self, name: &str, parent: u32, id: u16, master: u32) -> Result<()> {
        let data = nest(&[(IFLA_VLAN_ID, &id.to_ne_bytes())]);
        let request = new(name, None)
            .attribute(IFLA_LINK, &parent.to_ne_bytes())
            .attribute(IFLA_MASTER, &master.to_ne_bytes());
        self.make(request.attribute(IFLA_LINKINFO, &info("vlan", Some(&data))), "vlan", name)
    }

    /// Makes an interface in another namespace that has an address of its own in the network of `parent`; it is down.
    pub fn add_macvlan(
        &self,
        name: &str,
        parent: u32,
        namespace: BorrowedFd,
        mac: [u8; 6],
        mtu: Option<u32>,
    ) -> Result<()> {
        let data = nest(&[(IFLA_MACVLAN_MODE, &MACVLAN_MODE_BRIDGE.to_ne_bytes())]);
        let mut request = Request::new(RTM_NEWLINK, NLM_F_NEW, &link_header(0, 0, 0))
            .attribute(IFLA_IFNAME, &text(name))
            .attribute(IFLA_LINK, &parent.to_ne_bytes())
            .attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
            .attribute(IFLA_ADDRESS, &mac);
        if let Some(mtu) = mtu {
            request = request.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.make(request.attribute(IFLA_LINKINFO, &info("macvlan", Some(&data))), "macvlan", name)
    }

    /// Makes an interface that packets are sent through which came in elsewhere, and go on there; it is up.
    pub fn add_ifb(&self, name: &str) -> Result<()> {
        self.make(new(name, None).attribute(IFLA_LINKINFO, &info("ifb", None)), "ifb", name)
    }

    fn make(&self, request: Request, kind: &str, name: &str) -> Result<()> {
        self.ask(request, &|| format!("rtnetlink(RTM_NEWLINK, {kind}, {name:?})"), &mut |_| {})
    }

    /// Removes an interface, with its other end if it has one; `ENODEV` if it is gone.
    pub fn delete_link(&self, index: u32) -> Result<()> {
        let request = Request::new(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, &link_header(index, 0, 0));
        self.ask(request, &|| format!("rtnetlink(RTM_DELLINK, {index})"), &mut |_| {})
    }

    /// Has a bridge send frames also to the port that they came by. What br_netfilter has translated on the bridge needs
    /// it, if a container speaks to itself.
    pub fn set_hairpin(&self, port: u32) -> Result<()> {
        let mut header = link_header(port, 0, 0);
        header[0] = libc::AF_BRIDGE as u8;
        let request = Request::new(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, &header);
        let request = request.attribute(IFLA_PROTINFO | NLA_F_NESTED, &nest(&[(IFLA_BRPORT_MODE, &[1])]));
        self.ask(request, &|| format!("rtnetlink(RTM_SETLINK, {port}, hairpin)"), &mut |_| {})
    }

    /// Gives an interface a text of its own, of at most 255 bytes.
    pub fn set_alias(&self, index: u32, alias: &str) -> Result<()> {
        self.change(index, IFLA_IFALIAS, &text(alias), || format!("alias {alias:?}"))
    }

    /// Sets the hardware address of an interface. Also if it has it, its neighbours are told (`NETDEV_CHANGEADDR`), where
    /// it is set to tell them (`arp_notify`, `ndisc_notify`).
    pub fn set_mac(&self, index: u32, mac: [u8; 6]) -> Result<()> {
        self.change(index, IFLA_ADDRESS, &mac, || format!("address {mac:02x?}"))
    }

    /// Makes an interface a port of a bridge.
    pub fn set_master(&self, index: u32, master: u32) -> Result<()> {
        self.change(index, IFLA_MASTER, &master.to_ne_bytes(), || format!("master {master}"))
    }

    fn change(&self, index: u32, kind: u16, value: &[u8], what: impl Fn() -> String) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &link_header(index, 0, 0));
        let call = || format!("rtnetlink(RTM_NEWLINK, {index}, {})", what());
        self.ask(request.attribute(kind, value), &call, &mut |_| {})
    }
}

/// A new interface, which is up.
fn new(name: &str, mtu: Option<u32>) -> Request {
    let request = Request::new(RTM_NEWLINK, NLM_F_NEW, &link_header(0, IFF_UP, IFF_UP));
    let request = request.attribute(IFLA_IFNAME, &text(name));
    match mtu {
        Some(mtu) => request.attribute(IFLA_MTU, &mtu.to_ne_bytes()),
        None => request,
    }
}

fn info(kind: &str, data: Option<&[u8]>) -> Vec<u8> {
    let kind = (IFLA_INFO_KIND, kind.as_bytes());
    match data {
        Some(data) => nest(&[kind, (IFLA_INFO_DATA, data)]),
        None => nest(&[kind]),
    }
}

fn device_of(reply: &Reply) -> Option<Device> {
    let link = link_of(reply)?;
    let mut device = Device { index: link.index, name: link.name, up: link.up, ..Device::default() };
    for (kind, value) in attributes(reply.body.get(16..)?) {
        match kind {
            IFLA_ADDRESS => device.mac = value.try_into().ok(),
            IFLA_MTU => device.mtu = number(value, 0)?,
            IFLA_OPERSTATE => device.running = value == [IF_OPER_UP],
            IFLA_LINK => device.lower = number(value, 0),
            IFLA_MASTER => device.master = number(value, 0),
            IFLA_IFALIAS => device.alias = string(value),
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                device.kind = kind.map(|(_, kind)| string(kind)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(device)
}

fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}
