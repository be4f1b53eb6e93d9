//! What networks and their members are: plain data, kept as JSON below the data root.
//!
//! ```text
//! networks/NAME/network.json            Network
//! networks/NAME/endpoints/ID.json       Endpoint: one for each container that is connected
//! ```
//!
//! An endpoint is a lease, the names that it is found by, and what the firewall lets through to it: leases, names and
//! rules are never kept anywhere else, so that they can't disagree.

use super::policy::Policy;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network that containers share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The format's version.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made (RFC 3339, UTC).
    pub created: String,
    /// What it is made of.
    pub driver: Driver,
    /// The bridge's name on the host; with [`Driver::Macvlan`] the parent's.
    pub interface: String,
    /// Whether the bridge was there before: then it stays when the last container goes.
    #[serde(default)]
    pub joined: bool,
    /// An interface of the host that carries the network's VLAN, and its number: the sub-interface is a port of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// At most one of IPv4 and one of IPv6; none where addresses come from elsewhere.
    pub subnets: Vec<Subnet>,
    /// Whether nothing leads out of it or into it.
    #[serde(default)]
    pub internal: bool,
    /// Whether other networks of ours may not reach it.
    #[serde(default)]
    pub isolated: bool,
    /// Bytes of a packet; the kernel's choice where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it resolves names.
    pub dns: bool,
    /// The user's words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A VLAN on an interface of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// The interface.
    pub parent: String,
    /// 1 to 4094.
    pub id: u16,
}

/// What a network is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the host, with a pair of interfaces for each container.
    #[default]
    Bridge,
    /// Interfaces with addresses of their own in the network of an interface of the host.
    Macvlan,
}

/// Addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All of them: the prefix, without a host's part.
    pub subnet: IpNet,
    /// The host's own among them, which packets to everybody else go to. None in an internal network of macvlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Those that are given to containers, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
}

/// A container in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The format's version.
    pub version: u32,
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// Further names that it is found by in this network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its addresses, each with the length of the subnet's prefix.
    pub addresses: Vec<IpNet>,
    /// Its hardware address.
    pub mac: Mac,
    /// The interface inside: `eth0`.
    pub interface: String,
    /// The other end of it on the host; empty where there is none (macvlan).
    pub host_interface: String,
    /// Ports of the host that lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Whom it may hear and reach; everybody where absent.
    #[serde(default, skip_serializing_if = "Policy::is_open")]
    pub policy: Policy,
    /// The container's labels, for others' policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Bits a second in each direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// The servers that its questions about other names go to; the host's where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
}

/// What a container asks of a network; the network gives an [`Endpoint`] for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// Further names.
    pub aliases: Vec<String>,
    /// Addresses that it wants, at most one of each family; others are chosen.
    pub addresses: Vec<IpAddr>,
    /// The hardware address that it wants.
    pub mac: Option<Mac>,
    /// The interface inside.
    pub interface: String,
    /// Whether packets to everybody else leave by this network.
    pub default_route: bool,
    /// Another gateway than the network's.
    pub gateway: Option<IpAddr>,
    /// See [`Endpoint`].
    pub ports: Vec<Port>,
    /// See [`Endpoint`].
    pub policy: Policy,
    /// See [`Endpoint`].
    pub labels: BTreeMap<String, String>,
    /// See [`Endpoint`].
    pub rate: Option<u64>,
    /// See [`Endpoint`].
    pub dns: Vec<IpAddr>,
}

/// A network with those who are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Populated {
    /// The network.
    pub network: Network,
    /// Its members, by their ids' order.
    pub endpoints: Vec<Endpoint>,
    /// The port on which names are resolved at the gateway, where it isn't 53.
    pub resolver: Option<u16>,
}

/// A port of the host that leads to one inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Of which protocol.
    pub protocol: Protocol,
    /// The host's address on which it is open; all of both families where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// On the host; never 0, since a random one has been chosen by then.
    pub host_port: u16,
    /// Inside.
    pub container_port: u16,
}

/// A transport protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl Protocol {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// The number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Tcp, Self::Udp, Self::Sctp];
        let found = known.into_iter().find(|protocol| protocol.word().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("{text:?} is none of tcp, udp, sctp"))
    }
}

impl fmt::Display for Port {
    /// As `port` shows it: `80/tcp -> 127.0.0.1:8080`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { protocol, host, host_port, container_port } = self;
        write!(f, "{container_port}/{} -> ", protocol.word())?;
        match host {
            None => write!(f, "0.0.0.0:{host_port}"),
            Some(IpAddr::V4(host)) => write!(f, "{host}:{host_port}"),
            Some(IpAddr::V6(host)) => write!(f, "[{host}]:{host_port}"),
        }
    }
}

/// A hardware address of Ethernet: `02:42:0a:c8:00:02`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    /// Of one station: neither of a group nor all zeros.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no hardware address of a station, such as 02:00:00:00:00:01");
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let digits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let part = parts.next().filter(digits).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        let station = parts.next().is_none() && bytes[0] & 1 == 0 && bytes != [0; 6];
        station.then_some(Self(bytes)).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_a_stations() {
        let mac: Mac = "02:42:0A:c8:00:02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:0a:c8:00:02");
        for wrong in [
            "",
            "02:42:0a:c8:00",
            "02:42:0a:c8:00:02:03",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:42:0a:c8:00:02",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_is_shown_as_docker_does() {
        let port = |host: Option<&str>| Port {
            protocol: Protocol::Tcp,
            host: host.map(|host| host.parse().unwrap()),
            host_port: 8080,
            container_port: 80,
        };
        assert_eq!(port(None).to_string(), "80/tcp -> 0.0.0.0:8080");
        assert_eq!(port(Some("::1")).to_string(), "80/tcp -> [::1]:8080");
    }
}
