//! The table of packets that the host routes, sends or takes (family `inet`): translation of addresses, isolation.
//!
//! ```text
//! raw         nothing but lo speaks to 127.0.0.0/8, though bridges may route it
//! prerouting  ┐ published ports of the host's addresses lead inside; port 53 of a gateway to its resolver
//! output      ┘ (the same for what the host itself sends)
//! postrouting what leaves a network, and what comes back to it by a published port, has the host's address
//! forward     ► outward  from a network ► same network: policy; another one: across; elsewhere: policy
//!             ► inward   from elsewhere ► answers and published ports alone
//! input       ► host     from a network to the host
//! filter-output ► policy from the host to a network
//! policy      who has one: egress/NETWORK/NAME by the source, ingress/NETWORK/NAME by the destination
//! ```

use super::policies::{self, Restricted};
use super::ruleset::*;
use crate::network::{Endpoint, Network, Populated, Port};
use forgeone_sys::net::nftables::rule::{
    STATE_ESTABLISHED, STATE_INVALID, STATE_RELATED, STATE_UNTRACKED, STATUS_DNAT, TYPE_LOCAL,
};
use forgeone_sys::net::nftables::{Data, Family, Field, Hook, Statement, Type, Value, Verdict, row};

const RAW: Hook = Hook { kind: "filter", number: 0, priority: -300 };
const PREROUTING: Hook = Hook { kind: "nat", number: 0, priority: -100 };
const OUTPUT: Hook = Hook { kind: "nat", number: 3, priority: -100 };
const POSTROUTING: Hook = Hook { kind: "nat", number: 4, priority: 100 };
const INPUT: Hook = Hook { kind: "filter", number: 1, priority: 0 };
const FORWARD: Hook = Hook { kind: "filter", number: 2, priority: 0 };
const FILTER_OUTPUT: Hook = Hook { kind: "filter", number: 3, priority: 0 };

/// Sets of interfaces.
struct Interfaces {
    /// All of ours.
    all: Elements,
    /// Those that have nobody on them but ours.
    bridges: Elements,
    /// Each with itself.
    within: Elements,
    internal: Elements,
    isolated: Elements,
}

/// What differs by the family of addresses.
struct Side {
    version: Version,
    /// An address of the host, protocol and port: where they lead.
    published: Elements,
    /// Of all addresses of the host: protocol and port.
    published_any: Elements,
    /// Interface, gateway, protocol and port 53: the resolver.
    resolvers: Elements,
    /// Interface, gateway, protocol and the resolver's own port.
    dns: Elements,
    /// Interface and gateway.
    gateways: Elements,
    /// Gateways alone.
    gateway_addresses: Elements,
}

/// The table for these networks, all of which are of bridges and have somebody in them.
pub(super) fn table(all: &[&Populated], restricted: &[Restricted]) -> Table {
    let interfaces = interfaces(all);
    let (side4, side6) = (side(V4, all), side(V6, all));
    let mut chains = vec![
        Chain::base("raw", RAW, martians()),
        Chain::base("prerouting", PREROUTING, both(prerouting(&side4), prerouting(&side6))),
        Chain::base("output", OUTPUT, both(publish(&side4, true), publish(&side6, true))),
        Chain::base("postrouting", POSTROUTING, postrouting(&interfaces, all)),
        Chain::base("input", INPUT, vec![Rule::new(vec![from(&interfaces.all), goto("host")])]),
        Chain::base("forward", FORWARD, forward(&interfaces)),
        Chain::base("filter-output", FILTER_OUTPUT, filter_output(&interfaces)),
        Chain::new("outward", outward(&interfaces)),
        Chain::new("across", across(&interfaces)),
        Chain::new("inward", inward(&interfaces)),
        Chain::new("host", host(&interfaces, [&side4, &side6])),
    ];
    let Interfaces { all: every, bridges, within, internal, isolated } = interfaces;
    let mut sets = vec![every, bridges, within, internal, isolated];
    for side in [side4, side6] {
        let Side { published, published_any, resolvers, dns, gateways, gateway_addresses, .. } = side;
        sets.extend([published, published_any, resolvers, dns, gateways, gateway_addresses]);
    }
    policies::add(restricted, &mut sets, &mut chains);
    Table { family: Family::Inet, sets, chains }
}

fn interfaces(all: &[&Populated]) -> Interfaces {
    const ONE: &[Type] = &[Type::IfName];
    let mut found = Interfaces {
        all: Elements::new("interfaces", ONE, None),
        bridges: Elements::new("bridges", ONE, None),
        within: Elements::new("within", &[Type::IfName, Type::IfName], None),
        internal: Elements::new("internal", ONE, None),
        isolated: Elements::new("isolated", ONE, None),
    };
    for Populated { network, .. } in all {
        let name = interface(&network.interface);
        found.all.add(name.clone());
        if !network.joined {
            found.bridges.add(name.clone());
        }
        found.within.add(row(&[&name, &name]));
        if network.internal {
            found.internal.add(name.clone());
        }
        if network.isolated {
            found.isolated.add(name);
        }
    }
    found
}

fn side(version: Version, all: &[&Populated]) -> Side {
    use Type::{IfName, InetProto, InetService, Ipv4Addr, Ipv6Addr};
    let new = |four: Elements, six: Elements| if version == V4 { four } else { six };
    let to4 = Some(Data::Values(&[Ipv4Addr, InetService]));
    let to6 = Some(Data::Values(&[Ipv6Addr, InetService]));
    let mut side = Side {
        version,
        published: new(
            Elements::new("published4", &[Ipv4Addr, InetProto, InetService], to4),
            Elements::new("published6", &[Ipv6Addr, InetProto, InetService], to6),
        ),
        published_any: new(
            Elements::new("published4_any", &[InetProto, InetService], to4),
            Elements::new("published6_any", &[InetProto, InetService], to6),
        ),
        resolvers: new(
            Elements::new("resolvers4", &[IfName, Ipv4Addr, InetProto, InetService], to4),
            Elements::new("resolvers6", &[IfName, Ipv6Addr, InetProto, InetService], to6),
        ),
        dns: new(
            Elements::new("dns4", &[IfName, Ipv4Addr, InetProto, InetService], None),
            Elements::new("dns6", &[IfName, Ipv6Addr, InetProto, InetService], None),
        ),
        gateways: new(
            Elements::new("gateways4", &[IfName, Ipv4Addr], None),
            Elements::new("gateways6", &[IfName, Ipv6Addr], None),
        ),
        gateway_addresses: new(
            Elements::new("gateway_addresses4", &[Ipv4Addr], None),
            Elements::new("gateway_addresses6", &[Ipv6Addr], None),
        ),
    };
    for Populated { network, endpoints, resolver } in all {
        side.add_gateway(network, *resolver);
        let endpoints = endpoints.iter().filter(|_| !network.internal);
        endpoints.for_each(|endpoint| side.add_ports(endpoint));
    }
    side
}

impl Side {
    fn add_gateway(&mut self, network: &Network, resolver: Option<u16>) {
        let name = interface(&network.interface);
        let gateways = network.subnets.iter().filter_map(|subnet| subnet.gateway);
        for gateway in gateways.filter(|gateway| self.version.has(*gateway) && !network.joined) {
            let address = bytes(&gateway);
            self.gateways.add(row(&[&name, &address]));
            self.gateway_addresses.add(address.clone());
            for protocol in [6, 17].map(|number: u8| [number]).iter().filter(|_| network.dns) {
                let key = |port: u16| row(&[&name, &address, protocol, &port.to_be_bytes()]);
                self.dns.add(key(resolver.unwrap_or(53)));
                if let Some(port) = resolver {
                    let to = row(&[&address, &port.to_be_bytes()]);
                    self.resolvers.map(key(53), Value::Bytes(to), Some(&network.name));
                }
            }
        }
    }

    fn add_ports(&mut self, endpoint: &Endpoint) {
        let inside =
            endpoint.addresses.iter().map(ipnet::IpNet::addr).find(|address| self.version.has(*address));
        let Some(inside) = inside else { return };
        for Port { protocol, host, host_port, container_port } in &endpoint.ports {
            let (protocol, port) = ([protocol.number()], host_port.to_be_bytes());
            let to = Value::Bytes(row(&[&bytes(&inside), &container_port.to_be_bytes()]));
            match host.filter(|host| !host.is_unspecified()) {
                Some(host) if self.version.has(host) => {
                    let key = row(&[&bytes(&host), &protocol, &port]);
                    self.published.map(key, to, Some(&endpoint.name));
                }
                Some(_) => {}
                // All addresses of one family, or of both.
                None if host.is_none_or(|host| self.version.has(host)) => {
                    self.published_any.map(row(&[&protocol, &port]), to, Some(&endpoint.name));
                }
                None => {}
            }
        }
    }
}

fn from(set: &Elements) -> Statement {
    Statement::In(vec![Field::IifName], set.name())
}

fn to(set: &Elements) -> Statement {
    Statement::In(vec![Field::OifName], set.name())
}

fn both(mut four: Vec<Rule>, six: Vec<Rule>) -> Vec<Rule> {
    four.extend(six);
    four
}

/// What was allowed before, and neighbour discovery.
fn known() -> Rule {
    Rule::new(vec![
        Statement::Has(Field::CtState, STATE_ESTABLISHED | STATE_RELATED | STATE_UNTRACKED),
        accept(),
    ])
}

/// Drops, and counts what was dropped.
fn dropped(mut statements: Vec<Statement>) -> Rule {
    statements.extend([Statement::Counter, drop()]);
    Rule::new(statements)
}

fn loopback(field: Field) -> Statement {
    Statement::Within(field, vec![127, 0, 0, 0], 8)
}

fn martians() -> Vec<Rule> {
    let elsewhere = Statement::IsNot(Field::Iif, 1_u32.to_ne_bytes().to_vec());
    let local = dropped(vec![elsewhere, V4.is(), loopback(Field::Ip4Destination)]);
    vec![local.comment("nobody reaches the host's 127.0.0.0/8")]
}

fn prerouting(side: &Side) -> Vec<Rule> {
    let Side { version, resolvers, .. } = side;
    let key = vec![Field::IifName, version.destination, Field::L4Proto, Field::DestinationPort];
    let names = vec![version.is(), Statement::DnatMap(version.number, key, resolvers.set.name)];
    let mut rules = vec![Rule::new(names).comment("names are resolved at the gateway")];
    rules.extend(publish(side, false));
    rules
}

/// Published ports; `from_host`: of what the host itself sends.
fn publish(side: &Side, from_host: bool) -> Vec<Rule> {
    let Side { version, published, published_any, .. } = side;
    let port = vec![Field::L4Proto, Field::DestinationPort];
    let one = [&[version.destination], &port[..]].concat();
    let local = Statement::Is(Field::FibDestinationType, TYPE_LOCAL.to_ne_bytes().to_vec());
    let mut any = vec![version.is()];
    if from_host && *version == V6 {
        // No other interface takes packets of ::1, so that what is sent there stays.
        any.push(Statement::IsNot(version.destination, bytes(&std::net::Ipv6Addr::LOCALHOST.into())));
    }
    any.extend([local, Statement::DnatMap(version.number, port, published_any.set.name)]);
    let one = vec![version.is(), Statement::DnatMap(version.number, one, published.set.name)];
    vec![Rule::new(one), Rule::new(any)]
}

fn postrouting(interfaces: &Interfaces, all: &[&Populated]) -> Vec<Rule> {
    let host = vec![V4.is(), loopback(Field::Ip4Source), to(&interfaces.all), Statement::Masquerade];
    let mut rules = vec![Rule::new(host).comment("the host by its 127.0.0.1")];
    for Populated { network, endpoints, .. } in all.iter().filter(|populated| !populated.network.internal) {
        let name = interface(&network.interface);
        for subnet in &network.subnets {
            let version = if subnet.subnet.addr().is_ipv4() { V4 } else { V6 };
            let members = endpoints.iter().flat_map(|endpoint| &endpoint.addresses).map(ipnet::IpNet::addr);
            let members: Vec<_> = members.filter(|address| version.has(*address)).collect();
            let mut masquerade = |which: Vec<Statement>, word: &str| {
                let mut statements = vec![version.is()];
                let mut among = None;
                // On a bridge of somebody else's there may be others with these addresses.
                match network.joined {
                    true => among = Some((version.source, members.clone())),
                    false => statements.push(within(version.source, subnet.subnet)),
                }
                statements.extend(which);
                statements.push(Statement::Masquerade);
                let comment = Some(format!("{}: {word}", network.name));
                rules.push(Rule { statements, among, comment });
            };
            let out = |is: bool| match is {
                true => Statement::Is(Field::OifName, name.clone()),
                false => Statement::IsNot(Field::OifName, name.clone()),
            };
            if !members.is_empty() {
                masquerade(vec![out(false)], "out");
                masquerade(
                    vec![out(true), Statement::Has(Field::CtStatus, STATUS_DNAT)],
                    "back by a published port",
                );
            }
        }
    }
    rules
}

fn forward(interfaces: &Interfaces) -> Vec<Rule> {
    vec![
        Rule::new(vec![from(&interfaces.bridges), goto("outward")]),
        Rule::new(vec![to(&interfaces.bridges), goto("inward")]),
        dropped(vec![from(&interfaces.internal)]),
        dropped(vec![to(&interfaces.internal)]),
    ]
}

fn outward(interfaces: &Interfaces) -> Vec<Rule> {
    let within = vec![Field::IifName, Field::OifName];
    vec![
        known(),
        Rule::new(vec![Statement::In(within, interfaces.within.name()), goto("policy")]),
        // It would leave without its address translated.
        dropped(vec![Statement::Has(Field::CtState, STATE_INVALID)]),
        dropped(vec![from(&interfaces.internal)]).comment("nothing leads out of internal networks"),
        dropped(vec![to(&interfaces.internal)]).comment("nor into them"),
        Rule::new(vec![to(&interfaces.bridges), goto("across")]),
        Rule::new(vec![goto("policy")]),
    ]
}

fn across(interfaces: &Interfaces) -> Vec<Rule> {
    let direct = vec![Statement::HasNot(Field::CtStatus, STATUS_DNAT)];
    vec![
        dropped(direct).comment("networks reach each other by published ports alone"),
        dropped(vec![from(&interfaces.isolated)]).comment("isolated networks not even so"),
        dropped(vec![to(&interfaces.isolated)]),
        Rule::new(vec![goto("policy")]),
    ]
}

fn inward(interfaces: &Interfaces) -> Vec<Rule> {
    vec![
        known(),
        dropped(vec![to(&interfaces.internal)]),
        Rule::new(vec![Statement::Has(Field::CtStatus, STATUS_DNAT), goto("policy")]),
        dropped(vec![]).comment("from outside published ports alone are reached"),
    ]
}

fn host(interfaces: &Interfaces, sides: [&Side; 2]) -> Vec<Rule> {
    let mut rules = vec![known()];
    for Side { version, dns, .. } in sides {
        let key = vec![Field::IifName, version.destination, Field::L4Proto, Field::DestinationPort];
        rules.push(Rule::new(vec![version.is(), Statement::In(key, dns.name()), accept()]));
    }
    for Side { version, gateways, gateway_addresses, .. } in sides {
        let own = Statement::In(vec![Field::IifName, version.destination], gateways.name());
        rules.push(Rule::new(vec![version.is(), own, goto("policy")]));
        let foreign = Statement::In(vec![version.destination], gateway_addresses.name());
        rules.push(
            dropped(vec![version.is(), from(&interfaces.bridges), foreign])
                .comment("another network's gateway"),
        );
    }
    rules.push(dropped(vec![from(&interfaces.internal)]));
    rules.push(Rule::new(vec![goto("policy")]));
    rules
}

fn filter_output(interfaces: &Interfaces) -> Vec<Rule> {
    // Packets that are sent back where they came from, for the policy's sake, don't ask for another way.
    let [is_icmp6, redirect] = icmp6(137);
    let icmp4 =
        vec![V4.is(), Statement::Is(Field::L4Proto, vec![1]), Statement::Is(Field::IcmpType, vec![5])];
    let only = |mut statements: Vec<Statement>| {
        statements.insert(0, to(&interfaces.bridges));
        statements.push(drop());
        Rule::new(statements)
    };
    vec![
        only(icmp4),
        only(vec![V6.is(), is_icmp6, redirect]),
        Rule::new(vec![
            to(&interfaces.bridges),
            Statement::HasNot(Field::CtState, STATE_ESTABLISHED | STATE_RELATED | STATE_UNTRACKED),
            Statement::Verdict(Verdict::Goto("policy".into())),
        ]),
    ]
}
