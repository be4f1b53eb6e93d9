//! Policies: a chain for each direction of a container that has one, found by its address.
//!
//! The chain comes back for what is allowed, so that the other side's is asked too, and refuses the rest.

use super::ruleset::*;
use crate::error::{Error, Kind, Result};
use crate::network::policy::{Peer, Rule as Allowed};
use crate::network::{Driver, Endpoint, Network, Populated, Protocol};
use forgeone_sys::net::nftables::{Data, Field, Statement, Type, Value, Verdict};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A container with a policy, in a network.
#[derive(Debug)]
pub(super) struct Restricted<'a> {
    pub(super) network: &'a Network,
    pub(super) endpoint: &'a Endpoint,
    /// All containers' labels and addresses.
    all: &'a [Populated],
}

/// Those that have one.
///
/// # Errors
/// [`Kind::Unsupported`] for one whose packets the host doesn't see.
pub(super) fn restricted(all: &[Populated]) -> Result<Vec<Restricted<'_>>> {
    let mut found = vec![];
    for Populated { network, endpoints, .. } in all {
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.policy.is_open()) {
            let cause = match network {
                Network { driver: Driver::Macvlan, .. } => {
                    "it is one of macvlan, whose packets don't pass the host"
                }
                Network { joined: true, .. } => {
                    "it has joined a bridge, whose packets the host may not route"
                }
                Network { subnets, .. } if subnets.iter().all(|subnet| subnet.gateway.is_none()) => {
                    "it has no gateway on the host, which packets could pass"
                }
                _ => {
                    found.push(Restricted { network, endpoint, all });
                    continue;
                }
            };
            let message = format!(
                "policy of container {:?}: network {:?} can't have any: {cause}; connect it without one",
                endpoint.name, network.name
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
    }
    Ok(found)
}

/// Adds the maps, the chains, and the one that asks them.
pub(super) fn add(restricted: &[Restricted], sets: &mut Vec<Elements>, chains: &mut Vec<Chain>) {
    let map = |name, key| Elements::new(name, key, Some(Data::Verdicts));
    const KEY4: &[Type] = &[Type::Ipv4Addr];
    const KEY6: &[Type] = &[Type::Ipv6Addr];
    let mut egress = [map("egress4", KEY4), map("egress6", KEY6)];
    let mut ingress = [map("ingress4", KEY4), map("ingress6", KEY6)];
    let mut own = vec![];
    for one in restricted {
        let directions = [
            ("egress", &one.endpoint.policy.egress, [V4.destination, V6.destination], &mut egress),
            ("ingress", &one.endpoint.policy.ingress, [V4.source, V6.source], &mut ingress),
        ];
        for (word, rules, fields, maps) in directions {
            let Some(rules) = rules else { continue };
            let name = format!("{word}/{}/{}", one.network.name, one.endpoint.name);
            for address in one.endpoint.addresses.iter().map(ipnet::IpNet::addr) {
                let jump = Value::Verdict(Verdict::Jump(name.clone()));
                maps[usize::from(address.is_ipv6())].map(bytes(&address), jump, None);
            }
            own.push(Chain::new(&name, one.rules(rules, fields)));
        }
    }
    let ask = |version: Version, field, map: &Elements| {
        Rule::new(vec![version.is(), Statement::Vmap(vec![field], map.name())])
    };
    let asked = vec![
        ask(V4, V4.source, &egress[0]),
        ask(V6, V6.source, &egress[1]),
        ask(V4, V4.destination, &ingress[0]),
        ask(V6, V6.destination, &ingress[1]),
    ];
    chains.push(Chain::new("policy", if restricted.is_empty() { vec![] } else { asked }));
    chains.extend(own);
    sets.extend(egress.into_iter().chain(ingress));
}

impl Restricted<'_> {
    /// A chain's rules; `fields` hold the other end's address.
    fn rules(&self, allowed: &[Allowed], fields: [Field; 2]) -> Vec<Rule> {
        let mut rules: Vec<_> = allowed.iter().flat_map(|allowed| self.allow(allowed, fields)).collect();
        let tcp = Statement::Is(Field::L4Proto, vec![Protocol::Tcp.number()]);
        rules.push(Rule::new(vec![tcp, Statement::Counter, Statement::Reset]));
        rules.push(Rule::new(vec![Statement::Counter, Statement::Reject]));
        rules
    }

    fn allow(&self, allowed: &Allowed, fields: [Field; 2]) -> Vec<Rule> {
        let mut what = vec![];
        if let Some(protocol) = allowed.protocol {
            what.push(Statement::Is(Field::L4Proto, vec![protocol.number()]));
        }
        if let Some(ports) = &allowed.ports {
            let (first, last) = (ports.start().to_be_bytes().to_vec(), ports.end().to_be_bytes().to_vec());
            what.push(match first == last {
                true => Statement::Is(Field::DestinationPort, first),
                false => Statement::Between(Field::DestinationPort, first, last),
            });
        }
        what.push(Statement::Verdict(Verdict::Return));
        let with = |mut statements: Vec<Statement>, among| {
            statements.extend(what.clone());
            Rule { statements, among, comment: Some(allowed.to_string()) }
        };
        let of = |version: Version| fields[usize::from(version == V6)];
        match &allowed.peer {
            Peer::Any => vec![with(vec![], None)],
            Peer::Net(net) => {
                let version = if net.addr().is_ipv4() { V4 } else { V6 };
                let mut statements = vec![version.is()];
                if net.prefix_len() > 0 {
                    statements.push(within(of(version), *net));
                }
                vec![with(statements, None)]
            }
            peer @ Peer::Label(..) => {
                let all = self.all.iter().flat_map(|populated| &populated.endpoints);
                let meant = all.filter(|endpoint| peer.is_labelled(&endpoint.labels));
                let meant: Vec<IpAddr> =
                    meant.flat_map(|endpoint| &endpoint.addresses).map(ipnet::IpNet::addr).collect();
                let among = |version: Version| {
                    let those: Vec<_> =
                        meant.iter().copied().filter(|address| version.has(*address)).collect();
                    (!those.is_empty()).then(|| with(vec![version.is()], Some((of(version), those))))
                };
                [V4, V6].into_iter().filter_map(among).collect()
            }
        }
    }
}

/// The hardware addresses of bridges, by their names, of networks that somebody with a policy is in.
pub(super) type Macs = BTreeMap<String, [u8; 6]>;
