//! From a configuration to what the container asks of networks: all of it decided on plain data.

use super::record::Record;
use crate::error::{Error, Kind, Result};
use crate::network::policy::{Policy, Rule};
use crate::network::{Asked, Attachment, Network, Networks, Port, Protocol, Subnet};
use forgeone_config::{
    Connection, ContainerConfig, DEFAULT_NETWORK, NetworkConfig, NetworkMode, PortProtocol,
};
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// What is to be made at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing: loopback alone, or the network is the host's or another container's.
    Nothing,
    /// Places in networks of ours.
    Bridges(Vec<Attachment>),
    /// The host's network by a program of the user's: pasta or slirp4netns, this one if it is named.
    User {
        /// The program's name.
        program: Option<String>,
        /// The container's wishes; the network's name is of no account.
        attachment: Box<Attachment>,
    },
}

/// Options that are about the whole; [`Connection`] has those of each network.
const OPTIONS: [&str; 7] = ["driver", "ingress", "egress", "publish_all", "subnet", "subnet6", "bridge"];

/// What provides the network.
const DRIVERS: [&str; 4] = ["bridge", "cni", "pasta", "slirp4netns"];

/// Decides what a container gets; `networks` are those that there are, and `rootless` says that the machine's root isn't
/// ours.
///
/// # Errors
/// [`Kind::Config`] or [`Kind::Unsupported`] by the field.
pub(crate) fn wanted(record: &Record, networks: &[Network], rootless: bool) -> Result<Wanted> {
    // One without a word about it is older than networks.
    let Some(config) = record.config.network.clone() else { return Ok(Wanted::Nothing) };
    let option = |key: &str| config.options.as_ref().and_then(|options| options.get(key)).map(String::as_str);
    known_options(&config)?;
    let own = matches!(config.mode, NetworkMode::Bridge | NetworkMode::Custom);
    if !own {
        return nothing(&record.config, &config);
    }
    let driver = option("driver").unwrap_or(if rootless { "user" } else { "bridge" });
    let connections = config.connections();
    let whole = whole(record, &config)?;
    match driver {
        "bridge" if rootless => {
            Err(unsupported("network.options.driver", "bridge: networks are made by root; leave it out"))
        }
        "bridge" => Ok(Wanted::Bridges(attachments(&connections, &whole, networks)?)),
        "cni" => Err(unsupported(
            "network.options.driver",
            "cni: this version has no plug-ins of CNI; use a bridge",
        )),
        program => {
            if config.mode == NetworkMode::Custom && config.name.is_some() {
                let name = config.name.as_deref().unwrap_or_default();
                return Err(unsupported(
                    "network.name",
                    &format!("{name:?}: networks are root's; leave it out, for the host's by pasta"),
                ));
            }
            let connection = connections.first().cloned().unwrap_or_default();
            let bare = Connection {
                interface: connection.interface.clone(),
                mac_address: connection.mac_address.clone(),
                ..Connection::to(&*connection.network)
            };
            let rate = whole.rate.is_some() || !whole.policy.is_open();
            if connection != bare || rate {
                return Err(unsupported(
                    "network",
                    "addresses, names, rates and policies are a bridge's to give, which is root's to make; leave them out",
                ));
            }
            let attachment = attachment(&connection, 0, &whole)?;
            Ok(Wanted::User {
                program: (program != "user").then(|| program.to_owned()),
                attachment: Box::new(attachment),
            })
        }
    }
}

/// Has a configuration name networks that there are, by their names: the one of an id; the default one, which is made where
/// there is none; and for addresses or a bridge their network, which is made, too.
///
/// # Errors
/// [`Kind::NotFound`] by the network's name; what [`Networks::create`] says.
pub(super) fn settle(networks: &Networks, config: &mut ContainerConfig) -> Result<()> {
    let network = config.network.get_or_insert_default();
    let mut options = network.options.take().unwrap_or_default();
    let own = matches!(network.mode, NetworkMode::Bridge | NetworkMode::Custom);
    if !own || options.get("driver").is_some_and(|driver| driver != "bridge") {
        network.options = (!options.is_empty()).then_some(options);
        return Ok(());
    }
    let [subnet, subnet6, bridge] = ["subnet", "subnet6", "bridge"].map(|key| options.remove(key));
    network.options = (!options.is_empty()).then_some(options);
    let mut connections = network.connections();
    if subnet.is_some() || subnet6.is_some() || bridge.is_some() {
        if network.mode == NetworkMode::Custom || connections.len() != 1 {
            return Err(wrong(
                "network.options",
                "subnet, subnet6 and bridge are for a network that has no name",
            ));
        }
        connections[0].network = of_addresses(networks, subnet, subnet6, bridge)?;
    }
    for connection in &mut connections {
        connection.network = match connection.network.as_str() {
            DEFAULT_NETWORK => networks.default_network()?.name,
            // Not to be taken for a container that isn't there.
            name => networks.find(name).map_err(|e| e.into_kind(Kind::Config))?.name,
        };
    }
    network.set_connections(&connections);
    Ok(())
}

/// The name of the network of these addresses, or of this bridge, which is made where there is none.
fn of_addresses(
    networks: &Networks,
    subnet: Option<String>,
    subnet6: Option<String>,
    bridge: Option<String>,
) -> Result<String> {
    let mut subnets: Vec<IpNet> = Vec::new();
    for (key, text, v4) in [("subnet", &subnet, true), ("subnet6", &subnet6, false)] {
        let Some(text) = text else { continue };
        let net: IpNet = parsed(&format!("network.options.{key}"), text)?;
        if net.addr().is_ipv4() != v4 {
            let family = if v4 { "IPv4" } else { "IPv6" };
            return Err(wrong(&format!("network.options.{key}"), format!("{text:?} isn't of {family}")));
        }
        subnets.push(net.trunc());
    }
    let has =
        |network: &Network| subnets.iter().all(|net| network.subnets.iter().any(|own| own.subnet == *net));
    let all = networks.list()?;
    let found = match &bridge {
        Some(bridge) => all.iter().find(|network| network.interface == *bridge),
        None => all.iter().find(|network| has(network)),
    };
    match (found, &bridge) {
        (Some(found), _) if has(found) => return Ok(found.name.clone()),
        (Some(found), Some(bridge)) => {
            let cause =
                format!("{bridge:?} is the bridge of network {:?}, which has other addresses", found.name);
            return Err(wrong("network.options.bridge", cause));
        }
        _ => {}
    }
    // A name that says what it is.
    let name = bridge.clone().unwrap_or_else(|| {
        let texts: Vec<String> = subnets.iter().map(|net| net.to_string().replace(['/', ':'], "-")).collect();
        format!("net-{}", texts.join("-")).trim_end_matches('-').to_owned()
    });
    let subnets = subnets.into_iter().map(|subnet| Subnet { subnet, gateway: None, range: None }).collect();
    Ok(networks.create(&Asked { name, subnets, interface: bridge, ..Asked::default() })?.name)
}

fn unsupported(field: &str, cause: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{field}: {cause}"))
}

fn wrong(field: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{field}: {cause}"))
}

fn known_options(config: &NetworkConfig) -> Result<()> {
    for (key, value) in config.other_options() {
        let field = format!("network.options.{key}");
        match key {
            "driver" if !DRIVERS.contains(&value) => {
                return Err(wrong(&field, format!("{value:?} is none of {}", DRIVERS.join(", "))));
            }
            "publish_all" if !["true", "false"].contains(&value) => {
                return Err(wrong(&field, format!("{value:?} is neither true nor false")));
            }
            key if !OPTIONS.contains(&key) => {
                let about = "aliases, gateway, interface, ip_address, ip6_address, mac_address";
                return Err(wrong(
                    &field,
                    format!("isn't known; known are {}, and of each network {about}", OPTIONS.join(", ")),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A container without a network of its own can't ask anything of one.
fn nothing(config: &ContainerConfig, network: &NetworkConfig) -> Result<Wanted> {
    if let Some((key, _)) = network.other_options().first() {
        return Err(wrong(
            &format!("network.options.{key}"),
            "the mode gives the container no network of its own; leave it out",
        ));
    }
    if config.resource_limits.as_ref().is_some_and(|limits| limits.network_bps.is_some())
        && network.mode != NetworkMode::None
    {
        let cause = "the network is another's, whose rate isn't this container's to limit; leave it out";
        return Err(wrong("resource_limits.network_bps", cause));
    }
    Ok(Wanted::Nothing)
}

/// What is the same in each of its networks.
fn whole(record: &Record, config: &NetworkConfig) -> Result<Attachment> {
    let dns = config.dns.iter().flatten().map(|text| parsed("network.dns", text));
    Ok(Attachment {
        container: record.id.clone(),
        name: record.name.clone(),
        ports: ports(record, config)?,
        policy: policy(config)?,
        labels: record.config.labels.clone().unwrap_or_default().into_iter().collect(),
        rate: record.config.resource_limits.as_ref().and_then(|limits| limits.network_bps),
        dns: dns.collect::<Result<_>>()?,
        interface: "eth0".to_owned(),
        ..Attachment::default()
    })
}

fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| wrong(field, format!("{text:?}: {e}")))
}

/// What was published, and with `publish_all` what the image exposes, at ports that are free.
fn ports(record: &Record, config: &NetworkConfig) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for port in config.ports.iter().flatten() {
        let protocol = match port.protocol {
            PortProtocol::TCP => Protocol::Tcp,
            PortProtocol::UDP => Protocol::Udp,
            PortProtocol::SCTP => Protocol::Sctp,
        };
        let host = port.host_ip.as_deref().map(|text| parsed("network.ports.host_ip", text)).transpose()?;
        ports.push(Port { protocol, host, host_port: port.host_port, container_port: port.container_port });
    }
    let all = config.options.as_ref().and_then(|options| options.get("publish_all"));
    if all.is_some_and(|all| all == "true") {
        for text in record.image_config.exposed_ports.keys() {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let field = "the image's ExposedPorts";
            let (container_port, protocol) = (parsed(field, number)?, parsed(field, protocol)?);
            let there = |port: &Port| port.container_port == container_port && port.protocol == protocol;
            if !ports.iter().any(there) {
                ports.push(Port { protocol, host: None, host_port: 0, container_port });
            }
        }
    }
    Ok(ports)
}

fn policy(config: &NetworkConfig) -> Result<Policy> {
    let list = |key: &str| -> Result<Option<Vec<Rule>>> {
        let Some(text) = config.options.as_ref().and_then(|options| options.get(key)) else {
            return Ok(None);
        };
        let rules = text.split(',').filter(|rule| !matches!(*rule, "" | "none"));
        rules.map(|rule| parsed(&format!("network.options.{key}"), rule)).collect::<Result<_>>().map(Some)
    };
    Ok(Policy { ingress: list("ingress")?, egress: list("egress")? })
}

/// Packets to everybody else leave by the first network that leads anywhere; ports lead into it, too.
fn attachments(
    connections: &[Connection],
    whole: &Attachment,
    networks: &[Network],
) -> Result<Vec<Attachment>> {
    let internal = |name: &str| networks.iter().any(|network| network.name == name && network.internal);
    let outward = connections.iter().position(|connection| !internal(&connection.network));
    if let (None, Some(port)) = (outward, whole.ports.first()) {
        return Err(wrong(
            "network.ports",
            format!(
                "{}/{}: nothing leads from the host into internal networks",
                port.container_port,
                port.protocol.word()
            ),
        ));
    }
    let one = |(at, connection)| {
        let asked = attachment(connection, at, whole)?;
        let out = Some(at) == outward;
        let ports = if out { asked.ports } else { Vec::new() };
        Ok(Attachment { default_route: out, ports, ..asked })
    };
    let all: Vec<Attachment> = connections.iter().enumerate().map(one).collect::<Result<_>>()?;
    for (at, attachment) in all.iter().enumerate() {
        let earlier = &all[..at];
        if earlier.iter().any(|other| other.network == attachment.network) {
            return Err(wrong("network.name", format!("{:?} stands there twice", attachment.network)));
        }
        if earlier.iter().any(|other| other.interface == attachment.interface) {
            return Err(wrong(
                "network.options.interface",
                format!("{:?} is the interface of two networks", attachment.interface),
            ));
        }
    }
    Ok(all)
}

/// The interface of a container's network by its place among them.
pub(super) fn interface(connection: &Connection, at: usize) -> String {
    connection.interface.clone().unwrap_or_else(|| format!("eth{at}"))
}

fn attachment(connection: &Connection, at: usize, whole: &Attachment) -> Result<Attachment> {
    let field = |key: &str| match at {
        0 => format!("network.{key}"),
        _ => format!("network.options.{}.{key}", connection.network),
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (key, text) in [("ip_address", &connection.ip_address), ("ip6_address", &connection.ip6_address)] {
        let Some(text) = text else { continue };
        // The length of the prefix is the network's.
        let address = text.parse::<IpNet>().map(|net| net.addr());
        let address = address.or_else(|_| text.parse::<IpAddr>());
        let address = address.map_err(|_| wrong(&field(key), format!("{text:?} is no address")))?;
        let same = addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4());
        if same || (key == "ip6_address" && address.is_ipv4()) {
            return Err(wrong(
                &field(key),
                format!("{text:?}: it isn't the IPv6 address of one of each family"),
            ));
        }
        addresses.push(address);
    }
    let interface = interface(connection, at);
    if !crate::network::is_interface_name(&interface) || interface == "lo" {
        return Err(wrong(
            &field("interface"),
            format!("{interface:?}: is not the name of a network device"),
        ));
    }
    for alias in &connection.aliases {
        if !is_host_name(alias) {
            return Err(wrong(&field("aliases"), format!("{alias:?} is no name of a host")));
        }
    }
    Ok(Attachment {
        network: connection.network.clone(),
        aliases: connection.aliases.clone(),
        addresses,
        mac: connection
            .mac_address
            .as_deref()
            .map(|text| text.parse().map_err(|e| wrong(&field("mac_address"), e)))
            .transpose()?,
        interface,
        gateway: connection.gateway.as_deref().map(|text| parsed(&field("gateway"), text)).transpose()?,
        ..whole.clone()
    })
}

/// A name that DNS can say; an underscore is as good as a letter there.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::registry::record::tests::record;
    use serde_json::json;

    fn asked(network: &str, rootless: bool) -> Result<Wanted> {
        let network: serde_json::Value = serde_json::from_str(network).unwrap();
        let image = json!({ "ExposedPorts": { "80/tcp": {}, "53/udp": {} } });
        let record = record(json!({ "network": network }), image);
        let network = |name: &str, internal| Network {
            name: name.to_owned(),
            internal,
            dns: true,
            ..Network::default()
        };
        wanted(&record, &[network("front", false), network("inner", true)], rootless)
    }

    fn bridges(network: &str) -> Vec<Attachment> {
        match asked(network, false).unwrap() {
            Wanted::Bridges(all) => all,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_network_that_leads_out_has_route_and_ports() {
        let all = bridges(
            r#"{"mode": "custom", "name": "inner,front", "ports": [{"host_port": 0, "container_port": 80}]}"#,
        );
        let told = |one: &Attachment| {
            (one.network.clone(), one.interface.clone(), one.default_route, one.ports.len())
        };
        let all: Vec<_> = all.iter().map(told).collect();
        assert_eq!(
            all,
            [("inner".into(), "eth0".into(), false, 0), ("front".into(), "eth1".into(), true, 1)]
        );
    }

    #[test]
    fn everything_is_read() {
        let all = bridges(
            r#"{"mode": "custom", "name": "front", "ip_address": "10.0.0.7/24", "gateway": "10.0.0.2", "dns": ["192.0.2.1"], "options": {
            "ip6_address": "fd00::7", "mac_address": "02:00:00:00:00:07", "aliases": "db,a.b", "interface": "lan0", "publish_all": "true",
            "ingress": "any@tcp/80,10.0.0.0/8", "egress": "none"}}"#,
        );
        let one = &all[0];
        assert_eq!(one.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!((one.interface.as_str(), one.aliases.len(), one.ports.len()), ("lan0", 2, 2));
        assert_eq!((one.gateway, one.dns.len()), (Some("10.0.0.2".parse().unwrap()), 1));
        assert_eq!(one.mac.unwrap().to_string(), "02:00:00:00:00:07");
        assert_eq!(
            (one.policy.ingress.as_ref().unwrap().len(), one.policy.egress.as_deref()),
            (2, Some(&[][..]))
        );
    }

    #[test]
    fn what_cant_be_had_is_told_by_its_field() {
        let table = [
            (r#"{"mode": "bridge", "options": {"mtu": "1400"}}"#, "network.options.mtu: isn't known; "),
            (
                r#"{"mode": "host", "options": {"ingress": "any"}}"#,
                "network.options.ingress: the mode gives ",
            ),
            (
                r#"{"mode": "bridge", "options": {"driver": "ipvlan"}}"#,
                "network.options.driver: \"ipvlan\" is none of ",
            ),
            (r#"{"mode": "bridge", "options": {"ingress": "some"}}"#, "network.options.ingress: \"some\": "),
            (
                r#"{"mode": "bridge", "options": {"mac_address": "ff:ff:ff:ff:ff:ff"}}"#,
                "network.mac_address: ",
            ),
            (r#"{"mode": "bridge", "options": {"aliases": "a b"}}"#, "network.aliases: \"a b\" is no name"),
            (r#"{"mode": "bridge", "options": {"interface": "a/b"}}"#, "network.interface: "),
            (
                r#"{"mode": "bridge", "ip_address": "fd00::1", "options": {"ip6_address": "fd00::2"}}"#,
                "network.ip6_address: ",
            ),
            (r#"{"mode": "custom", "name": "front,front"}"#, "network.name: \"front\" stands there twice"),
            (
                r#"{"mode": "custom", "name": "front,inner", "options": {"inner.interface": "eth0"}}"#,
                "network.options.interface: ",
            ),
            (
                r#"{"mode": "custom", "name": "inner", "ports": [{"host_port": 1, "container_port": 80}]}"#,
                "network.ports: 80/tcp: ",
            ),
        ];
        for (network, start) in table {
            let error = asked(network, false).unwrap_err().to_string();
            assert!(error.starts_with(start), "{network}: {error}");
        }
    }

    #[test]
    fn users_have_the_hosts_network_by_a_program() {
        assert!(matches!(asked(r#"{"mode": "bridge"}"#, true), Ok(Wanted::User { program: None, .. })));
        for network in [
            r#"{"mode": "custom", "name": "front"}"#,
            r#"{"mode": "bridge", "ip_address": "10.0.0.7"}"#,
            r#"{"mode": "bridge", "options": {"egress": "none"}}"#,
            r#"{"mode": "bridge", "options": {"driver": "cni"}}"#,
        ] {
            assert_eq!(asked(network, true).unwrap_err().kind(), Kind::Unsupported, "{network}");
        }
        assert_eq!(asked(r#"{"mode": "none"}"#, true), Ok(Wanted::Nothing));
    }
}
