//! What networks gave to a container that is about to start, and the files that tell its programs of it.

use super::record::Record;
use super::spec::namespaces::{own_uts, shares_host_network};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// See the module. A container without networks of its own is given nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// A path of its network namespace, if one was made for it.
    pub namespace: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Who resolves names for it; the host's servers where there is nobody.
    pub resolvers: Vec<IpAddr>,
    /// The host, as the container reaches it.
    pub host: Option<IpAddr>,
}

/// Names that programs expect for the host.
const HOST_NAMES: &str = "host.containers.internal host.docker.internal";

/// `/etc/hosts` and `/etc/resolv.conf` of a container. Where it shares another's network, `other` is the directory of that
/// container, whose files they begin with.
pub(super) fn files(
    record: &Record,
    given: &Given,
    other: Option<&Path>,
    hostname: &str,
) -> (String, String) {
    let host = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let network = record.config.network.clone().unwrap_or_default();
    let of = |name: &str| other.map(|dir| std::fs::read_to_string(dir.join(name)).unwrap_or_default());
    let mut hosts = match of("hosts") {
        Some(text) => text,
        None if shares_host_network(&record.config) => host("/etc/hosts"),
        None => own_hosts(record, given, hostname),
    };
    let extra: BTreeMap<_, _> = network.extra_hosts.iter().flatten().collect();
    for (name, address) in extra {
        let address = match (address.as_str(), given.host) {
            ("host-gateway", Some(host)) => host.to_string(),
            ("host-gateway", None) => "127.0.0.1".to_owned(),
            (address, _) => address.to_owned(),
        };
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    let resolvers: Vec<String> = given.resolvers.iter().map(IpAddr::to_string).collect();
    let servers = match resolvers.as_slice() {
        [] => network.dns.as_deref(),
        resolvers => Some(resolvers),
    };
    let own = of("resolv.conf").unwrap_or_else(|| host("/etc/resolv.conf"));
    (hosts, resolv_conf(&own, servers, network.dns_search.as_deref()))
}

/// The container's names for itself, at its own addresses where it has some.
fn own_hosts(record: &Record, given: &Given, hostname: &str) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    if let Some(host) = given.host {
        text.push_str(&format!("{host}\t{HOST_NAMES}\n"));
    }
    if !own_uts(&record.config) {
        return text;
    }
    let domain = record.config.network.as_ref().and_then(|network| network.domain_name.as_ref());
    let mut names = domain.map(|domain| format!("{hostname}.{domain} ")).unwrap_or_default();
    names.push_str(hostname);
    if !given.addresses.is_empty() && record.name != hostname {
        names.push_str(&format!(" {}", record.name));
    }
    match given.addresses.as_slice() {
        [] => text.push_str(&format!("127.0.1.1\t{names}\n")),
        addresses => addresses.iter().for_each(|address| text.push_str(&format!("{address}\t{names}\n"))),
    }
    text
}

/// resolv.conf(5) with these servers and domains in place of its own. A search for `.` is one for nothing.
fn resolv_conf(own: &str, servers: Option<&[String]>, search: Option<&[String]>) -> String {
    let replaced = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        (servers.is_some() && word == "nameserver")
            || (search.is_some() && matches!(word, "search" | "domain"))
    };
    let mut text: String = own.lines().filter(|line| !replaced(line)).flat_map(|line| [line, "\n"]).collect();
    let search: Vec<&str> =
        search.unwrap_or_default().iter().map(String::as_str).filter(|d| *d != ".").collect();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for server in servers.unwrap_or_default() {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::registry::record::tests::record;
    use serde_json::json;

    #[test]
    fn a_container_knows_its_own_address_and_the_host() {
        let given = Given {
            namespace: None,
            addresses: vec!["10.200.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            resolvers: vec!["10.200.0.1".parse().unwrap()],
            host: Some("10.200.0.1".parse().unwrap()),
        };
        let asked = json!({"network": {"mode": "bridge", "dns": ["192.0.2.1"], "dns_search": ["example.org"], "domain_name": "lan",
            "extra_hosts": {"db": "10.0.0.7", "up": "host-gateway"}}});
        let (hosts, resolver) = files(&record(asked, json!({})), &given, None, "box");
        let expected = [
            "10.200.0.1\thost.containers.internal host.docker.internal\n",
            "10.200.0.2\tbox.lan box web\nfd00::2\tbox.lan box web\n",
            "10.0.0.7\tdb\n10.200.0.1\tup\n",
        ];
        for part in expected {
            assert!(hosts.contains(part), "{part} isn't in {hosts}");
        }
        // The servers that were asked for are asked by the network's resolver.
        let servers: Vec<_> = resolver.lines().filter(|line| line.starts_with("nameserver")).collect();
        assert_eq!(servers, ["nameserver 10.200.0.1"]);
        assert!(resolver.contains("search example.org\n"));
    }

    #[test]
    fn without_a_network_it_asks_whom_it_was_told() {
        let (hosts, resolver) = files(
            &record(json!({"network": {"mode": "none", "dns": ["192.0.2.1"]}}), json!({})),
            &Given::default(),
            None,
            "box",
        );
        assert!(hosts.ends_with("127.0.1.1\tbox\n"), "{hosts}");
        assert!(resolver.ends_with("nameserver 192.0.2.1\n"), "{resolver}");
    }
}
