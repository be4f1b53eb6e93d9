//! What is planned, as data.

use super::*;
use crate::network::{Endpoint, Mac, Network, Port, Protocol, Subnet};
use forgeone_sys::net::nftables::Value;
use ruleset::Elements;
use std::collections::BTreeMap;

fn network(interface: &str, subnets: &[(&str, &str)]) -> Network {
    let subnet = |(subnet, gateway): &(&str, &str)| Subnet {
        subnet: subnet.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        range: None,
    };
    Network {
        name: interface.to_owned(),
        interface: interface.to_owned(),
        subnets: subnets.iter().map(subnet).collect(),
        dns: true,
        ..Network::default()
    }
}

fn endpoint(name: &str, addresses: &[&str], ports: &[(Option<&str>, u16, u16)]) -> Endpoint {
    let port = |(host, host_port, container_port): &(Option<&str>, u16, u16)| Port {
        protocol: Protocol::Tcp,
        host: host.map(|host| host.parse().unwrap()),
        host_port: *host_port,
        container_port: *container_port,
    };
    Endpoint {
        version: 1,
        container: name.to_owned(),
        name: name.to_owned(),
        aliases: vec![],
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        interface: "eth0".to_owned(),
        host_interface: format!("fo-{name}"),
        ports: ports.iter().map(port).collect(),
        policy: Default::default(),
        labels: BTreeMap::new(),
        rate: None,
        dns: vec![],
    }
}

fn one(change: impl FnOnce(&mut Network), ports: &[(Option<&str>, u16, u16)]) -> Vec<Populated> {
    let mut network = network("br0", &[("10.1.0.0/16", "10.1.0.1"), ("fd00::/64", "fd00::1")]);
    change(&mut network);
    let endpoints = vec![endpoint("web", &["10.1.0.2/16", "fd00::2/64"], ports)];
    vec![Populated { network, endpoints, resolver: None }]
}

fn planned(all: &[Populated]) -> Option<[Table; 2]> {
    plan(all, &policies::restricted(all).unwrap(), &Macs::new())
}

fn elements<'a>(table: &'a Table, name: &str) -> &'a Elements {
    table.sets.iter().find(|elements| elements.set.name == name).unwrap()
}

fn keys(table: &Table, name: &str) -> usize {
    elements(table, name).elements.len()
}

fn rules<'a>(table: &'a Table, name: &str) -> &'a [ruleset::Rule] {
    &table.chains.iter().find(|chain| chain.name == name).unwrap().rules
}

#[test]
fn nobody_needs_no_tables() {
    assert!(planned(&[]).is_none());
    let mut all = one(|_| {}, &[]);
    all[0].endpoints.clear();
    assert!(planned(&all).is_none());
    // Frames of macvlan don't pass the host.
    assert!(planned(&one(|network| network.driver = Driver::Macvlan, &[])).is_none());
    assert!(planned(&one(|_| {}, &[])).is_some());
}

#[test]
fn ports_are_of_the_families_that_they_can_be_of() {
    let ports = [
        (None, 80, 8080),
        (Some("0.0.0.0"), 81, 80),
        (Some("::"), 82, 80),
        (Some("127.0.0.1"), 83, 80),
        (Some("2001:db8::1"), 84, 80),
    ];
    let all = one(|_| {}, &ports);
    let [inet, _] = planned(&all).unwrap();
    let counts =
        ["published4", "published4_any", "published6", "published6_any"].map(|name| keys(&inet, name));
    assert_eq!(counts, [1, 2, 1, 2]);
    let (value, comment) = &elements(&inet, "published4_any").elements[&[6, 0, 0, 0, 0, 80, 0, 0][..]];
    assert_eq!(
        *value,
        Value::Bytes(vec![10, 1, 0, 2, 8080_u16.to_be_bytes()[0], 8080_u16.to_be_bytes()[1], 0, 0])
    );
    assert_eq!(comment.as_deref(), Some("web"));
    // A container without an address of a family has none of its ports.
    let mut all = all;
    all[0].endpoints[0].addresses.truncate(1);
    let [inet, _] = planned(&all).unwrap();
    assert_eq!([keys(&inet, "published6"), keys(&inet, "published6_any")], [0, 0]);
    let [inet, _] = planned(&one(|network| network.internal = true, &ports)).unwrap();
    assert_eq!([keys(&inet, "published4"), keys(&inet, "published6_any")], [0, 0]);
}

#[test]
fn a_port_that_two_have_is_the_firsts() {
    let mut all = one(|_| {}, &[(None, 80, 80)]);
    all[0].endpoints.push(endpoint("late", &["10.1.0.3/16"], &[(None, 80, 80)]));
    let [inet, _] = planned(&all).unwrap();
    let found: Vec<_> =
        elements(&inet, "published4_any").elements.values().map(|(_, comment)| comment.clone()).collect();
    assert_eq!(found, [Some("web".to_owned())]);
}

#[test]
fn a_bridge_of_somebody_elses_keeps_what_it_has() {
    let [inet, bridge] = planned(&one(|network| network.joined = true, &[])).unwrap();
    assert_eq!([keys(&inet, "bridges"), keys(&inet, "interfaces"), keys(&inet, "gateways4")], [0, 1, 0]);
    // By addresses of containers alone is anything changed.
    let masquerades = rules(&inet, "postrouting").iter().skip(1);
    assert!(masquerades.clone().count() == 4 && masquerades.into_iter().all(|rule| rule.among.is_some()));
    assert_eq!([keys(&bridge, "ports"), keys(&bridge, "free")], [1, 0]);
}

#[test]
fn addresses_that_come_from_elsewhere_are_not_judged() {
    let mut all = one(|network| network.subnets.clear(), &[]);
    all[0].endpoints[0].addresses.clear();
    let [_, bridge] = planned(&all).unwrap();
    assert_eq!([keys(&bridge, "free"), keys(&bridge, "stations"), keys(&bridge, "addresses4")], [1, 1, 0]);
}

#[test]
fn containers_are_elements_and_no_rules() {
    let mut all = one(|_| {}, &[(None, 80, 80)]);
    let count = |all: &[Populated]| -> Vec<usize> {
        let tables = planned(all).unwrap();
        tables.iter().flat_map(|table| table.chains.iter().map(|chain| chain.rules.len())).collect()
    };
    let before = count(&all);
    for number in 0..100_u16 {
        let address = format!("10.1.7.{number}/16");
        all[0].endpoints.push(endpoint(&format!("c{number}"), &[&address], &[(None, 1000 + number, 80)]));
    }
    assert_eq!(count(&all), before);
}

#[test]
fn policies_that_can_not_be_had_are_refused() {
    let mut networks = [0; 3].map(|_| one(|_| {}, &[]));
    networks[0][0].network.driver = Driver::Macvlan;
    networks[1][0].network.joined = true;
    networks[2][0].network.subnets.clear();
    let causes = ["it is one of macvlan", "it has joined a bridge", "it has no gateway"];
    for (mut all, cause) in networks.into_iter().zip(causes) {
        all[0].endpoints[0].policy.ingress = Some(vec![]);
        let error = policies::restricted(&all).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        let expected = format!("policy of container \"web\": network \"br0\" can't have any: {cause}");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}
