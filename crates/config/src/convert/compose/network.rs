//! The network of a service: mode, addresses, ports and names.

use super::super::part::{full, scalar, Losses, Part};
use super::sorted;
use crate::{NetworkConfig, NetworkMode, PortMapping, PortProtocol};
use serde_json::{json, Map, Value};
use std::collections::HashMap;

pub(super) fn read(part: &mut Part) -> Option<NetworkConfig> {
    let mut network = NetworkConfig {
        dns: part.texts("dns"),
        dns_search: part.texts("dns_search"),
        hostname: part.text("hostname"),
        domain_name: part.text("domainname"),
        extra_hosts: hosts(part),
        ports: ports(part),
        ..NetworkConfig::default()
    };
    let mode = part.text("network_mode");
    let named = match part.take("networks") {
        Some(Value::Array(names)) => names.iter().filter_map(scalar).map(|name| (name, None)).collect(),
        Some(Value::Object(map)) => {
            let path = part.at("networks");
            let losses = part.losses();
            map.into_iter()
                .map(|(name, value)| {
                    let mut network = Part::new(format!("{path}.{name}"), value, losses);
                    (name, network.text("ipv4_address").or_else(|| network.text("ipv6_address")))
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let mut named = named.into_iter();
    match mode.as_deref() {
        None => match named.next() {
            Some((name, address)) => {
                // Compose's own default network is a bridge.
                let default = name == "default";
                network.mode = if default { NetworkMode::Bridge } else { NetworkMode::Custom };
                network.name = (!default).then_some(name);
                network.ip_address = address;
            }
            None if network == NetworkConfig::default() => return None,
            None => {}
        },
        Some("bridge") => network.mode = NetworkMode::Bridge,
        Some("host") => network.mode = NetworkMode::Host,
        Some("none") => network.mode = NetworkMode::None,
        Some(other) => match other.strip_prefix("container:") {
            Some(name) => {
                (network.mode, network.name) = (NetworkMode::Container, Some(name.to_owned()));
            }
            None => {
                part.lose("network_mode", format!("{other:?} is none of bridge, host, none, container:NAME"))
            }
        },
    }
    for (name, _) in named {
        part.lose("networks", format!("a configuration has one network; {name} isn't it"));
    }
    Some(network)
}

fn hosts(part: &mut Part) -> Option<HashMap<String, String>> {
    let path = part.at("extra_hosts");
    let losses = part.losses();
    let lines: Vec<(String, String)> = match part.take("extra_hosts")? {
        Value::Object(map) => {
            map.into_iter().filter_map(|(name, value)| Some((name, scalar(&value)?))).collect()
        }
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items.filter_map(|item| item.split_once(['=', ':'])).map(|(a, b)| (a.into(), b.into())).collect()
        }
        _ => Vec::new(),
    };
    let mut hosts = HashMap::new();
    for (name, address) in lines {
        match address.as_str() {
            "host-gateway" => {
                losses.add(format!("{path}.{name}"), "the host's address isn't known before: write it")
            }
            _ => drop(hosts.insert(name, address.trim_matches(['[', ']']).to_owned())),
        }
    }
    Some(hosts)
}

fn ports(part: &mut Part) -> Option<Vec<PortMapping>> {
    let losses = part.losses();
    let mut ports = Vec::new();
    for (path, item) in part.items("ports")? {
        let found = match item {
            Value::Object(map) => long_port(Part::new(path.clone(), Value::Object(map), losses)),
            other => short_port(&scalar(&other).unwrap_or_default()),
        };
        match found {
            Ok(found) => ports.extend(found),
            Err(reason) => losses.add(path, reason),
        }
    }
    Some(ports)
}

fn protocol(text: &str) -> Result<PortProtocol, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "tcp" => PortProtocol::TCP,
        "udp" => PortProtocol::UDP,
        "sctp" => PortProtocol::SCTP,
        _ => return Err(format!("{text:?} is none of tcp, udp and sctp")),
    })
}

/// `[ADDRESS:]HOST:CONTAINER[/PROTOCOL]`, each side a number or a range.
fn short_port(text: &str) -> Result<Vec<PortMapping>, String> {
    let (rest, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol(name)?;
    let (rest, inside) = rest.rsplit_once(':').ok_or("the host's port would be any: name one")?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (Some(address.trim_matches(['[', ']']).to_owned()), host),
        None => (None, rest),
    };
    if host.is_empty() {
        return Err("the host's port would be any: name one".to_owned());
    }
    let (host, inside) = (range(host)?, range(inside)?);
    if host.len() != inside.len() {
        return Err(format!("{text:?}: both sides have to have as many ports"));
    }
    let mapping = |(host_port, container_port)| PortMapping {
        host_port,
        container_port,
        protocol,
        host_ip: address.clone().filter(|address| !address.is_empty()),
    };
    Ok(host.zip(inside).map(mapping).collect())
}

fn range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let wrong = || format!("{text:?} is no port and no range of ports");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first <= last {
        Ok(first..=last)
    } else {
        Err(wrong())
    }
}

fn long_port(mut part: Part) -> Result<Vec<PortMapping>, String> {
    part.ignore(&["name", "app_protocol"]);
    if part.text("mode").is_some_and(|mode| mode != "ingress") {
        part.lose("mode", "ports of the host alone");
    }
    let target = part.text("target").unwrap_or_default();
    let host = part.text("published").ok_or("the host's port would be any: name one (published)")?;
    let protocol = part.text("protocol").unwrap_or_else(|| "tcp".to_owned());
    let mut found = short_port(&format!("{host}:{target}/{protocol}"))?;
    let address = part.text("host_ip");
    found.iter_mut().for_each(|port| port.host_ip = address.clone());
    Ok(found)
}

pub(super) fn write(
    network: &NetworkConfig,
    service: &mut Map<String, Value>,
    prefix: &str,
    losses: &Losses,
) {
    let mut set = |key: &str, value: Value| service.insert(key.to_owned(), value);
    let address = |address: &str| if address.contains(':') { "ipv6_address" } else { "ipv4_address" };
    let named = network.name.as_deref().unwrap_or("default");
    let at = network.ip_address.as_deref().map(|ip| ip.split('/').next().unwrap_or(ip));
    let at = at.map_or(json!({}), |ip| json!({ address(ip): ip }));
    match network.mode {
        NetworkMode::Host => drop(set("network_mode", "host".into())),
        NetworkMode::None => drop(set("network_mode", "none".into())),
        NetworkMode::Container => drop(set("network_mode", format!("container:{named}").into())),
        NetworkMode::Bridge if network.ip_address.is_none() && network.name.is_none() => {
            set("network_mode", "bridge".into());
        }
        NetworkMode::Bridge | NetworkMode::Custom => {
            let value = if network.ip_address.is_none() { json!([named]) } else { json!({ named: at }) };
            set("networks", value);
        }
    }
    let mut ports = Vec::new();
    for port in network.ports.iter().flatten() {
        let protocol = json!(port.protocol);
        ports.push(full(json!({
            "target": port.container_port, "published": port.host_port.to_string(), "protocol": protocol, "host_ip": port.host_ip,
        })));
    }
    if network.ports.is_some() {
        set("ports", ports.into());
    }
    set("dns", json!(network.dns));
    set("dns_search", json!(network.dns_search));
    set("hostname", json!(network.hostname));
    set("domainname", json!(network.domain_name));
    set("extra_hosts", sorted(&network.extra_hosts));
    let lost = [("gateway", network.gateway.is_some()), ("options", network.options.is_some())];
    for (name, _) in lost.into_iter().filter(|(_, there)| *there) {
        losses.add(format!("{prefix}network.{name}"), "the network itself has it there");
    }
    if network.ip_address.as_deref().is_some_and(|ip| ip.contains('/')) {
        losses.add(format!("{prefix}network.ip_address"), "the length of its prefix is the network's there");
    }
}
