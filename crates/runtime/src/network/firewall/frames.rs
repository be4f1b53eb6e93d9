//! The table of frames on bridges (family `bridge`): nobody sends in another's name, and who has a policy doesn't speak
//! past the host.
//!
//! ```text
//! prerouting ► advertised: a neighbour's advertisement is about its own address
//!            ► own address: on ► sent: other frames of containers, by what they are
//!            ► route: to and from who has a policy: the frame is made one for the bridge itself, so that the host
//!                     routes it, and the table of packets has it; connections are known there alone
//! forward    ► unrouted: what of theirs is still switched is neighbour discovery and ARP
//! ```
//!
//! This needs neither br_netfilter nor connection tracking of bridges, which are not in every kernel.

use super::policies::{Macs, Restricted};
use super::ruleset::*;
use crate::network::Populated;
use forgeone_sys::net::nftables::rule::PACKET_OTHERHOST;
use forgeone_sys::net::nftables::{Data, Family, Field, Hook, Statement, Type, Value, row};

/// Before br_netfilter (0) and everybody's filters (-200).
const PREROUTING: Hook = Hook { kind: "filter", number: 0, priority: -300 };
const FORWARD: Hook = Hook { kind: "filter", number: 2, priority: -200 };

const ARP: [u8; 2] = [8, 6];
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

struct Sets {
    /// The host's ends of containers' interfaces.
    ports: Elements,
    /// Each with the hardware address inside.
    stations: Elements,
    /// And with each address.
    addresses: [Elements; 2],
    /// Each with what it may say is its own: addresses, and the one that IPv6 makes of the hardware address.
    advertised: Elements,
    /// Those whose addresses come from elsewhere.
    free: Elements,
    /// Those whose containers have a policy.
    restricted: Elements,
    /// Their bridges' hardware addresses, by interface and by the container's hardware address.
    routed: [Elements; 2],
}

/// The table; the same of [`super::packets::table`] holds for `all`.
pub(super) fn table(all: &[&Populated], restricted: &[Restricted], macs: &Macs) -> Table {
    let sets = sets(all, restricted, macs);
    let mut chains = vec![
        Chain::base("prerouting", PREROUTING, prerouting(&sets, !restricted.is_empty())),
        Chain::new("advertised", advertised(&sets)),
        Chain::new("sent", sent(&sets)),
    ];
    if !restricted.is_empty() {
        chains.push(Chain::new("route", route(&sets)));
        let theirs =
            |field| Rule::new(vec![Statement::In(vec![field], sets.restricted.name()), goto("unrouted")]);
        chains.push(Chain::base("forward", FORWARD, vec![theirs(Field::IifName), theirs(Field::OifName)]));
        chains.push(Chain::new("unrouted", unrouted()));
    }
    let Sets {
        ports,
        stations,
        addresses: [four, six],
        advertised,
        free,
        restricted,
        routed: [by_port, by_mac],
    } = sets;
    Table {
        family: Family::Bridge,
        sets: vec![ports, stations, four, six, advertised, free, restricted, by_port, by_mac],
        chains,
    }
}

fn sets(all: &[&Populated], restricted: &[Restricted], macs: &Macs) -> Sets {
    use Type::{EtherAddr, IfName, Ipv4Addr, Ipv6Addr};
    let mac = Some(Data::Values(&[EtherAddr]));
    let mut sets = Sets {
        ports: Elements::new("ports", &[IfName], None),
        stations: Elements::new("stations", &[IfName, EtherAddr], None),
        addresses: [
            Elements::new("addresses4", &[IfName, EtherAddr, Ipv4Addr], None),
            Elements::new("addresses6", &[IfName, EtherAddr, Ipv6Addr], None),
        ],
        advertised: Elements::new("targets6", &[IfName, EtherAddr, Ipv6Addr], None),
        free: Elements::new("free", &[IfName], None),
        restricted: Elements::new("restricted", &[IfName], None),
        routed: [Elements::new("routed_from", &[IfName], mac), Elements::new("routed_to", &[EtherAddr], mac)],
    };
    for Populated { network, endpoints, .. } in all {
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.host_interface.is_empty()) {
            let (port, mac) = (interface(&endpoint.host_interface), endpoint.mac.0);
            sets.stations.add(row(&[&port, &mac]));
            for address in endpoint.addresses.iter().map(ipnet::IpNet::addr) {
                sets.addresses[usize::from(address.is_ipv6())].add(row(&[&port, &mac, &bytes(&address)]));
                if address.is_ipv6() {
                    sets.advertised.add(row(&[&port, &mac, &bytes(&address)]));
                }
            }
            sets.advertised.add(row(&[&port, &mac, &link_local(mac)]));
            if network.subnets.is_empty() {
                sets.free.add(port.clone());
            }
            sets.ports.map(port, Value::None, Some(&endpoint.name));
        }
    }
    for Restricted { network, endpoint, .. } in restricted {
        let port = interface(&endpoint.host_interface);
        if let Some(mac) = macs.get(&network.interface) {
            let [by_port, by_mac] = &mut sets.routed;
            by_port.map(port.clone(), Value::Bytes(mac.to_vec()), None);
            by_mac.map(endpoint.mac.0.to_vec(), Value::Bytes(mac.to_vec()), None);
        }
        sets.restricted.add(port);
    }
    sets
}

fn prerouting(sets: &Sets, routes: bool) -> Vec<Rule> {
    let on = || if routes { goto("route") } else { accept() };
    let own = |version: Version, set: &Elements| {
        let key = vec![Field::IifName, Field::EtherSource, version.source];
        Rule::new(vec![version.is_frame(), Statement::In(key, set.name()), on()])
    };
    let [is_icmp, advertisement] = icmp6(NEIGHBOUR_ADVERTISEMENT);
    let port = Statement::In(vec![Field::IifName], sets.ports.name());
    let mut rules = vec![
        // Whatever address it comes from, it is believed.
        Rule::new(vec![V6.is_frame(), is_icmp, advertisement, port, goto("advertised")]),
        own(V4, &sets.addresses[0]),
        own(V6, &sets.addresses[1]),
        Rule::new(vec![Statement::In(vec![Field::IifName], sets.ports.name()), goto("sent")]),
    ];
    if routes {
        rules.push(Rule::new(vec![goto("route")]));
    }
    rules
}

fn dropped(mut statements: Vec<Statement>) -> Rule {
    statements.extend([Statement::Counter, drop()]);
    Rule::new(statements)
}

fn frame6(icmp: u8, verdict: Statement) -> Rule {
    let [is_icmp, kind] = icmp6(icmp);
    Rule::new(vec![V6.is_frame(), is_icmp, kind, verdict])
}

/// What a container says about who has an address (RFC 4861, 4.4).
fn advertised(sets: &Sets) -> Vec<Rule> {
    let key = vec![Field::IifName, Field::EtherSource, Field::NeighbourTarget];
    vec![
        Rule::new(vec![Statement::In(vec![Field::IifName], sets.free.name()), accept()]),
        Rule::new(vec![Statement::In(key, sets.advertised.name()), accept()]),
        dropped(Vec::new()).comment("another's address"),
    ]
}

/// The address of the link that the kernel makes of a hardware address (RFC 4291, appendix A).
fn link_local([a, b, c, d, e, f]: [u8; 6]) -> [u8; 16] {
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

fn sent(sets: &Sets) -> Vec<Rule> {
    let arp = || Statement::Is(Field::Protocol, ARP.to_vec());
    let own = vec![Field::IifName, Field::EtherSource, Field::ArpSourceIp];
    let station = Statement::NotIn(vec![Field::IifName, Field::EtherSource], sets.stations.name());
    vec![
        dropped(vec![station]).comment("another's hardware address"),
        frame6(ROUTER_ADVERTISEMENT, drop()),
        frame6(REDIRECT, drop()),
        Rule::new(vec![Statement::In(vec![Field::IifName], sets.free.name()), accept()]),
        dropped(vec![V4.is_frame()]).comment("another's address"),
        Rule::new(vec![arp(), Statement::Is(Field::ArpSourceIp, vec![0; 4]), accept()]),
        Rule::new(vec![arp(), Statement::In(own, sets.addresses[0].name()), accept()]),
        dropped(vec![arp()]).comment("another's address"),
        Rule::new(vec![
            V6.is_frame(),
            Statement::Within(Field::Ip6Source, [&[0xfe, 0x80][..], &[0; 14]].concat(), 10),
            accept(),
        ]),
        // Whoever looks for an address has none yet.
        Rule::new(vec![
            V6.is_frame(),
            Statement::Is(Field::Ip6Source, vec![0; 16]),
            Statement::Is(Field::L4Proto, vec![58]),
            accept(),
        ]),
        dropped(vec![V6.is_frame()]).comment("another's address"),
    ]
}

fn route(sets: &Sets) -> Vec<Rule> {
    let other = || Statement::Is(Field::PktType, vec![PACKET_OTHERHOST]);
    let mut rules = vec![frame6(NEIGHBOUR_SOLICITATION, accept()), frame6(NEIGHBOUR_ADVERTISEMENT, accept())];
    for version in [V4, V6] {
        for (field, map) in [(Field::IifName, &sets.routed[0]), (Field::EtherDestination, &sets.routed[1])] {
            let set = Statement::DestinationMap(vec![field], map.set.name);
            rules.push(Rule::new(vec![version.is_frame(), other(), set, Statement::ForHost, accept()]));
        }
    }
    rules
}

fn unrouted() -> Vec<Rule> {
    // Multicast listener discovery is 130 to 132 and 143; 133 asks for a router, whose answer is none of a container's.
    let [is_icmp, _] = icmp6(0);
    let discovery = Statement::Between(Field::IcmpType, vec![130], vec![NEIGHBOUR_ADVERTISEMENT]);
    vec![
        Rule::new(vec![V6.is_frame(), is_icmp, discovery, accept()]),
        frame6(143, accept()),
        dropped(vec![V4.is_frame()]).comment("past the policy"),
        dropped(vec![V6.is_frame()]).comment("past the policy"),
    ]
}
