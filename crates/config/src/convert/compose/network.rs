//! The network of a service: mode, addresses, ports and names.

use super::super::part::{full, scalar, Losses, Part};
use super::sorted;
use crate::{Connection, NetworkConfig, NetworkMode, PortMapping, PortProtocol, DEFAULT_NETWORK};
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
        Some(Value::Array(names)) => names.iter().filter_map(scalar).map(connection).collect(),
        Some(Value::Object(map)) => {
            let path = part.at("networks");
            let losses = part.losses();
            map.into_iter()
                .map(|(name, value)| {
                    let mut network = Part::new(format!("{path}.{name}"), value, losses);
                    // The order of interfaces is that of the file.
                    network.ignore(&["priority", "gw_priority"]);
                    Connection {
                        ip_address: network.text("ipv4_address"),
                        ip6_address: network.text("ipv6_address"),
                        mac_address: network.text("mac_address"),
                        interface: network.text("interface_name"),
                        aliases: network.texts("aliases").unwrap_or_default(),
                        ..connection(name)
                    }
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let mut named: Vec<Connection> = named;
    let mac = part.text("mac_address");
    if mac.is_some() && mode.is_none() {
        named.extend(named.is_empty().then(|| Connection::to(DEFAULT_NETWORK)));
        named[0].mac_address = named[0].mac_address.take().or(mac);
    }
    match mode.as_deref() {
        None if !named.is_empty() => network.set_connections(&named),
        None if network == NetworkConfig::default() => return None,
        None => {}
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
    Some(network)
}

/// Compose's own default network is the bridge that containers have anyway.
fn connection(name: String) -> Connection {
    Connection::to(if name == "default" { DEFAULT_NETWORK.to_owned() } else { name })
}

fn hosts(part: &mut Part) -> Option<HashMap<String, String>> {
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
    Some(
        lines
            .into_iter()
            .map(|(name, address)| (name, address.trim_matches(['[', ']']).to_owned()))
            .collect(),
    )
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

/// `[[ADDRESS:][HOST]:]CONTAINER[/PROTOCOL]`, each side a number or a range; without the host's any that is free.
fn short_port(text: &str) -> Result<Vec<PortMapping>, String> {
    let (rest, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol(name)?;
    let (rest, inside) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (Some(address.trim_matches(['[', ']']).to_owned()), host),
        None => (None, rest),
    };
    let inside = range(inside)?;
    let host: Vec<u16> = if host.is_empty() { vec![0; inside.len()] } else { range(host)?.collect() };
    if host.len() != inside.len() {
        return Err(format!("{text:?}: both sides have to have as many ports"));
    }
    let mapping = |(host_port, container_port)| PortMapping {
        host_port,
        container_port,
        protocol,
        host_ip: address.clone().filter(|address| !address.is_empty()),
    };
    Ok(host.into_iter().zip(inside).map(mapping).collect())
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
    let host = part.text("published").unwrap_or_default();
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
    let connections = network.connections();
    match network.mode {
        NetworkMode::Host => drop(set("network_mode", "host".into())),
        NetworkMode::None => drop(set("network_mode", "none".into())),
        NetworkMode::Container => {
            let name = network.name.as_deref().unwrap_or_default();
            set("network_mode", format!("container:{name}").into());
        }
        NetworkMode::Bridge | NetworkMode::Custom => match connections.as_slice() {
            [] => {}
            [only] if *only == Connection::to(DEFAULT_NETWORK) => drop(set("network_mode", "bridge".into())),
            all if all.iter().all(|one| *one == Connection::to(&one.network)) => {
                let names: Vec<&str> = all.iter().map(compose_name).collect();
                set("networks", json!(names));
            }
            all => {
                let networks = all.iter().map(|one| (compose_name(one).to_owned(), full(written(one))));
                set("networks", Value::Object(networks.collect()));
            }
        },
    }
    let mut ports = Vec::new();
    for port in network.ports.iter().flatten() {
        let protocol = json!(port.protocol);
        ports.push(full(json!({
            "target": port.container_port, "published": (port.host_port != 0).then(|| port.host_port.to_string()),
            "protocol": protocol, "host_ip": port.host_ip,
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
    if connections.iter().any(|one| one.gateway.is_some())
        || (connections.is_empty() && network.gateway.is_some())
    {
        losses.add(format!("{prefix}network.gateway"), "the network itself has it there");
    }
    if !network.other_options().is_empty() {
        losses.add(format!("{prefix}network.options"), "a service has nothing like them");
    }
    if connections.iter().flat_map(|one| &one.ip_address).any(|ip| ip.contains('/')) {
        losses.add(format!("{prefix}network.ip_address"), "the length of its prefix is the network's there");
    }
}

fn compose_name(connection: &Connection) -> &str {
    if connection.network == DEFAULT_NETWORK {
        "default"
    } else {
        &connection.network
    }
}

fn written(connection: &Connection) -> Value {
    let bare = |ip: &Option<String>| ip.as_deref().map(|ip| ip.split('/').next().unwrap_or(ip).to_owned());
    let (mut ip, mut ip6) = (bare(&connection.ip_address), bare(&connection.ip6_address));
    if ip.as_ref().is_some_and(|ip| ip.contains(':')) {
        (ip, ip6) = (None, ip6.or(ip));
    }
    let aliases = (!connection.aliases.is_empty()).then_some(&connection.aliases);
    json!({
        "ipv4_address": ip, "ipv6_address": ip6, "mac_address": connection.mac_address,
        "interface_name": connection.interface, "aliases": aliases,
    })
}
