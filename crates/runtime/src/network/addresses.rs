//! Which addresses a container gets: decided from what is given already, and nothing else.

use super::model::{Attachment, Endpoint, Mac, Network, Subnet};
use crate::error::{Error, Kind, Result};
use forgeone_sys::random;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of a new endpoint, one of each of the network's subnets; `last` are those that were given last.
///
/// # Errors
/// [`Kind::Config`] for an address that isn't the network's to give, [`Kind::Exists`] for one that is in use,
/// [`Kind::State`] if there is none left.
pub(super) fn choose(
    network: &Network,
    others: &[Endpoint],
    attachment: &Attachment,
    last: &[IpAddr],
) -> Result<Vec<IpNet>> {
    let used: BTreeSet<IpAddr> = others.iter().flat_map(|e| &e.addresses).map(IpNet::addr).collect();
    for wanted in &attachment.addresses {
        let twice =
            attachment.addresses.iter().filter(|other| other.is_ipv4() == wanted.is_ipv4()).count() > 1;
        check(network, *wanted, twice)?;
        if used.contains(wanted) {
            let owner = others.iter().find(|e| e.addresses.iter().any(|net| net.addr() == *wanted));
            let owner = owner.map_or("another container", |owner| owner.name.as_str());
            let message =
                format!("address {wanted} is {owner}'s in network {:?}; ask for another", network.name);
            return Err(Error::new(Kind::Exists, message));
        }
    }
    let give = |subnet: &Subnet| {
        let of = |address: &&IpAddr| subnet.subnet.contains(*address);
        let wanted = attachment.addresses.iter().find(of).copied();
        let given = wanted.or_else(|| next(subnet, &used, last.iter().find(of).copied()));
        let full = || {
            let pool = subnet.range.unwrap_or(subnet.subnet);
            let message = format!("network {:?}: all addresses of {pool} are in use", network.name);
            Error::new(Kind::State, message)
        };
        let net = given.and_then(|address| IpNet::new(address, subnet.subnet.prefix_len()).ok());
        net.ok_or_else(full)
    };
    network.subnets.iter().map(give).collect()
}

/// Whether an address is one that a container may ask for.
fn check(network: &Network, wanted: IpAddr, twice: bool) -> Result<()> {
    let name = &network.name;
    let wrong = |cause: String| Err(Error::new(Kind::Config, format!("address {wanted}: {cause}")));
    if twice {
        return wrong("an interface has one address of each family".to_owned());
    }
    let Some(subnet) = network.subnets.iter().find(|subnet| subnet.subnet.contains(&wanted)) else {
        let subnets: Vec<String> = network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
        return match subnets.is_empty() {
            true => wrong(format!("network {name:?} has no subnet, so it gives no addresses")),
            false => wrong(format!("it isn't in network {name:?}, which has {}", subnets.join(" and "))),
        };
    };
    if subnet.gateway == Some(wanted) {
        return wrong(format!("it is the gateway of network {name:?}"));
    }
    match is_host(&subnet.subnet, wanted) {
        true => Ok(()),
        false => wrong(format!("it is no host's in {}", subnet.subnet)),
    }
}

/// The first free address after the one that was given last, or from the beginning on.
fn next(subnet: &Subnet, used: &BTreeSet<IpAddr>, last: Option<IpAddr>) -> Option<IpAddr> {
    let pool = subnet.range.unwrap_or(subnet.subnet);
    let (first, end) = (bits(pool.network()), bits(pool.broadcast()));
    let after = |at: u128| if at >= end { first } else { at + 1 };
    let mut at = last.map(bits).filter(|at| (first..=end).contains(at)).map_or(first, after);
    // No more than these can be in the way: those in use, the gateway, the network's own, the broadcast's.
    let tries = (end - first).min(used.len() as u128 + 3);
    for _ in 0..=tries {
        let address = address(at, pool.addr().is_ipv4());
        if is_host(&subnet.subnet, address) && subnet.gateway != Some(address) && !used.contains(&address) {
            return Some(address);
        }
        at = after(at);
    }
    None
}

/// The first address of a subnet that a host may have.
pub(super) fn first_host(subnet: &IpNet) -> Option<IpAddr> {
    let first = bits(subnet.network());
    let all = (first..=bits(subnet.broadcast())).take(2).map(|at| address(at, subnet.addr().is_ipv4()));
    all.into_iter().find(|address| is_host(subnet, *address))
}

/// Whether a host may have it: not the network's own address (in IPv6 all routers'), nor the one that is everybody's.
fn is_host(subnet: &IpNet, address: IpAddr) -> bool {
    // Of two addresses both are hosts' (RFC 3021, RFC 6164).
    if subnet.prefix_len() + 1 >= subnet.max_prefix_len() {
        return true;
    }
    address != subnet.network() && (address.is_ipv6() || address != subnet.broadcast())
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(bits: u128, v4: bool) -> IpAddr {
    match v4 {
        true => Ipv4Addr::from(bits as u32).into(),
        false => Ipv6Addr::from(bits).into(),
    }
}

/// The hardware address of an endpoint: the one that is wanted, or one made from its IPv4 address, so that whoever gets
/// that address next has the same and nobody's neighbours have to learn; without IPv4 by chance.
///
/// # Errors
/// [`Kind::Exists`] for one that is in use.
pub(super) fn choose_mac(
    network: &Network,
    others: &[Endpoint],
    wanted: Option<Mac>,
    addresses: &[IpNet],
) -> Result<Mac> {
    let used = |mac: &Mac| others.iter().find(|other| other.mac == *mac);
    if let Some(mac) = wanted {
        return match used(&mac) {
            None => Ok(mac),
            Some(other) => {
                let (name, owner) = (&network.name, &other.name);
                let message =
                    format!("hardware address {mac} is {owner}'s in network {name:?}; ask for another");
                Err(Error::new(Kind::Exists, message))
            }
        };
    }
    let made = addresses.iter().find_map(|net| match net.addr() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            Some(Mac([0x02, 0x42, a, b, c, d]))
        }
        IpAddr::V6(_) => None,
    });
    if let Some(mac) = made.filter(|mac| used(mac).is_none()) {
        return Ok(mac);
    }
    loop {
        let mut bytes = [0; 6];
        random::getrandom(&mut bytes)?;
        // Of one station, and given here (IEEE 802).
        bytes[0] = bytes[0] & !1 | 2;
        if used(&Mac(bytes)).is_none() {
            return Ok(Mac(bytes));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn network(subnets: &[(&str, Option<&str>, Option<&str>)]) -> Network {
        let subnet = |(subnet, gateway, range): &(&str, Option<&str>, Option<&str>)| Subnet {
            subnet: subnet.parse().unwrap(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            range: range.map(|range| range.parse().unwrap()),
        };
        Network {
            name: "blue".to_owned(),
            id: "0".repeat(64),
            interface: "forgeone7".to_owned(),
            subnets: subnets.iter().map(subnet).collect(),
            dns: true,
            ..Network::default()
        }
    }

    fn endpoint(address: &str) -> Endpoint {
        let text = format!(
            r#"{{"version":1,"container":"{address}","name":"web","addresses":["{address}"],
            "mac":"02:42:00:00:00:01","interface":"eth0","host_interface":"x"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn given(network: &Network, used: &[&str], wanted: &[&str], last: &[&str]) -> Result<Vec<String>> {
        let others: Vec<_> = used.iter().map(|address| endpoint(address)).collect();
        let parse = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let attachment = Attachment { addresses: parse(wanted), ..Attachment::default() };
        let chosen = choose(network, &others, &attachment, &parse(last))?;
        Ok(chosen.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn addresses_go_on_from_the_last_one_and_wrap() {
        let small = network(&[("10.1.0.0/29", Some("10.1.0.1"), None)]);
        let one = |used: &[&str], last: &[&str]| given(&small, used, &[], last).unwrap()[0].clone();
        assert_eq!(one(&[], &[]), "10.1.0.2/29");
        assert_eq!(one(&[], &["10.1.0.2"]), "10.1.0.3/29");
        assert_eq!(one(&["10.1.0.3/29", "10.1.0.4/29"], &["10.1.0.2"]), "10.1.0.5/29");
        assert_eq!(one(&["10.1.0.5/29"], &["10.1.0.6"]), "10.1.0.2/29", "not the gateway, not the broadcast");
        let five = ["10.1.0.2/29", "10.1.0.3/29", "10.1.0.4/29", "10.1.0.5/29", "10.1.0.6/29"];
        assert_eq!(one(&five[1..], &["10.1.0.4"]), "10.1.0.2/29");
        let full = given(&small, &five, &[], &[]).unwrap_err();
        let message = r#"network "blue": all addresses of 10.1.0.0/29 are in use"#;
        assert_eq!((full.kind(), full.to_string().as_str()), (Kind::State, message));
    }

    #[test]
    fn both_families_and_ranges() {
        let both = network(&[
            ("10.1.0.0/16", Some("10.1.0.1"), Some("10.1.5.0/30")),
            ("fd00::/64", Some("fd00::1"), None),
        ]);
        assert_eq!(given(&both, &[], &[], &[]).unwrap(), ["10.1.5.0/16", "fd00::2/64"]);
        let last = ["10.1.5.3", "fd00::ffff"];
        assert_eq!(given(&both, &[], &[], &last).unwrap(), ["10.1.5.0/16", "fd00::1:0/64"]);
        // A range binds the choice, not the wish.
        let wanted = given(&both, &[], &["10.1.9.9"], &[]).unwrap();
        assert_eq!(wanted, ["10.1.9.9/16", "fd00::2/64"]);
        let used = ["10.1.5.0/16", "10.1.5.1/16", "10.1.5.2/16", "10.1.5.3/16"];
        assert!(given(&both, &used, &[], &[]).unwrap_err().to_string().contains("10.1.5.0/30"));
        let two = network(&[("10.1.0.0/31", Some("10.1.0.0"), None)]);
        assert_eq!(given(&two, &[], &[], &[]).unwrap(), ["10.1.0.1/31"]);
    }

    #[test]
    fn wishes_that_can_not_be_are_refused() {
        let net = network(&[("10.1.0.0/24", Some("10.1.0.1"), None)]);
        for (wanted, kind, cause) in [
            (&["10.2.0.5"][..], Kind::Config, r#"it isn't in network "blue", which has 10.1.0.0/24"#),
            (&["fd00::5"], Kind::Config, r#"it isn't in network "blue""#),
            (&["10.1.0.1"], Kind::Config, r#"it is the gateway of network "blue""#),
            (&["10.1.0.0"], Kind::Config, "it is no host's in 10.1.0.0/24"),
            (&["10.1.0.255"], Kind::Config, "it is no host's in 10.1.0.0/24"),
            (&["10.1.0.8", "10.1.0.9"], Kind::Config, "an interface has one address of each family"),
            (&["10.1.0.7"], Kind::Exists, r#"is web's in network "blue""#),
        ] {
            let e = given(&net, &["10.1.0.7/24"], wanted, &[]).unwrap_err();
            assert!(e.kind() == kind && e.to_string().contains(cause), "{wanted:?}: {e}");
        }
        let none = given(&network(&[]), &[], &["10.1.0.7"], &[]).unwrap_err();
        assert!(none.to_string().contains("has no subnet"), "{none}");
    }

    #[test]
    fn hardware_addresses_follow_ipv4() {
        let net = network(&[]);
        let v4: IpNet = "10.200.1.2/16".parse().unwrap();
        let v6: IpNet = "fd00::2/64".parse().unwrap();
        let made = choose_mac(&net, &[], None, &[v6, v4]).unwrap();
        assert_eq!(made.to_string(), "02:42:0a:c8:01:02");
        let random = choose_mac(&net, &[], None, &[v6]).unwrap();
        assert_eq!(random.0[0] & 3, 2, "{random}");
        let wanted: Mac = "02:42:00:00:00:01".parse().unwrap();
        assert_eq!(choose_mac(&net, &[], Some(wanted), &[]).unwrap(), wanted);
        let taken = choose_mac(&net, &[endpoint("10.1.0.7/24")], Some(wanted), &[]).unwrap_err();
        assert_eq!(taken.kind(), Kind::Exists);
    }
}
