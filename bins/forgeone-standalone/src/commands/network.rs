//! `network` and `port`: what connects containers.

use crate::here::Here;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, output, usage};
use forgeone_config::Connection;
use forgeone_runtime::network::{Asked, Driver, Endpoint, Network, Networks, Populated, Port, Subnet, Vlan};
use forgeone_runtime::registry::{Container, short};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::process::geteuid;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

const TITLES: [&str; 4] = ["NETWORK ID", "NAME", "DRIVER", "SUBNETS"];

pub(super) fn run(here: &Here, call: &Call) -> Result<u8> {
    let networks = Networks::of(here.register.places());
    match call.command.name {
        "network create" => {
            let network = networks.create(&asked(call)?)?;
            output::print(&format!("{}\n", network.name))?;
        }
        "network ls" => list(&networks, call)?,
        "network inspect" => inspect(&networks, call)?,
        "network rm" => super::remove_each(call, |word| networks.remove(word).map(|network| network.name))?,
        "network connect" => {
            here.register.find(call.text(1)?)?.connect(connection(call)?)?;
        }
        "network disconnect" => here.register.find(call.text(1)?)?.disconnect(call.text(0)?)?,
        "network prune" => {
            let used = used(here)?;
            for name in networks.prune(&used)? {
                output::print(&format!("{name}\n"))?;
            }
        }
        "network reload" => networks.reload()?,
        _ => return Err(usage("no such command")),
    }
    Ok(0)
}

/// An option's value, as what it is.
fn value<T: FromStr>(option: &str, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| usage(format!("option --{option}: {text:?}: {e}")))
}

fn asked(call: &Call) -> Result<Asked> {
    let flags = &call.flags;
    let mut subnets = Vec::new();
    for text in flags.texts("subnet")? {
        let subnet = Subnet { subnet: value("subnet", &text)?, gateway: None, range: None };
        subnets.push(subnet);
    }
    let nobodys = |option: &str, text: &str| usage(format!("option --{option}: {text:?} is in no --subnet"));
    for text in flags.texts("gateway")? {
        let gateway: IpAddr = value("gateway", &text)?;
        let subnet = subnets.iter_mut().find(|subnet| subnet.subnet.contains(&gateway));
        subnet.ok_or_else(|| nobodys("gateway", &text))?.gateway = Some(gateway);
    }
    for text in flags.texts("ip-range")? {
        let range = value("ip-range", &text)?;
        let subnet = subnets.iter_mut().find(|subnet| subnet.subnet.contains(&range));
        subnet.ok_or_else(|| nobodys("ip-range", &text))?.range = Some(range);
    }
    let parent = flags.text("parent")?.map(str::to_owned);
    let driver = match flags.text("driver")? {
        None | Some("bridge") => Driver::Bridge,
        Some("macvlan") => Driver::Macvlan,
        Some(other) => {
            return Err(usage(format!("option --driver: {other:?} is neither bridge nor macvlan")));
        }
    };

    let vlan = match (flags.number("vlan")?, &parent) {
        (None, _) => None,
        (Some(_), None) => return Err(usage("option --vlan: it is a VLAN of a --parent")),
        (Some(id), Some(parent)) => {
            let id =
                u16::try_from(id).map_err(|_| usage(format!("option --vlan: {id} is none of 1 to 4094")))?;
            Some(Vlan { parent: parent.clone(), id })
        }
    };
    let mtu = flags.number("mtu")?;
    Ok(Asked {
        name: call.text(0)?.to_owned(),
        driver,
        subnets,
        internal: flags.switch("internal"),
        isolated: flags.switch("isolated"),
        mtu,
        dns: !flags.switch("disable-dns"),
        labels: flags.pairs("label")?,
        interface: flags.text("bridge")?.map(str::to_owned),
        parent: parent.filter(|_| vlan.is_none()),
        vlan,
        ..Asked::default()
    })
}

fn connection(call: &Call) -> Result<Connection> {
    let text = |name: &str| Ok::<_, Error>(call.flags.text(name)?.map(str::to_owned));
    Ok(Connection {
        network: call.text(0)?.to_owned(),
        ip_address: text("ip")?,
        ip6_address: text("ip6")?,
        mac_address: text("mac-address")?,
        interface: text("interface")?,
        gateway: None,
        aliases: call.flags.texts("alias")?,
    })
}

/// The networks that containers name, whether they run or not.
fn used(here: &Here) -> Result<Vec<String>> {
    let named = |container: &Container| {
        container
            .config()
            .network
            .clone()
            .unwrap_or_default()
            .connections()
            .into_iter()
            .map(|one| one.network)
    };
    Ok(here.all()?.iter().flat_map(named).collect())
}

fn list(networks: &Networks, call: &Call) -> Result<()> {
    let format = Format::parse(call.flags.text("format")?)?;
    let all = networks.list()?;
    if call.flags.switch("quiet") {
        let names: String = all.iter().map(|network| format!("{}\n", network.name)).collect();
        return output::print(&names);
    }
    let row = |network: &Network| {
        let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
        let cells = vec![
            short(&network.id).to_owned(),
            network.name.clone(),
            driver(network).to_owned(),
            subnets.join(", "),
        ];
        (cells, shown(network))
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::print(&show::rows(&format, &TITLES, &rows)?)
}

fn driver(network: &Network) -> &'static str {
    match network.driver {
        Driver::Bridge => "bridge",
        Driver::Macvlan => "macvlan",
    }
}

/// With the names of Docker and Podman.
fn shown(network: &Network) -> Value {
    let subnets = network.subnets.iter();
    json!({
        "Name": network.name, "ID": network.id, "Id": network.id, "Driver": driver(network), "Created": network.created,
        "Interface": network.interface, "Internal": network.internal, "Isolated": network.isolated, "DNS": network.dns,
        "IPv6": subnets.clone().any(|subnet| subnet.subnet.addr().is_ipv6()), "MTU": network.mtu, "Labels": network.labels,
        "VLAN": network.vlan,
        "Subnets": subnets.map(|subnet| json!({
            "Subnet": subnet.subnet, "Gateway": subnet.gateway, "Range": subnet.range,
        })).collect::<Vec<_>>(),
    })
}

fn inspect(networks: &Networks, call: &Call) -> Result<()> {
    let all = networks.populated()?;
    let one = |word: &str| -> Result<Value> {
        let network = networks.find(word)?;
        let mut value = shown(&network);
        let members = all.iter().filter(|populated| populated.network.id == network.id);
        let members = members.flat_map(|populated| &populated.endpoints);
        value["Containers"] =
            Value::Object(members.map(|one| (one.container.clone(), place(&network, one))).collect());
        Ok(value)
    };
    let values = call.texts()?.into_iter().map(one).collect::<Result<_>>()?;
    output::print(&show::pretty(&Value::Array(values))?)
}

/// A container in a network, as `inspect` has it.
pub(super) fn place(network: &Network, endpoint: &Endpoint) -> Value {
    let address = |v4: bool| endpoint.addresses.iter().find(|net| net.addr().is_ipv4() == v4);
    let gateway =
        |v4: bool| network.subnets.iter().filter_map(|subnet| subnet.gateway).find(|ip| ip.is_ipv4() == v4);
    json!({
        "NetworkID": network.id, "Name": endpoint.name, "MacAddress": endpoint.mac, "Interface": endpoint.interface,
        "HostInterface": endpoint.host_interface, "Aliases": endpoint.aliases,
        "IPAddress": address(true).map(|net| net.addr()), "IPPrefixLen": address(true).map(|net| net.prefix_len()),
        "Gateway": gateway(true),
        "GlobalIPv6Address": address(false).map(|net| net.addr()),
        "GlobalIPv6PrefixLen": address(false).map(|net| net.prefix_len()), "IPv6Gateway": gateway(false),
        "Policy": (!endpoint.policy.is_open()).then_some(&endpoint.policy),
    })
}

/// `NetworkSettings` of `inspect`.
pub(super) fn settings(mine: &[(Network, Endpoint)]) -> Value {
    let networks: Map<String, Value> =
        mine.iter().map(|(network, endpoint)| (network.name.clone(), place(network, endpoint))).collect();
    let first = networks.values().next().cloned().unwrap_or_default();
    let mut ports: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in mine.iter().flat_map(|(_, endpoint)| &endpoint.ports) {
        let host = port.host.map_or_else(|| "0.0.0.0".to_owned(), |host| host.to_string());
        let inside = format!("{}/{}", port.container_port, port.protocol.word());
        ports
            .entry(inside)
            .or_default()
            .push(json!({ "HostIp": host, "HostPort": port.host_port.to_string() }));
    }
    json!({
        "IPAddress": first["IPAddress"], "Gateway": first["Gateway"], "MacAddress": first["MacAddress"],
        "GlobalIPv6Address": first["GlobalIPv6Address"], "Networks": networks, "Ports": ports,
    })
}

/// The published ports of each container, by its id.
pub(super) fn published(here: &Here) -> Result<BTreeMap<String, Vec<Port>>> {
    let mut all: BTreeMap<String, Vec<Port>> = BTreeMap::new();
    if geteuid() != 0 {
        // A user's containers have networks of their own.
        for container in here.all()? {
            let ports = container.endpoints()?.into_iter().flat_map(|(_, endpoint)| endpoint.ports);
            all.insert(container.id().to_owned(), ports.collect());
        }
        return Ok(all);
    }
    for Populated { endpoints, .. } in Networks::of(here.register.places()).populated()? {
        for endpoint in endpoints {
            all.entry(endpoint.container).or_default().extend(endpoint.ports);
        }
    }
    Ok(all)
}

/// `0.0.0.0:8080->80/tcp`, as `ps` shows it.
pub(super) fn arrow(port: &Port) -> String {
    let text = port.to_string();
    let (inside, host) = text.split_once(" -> ").unwrap_or((&text, ""));
    format!("{host}->{inside}")
}

/// `80/tcp -> 0.0.0.0:8080`, a line a port; with a port of the container's those of the host alone.
pub(super) fn port(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    let ports: Vec<Port> =
        container.endpoints()?.into_iter().flat_map(|(_, endpoint)| endpoint.ports).collect();
    let Some(asked) = call.words.get(1).map(|_| call.text(1)).transpose()? else {
        output::print(&ports.iter().map(|port| format!("{port}\n")).collect::<String>())?;
        return Ok(0);
    };
    let asked = if asked.contains('/') { asked.to_owned() } else { format!("{asked}/tcp") };
    let texts: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let found =
        texts.iter().filter_map(|text| text.split_once(" -> ")).filter(|(inside, _)| *inside == asked);
    let text: String = found.map(|(_, host)| format!("{host}\n")).collect();
    if text.is_empty() {
        let message = format!("container {:?}: port {asked} isn't published", container.name());
        return Err(Error::new(Kind::State, message));
    }
    output::print(&text)?;
    Ok(0)
}
