//! The tables themselves: when they come and go, and what they cost.

use super::stage::{Stage, TABLE, ports, reached, rules, ruleset};
use forgeone_runtime::network::{Populated, firewall};
use std::process::Command;
use std::time::Instant;

fn nft(words: &str) -> String {
    let output = Command::new("nft").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The list without what counts.
fn still(text: &str) -> String {
    let word =
        |word: &str| if word.chars().all(|c| c.is_ascii_digit()) { "N".to_owned() } else { word.to_owned() };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn tables() -> String {
    nft(&format!("list table inet {TABLE}")) + &nft(&format!("list table bridge {TABLE}"))
}

fn one() -> Stage {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("web", |web| web.ports = ports(None, 8080, 80));
    stage
}

pub(crate) fn tables_come_and_go_with_the_containers() {
    let mut stage = one();
    nft("add table inet somebody");
    stage.apply();
    assert!(
        ruleset().contains(&format!("table inet {TABLE} "))
            && ruleset().contains(&format!("table bridge {TABLE} "))
    );
    let there = std::mem::take(&mut stage.networks[0].endpoints);
    stage.apply();
    assert_eq!(ruleset(), "table inet somebody {\n}\n");
    stage.apply();
    assert_eq!(ruleset(), "table inet somebody {\n}\n");
    // Another data root has tables of its own.
    stage.networks[0].endpoints = there;
    stage.apply();
    firewall::apply("forgeone", &stage.networks).unwrap();
    firewall::apply(TABLE, &[]).unwrap();
    assert!(ruleset().contains("table inet forgeone {") && !ruleset().contains(TABLE));
}

pub(crate) fn applying_again_keeps_what_is_there() {
    let mut stage = one();
    stage.endpoint("web").policy.ingress = rules(&["any@tcp/80"]);
    stage.apply();
    let first = tables();
    let hooks = || -> Vec<String> {
        let text = nft("-a list ruleset");
        text.lines()
            .filter(|line| line.contains("chain ") && line.contains("# handle"))
            .map(str::to_owned)
            .collect()
    };
    let before = hooks();
    stage.apply();
    assert_eq!(still(&tables()), still(&first));
    let same = hooks().iter().zip(&before).all(|(now, then)| now == then || now.contains("gress/"));
    assert!(same, "{:?} is not {before:?}", hooks());
    // What somebody has added or taken, too, is as it was.
    for change in [
        format!("add rule inet {TABLE} forward drop"),
        format!("flush chain inet {TABLE} prerouting"),
        format!("add element inet {TABLE} bridges {{ \"lo\" }}"),
        format!("add chain inet {TABLE} more"),
        format!("delete table bridge {TABLE}"),
        format!("delete table inet {TABLE}"),
        "flush ruleset".to_owned(),
    ] {
        nft(&change);
        stage.apply();
        assert_eq!(still(&tables()), still(&first), "{change}");
    }
    // Of another version, of which nothing fits.
    nft(&format!("delete table inet {TABLE}"));
    nft(&format!("add table inet {TABLE}"));
    nft(&format!("add set inet {TABLE} bridges {{ type ipv4_addr; }}"));
    nft(&format!("add chain inet {TABLE} forward {{ type filter hook input priority 7; }}"));
    stage.apply();
    assert_eq!(still(&tables()), still(&first));
}

pub(crate) fn it_reads_well() {
    let mut stage = one();
    stage.endpoint("web").policy.ingress = rules(&["10.0.0.0/8@tcp/80-90", "label:none", "any@udp/53"]);
    stage.apply();
    let text = ruleset();
    for line in [
        "tcp . 8080 comment \"web\" : 10.200.0.2 . 80",
        "fib daddr type local dnat ip to meta l4proto . th dport map @published4_any",
        "dnat ip to ip daddr . meta l4proto . th dport map @published4",
        "iif != \"lo\" ip daddr 127.0.0.0/8 counter packets 0 bytes 0 drop comment \"nobody reaches the host's 127.0.0.0/8\"",
        "ip saddr 10.200.0.0/16 oifname != \"forgeone0\" masquerade comment \"net: out\"",
        "elements = { 10.200.0.2 : jump ingress/net/web }",
        "chain ingress/net/web {",
        "ip saddr 10.0.0.0/8 tcp dport 80-90 return comment \"10.0.0.0/8@tcp/80-90\"",
        "udp dport 53 return comment \"any@udp/53\"",
        "counter packets 0 bytes 0 reject with icmpx admin-prohibited",
        "iifname . ether saddr . ip saddr @addresses4 goto route",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
}

pub(crate) fn a_watch_notices_what_others_take_away() {
    let stage = one();
    stage.apply();
    let mut watch = firewall::Watch::open().unwrap();
    assert!(!watch.changed(TABLE).unwrap());
    stage.apply();
    firewall::apply("forgeone-other", &stage.networks).unwrap();
    firewall::apply("forgeone-other", &[]).unwrap();
    assert!(!watch.changed(TABLE).unwrap(), "our own hand is none");
    for change in [
        "flush ruleset".to_owned(),
        format!("delete table bridge {TABLE}"),
        format!("flush table inet {TABLE}"),
    ] {
        nft(&change);
        assert!(watch.changed(TABLE).unwrap(), "{change}");
        stage.apply();
        assert!(!watch.changed(TABLE).unwrap());
        assert_eq!(stage.both("outside", "192.0.2.1:8080", "web", 80), reached("192.0.2.9"), "{change}");
    }
}

/// Prints what it costs; it asserts no times.
pub(crate) fn many_containers_are_lookups_not_rules() {
    let mut stage = one();
    let mut lines = vec![];
    for count in [1_usize, 50, 500] {
        let template = stage.networks[0].endpoints[0].clone();
        let Populated { endpoints, .. } = &mut stage.networks[0];
        while endpoints.len() < count {
            let number = endpoints.len() as u16 + 2;
            let mut endpoint = template.clone();
            endpoint.name = format!("c{number}");
            endpoint.host_interface = format!("fo-{number}");
            let [high, low] = number.to_be_bytes();
            endpoint.addresses = vec![
                format!("10.200.{high}.{low}/16").parse().unwrap(),
                format!("fd00:0::{number:x}/64").parse().unwrap(),
            ];
            endpoint.mac.0[4..].copy_from_slice(&[high, low]);
            endpoint.ports.iter_mut().for_each(|port| port.host_port = 10_000 + number);
            endpoints.push(endpoint);
        }
        stage.apply();
        let mut times: Vec<_> = (0..20)
            .map(|_| {
                let start = Instant::now();
                stage.apply();
                start.elapsed()
            })
            .collect();
        times.sort();
        let rules = ruleset()
            .lines()
            .filter(|line| line.ends_with("drop") || line.contains("goto") || line.contains("masq"))
            .count();
        lines.push(rules);
        eprintln!("{count} containers: {:?} at the least, {:?} in the middle", times[0], times[10]);
    }
    assert!(lines.iter().all(|rules| *rules == lines[0]), "{lines:?}");
    assert_eq!(stage.both("outside", "192.0.2.1:8080", "web", 80), reached("192.0.2.9"));
}
