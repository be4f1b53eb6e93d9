//! Containers come into networks, and go.

use super::lan::{Host, host, id, interfaces, shown, talk, v4, v6};
use forgeone_runtime::network::{Asked, statistics};
use std::net::IpAddr;

fn blue(host: &Host) {
    let asked = Asked { name: "blue".to_owned(), ..Asked::default() };
    host.networks.create(&asked).unwrap();
}

fn leave(host: &Host, network: &str, name: &str) {
    host.networks.disconnect(network, &id(name), None).unwrap();
}

pub(crate) fn containers_and_the_host_reach_each_other() {
    let host = host();
    blue(&host);
    let (a, one) = host.container("blue", "one");
    let (b, two) = host.container("blue", "two");
    let gateways: Vec<IpAddr> =
        host.networks.find("blue").unwrap().subnets.iter().filter_map(|subnet| subnet.gateway).collect();
    for of in [v4, v6] {
        assert_eq!(talk(Some(&a), Some(&b), of(&two)).unwrap(), of(&one));
        assert_eq!(talk(Some(&b), Some(&a), of(&one)).unwrap(), of(&two));
        assert!(gateways.contains(&talk(None, Some(&a), of(&one)).unwrap()));
    }
    for gateway in gateways {
        talk(Some(&a), None, gateway).unwrap();
    }
    let mine = statistics(&a).unwrap();
    assert!(mine.len() == 1 && mine[0].0 == "eth0" && mine[0].1.rx_bytes > 100, "{mine:?}");
    leave(&host, "blue", "one");
    assert!(shown(Some(&a), "ip -o link").lines().count() == 1, "only the loopback is left");
    leave(&host, "blue", "two");
    assert_eq!(interfaces(), [""; 0]);
    assert_eq!(std::fs::read_dir(host.file("blue/endpoints")).unwrap().count(), 0);
}
