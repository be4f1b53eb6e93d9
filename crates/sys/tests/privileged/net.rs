//! rtnetlink: interfaces, addresses, routes, rates.

use crate::support::in_child;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::{Address, LinkWatch, Route, RouteKind, Veth, inside, loopback_up};
use forgeone_sys::process::{Namespaces, unshare};
use forgeone_sys::{AsFd, Errno, OwnedFd};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;

const MAC: [u8; 6] = [2, 0x42, 10, 1, 0, 2];

/// Another network namespace than the one that the test is in, and the way back.
fn another() -> OwnedFd {
    let here = fs::open("/proc/self/ns/net", OFlags::RDONLY, Mode::empty()).unwrap();
    unshare(Namespaces::NET).unwrap();
    let other = fs::open("/proc/self/ns/net", OFlags::RDONLY, Mode::empty()).unwrap();
    forgeone_sys::process::setns(&here, Namespaces::NET).unwrap();
    other
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Both ends of a pair, the host's a port of a bridge with addresses.
fn pair(route: &Route, other: &OwnedFd) -> Route {
    route.add_bridge("br0", [2, 0, 0, 0, 0, 1], Some(1400)).unwrap();
    let bridge = route.device("br0").unwrap().unwrap();
    assert_eq!((bridge.kind.as_str(), bridge.up, bridge.mtu), ("bridge", true, 1400));
    route.set_alias(bridge.index, "mine").unwrap();
    route.add_address(bridge.index, &Address::new(ip("10.1.0.1"), 16)).unwrap();
    route.add_address(bridge.index, &Address::new(ip("fd00:1::1"), 64)).unwrap();
    let veth = Veth {
        name: "v0",
        master: bridge.index,
        namespace: other.as_fd(),
        peer: "eth0",
        mac: MAC,
        mtu: Some(1400),
    };
    route.add_veth(&veth).unwrap();
    assert_eq!(route.add_veth(&veth).unwrap_err().errno(), Errno::EXIST);
    let there = inside(other, Route::open).unwrap().unwrap();
    let eth0 = there.device("eth0").unwrap().unwrap();
    assert_eq!((eth0.mac, eth0.mtu, eth0.up), (Some(MAC), 1400, false));
    there.add_address(eth0.index, &Address::new(ip("10.1.0.2"), 16)).unwrap();
    there.add_address(eth0.index, &Address::new(ip("fd00:1::2"), 64)).unwrap();
    there.set_link_up(eth0.index, true).unwrap();
    there
}

/// One datagram from the other namespace is answered here.
fn is_answered(other: &OwnedFd, at: &str) {
    let server = UdpSocket::bind(SocketAddr::new(ip(at), 7000)).unwrap();
    let client = inside(other, || UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")));
    let client = client.unwrap().unwrap();
    let to = match ip(at) {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        v6 => v6,
    };
    client.send_to(b"x", SocketAddr::new(to, 7000)).unwrap();
    let mut buffer = [0; 4];
    let (_, from) = server.recv_from(&mut buffer).unwrap();
    server.send_to(b"y", from).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 1);
}

pub(crate) fn pairs_bridges_and_routes() {
    in_child(Namespaces::NET, || {
        loopback_up().unwrap();
        let route = Route::open().unwrap();
        let other = another();
        let there = pair(&route, &other);
        is_answered(&other, "10.1.0.1");
        is_answered(&other, "fd00:1::1");
        let eth0 = there.device("eth0").unwrap().unwrap();
        for gateway in ["10.1.0.1", "fd00:1::1"] {
            there.add_default_route(eth0.index, ip(gateway)).unwrap();
            let again = there.add_default_route(eth0.index, ip(gateway)).unwrap_err();
            assert_eq!(again.errno(), Errno::EXIST);
        }
        let routes = there.routes().unwrap();
        let defaults = routes.iter().filter(|route| route.to.1 == 0 && route.gateway.is_some());
        let gateways: Vec<_> = defaults.filter_map(|route| route.gateway).collect();
        assert_eq!(gateways, [ip("10.1.0.1"), ip("fd00:1::1")]);
        let net = |route: &&forgeone_sys::net::Destination| {
            route.to == (ip("10.1.0.0"), 16) && route.index == Some(eth0.index)
        };
        assert_eq!(routes.iter().find(net).unwrap().kind, RouteKind::Unicast);
        let own: Vec<String> = there.addresses(eth0.index).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(own[..2], ["10.1.0.2/16", "fd00:1::2/64"]);
        let bridge = route.device("br0").unwrap().unwrap();
        assert_eq!(bridge.alias, "mine");
        route.forget_neighbour(bridge.index, ip("10.1.0.2")).unwrap();
        let unknown = route.forget_neighbour(bridge.index, ip("10.1.0.77")).unwrap_err();
        assert_eq!(unknown.errno(), Errno::NOENT);
    });
}

pub(crate) fn links_that_go_are_told() {
    in_child(Namespaces::NET, || {
        let route = Route::open().unwrap();
        let other = another();
        let there = pair(&route, &other);
        let mut watch = LinkWatch::open().unwrap();
        assert!(!watch.gone().unwrap());
        let port = route.device("v0").unwrap().unwrap();
        let names: Vec<String> = route.devices().unwrap().into_iter().map(|device| device.name).collect();
        assert!(names.contains(&"br0".to_owned()) && names.contains(&"v0".to_owned()), "{names:?}");
        route.delete_link(port.index).unwrap();
        assert!(watch.gone().unwrap() && !watch.gone().unwrap());
        assert_eq!((route.device("v0").unwrap(), there.device("eth0").unwrap()), (None, None));
        assert_eq!(route.delete_link(port.index).unwrap_err().errno(), Errno::NODEV);
    });
}

pub(crate) fn rates_are_limited_both_ways() {
    in_child(Namespaces::NET, || {
        let route = Route::open().unwrap();
        let other = another();
        pair(&route, &other);
        let port = route.device("v0").unwrap().unwrap();
        if let Err(e) = route.add_ifb("ifb7") {
            testkit::single::skip(format!("the kernel has no ifb: {e}"));
        }
        let ifb = route.device("ifb7").unwrap().unwrap();
        route.limit_rate(port.index, 5_000_000_000, 20_000, 50_000).unwrap();
        route.limit_rate(ifb.index, 125_000, 20_000, 50_000).unwrap();
        route.redirect_ingress(port.index, ifb.index).unwrap();
        is_answered(&other, "10.1.0.1");
        let shown = |device: &str| {
            let output = Command::new("tc").args(["-s", "qdisc", "show", "dev", device]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(shown("v0").contains("tbf") && shown("v0").contains("rate 40Gbit"), "{}", shown("v0"));
        assert!(shown("ifb7").contains("rate 1Mbit burst 20000b"), "{}", shown("ifb7"));
        // More than may go and wait is dropped.
        let flood = inside(&other, || UdpSocket::bind("10.1.0.2:0")).unwrap().unwrap();
        for _ in 0..200 {
            flood.send_to(&[0; 1000], "10.1.0.1:7001").unwrap();
        }
        let shown = shown("ifb7");
        assert!(shown.contains("dropped ") && !shown.contains("dropped 0,"), "{shown}");
    });
}
