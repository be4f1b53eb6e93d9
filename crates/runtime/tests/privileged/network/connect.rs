//! Containers come into networks, and go.

use super::lan::{Host, attachment, gone, host, id, interfaces, places, shown, talk, v4, v6};
use forgeone_runtime::Kind;
use forgeone_runtime::network::{Asked, Attachment, Driver, Endpoint, Networks, new_namespace, statistics};
use forgeone_sys::fs;
use forgeone_sys::net::inside;
use forgeone_sys::process::{self, CloneArgs, Exit, Forked};
use forgeone_sys::{AsFd, OwnedFd};
use std::collections::BTreeSet;
use std::net::IpAddr;

fn blue(host: &Host) {
    made(host, Asked { name: "blue".to_owned(), dns: false, ..Asked::default() });
}

fn made(host: &Host, asked: Asked) {
    host.networks.create(&asked).unwrap();
}

/// A container is stopped: its namespace goes, and with it its interface.
fn leave(host: &Host, namespace: OwnedFd, endpoint: &Endpoint) {
    host.networks.disconnect("blue", &endpoint.container, None).unwrap();
    drop(namespace);
    gone(&endpoint.host_interface);
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
    let mine = inside(&a, || statistics("/proc/thread-self")).unwrap().unwrap();
    assert!(mine.len() == 1 && mine[0].0 == "eth0" && mine[0].1.rx_bytes > 100, "{mine:?}");
    host.networks.disconnect("blue", &id("one"), Some(a.as_fd())).unwrap();
    assert!(shown(Some(&a), "ip -o link").lines().count() == 1, "only the loopback is left");
    leave(&host, b, &two);
    assert_eq!(interfaces(), [""; 0]);
    assert_eq!(std::fs::read_dir(host.file("blue/endpoints")).unwrap().count(), 0);
}

pub(crate) fn the_outside_is_reached_and_the_hosts_uplink_goes_on() {
    let host = host();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    blue(&host);
    let outside = host.outside();
    shown(None, "ip addr add 198.51.100.1/24 dev up0");
    shown(None, "ip -6 addr add 2001:db8::1/64 dev up0 nodad");
    // Who has to ask for neighbours' addresses waits for its own link's to be checked.
    for (namespace, name) in [(None, "up0"), (Some(&outside), "eth0")] {
        shown(namespace, &format!("sysctl --quiet --write net.ipv6.conf.{name}.accept_dad=0"));
    }
    shown(None, "ip link set up0 up");
    shown(Some(&outside), "ip addr add 198.51.100.2/24 dev eth0");
    shown(Some(&outside), "ip -6 addr add 2001:db8::2/64 dev eth0 nodad");
    shown(Some(&outside), "ip link set eth0 up");
    shown(Some(&outside), "ip route add default via 198.51.100.1");
    shown(Some(&outside), "ip -6 route add default via 2001:db8::1");
    let setting =
        |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap().trim().to_owned();
    assert_eq!((setting("ipv6/conf/up0/accept_ra"), setting("ipv4/ip_forward")), ("1".into(), "0".into()));
    let (a, _) = host.container("blue", "one");
    for address in ["198.51.100.2", "2001:db8::2"] {
        talk(Some(&a), Some(&outside), address.parse().unwrap()).unwrap();
    }
    assert_eq!(setting("ipv6/conf/up0/accept_ra"), "2", "who forwards listens to routers only if told so");
    let bridge = host.networks.find("blue").unwrap().interface;
    assert_eq!(setting(&format!("ipv6/conf/{bridge}/accept_ra")), "0");
    assert_eq!(setting(&format!("ipv4/conf/{bridge}/route_localnet")), "0", "no port is published");
}

pub(crate) fn internal_networks_lead_nowhere() {
    let host = host();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    made(
        &host,
        Asked { name: "blue".to_owned(), internal: true, mtu: Some(1300), dns: false, ..Asked::default() },
    );
    let (a, _) = host.container("blue", "one");
    let (b, two) = host.container("blue", "two");
    talk(Some(&a), Some(&b), v4(&two)).unwrap();
    for family in ["-4", "-6"] {
        let routes = shown(Some(&a), &format!("ip {family} route show default"));
        assert_eq!(routes, "", "{family}");
    }
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
    assert!(shown(Some(&a), "ip link show eth0").contains("mtu 1300"));
    assert!(shown(None, "ip link show type veth").matches("mtu 1300").count() == 2);
    assert!(shown(None, "ip link show type bridge").contains("mtu 1300"));
}

pub(crate) fn fifty_at_once_get_addresses_of_their_own() {
    const MANY: usize = 50;
    let host = host();
    blue(&host);
    let (told, tell) = fs::pipe().unwrap();
    let (stay, end) = fs::pipe().unwrap();
    let mut children = Vec::new();
    for number in 0..MANY {
        match process::clone(&CloneArgs::default()).unwrap() {
            Forked::Parent(child) => children.push(child.pid),
            Forked::Child => {
                drop(end);
                let (namespace, endpoint) = host.container("blue", &format!("c{number}x"));
                let line = format!("{} {} {}\n", v4(&endpoint), v6(&endpoint), endpoint.mac);
                fs::write_all(&tell, line.as_bytes()).unwrap();
                drop(tell);
                assert_eq!(fs::read(&stay, &mut [0]).unwrap(), 0);
                leave(&host, namespace, &endpoint);
                process::exit(0);
            }
        }
    }
    drop(tell);
    let text = fs::read_to_end(&told, 1 << 20).unwrap();
    let text = String::from_utf8(text).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let different: BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!((words.len(), different.len()), (3 * MANY, 3 * MANY), "{text}");
    assert_eq!(host.networks.endpoints("blue").unwrap().len(), MANY);
    assert_eq!(interfaces().len(), MANY + 1);
    drop(end);
    for child in children {
        assert_eq!(process::wait(child).unwrap(), Exit::Code(0));
    }
    assert_eq!(interfaces(), [""; 0]);
    assert_eq!(host.networks.endpoints("blue").unwrap(), []);
}

pub(crate) fn wishes_are_granted_or_refused_whole() {
    let host = host();
    blue(&host);
    let network = host.networks.find("blue").unwrap();
    let wish = |name: &str| Attachment {
        addresses: vec!["10.201.0.77".parse().unwrap()],
        ..attachment("blue", name)
    };
    let a = new_namespace().unwrap();
    let wished = Attachment { mac: Some("02:00:00:00:00:77".parse().unwrap()), ..wish("one") };
    let endpoint = host.networks.connect(&wished, a.as_fd()).unwrap();
    assert_eq!(
        (v4(&endpoint), endpoint.mac.to_string()),
        (wished.addresses[0], "02:00:00:00:00:77".to_owned())
    );
    assert!(shown(Some(&a), "ip link show eth0").contains("02:00:00:00:00:77"));
    let files = || std::fs::read_dir(host.file("blue/endpoints")).unwrap().count();
    let (before, kept) = (interfaces(), files());
    let b = new_namespace().unwrap();
    let plain = attachment("blue", "two");
    for (asked, kind, cause) in [
        (wish("two"), Kind::Exists, "address 10.201.0.77 is one's"),
        (
            Attachment { mac: wished.mac, ..plain.clone() },
            Kind::Exists,
            "hardware address 02:00:00:00:00:77 is one's",
        ),
        (
            Attachment { gateway: "10.9.9.9".parse().ok(), ..plain.clone() },
            Kind::Config,
            "the gateway 10.9.9.9 isn't in it",
        ),
        (Attachment { interface: "a/b".to_owned(), ..plain.clone() }, Kind::Config, "can't be the name"),
        (
            Attachment { interface: "lo".to_owned(), ..plain.clone() },
            Kind::Exists,
            r#"interface "lo" is there already"#,
        ),
        (Attachment { rate: Some(100), ..plain.clone() }, Kind::Config, "at least 8000"),
    ] {
        let e = host.networks.connect(&asked, b.as_fd()).unwrap_err();
        assert!(e.kind() == kind && e.to_string().contains(cause), "{cause}: {e}");
        assert!(e.to_string().starts_with("network \"blue\": "), "{e}");
        assert_eq!((interfaces(), files()), (before.clone(), kept), "{cause}");
    }
    let e = host.networks.connect(&attachment("bleu", "two"), b.as_fd()).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    let e = host.networks.connect(&wish("one"), a.as_fd()).unwrap_err();
    assert!(e.kind() == Kind::Exists && e.to_string().contains("is in it already"), "{e}");
    let e = host.networks.remove("blue").unwrap_err();
    assert_eq!(e.to_string(), r#"network "blue" is used by one; disconnect or stop what uses it before"#);
    assert_eq!(host.networks.prune(&[]).unwrap(), [""; 0]);
    // Out of a container that runs, and into another network of the same name inside.
    host.networks.disconnect("blue", &id("one"), Some(a.as_fd())).unwrap();
    let e = host.networks.disconnect("blue", &id("one"), Some(a.as_fd())).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    host.networks.disconnect("blue", &id("one"), None).unwrap();
    let (b, _) = host.container("blue", "three");
    assert!(
        shown(Some(&b), "ip route").contains(&format!("default via {}", network.subnets[0].gateway.unwrap()))
    );
}

pub(crate) fn a_lease_that_was_given_back_is_not_given_at_once() {
    let host = host();
    blue(&host);
    let mut last = BTreeSet::new();
    for _ in 0..3 {
        let (namespace, endpoint) = host.container("blue", "one");
        leave(&host, namespace, &endpoint);
        assert!(last.insert(v4(&endpoint)) && last.insert(v6(&endpoint)));
    }
}

pub(crate) fn neighbours_are_told_who_has_an_address() {
    let host = host();
    blue(&host);
    let (a, _) = host.container("blue", "one");
    let address: IpAddr = "10.201.0.50".parse().unwrap();
    for last in 1..=3 {
        let b = new_namespace().unwrap();
        let mac = format!("02:00:00:00:00:{last:02}").parse().ok();
        let asked = Attachment { addresses: vec![address], mac, ..attachment("blue", "two") };
        let endpoint = host.networks.connect(&asked, b.as_fd()).unwrap();
        for from in [None, Some(&a)] {
            talk(from, Some(&b), address).unwrap();
            let known = shown(from, "ip neigh show 10.201.0.50");
            assert!(known.contains(&endpoint.mac.to_string()), "{known}");
        }
        let same = Attachment { addresses: vec![v6(&endpoint)], ..asked };
        leave(&host, b, &endpoint);
        let b = new_namespace().unwrap();
        let same = Attachment { mac: format!("02:00:00:00:01:{last:02}").parse().ok(), ..same };
        let endpoint = host.networks.connect(&same, b.as_fd()).unwrap();
        talk(Some(&a), Some(&b), v6(&endpoint)).unwrap();
        leave(&host, b, &endpoint);
    }
}

pub(crate) fn bridges_of_others_are_never_touched() {
    let host = host();
    blue(&host);
    let other = Networks::of(&places(host.file("other")));
    other
        .create(&Asked { name: "blue".to_owned(), subnets: vec![], dns: false, ..Asked::default() })
        .unwrap();
    let (_a, _) = host.container("blue", "one");
    // The same name and the same subnet were free when the other chose them.
    let b = new_namespace().unwrap();
    let e = other.connect(&attachment("blue", "two"), b.as_fd()).unwrap_err().to_string();
    assert!(e.contains("subnet 10.201.0.0/24 overlaps with the host's route to 10.201.0.0/24 by now"), "{e}");
    assert_eq!(other.endpoints("blue").unwrap(), []);
    let renamed = other.find("blue").unwrap();
    assert_eq!(renamed.interface, "forgeone1");
    let before = interfaces();
    other.reload().unwrap();
    other.remove("blue").unwrap();
    assert_eq!(interfaces(), before);
    // A name that was asked for stays, and who has it keeps it.
    made(
        &host,
        Asked { name: "mine".to_owned(), interface: Some("br9".to_owned()), dns: false, ..Asked::default() },
    );
    shown(None, "ip link add br9 type bridge");
    let e = host.networks.connect(&attachment("mine", "two"), b.as_fd()).unwrap_err();
    assert!(e.kind() == Kind::State && e.to_string().contains(r#"interface "br9" is not ours"#), "{e}");
    host.networks.remove("mine").unwrap();
    assert!(interfaces().contains(&"br9".to_owned()));
}

pub(crate) fn a_joined_bridge_stays() {
    let host = host();
    shown(None, "ip link add br7 type bridge");
    shown(None, "ip addr add 10.7.0.9/24 dev br7");
    shown(None, "ip link set br7 up");
    made(
        &host,
        Asked { name: "blue".to_owned(), interface: Some("br7".to_owned()), dns: false, ..Asked::default() },
    );
    let (a, one) = host.container("blue", "one");
    assert_eq!(v4(&one).to_string(), "10.7.0.1");
    talk(Some(&a), None, "10.7.0.9".parse().unwrap()).unwrap();
    assert!(shown(Some(&a), "ip route").contains("default via 10.7.0.9"));
    assert!(!shown(Some(&a), "ip -6 addr").contains("inet6 f"), "the network has no IPv6");
    leave(&host, a, &one);
    assert_eq!(interfaces(), ["br7"]);
    assert!(shown(None, "ip addr show br7").contains("10.7.0.9/24"));
}

pub(crate) fn what_the_host_loses_is_made_again() {
    let host = host();
    blue(&host);
    let (a, one) = host.container("blue", "one");
    let (b, two) = host.container("blue", "two");
    shown(None, "ip link del forgeone0");
    host.networks.reload().unwrap();
    talk(Some(&a), Some(&b), v4(&two)).unwrap();
    talk(None, Some(&a), v6(&one)).unwrap();
}

pub(crate) fn rates_bind_both_directions() {
    let host = host();
    blue(&host);
    let a = new_namespace().unwrap();
    let asked = Attachment { rate: Some(8_000_000), ..attachment("blue", "one") };
    let endpoint = match host.networks.connect(&asked, a.as_fd()) {
        Err(e) if e.kind() == Kind::Unsupported => host.skip(e),
        connected => connected.unwrap(),
    };
    let detour = endpoint.host_interface.replace("fo", "fi");
    for interface in [&endpoint.host_interface, &detour] {
        let queue = shown(None, &format!("tc qdisc show dev {interface} root"));
        assert!(queue.contains("tbf") && queue.contains("rate 8Mbit"), "{queue}");
    }
    talk(Some(&a), None, "10.201.0.1".parse().unwrap()).unwrap();
    let passed = |interface: &str| {
        let text = shown(None, &format!("tc -s qdisc show dev {interface} root"));
        text.split_whitespace().skip_while(|word| *word != "Sent").nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert!(passed(&endpoint.host_interface) > 100 && passed(&detour) > 100);
    assert!(!shown(Some(&a), "tc qdisc show dev eth0").contains("tbf"), "nothing inside can be removed");
    leave(&host, a, &endpoint);
    assert_eq!(interfaces(), [""; 0]);
}

pub(crate) fn macvlan_has_addresses_beside_the_hosts() {
    let host = host();
    let outside = host.outside();
    shown(None, "ip link set up0 up");
    shown(Some(&outside), "ip addr add 192.0.2.1/24 dev eth0");
    shown(Some(&outside), "ip link set eth0 up");
    let subnet = forgeone_runtime::network::Subnet {
        subnet: "192.0.2.0/24".parse().unwrap(),
        gateway: None,
        range: Some("192.0.2.128/25".parse().unwrap()),
    };
    let asked = Asked {
        name: "blue".to_owned(),
        driver: Driver::Macvlan,
        parent: Some("up0".to_owned()),
        subnets: vec![subnet],
        dns: false,
        ..Asked::default()
    };
    made(&host, asked);
    // Of an interface that is in the container alone, its monitor is the sign of life.
    let monitors = ["one", "two"].map(|name| host.monitor(name));
    let a = new_namespace().unwrap();
    let one = match host.networks.connect(&attachment("blue", "one"), a.as_fd()) {
        Err(e) if e.kind() == Kind::Unsupported => host.skip(e),
        connected => connected.unwrap(),
    };
    let (b, two) = host.container("blue", "two");
    assert_eq!(
        (v4(&one).to_string().as_str(), v4(&two).to_string().as_str()),
        ("192.0.2.128", "192.0.2.129")
    );
    assert_eq!(talk(Some(&outside), Some(&a), v4(&one)).unwrap().to_string(), "192.0.2.1");
    assert_eq!(talk(Some(&a), Some(&b), v4(&two)).unwrap(), v4(&one));
    assert_eq!(interfaces(), ["up0"]);
    host.networks.disconnect("blue", &id("one"), Some(a.as_fd())).unwrap();
    assert_eq!(shown(Some(&a), "ip -o link").lines().count(), 1);
    assert_eq!(host.networks.endpoints("blue").unwrap(), [two]);
    drop(monitors);
    host.networks.reload().unwrap();
    assert_eq!(host.networks.endpoints("blue").unwrap(), []);
}

pub(crate) fn a_vlan_leaves_by_the_hosts_interface() {
    let host = host();
    let outside = host.outside();
    shown(None, "ip link set up0 up");
    shown(Some(&outside), "ip link set eth0 up");
    let vlan = forgeone_runtime::network::Vlan { parent: "up0".to_owned(), id: 5 };
    made(
        &host,
        Asked {
            name: "blue".to_owned(),
            vlan: Some(vlan),
            ipv6: Some(false),
            dns: false,
            ..Asked::default()
        },
    );
    let a = new_namespace().unwrap();
    let one = match host.networks.connect(&attachment("blue", "one"), a.as_fd()) {
        Err(e) if e.kind() == Kind::Unsupported => {
            assert!(e.to_string().contains("VLAN 5 of \"up0\": the kernel has no VLANs (8021q)"), "{e}");
            assert_eq!(interfaces(), ["up0"], "it is undone");
            host.skip(e)
        }
        connected => connected.unwrap(),
    };
    shown(Some(&outside), "ip link add link eth0 name eth0.5 type vlan id 5");
    shown(Some(&outside), "ip addr add 10.201.0.200/24 dev eth0.5");
    shown(Some(&outside), "ip link set eth0.5 up");
    talk(Some(&a), Some(&outside), "10.201.0.200".parse().unwrap()).unwrap();
    leave(&host, a, &one);
    assert_eq!(interfaces(), ["up0"]);
}

pub(crate) fn who_died_leaves_nothing_behind() {
    let host = host();
    blue(&host);
    let (a, one) = host.container("blue", "one");
    let (b, two) = host.container("blue", "two");
    // The container lives, whoever started it.
    assert_eq!(host.networks.endpoints("blue").unwrap().len(), 2);
    host.networks.reload().unwrap();
    assert_eq!(host.networks.endpoints("blue").unwrap().len(), 2);
    drop(a);
    gone(&one.host_interface);
    host.networks.reload().unwrap();
    assert_eq!(host.networks.endpoints("blue").unwrap(), std::slice::from_ref(&two));
    // What was stopped, in a namespace that somebody keeps, reaches nothing, and goes with the next command.
    let (c, three) = host.container("blue", "three");
    host.networks.disconnect("blue", &id("three"), None).unwrap();
    assert!(talk(Some(&c), Some(&b), v4(&two)).is_err());
    host.networks.reload().unwrap();
    assert!(!interfaces().contains(&three.host_interface));
    // One that was stopped is started again before the kernel has taken the interface away, of a namespace that lives.
    host.networks.disconnect("blue", &id("two"), None).unwrap();
    let two = host.networks.connect(&attachment("blue", "two"), b.as_fd()).unwrap();
    talk(None, Some(&b), v4(&two)).unwrap();
    // And one that was killed, in a namespace of its own.
    drop(b);
    let (_b, again) = host.container("blue", "two");
    assert_eq!(host.networks.endpoints("blue").unwrap(), [again]);
    // A power cut may leave a file empty.
    std::fs::write(host.file(&format!("blue/endpoints/{}.json", id("three"))), "").unwrap();
    host.networks.reload().unwrap();
    assert_eq!(host.networks.endpoints("blue").unwrap().len(), 1);
}
