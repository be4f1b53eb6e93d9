//! The packet filter: what was meant is what nft(8) lists.

use crate::support;
use forgeone_sys::net::nftables::rule::{
    PACKET_OTHERHOST, STATE_ESTABLISHED, STATE_RELATED, STATUS_DNAT, TYPE_LOCAL,
};
use forgeone_sys::net::nftables::{
    Batch, Changes, Data, Family, Field, Hook, Nftables, Set, Statement, Type, Value, Verdict, row,
};
use forgeone_sys::process::{self, Namespaces};
use std::process::Command;

/// A network namespace of its own, and a socket in it; skips where there is no nft.
fn namespace() -> Nftables {
    support::need_root();
    if !testkit::privileged::program("nft", "nftables") {
        testkit::single::skip("needs nft");
    }
    process::unshare(Namespaces::NET).unwrap();
    Nftables::open().unwrap()
}

/// What nft lists, without its indentation.
fn listed() -> Vec<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

const PORTS: Set = Set {
    name: "ports",
    key: &[Type::Ipv4Addr, Type::InetProto, Type::InetService],
    data: Some(Data::Values(&[Type::Ipv4Addr, Type::InetService])),
};
const WITHIN: Set = Set { name: "within", key: &[Type::IfName, Type::IfName], data: None };
const WHERE: Set = Set { name: "where", key: &[Type::Ipv6Addr], data: Some(Data::Verdicts) };
const BRIDGES: Set = Set { name: "bridges", key: &[Type::IfName], data: None };
const FORWARD: Hook = Hook { kind: "filter", number: 2, priority: 0 };
const PREROUTING: Hook = Hook { kind: "nat", number: 0, priority: -100 };
const POSTROUTING: Hook = Hook { kind: "nat", number: 4, priority: 100 };

fn inet() -> Batch {
    use Statement as S;
    let mut batch = Batch::new(Family::Inet, "t");
    batch.table();
    for set in [PORTS, WITHIN, WHERE, BRIDGES] {
        batch.set(&set);
    }
    for (chain, hook) in
        [("side", None), ("f", Some(FORWARD)), ("d", Some(PREROUTING)), ("s", Some(POSTROUTING))]
    {
        batch.chain(chain, hook);
    }
    let port = 8080_u16.to_be_bytes();
    let key = row(&[&[192, 0, 2, 1], &[6], &port]);
    batch.elements(
        "ports",
        [(key, Value::Bytes(row(&[&[10, 0, 0, 2], &80_u16.to_be_bytes()])), Some("web".into()))],
    );
    batch.elements("within", [(row(&[&name("br0"), &name("br0")]), Value::None, None)]);
    batch.elements("bridges", [(name("br0"), Value::None, None)]);
    let address: std::net::Ipv6Addr = "fd00::2".parse().unwrap();
    let verdict = Value::Verdict(Verdict::Jump("side".into()));
    batch.elements("where", [(address.octets().to_vec(), verdict, None)]);
    let ip4 = || S::Is(Field::NfProto, vec![2]);
    let ip6 = || S::Is(Field::NfProto, vec![10]);
    let tcp = || S::Is(Field::L4Proto, vec![6]);
    let drop = || S::Verdict(Verdict::Drop);
    let accept = || S::Verdict(Verdict::Accept);
    for statements in [
        vec![S::Has(Field::CtState, STATE_ESTABLISHED | STATE_RELATED), accept()],
        vec![S::In(vec![Field::IifName, Field::OifName], "within".into()), accept()],
        vec![S::NotIn(vec![Field::OifName], "bridges".into()), S::Reject],
        vec![tcp(), S::Reset],
        vec![S::HasNot(Field::CtStatus, STATUS_DNAT), S::Counter, drop()],
        vec![ip6(), S::Vmap(vec![Field::Ip6Destination], "where".into())],
        vec![
            ip4(),
            S::Within(Field::Ip4Source, vec![10, 0, 0, 0], 8),
            tcp(),
            S::Between(Field::DestinationPort, vec![0, 80], vec![0, 90]),
            accept(),
        ],
        vec![
            ip4(),
            S::Within(Field::Ip4Destination, vec![10, 200, 0, 0], 14),
            S::Verdict(Verdict::Goto("side".into())),
        ],
        vec![
            S::IsNot(Field::Iif, 1_u32.to_ne_bytes().to_vec()),
            ip4(),
            S::Within(Field::Ip4Destination, vec![127, 0, 0, 0], 8),
            drop(),
        ],
        vec![ip6(), S::Is(Field::L4Proto, vec![58]), S::Is(Field::IcmpType, vec![137]), drop()],
    ] {
        batch.rule("f", &statements, None);
    }
    let some = batch.anonymous(&[Type::Ipv4Addr], [vec![10, 0, 0, 5], vec![10, 0, 0, 6]]);
    batch.rule(
        "side",
        &[ip4(), S::In(vec![Field::Ip4Source], some), S::Verdict(Verdict::Return)],
        Some("who \"may\""),
    );
    let fields = vec![Field::Ip4Destination, Field::L4Proto, Field::DestinationPort];
    batch.rule(
        "d",
        &[
            ip4(),
            S::Is(Field::FibDestinationType, TYPE_LOCAL.to_ne_bytes().to_vec()),
            S::DnatMap(2, fields, "ports"),
        ],
        None,
    );
    batch.rule("s", &[S::IsNot(Field::OifName, name("br0")), S::Masquerade], None);
    batch
}

pub(crate) fn rules_are_what_nft_lists() {
    let nftables = namespace();
    nftables.commit(inet()).unwrap();
    let lines = listed();
    for line in [
        "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
        "elements = { 192.0.2.1 . tcp . 8080 comment \"web\" : 10.0.0.2 . 80 }",
        "elements = { \"br0\" . \"br0\" }",
        "elements = { \"br0\" }",
        "elements = { fd00::2 : jump side }",
        "type filter hook forward priority filter; policy accept;",
        "type nat hook prerouting priority dstnat; policy accept;",
        "type nat hook postrouting priority srcnat; policy accept;",
        "ct state established,related accept",
        "iifname . oifname @within accept",
        "oifname != @bridges reject with icmpx admin-prohibited",
        "meta l4proto tcp reject with tcp reset",
        "ct status ! dnat counter packets 0 bytes 0 drop",
        "ip6 daddr vmap @where",
        "ip saddr 10.0.0.0/8 tcp dport 80-90 accept",
        "ip daddr 10.200.0.0/14 goto side",
        "iif != \"lo\" ip daddr 127.0.0.0/8 drop",
        "icmpv6 type nd-redirect drop",
        "ip saddr { 10.0.0.5, 10.0.0.6 } return comment \"who \"may\"\"",
        "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports",
        "oifname != \"br0\" masquerade",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line:?} is missing:\n{}", lines.join("\n"));
    }
    let chains = nftables.chains(Family::Inet, "t").unwrap();
    assert_eq!(chains, ["side", "f", "d", "s"]);
    assert_eq!(nftables.rules(Family::Inet, "t", "f").unwrap(), 10);
}

pub(crate) fn frames_of_bridges_are_seen_too() {
    use Statement as S;
    let nftables = namespace();
    let mut batch = Batch::new(Family::Bridge, "t");
    batch.table();
    batch.set(&Set { name: "from", key: &[Type::IfName, Type::EtherAddr, Type::Ipv4Addr], data: None });
    batch.set(&Set { name: "to", key: &[Type::IfName], data: Some(Data::Values(&[Type::EtherAddr])) });
    batch.chain("p", Some(Hook { kind: "filter", number: 0, priority: -300 }));
    batch.elements("from", [(row(&[&name("v0"), &[2, 0, 0, 0, 0, 1], &[10, 0, 0, 2]]), Value::None, None)]);
    batch.elements("to", [(name("v0"), Value::Bytes(vec![2, 0, 0, 0, 0, 9]), None)]);
    let arp = S::Is(Field::Protocol, vec![8, 6]);
    let from = |field| vec![Field::IifName, Field::EtherSource, field];
    batch.rule(
        "p",
        &[
            S::Is(Field::Protocol, vec![8, 0]),
            S::NotIn(from(Field::Ip4Source), "from".into()),
            S::Verdict(Verdict::Drop),
        ],
        None,
    );
    batch.rule(
        "p",
        &[arp, S::NotIn(from(Field::ArpSourceIp), "from".into()), S::Verdict(Verdict::Drop)],
        None,
    );
    let other = S::Is(Field::PktType, vec![PACKET_OTHERHOST]);
    batch.rule("p", &[other, S::DestinationMap(vec![Field::IifName], "to"), S::ForHost], None);
    nftables.commit(batch).unwrap();
    let lines = listed();
    for line in [
        "elements = { \"v0\" . 02:00:00:00:00:01 . 10.0.0.2 }",
        "elements = { \"v0\" : 02:00:00:00:00:09 }",
        "iifname . ether saddr . ip saddr != @from drop",
        "iifname . ether saddr . arp saddr ip != @from drop",
        "meta pkttype other ether daddr set iifname map @to meta pkttype set host",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line:?} is missing:\n{}", lines.join("\n"));
    }
}

pub(crate) fn a_batch_is_carried_out_whole_or_not_at_all() {
    let nftables = namespace();
    nftables.commit(inet()).unwrap();
    let before = listed();
    let mut batch = Batch::new(Family::Inet, "t");
    batch.flush_rules();
    batch.rule("s", &[Statement::Masquerade], None);
    batch.rule("nowhere", &[Statement::Verdict(Verdict::Drop)], None);
    batch.rule("nowhere", &[Statement::Verdict(Verdict::Drop)], None);
    let error = nftables.commit(batch).unwrap_err().to_string();
    assert!(error.starts_with("nftables(add rule inet t nowhere") && error.contains("ENOENT"), "{error}");
    assert_eq!(listed(), before);
    // An expression that isn't allowed where it stands is named.
    let mut batch = Batch::new(Family::Inet, "t");
    batch.rule("f", &[Statement::Counter, Statement::Masquerade], None);
    let error = nftables.commit(batch).unwrap_err().to_string();
    assert!(error.starts_with("nftables(add rule inet t f"), "{error}");
    assert_eq!(listed(), before);
    // The socket goes on; all of it may be said again, and the table may go.
    let mut batch = inet();
    batch.flush_rules();
    batch.flush_set("ports");
    nftables.commit(batch).unwrap();
    assert_eq!(nftables.rules(Family::Inet, "t", "f").unwrap(), 0);
    let mut batch = Batch::new(Family::Inet, "t");
    batch.delete_table();
    nftables.commit(batch).unwrap();
    assert_eq!(listed(), Vec::<String>::new());
    assert!(nftables.chains(Family::Inet, "t").unwrap().is_empty());
    assert_eq!(nftables.rules(Family::Inet, "t", "f").unwrap(), 0);
}

pub(crate) fn a_large_batch_fits() {
    let nftables = namespace();
    let mut batch = inet();
    let key = |number: u32| row(&[&number.to_be_bytes(), &[6], &[0, 80]]);
    let value = Value::Bytes(row(&[&[10, 0, 0, 2], &[0, 80]]));
    batch.elements(
        "ports",
        (0..20_000).map(|number| (key(number), value.clone(), Some("a container".into()))),
    );
    nftables.commit(batch).unwrap();
    let found = listed().iter().filter(|line| line.contains("a container")).count();
    assert!(found >= 10_000, "{found}");
}

pub(crate) fn deletions_are_told() {
    let nftables = namespace();
    nftables.commit(inet()).unwrap();
    let mut changes = Changes::open().unwrap();
    let mut told = |words: &[&str]| {
        assert!(Command::new("nft").args(words).status().unwrap().success());
        changes.deleted("t").unwrap()
    };
    assert!(!told(&["list", "ruleset"]));
    assert!(!told(&["add", "table", "inet", "u"]));
    assert!(!told(&["delete", "table", "inet", "u"]));
    assert!(told(&["flush", "chain", "inet", "t", "f"]));
    assert!(!told(&["add", "chain", "inet", "t", "more"]));
    assert!(told(&["flush", "ruleset"]));
}
