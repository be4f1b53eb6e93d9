//! Networks are made, found and removed.

use super::lan::{host, places, run, shown};
use forgeone_runtime::Kind;
use forgeone_runtime::network::{Asked, Driver, Networks, Subnet, Vlan};

fn asked(name: &str) -> Asked {
    Asked { name: name.to_owned(), ..Asked::default() }
}

fn with(name: &str, subnets: &[&str]) -> Asked {
    let subnet = |text: &&str| Subnet { subnet: text.parse().unwrap(), gateway: None, range: None };
    Asked { subnets: subnets.iter().map(subnet).collect(), ..asked(name) }
}

fn subnets(network: &forgeone_runtime::network::Network) -> Vec<String> {
    network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect()
}

pub(crate) fn each_gets_the_lowest_free_subnet_and_name() {
    let host = host();
    let networks = &host.networks;
    assert_eq!(networks.list().unwrap(), []);
    assert!(!host.file("").exists(), "who only looks makes nothing");
    let default = networks.default_network().unwrap();
    assert_eq!((default.name.as_str(), default.interface.as_str()), ("forgeone", "forgeone0"));
    assert_eq!(subnets(&default)[0], "10.200.0.0/16");
    assert!(default.subnets[1].subnet.to_string().starts_with("fd"), "{:?}", default.subnets);
    assert_eq!(default.subnets[0].gateway, Some([10, 200, 0, 1].into()));
    assert_eq!(networks.default_network().unwrap(), default);
    shown(None, "ip link add forgeone1 type bridge");
    shown(None, "ip route add 10.201.1.0/25 dev lo");
    let first = networks.create(&asked("first")).unwrap();
    let second = networks.create(&asked("second")).unwrap();
    assert_eq!((first.interface.as_str(), second.interface.as_str()), ("forgeone2", "forgeone3"));
    assert_eq!(
        (subnets(&first)[0].as_str(), subnets(&second)[0].as_str()),
        ("10.201.0.0/24", "10.201.2.0/24")
    );
    assert_ne!(subnets(&first)[1], subnets(&second)[1]);
    assert_eq!(networks.find(&second.id[..20]).unwrap(), second);
    assert_eq!(networks.remove("first").unwrap(), first);
    let third = networks.create(&asked("third")).unwrap();
    assert_eq!(subnets(&third), subnets(&first), "what was given back is given again");
    let again = networks.create(&asked("third")).unwrap_err();
    assert_eq!(
        (again.kind(), again.to_string().as_str()),
        (Kind::Exists, r#"network "third" exists already"#)
    );
    let unknown = networks.find("thrid").unwrap_err();
    let message = r#"no network "thrid"; did you mean "third"?"#;
    assert_eq!((unknown.kind(), unknown.to_string().as_str()), (Kind::NotFound, message));
    assert_eq!(networks.prune(&[]).unwrap(), ["second", "third"]);
    assert_eq!(networks.list().unwrap(), [default]);
}

pub(crate) fn what_overlaps_is_refused() {
    let host = host();
    let networks = &host.networks;
    shown(None, "ip link add up0 type bridge");
    shown(None, "ip link set up0 up");
    shown(None, "ip addr add 192.168.7.5/24 dev up0");
    shown(None, "ip -6 addr add fd77::5/64 dev up0 nodad");
    shown(None, "ip route add default via 192.168.7.1");
    networks.create(&with("ours", &["10.77.0.0/16"])).unwrap();
    for (subnet, cause) in [
        ("10.77.3.0/24", r#"overlaps with network "ours""#),
        ("10.0.0.0/8", r#"overlaps with network "ours""#),
        ("192.168.0.0/16", "overlaps with the host's route to 192.168.7.0/24"),
        ("192.168.7.0/29", "overlaps with the host's route to 192.168.7.0/24"),
        ("fd77::/48", "overlaps with the host's route to fd77::/64"),
    ] {
        let e = networks.create(&with("x", &[subnet])).unwrap_err().to_string();
        assert!(e.starts_with(&format!("network \"x\": subnet {subnet}")) && e.contains(cause), "{e}");
    }
    // Of the default route nobody takes notice; nor of what the default network may have when it is needed.
    shown(None, "ip route add 10.200.4.0/24 via 192.168.7.1");
    assert_eq!(subnets(&networks.default_network().unwrap())[0], "10.201.0.0/24");
    // While nobody is in it, it makes way.
    shown(None, "ip route add 10.201.0.0/16 via 192.168.7.1");
    assert_eq!(subnets(&networks.default_network().unwrap())[0], "10.202.0.0/24");
    assert_eq!(networks.list().unwrap().len(), 2, "nothing of what was refused stays");
}

pub(crate) fn other_interfaces_are_joined_or_refused() {
    let host = host();
    let networks = &host.networks;
    shown(None, "ip link add br7 type bridge");
    shown(None, "ip addr add 10.7.0.9/24 dev br7");
    shown(None, "ip link set br7 up");
    shown(None, "ip link add d0 type veth peer name d1");
    let joined = networks.create(&Asked { interface: Some("br7".to_owned()), ..asked("joined") }).unwrap();
    assert_eq!((joined.joined, subnets(&joined)), (true, vec!["10.7.0.0/24".to_owned()]));
    assert_eq!(joined.subnets[0].gateway, Some([10, 7, 0, 9].into()));
    let made = networks.create(&Asked { interface: Some("br8".to_owned()), ..asked("made") }).unwrap();
    assert_eq!((made.joined, made.interface.as_str()), (false, "br8"));
    let vlan = |parent: &str| Some(Vlan { parent: parent.to_owned(), id: 5 });
    for (asked, cause) in [
        (
            Asked { interface: Some("br7".to_owned()), ..asked("x") },
            r#"interface "br7" is network "joined"'s"#,
        ),
        (Asked { interface: Some("d0".to_owned()), ..asked("x") }, r#"interface "d0" is no bridge"#),
        (Asked { vlan: vlan("nope"), ..asked("x") }, r#"the host has no interface "nope""#),
        (
            Asked { driver: Driver::Macvlan, parent: Some("nope".to_owned()), ..asked("x") },
            r#"the host has no interface "nope""#,
        ),
    ] {
        let e = networks.create(&asked).unwrap_err();
        assert_eq!(e.to_string(), format!("network \"x\": {cause}"));
    }
    networks.remove("joined").unwrap();
    let other = Asked { interface: Some("br7".to_owned()), ..with("x", &["10.8.0.0/24"]) };
    let e = networks.create(&other).unwrap_err().to_string();
    assert_eq!(e, r#"network "x": bridge "br7" has 10.7.0.9/24, which isn't 10.8.0.0/24"#);
    let range = Subnet {
        subnet: "10.7.0.0/24".parse().unwrap(),
        gateway: None,
        range: Some("10.7.0.128/25".parse().unwrap()),
    };
    let ranged = Asked { interface: Some("br7".to_owned()), subnets: vec![range.clone()], ..asked("ranged") };
    assert_eq!(networks.create(&ranged).unwrap().subnets[0].range, range.range);
}

pub(crate) fn without_ipv6_networks_have_none() {
    let host = host();
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let network = host.networks.create(&asked("old")).unwrap();
    assert_eq!(subnets(&network), ["10.201.0.0/24"]);
    for wanted in [with("x", &["fd00::/64"]), Asked { ipv6: Some(true), ..asked("x") }] {
        let e = host.networks.create(&wanted).unwrap_err();
        let message = r#"network "x": the kernel has no IPv6, or it is switched off"#;
        assert_eq!((e.kind(), e.to_string().as_str()), (Kind::Unsupported, message));
    }
}

pub(crate) fn damaged_files_are_named() {
    let host = host();
    host.networks.create(&asked("blue")).unwrap();
    let file = host.file("blue/network.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for (wrong, cause) in
        [("{", "EOF"), (&*text.replace("\"version\": 1", "\"version\": 9"), "version 9 is not known")]
    {
        std::fs::write(&file, wrong).unwrap();
        let e = host.networks.find("blue").unwrap_err();
        assert!(e.kind() == Kind::Damaged && e.to_string().contains(cause), "{e}");
        assert!(e.to_string().starts_with("network \"blue\": "), "{e}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(host.networks.list().unwrap(), [], "without it there is no network");
    host.networks.create(&asked("blue")).unwrap();
}

pub(crate) fn the_tables_name_tells_data_roots_apart() {
    let of = |path: &str| Networks::of(&places(path.into())).table().to_owned();
    assert_eq!(of("/var/lib/forgeone"), "forgeone");
    // printf /srv/x | sha256sum
    let sum = run(None, "sh -c printf${IFS}/srv/x|sha256sum").stdout;
    let sum = String::from_utf8(sum).unwrap();
    assert_eq!(of("/srv/x"), format!("forgeone-{}", &sum[..8]));
}
