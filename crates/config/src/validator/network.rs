//! Networks: modes, addresses, names, ports.

use super::names::is_name;
use super::report::{Report, Severity};
use crate::{NetworkConfig, NetworkMode, PortMapping};
use forgeone_distribution::is_domain;
use std::net::IpAddr;

pub(super) fn check(network: &NetworkConfig, report: &mut Report) {
    mode(network, report);
    addresses(network, report);
    names(network, report);
    let ports = network.ports.as_deref().unwrap_or_default();
    report.each("ports", ports, |report, index, port| check_port(port, &ports[..index], report));
}

/// What the mode needs, and what it can't have.
fn mode(network: &NetworkConfig, report: &mut Report) {
    let cni = network
        .options
        .as_ref()
        .and_then(|options| options.get("driver"))
        .is_some_and(|driver| driver == "cni");
    let named = matches!(network.mode, NetworkMode::Container | NetworkMode::Custom);
    // Several networks are separated by commas.
    let several = matches!(network.mode, NetworkMode::Bridge | NetworkMode::Custom);
    let is_known = |name: &str| if several { name.split(',').all(is_name) } else { is_name(name) };
    match network.name.as_deref() {
        // Without a name the first network of CNI.
        None if cni => {}
        None if named => {
            let what = if network.mode == NetworkMode::Container { "container" } else { "network" };
            let reason = format!("this mode needs the {what}'s name");
            report.missing(Severity::Error, "name", "network.name", reason, "add it");
        }
        Some(name) if !is_known(name) => {
            let reason = "it is no name: letters, digits, _, . and -, the first a letter or digit";
            report.error("name", "network.name", name, reason, "correct it");
        }
        Some(name) if matches!(network.mode, NetworkMode::Host | NetworkMode::None) => {
            let reason = "this mode has no network that could be named";
            report.error("name", "network.mode", name, reason, "leave it out, or choose mode custom");
        }
        _ => {}
    }
    if matches!(network.mode, NetworkMode::Bridge | NetworkMode::Custom) {
        return;
    }
    let own = "the mode gives the container no address of its own on a network";
    for (key, value) in [("ip_address", &network.ip_address), ("gateway", &network.gateway)] {
        if let Some(value) = value {
            report.error(key, "network.mode", value, own, "leave it out, or choose bridge or custom");
        }
    }
    if let Some(ports) = network.ports.as_ref().filter(|ports| !ports.is_empty()) {
        let help = "leave them out, or choose bridge or custom";
        report.error("ports", "network.mode", ports.len(), own, help);
    }
    let shared = matches!(network.mode, NetworkMode::Container);
    if let Some(hostname) = network.hostname.as_ref().filter(|_| shared) {
        let reason = "the other container's host name is this one's, too";
        report.error("hostname", "network.mode", hostname, reason, "leave it out");
    }
}

fn addresses(network: &NetworkConfig, report: &mut Report) {
    const HELP: &str = "an address is such as 10.0.0.7, 10.0.0.7/24 or fd00::7";
    let mut subnet = None;
    if let Some(text) = &network.ip_address {
        match address(text) {
            Some((address, prefix)) => {
                if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
                    report.error("ip_address", "network.address", text, "no container can have it", HELP);
                } else if prefix.is_some_and(|prefix| is_edge(address, prefix)) {
                    let reason = "it is the network itself, or its broadcast address";
                    report.error("ip_address", "network.address", text, reason, "choose one in between");
                }
                subnet = Some((address, prefix));
            }
            None => report.error("ip_address", "network.address", text, "it is no address", HELP),
        }
    }
    if let Some(text) = &network.gateway {
        match (text.parse::<IpAddr>(), subnet) {
            (Err(_), _) => report.error("gateway", "network.address", text, "it is no address", HELP),
            (Ok(gateway), Some((address, _))) if gateway.is_ipv4() != address.is_ipv4() => {
                let reason = "it is of another family than ip_address";
                report.error(
                    "gateway",
                    "network.gateway",
                    text,
                    reason,
                    "IPv4 goes with IPv4, IPv6 with IPv6",
                );
            }
            (Ok(gateway), Some((address, _))) if gateway == address => {
                let reason = "it is the container's own address";
                report.error("gateway", "network.gateway", text, reason, "name the router's");
            }
            (Ok(gateway), Some((address, Some(prefix))))
                if bits(gateway, prefix) != bits(address, prefix) =>
            {
                let reason = format!("it isn't in the network of {address}/{prefix}");
                report.error(
                    "gateway",
                    "network.gateway",
                    text,
                    reason,
                    "choose one in it, or correct the prefix",
                );
            }
            _ => {}
        }
    }
    let dns = network.dns.as_deref().unwrap_or_default();
    report.each("dns", dns, |report, index, server| {
        if server.parse::<IpAddr>().is_err() {
            report.error("", "network.address", server, "a name server is known by its address", HELP);
        } else if index == 3 {
            let reason = "programs ask the first three alone";
            report.warning("", "network.dns", server, reason, "leave out what is too many");
        }
    });
}

/// An address, with its prefix length if there is one.
fn address(text: &str) -> Option<(IpAddr, Option<u32>)> {
    let Some((address, prefix)) = text.split_once('/') else { return Some((text.parse().ok()?, None)) };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= most)?;
    Some((address, Some(prefix)))
}

/// The network's part of an address.
fn bits(address: IpAddr, prefix: u32) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)).checked_shr(32 - prefix).unwrap_or(0),
        IpAddr::V6(address) => u128::from(address).checked_shr(128 - prefix).unwrap_or(0),
    }
}

/// Whether an IPv4 address is the first or last of its network, where these are nobody's.
fn is_edge(address: IpAddr, prefix: u32) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
    prefix < 31 && [0, host].contains(&(u32::from(address) & host))
}

fn names(network: &NetworkConfig, report: &mut Report) {
    const HELP: &str = "labels of letters, digits and inner -, at most 63 each, with dots between them";
    if let Some(name) = network.hostname.as_deref().filter(|name| !is_domain(name) || name.len() > 64) {
        report.error("hostname", "network.dns_name", name, "it is no name of a host, at most 64 long", HELP);
    }
    if let Some(name) = network.domain_name.as_deref().filter(|name| !is_domain(name)) {
        report.error("domain_name", "network.dns_name", name, "it is no name of a domain", HELP);
    }
    let search = network.dns_search.as_deref().unwrap_or_default();
    report.each("dns_search", search, |report, _, name| {
        if !is_domain(name) && name != "." {
            report.error("", "network.dns_name", name, "it is no name of a domain", HELP);
        }
    });
    let mut hosts: Vec<_> = network.extra_hosts.iter().flatten().collect();
    hosts.sort();
    for (name, address) in hosts {
        report.within("extra_hosts", |report| {
            if !is_domain(name) {
                report.error(name, "network.dns_name", name, "it is no name of a host", HELP);
            }
            if address.parse::<IpAddr>().is_err() && address != "host-gateway" {
                let help = "an address is such as 10.0.0.7; host-gateway is the host's";
                report.error(name, "network.address", address, "it is no address", help);
            }
        });
    }
}

fn check_port(port: &PortMapping, earlier: &[PortMapping], report: &mut Report) {
    // 0 on the host is one that is free.
    if port.container_port == 0 {
        report.error("container_port", "ports.zero", 0, "ports are from 1 to 65535", "choose one");
    }
    if let Some(ip) = port.host_ip.as_deref().filter(|ip| ip.parse::<IpAddr>().is_err()) {
        let help = "leave it out for all addresses of the host";
        report.error("host_ip", "network.address", ip, "it is no address", help);
    }
    let conflict = earlier.iter().position(|other| {
        other.host_port == port.host_port
            && other.protocol == port.protocol
            && overlap(&other.host_ip, &port.host_ip)
    });
    if let Some(other) = conflict.filter(|_| port.host_port != 0) {
        let reason = format!("ports[{other}] has it already");
        report.error(
            "host_port",
            "ports.conflict",
            port.host_port,
            reason,
            "choose another, or another host_ip",
        );
    }
}

/// Whether one is at the other's address; none is all of them.
fn overlap(one: &Option<String>, other: &Option<String>) -> bool {
    let parse = |ip: &Option<String>| ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    match (parse(one), parse(other)) {
        (Some(one), Some(other)) => one == other || one.is_unspecified() || other.is_unspecified(),
        _ => true,
    }
}
