//! Which subnets a network gets: decided from what is taken already.
//!
//! The default network has 10.200.0.0/16 if nobody else has; others get the lowest free /24 of 10.201.0.0/16 to
//! 10.207.0.0/16. Each gets a /64 of a random prefix of our own (RFC 4193).

use super::addresses::first_host;
use super::model::Subnet;
use crate::error::{Error, Kind, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that are somebody's already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) net: IpNet,
    /// Whose they are, in an error's words.
    pub(super) by: String,
}

/// Who overlaps with a subnet.
pub(super) fn overlap<'a>(net: &IpNet, taken: &'a [Taken]) -> Option<&'a Taken> {
    taken.iter().find(|other| other.net.contains(net) || net.contains(&other.net))
}

/// A free IPv4 subnet; the default network's if it is to be for that one.
///
/// # Errors
/// [`Kind::State`] if there is none.
pub(super) fn free_v4(default: bool, taken: &[Taken]) -> Result<Subnet> {
    let own = default.then(|| Ipv4Net::new_assert(Ipv4Addr::new(10, 200, 0, 0), 16));
    let others = (201..=207_u8)
        .flat_map(|second| (0..=255_u8).map(move |third| (second, third)))
        .map(|(second, third)| Ipv4Net::new_assert(Ipv4Addr::new(10, second, third, 0), 24));
    let message = "no IPv4 subnet is free in 10.201.0.0/16 to 10.207.0.0/16; name one that is with --subnet";
    first_free(own.into_iter().chain(others).map(IpNet::V4), taken, message)
}

/// A free IPv6 subnet of our prefix; the first of them is the default network's.
///
/// # Errors
/// [`Kind::State`] if there is none.
pub(super) fn free_v6(default: bool, ula: Ipv6Net, taken: &[Taken]) -> Result<Subnet> {
    let prefix = u128::from(ula.network());
    let numbers = if default { 0..=0xffff_u128 } else { 1..=0xffff_u128 };
    let all = numbers.map(|number| Ipv6Net::new_assert(Ipv6Addr::from(prefix | number << 64), 64));
    let message = format!("no IPv6 subnet is free in {ula}; name one that is with --subnet");
    first_free(all.map(IpNet::V6), taken, &message)
}

fn first_free(mut all: impl Iterator<Item = IpNet>, taken: &[Taken], message: &str) -> Result<Subnet> {
    let free = all.find(|net| overlap(net, taken).is_none());
    let free = free.ok_or_else(|| Error::new(Kind::State, message))?;
    Ok(Subnet { subnet: free, gateway: first_host(&free), range: None })
}

/// A subnet that was asked for, with its gateway, checked.
///
/// # Errors
/// [`Kind::Config`] for what can't be.
pub(super) fn asked(asked: &Subnet, needs_gateway: bool, taken: &[Taken]) -> Result<Subnet> {
    let subnet = asked.subnet.trunc();
    let wrong = |cause: String| Err(Error::new(Kind::Config, format!("subnet {subnet}: {cause}")));
    // An address of the host and one for a container.
    if subnet.prefix_len() >= subnet.max_prefix_len() {
        return wrong("has no room for containers".to_owned());
    }
    if unusable(&subnet) {
        return wrong("these addresses are no host's to give".to_owned());
    }
    if let Some(other) = overlap(&subnet, taken) {
        return wrong(format!("overlaps with {}; choose another", other.by));
    }
    let gateway = asked.gateway.or_else(|| needs_gateway.then(|| first_host(&subnet)).flatten());
    if let Some(gateway) = gateway.filter(|gateway| !subnet.contains(gateway)) {
        return wrong(format!("the gateway {gateway} isn't in it"));
    }
    let edges = [subnet.network(), subnet.broadcast()];
    let whole = subnet.prefix_len() + 1 < subnet.max_prefix_len();
    if let Some(gateway) = gateway.filter(|gateway| whole && gateway.is_ipv4() && edges.contains(gateway)) {
        return wrong(format!("the gateway {gateway} is no host's in it"));
    }
    let range = asked.range.map(|range| range.trunc());
    match range.filter(|range| !subnet.contains(range)) {
        Some(range) => wrong(format!("the range {range} isn't in it")),
        None => Ok(Subnet { subnet, gateway, range }),
    }
}

/// Addresses that have another meaning: this network, loopback, link local, groups.
fn unusable(net: &IpNet) -> bool {
    let address = net.network();
    let special = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_multicast() || v4.octets()[0] == 0 || v4.octets()[0] >= 240
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_multicast() || first & 0xffc0 == 0xfe80 || first == 0
        }
    };
    special || address.is_loopback() || net.prefix_len() == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn taken(nets: &[&str]) -> Vec<Taken> {
        nets.iter().map(|net| Taken { net: net.parse().unwrap(), by: format!("<{net}>") }).collect()
    }

    #[test]
    fn the_lowest_free_one_is_given() {
        let v4 = |default, nets: &[&str]| free_v4(default, &taken(nets)).unwrap().subnet.to_string();
        assert_eq!(v4(true, &[]), "10.200.0.0/16");
        assert_eq!(v4(true, &["10.200.7.0/24"]), "10.201.0.0/24");
        assert_eq!(v4(false, &["10.201.0.0/24", "10.201.1.128/25", "10.201.3.0/24"]), "10.201.2.0/24");
        assert_eq!(v4(false, &["10.201.0.0/16"]), "10.202.0.0/24");
        let e = free_v4(true, &taken(&["10.0.0.0/8"])).unwrap_err();
        assert_eq!(e.kind(), Kind::State);
        let ula: Ipv6Net = "fd12:3456:789a::/48".parse().unwrap();
        let v6 = |default, nets: &[&str]| free_v6(default, ula, &taken(nets)).unwrap();
        assert_eq!(v6(true, &[]).subnet.to_string(), "fd12:3456:789a::/64");
        assert_eq!(v6(false, &[]).subnet.to_string(), "fd12:3456:789a:1::/64");
        let next = v6(false, &["fd12:3456:789a:1::/64"]);
        assert_eq!(
            (next.subnet.to_string().as_str(), next.gateway.unwrap().to_string().as_str()),
            ("fd12:3456:789a:2::/64", "fd12:3456:789a:2::1")
        );
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let ask = |subnet: &str, gateway: Option<&str>, range: Option<&str>| {
            let subnet = Subnet {
                subnet: subnet.parse().unwrap(),
                gateway: gateway.map(|text| text.parse().unwrap()),
                range: range.map(|text| text.parse().unwrap()),
            };
            asked(&subnet, true, &taken(&["192.168.0.0/16"]))
        };
        let good = ask("10.9.1.7/24", None, Some("10.9.1.128/25")).unwrap();
        assert_eq!(
            (good.subnet.to_string().as_str(), good.gateway),
            ("10.9.1.0/24", Some([10, 9, 1, 1].into()))
        );
        for (subnet, gateway, range, cause) in [
            ("192.168.4.0/24", None, None, "overlaps with <192.168.0.0/16>"),
            ("10.9.0.0/24", Some("10.9.1.1"), None, "the gateway 10.9.1.1 isn't in it"),
            ("10.9.0.0/24", Some("10.9.0.255"), None, "the gateway 10.9.0.255 is no host's in it"),
            ("10.9.0.0/24", None, Some("10.9.0.0/16"), "the range 10.9.0.0/16 isn't in it"),
            ("10.9.0.1/32", None, None, "has no room"),
            ("127.0.0.0/16", None, None, "no host's to give"),
            ("169.254.0.0/16", None, None, "no host's to give"),
            ("224.0.0.0/16", None, None, "no host's to give"),
            ("fe80::/64", None, None, "no host's to give"),
            ("0.0.0.0/0", None, None, "no host's to give"),
        ] {
            let e = ask(subnet, gateway, range).unwrap_err();
            assert!(e.kind() == Kind::Config && e.to_string().contains(cause), "{subnet}: {e}");
        }
    }
}
