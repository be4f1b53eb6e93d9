//! What a network's members are called: a function of their endpoints.

use super::message::{A, AAAA, ANY, PTR, Record};
use crate::network::{Endpoint, Network};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many digits of a container's id are shown, and are a name of it.
const SHORT: usize = 12;

/// Names and addresses of a network.
#[derive(Debug, Default)]
pub(super) struct Names {
    subnets: Vec<IpNet>,
    members: Vec<Endpoint>,
    /// In lower case.
    addresses: BTreeMap<String, Vec<IpAddr>>,
}

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is ours, and has these records of the type.
    Ours(Vec<Record>),
    /// It is none: an address of the network that nobody has.
    Nobody,
    /// Others may know.
    Elsewhere,
}

impl Names {
    /// Those of the members of a network.
    pub(super) fn of(network: &Network, members: Vec<Endpoint>) -> Self {
        let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for member in &members {
            let short = member.container.get(..SHORT).unwrap_or(&member.container);
            let names =
                [member.name.as_str(), short].into_iter().chain(member.aliases.iter().map(String::as_str));
            for name in names.filter(|name| !name.is_empty()) {
                let known = addresses.entry(name.to_ascii_lowercase()).or_default();
                for address in member.addresses.iter().map(IpNet::addr) {
                    // An alias may be the name, too.
                    if !known.contains(&address) {
                        known.push(address);
                    }
                }
            }
        }
        Self { subnets: network.subnets.iter().map(|own| own.subnet).collect(), members, addresses }
    }

    /// Whether nobody is in the network.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Who is in the network.
    pub(super) fn members(&self) -> &[Endpoint] {
        &self.members
    }

    /// Whether the address is one of the network's.
    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.contains(&address))
    }

    /// Who has an address.
    pub(super) fn member(&self, address: IpAddr) -> Option<&Endpoint> {
        self.members.iter().find(|member| member.addresses.iter().any(|own| own.addr() == address))
    }

    /// What is known of a name in lower case; of several addresses another one is the first at each turn.
    pub(super) fn find(&self, name: &str, kind: u16, turn: usize) -> Found {
        if let Some(addresses) = self.addresses.get(name) {
            let asked = |address: &&IpAddr| match kind {
                A => address.is_ipv4(),
                AAAA => address.is_ipv6(),
                _ => kind == ANY,
            };
            let mut records: Vec<_> = addresses.iter().filter(asked).copied().map(Record::Address).collect();
            let turn = turn % records.len().max(1);
            records.rotate_left(turn);
            return Found::Ours(records);
        }
        match reversed(name).filter(|address| self.is_inside(*address)) {
            None => Found::Elsewhere,
            Some(address) => self.member(address).map_or(Found::Nobody, |member| {
                let name = Record::Name(member.name.clone());
                Found::Ours(if matches!(kind, PTR | ANY) { vec![name] } else { Vec::new() })
            }),
        }
    }
}

/// The address that a name of `in-addr.arpa` or `ip6.arpa` stands for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = digits.split('.').collect::<Vec<_>>();
        octets.reverse();
        return octets.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits = name.strip_suffix(".ip6.arpa").filter(|digits| digits.len() == 63)?;
    let mut address = 0u128;
    for (place, digit) in digits.split('.').enumerate() {
        let digit = u128::from_str_radix(digit, 16).ok().filter(|_| digit.len() == 1)?;
        address |= digit.checked_shl(4 * u32::try_from(place).ok()?)?;
    }
    Some(IpAddr::V6(Ipv6Addr::from_bits(address)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        let network = json!({
            "version": 1, "name": "net", "id": "", "created": "", "driver": "bridge", "interface": "forgeone0", "dns": true,
            "subnets": [{"subnet": "10.200.0.0/16", "gateway": "10.200.0.1"}, {"subnet": "fd00:1::/64"}],
        });
        let endpoint = |id: &str, name: &str, aliases: &[&str], addresses: &[&str]| {
            serde_json::from_value::<Endpoint>(json!({
                "version": 1, "container": id.repeat(64), "name": name, "aliases": aliases, "addresses": addresses,
                "mac": "02:00:00:00:00:01", "interface": "eth0", "host_interface": "fo1",
            }))
            .unwrap()
        };
        Names::of(
            &serde_json::from_value(network).unwrap(),
            vec![
                endpoint("a", "Web", &["www", "pool", "web"], &["10.200.0.2/16", "fd00:1::2/64"]),
                endpoint("b", "db", &["pool", "db.internal"], &["10.200.0.3/16"]),
            ],
        )
    }

    #[test]
    fn members_are_found_by_all_their_names() {
        let names = names();
        let address = |text: &str| Record::Address(text.parse().unwrap());
        let (web, web6, db) = (address("10.200.0.2"), address("fd00:1::2"), address("10.200.0.3"));
        for (name, kind, found) in [
            ("web", A, vec![web.clone()]),
            ("www", AAAA, vec![web6.clone()]),
            ("aaaaaaaaaaaa", ANY, vec![web.clone(), web6]),
            ("db.internal", A, vec![db.clone()]),
            ("db", AAAA, vec![]),
            ("db", 15, vec![]),
            ("pool", A, vec![web.clone(), db.clone()]),
            ("2.0.200.10.in-addr.arpa", PTR, vec![Record::Name("Web".into())]),
            ("2.0.200.10.in-addr.arpa", A, vec![]),
        ] {
            assert_eq!(names.find(name, kind, 0), Found::Ours(found), "{name} {kind}");
        }
        assert_eq!(names.find("pool", A, 1), Found::Ours(vec![db, web]));
        let reverse = format!("2.{}1.0.0.0.0.0.d.f.ip6.arpa", "0.".repeat(23));
        assert_eq!(names.find(&reverse, PTR, 0), Found::Ours(vec![Record::Name("Web".into())]), "{reverse}");
    }

    #[test]
    fn who_is_nobody_here_may_be_somebody_elsewhere() {
        let names = names();
        assert_eq!(names.find("9.9.200.10.in-addr.arpa", PTR, 0), Found::Nobody);
        for name in
            ["", "w", "web.example", "1.1.1.1.in-addr.arpa", "1.in-addr.arpa", "2.ip6.arpa", "in-addr.arpa"]
        {
            assert_eq!(names.find(name, PTR, 0), Found::Elsewhere, "{name}");
        }
        let nobody = format!("{}ip6.arpa", "0.".repeat(32));
        assert_eq!(names.find(&nobody, PTR, 0), Found::Elsewhere);
        assert!(
            names.is_inside("10.200.9.9".parse().unwrap()) && !names.is_inside("10.201.0.1".parse().unwrap())
        );
    }
}
