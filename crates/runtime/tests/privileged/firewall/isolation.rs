//! Who doesn't reach whom, and that nobody speaks in another's name.

use super::stage::{HOST, OUTSIDE, Outcome, Stage, drops, ports, reached, ruleset, set};
use std::net::UdpSocket;

const DROPPED: [Outcome; 2] = [Outcome::Dropped, Outcome::Dropped];

/// Two networks with a container in each, the second's publishing a port.
fn two_networks(isolated: bool) -> Stage {
    let mut stage = Stage::new();
    stage.network("one", |_| {});
    stage.container("a", |_| {});
    stage.network("two", |network| network.isolated = isolated);
    stage.container("b", |b| b.ports = ports(None, 8080, 80));
    stage.apply();
    stage
}

pub(crate) fn networks_reach_each_other_by_published_ports_alone() {
    let stage = two_networks(false);
    assert_eq!(stage.all("a", "b", 80), DROPPED);
    assert_eq!(stage.all("b", "a", 80), DROPPED);
    assert!(matches!(stage.both("a", "192.0.2.1:8080", "b", 80), Outcome::Reached(_)));
    assert!(matches!(stage.both("a", "[2001:db8::1]:8080", "b", 80), Outcome::Reached(_)));
    assert_eq!(stage.both("a", "10.201.0.1:7000", "host", 7000), Outcome::Dropped);
}

pub(crate) fn isolated_networks_are_not_reached_by_them_either() {
    let mut stage = two_networks(true);
    stage.endpoint("a").ports = ports(None, 8081, 80);
    stage.apply();
    for to in ["192.0.2.1:8080", "[2001:db8::1]:8080", "10.201.0.1:8080"] {
        assert_eq!(stage.both("a", to, "b", 80), Outcome::Dropped, "{to}");
    }
    assert_eq!(stage.both("b", "192.0.2.1:8081", "a", 80), Outcome::Dropped);
    // From outside and from the host it is as others are, and it reaches the world.
    assert_eq!(stage.both("outside", "192.0.2.1:8080", "b", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.both("host", "127.0.0.1:8080", "b", 80), reached("10.201.0.1"));
    assert_eq!(stage.both("b", "192.0.2.9:7000", "outside", 7000), reached(HOST[0]));
    assert_eq!(stage.both("b", "192.0.2.1:8080", "b", 80), reached("10.201.0.1"));
}

pub(crate) fn internal_networks_end_at_their_gateway() {
    let mut stage = Stage::new();
    stage.network("inside", |network| network.internal = true);
    stage.container("a", |a| a.ports = ports(None, 8080, 80));
    stage.container("b", |_| {});
    stage.network("other", |_| {});
    stage.container("c", |_| {});
    stage.apply();
    stage.run("outside", "ip route add 10.200.0.0/16 via 192.0.2.1");
    assert_eq!(stage.all("a", "b", 80), [reached("10.200.0.2"), reached("fd00:0::2")]);
    assert_eq!(stage.both("a", "10.200.0.1:7000", "host", 7000), reached("10.200.0.2"));
    assert_eq!(stage.both("a", "192.0.2.1:7000", "host", 7000), Outcome::Dropped);
    assert_eq!(stage.both("a", "[2001:db8::1]:7000", "host", 7000), Outcome::Dropped);
    assert_eq!(stage.both("a", "192.0.2.9:7000", "outside", 7000), Outcome::Dropped);
    assert_eq!(stage.both("a", "[2001:db8::9]:7000", "outside", 7000), Outcome::Dropped);
    assert_eq!(stage.all("a", "c", 80), DROPPED);
    assert_eq!(stage.all("c", "a", 80), DROPPED);
    assert_eq!(stage.all("outside", "a", 80)[0], Outcome::Dropped);
    assert_eq!(
        stage.both("outside", "192.0.2.1:8080", "a", 80),
        Outcome::Refused,
        "its ports aren't published"
    );
    assert_eq!(stage.both("host", "10.200.0.2:80", "a", 80), reached("10.200.0.1"));
    // Not even by what somebody else translates.
    stage.run("host", "nft add table ip somebody");
    stage.run("host", "nft add chain ip somebody in { type nat hook prerouting priority -110 ; }");
    stage.run("host", "nft add rule ip somebody in tcp dport 8090 dnat to 10.200.0.2:80");
    stage.run("host", "nft add rule ip somebody in udp dport 8090 dnat to 10.200.0.2:80");
    assert_eq!(stage.both("outside", "192.0.2.1:8090", "a", 80), Outcome::Dropped);
    assert_eq!(stage.both("c", "192.0.2.1:8090", "a", 80), Outcome::Dropped);
}

pub(crate) fn from_outside_published_ports_alone_are_reached() {
    let stage = two_networks(false);
    stage.run("outside", "ip route add 10.200.0.0/15 via 192.0.2.1");
    assert_eq!(stage.all("outside", "a", 80), DROPPED);
    // Not even the one that is published, but by the host's address.
    assert_eq!(stage.all("outside", "b", 80), DROPPED);
    assert_eq!(stage.both("outside", "192.0.2.1:8080", "b", 80), reached(OUTSIDE[0]));
    // What is forwarded for others stays the host's own matter.
    set("ipv4/conf/lan/send_redirects", "0");
}

pub(crate) fn nobody_else_reaches_the_hosts_loopback() {
    let stage = two_networks(false);
    for who in ["a", "outside"] {
        let gateway = if who == "a" { "10.200.0.1" } else { "192.0.2.1" };
        stage.at(who, || set("ipv4/conf/eth0/route_localnet", "1"));
        stage.run(who, "ip address del 127.0.0.1/8 dev lo");
        stage.run(who, &format!("ip route add 127.0.0.1/32 via {gateway} dev eth0"));
        set("ipv4/conf/lan/route_localnet", "1");
        assert_eq!(stage.both(who, "127.0.0.1:7000", "host", 7000), Outcome::Dropped, "{who}");
        // A port that is published there, too, is the host's own.
        assert_eq!(stage.both(who, "127.0.0.1:8080", "b", 80), Outcome::Dropped, "{who}");
    }
}

/// Whether a datagram that is sent from an address there is dropped by a rule.
fn is_dropped(stage: &Stage, from: &str, to: &str) -> bool {
    let before = drops();
    let server = stage.at("host", || UdpSocket::bind((to, 7000)).unwrap());
    server.set_nonblocking(true).unwrap();
    let client = stage.at("a", || UdpSocket::bind((from, 0)).unwrap());
    client.send_to(b"x", (to, 7000)).unwrap();
    let mut outcome = None;
    testkit::eventually("it comes or is dropped", || {
        let came = server.recv(&mut [0; 4]).is_ok();
        outcome = if came { Some(false) } else { (drops() != before).then_some(true) };
        outcome.is_some()
    });
    outcome.unwrap()
}

pub(crate) fn nobody_sends_in_anothers_name() {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("a", |_| {});
    stage.container("b", |_| {});
    stage.apply();
    // The neighbour is known, so that no question about it comes before.
    assert_eq!(stage.all("a", "b", 80), [reached("10.200.0.2"), reached("fd00:0::2")]);
    stage.run("a", "ip neigh replace 10.200.0.1 lladdr 02:00:00:00:00:01 dev eth0");
    stage.run("a", "ip neigh replace fd00:0::1 lladdr 02:00:00:00:00:01 dev eth0");
    stage.run("a", "ip address add 10.200.0.99/16 dev eth0");
    stage.run("a", "ip address add 10.200.0.3/16 dev eth0");
    stage.run("a", "ip address add fd00:0::99/64 dev eth0 nodad");
    assert!(!is_dropped(&stage, "10.200.0.2", "10.200.0.1"));
    assert!(!is_dropped(&stage, "fd00:0::2", "fd00:0::1"));
    assert!(is_dropped(&stage, "10.200.0.99", "10.200.0.1"));
    assert!(is_dropped(&stage, "10.200.0.3", "10.200.0.1"));
    assert!(is_dropped(&stage, "fd00:0::99", "fd00:0::1"));
    // By ARP neither.
    stage.run("a", "ip neigh del 10.200.0.1 dev eth0");
    assert!(is_dropped(&stage, "10.200.0.99", "10.200.0.1"));
    let questions = drops().into_iter().any(|rule| rule.starts_with("meta protocol arp"));
    assert!(questions, "{}", ruleset());
    // Nor does anybody answer for another, as a proxy would: its own address is the source of what it says.
    for (file, value) in
        [("conf/eth0/forwarding", "1"), ("conf/eth0/proxy_ndp", "1"), ("neigh/eth0/proxy_delay", "0")]
    {
        stage.at("a", || std::fs::write(format!("/proc/sys/net/ipv6/{file}"), value).unwrap());
    }
    stage.run("a", "ip neigh add proxy fd00:0::97 dev eth0");
    let before = drops();
    let asked = stage.at("b", || UdpSocket::bind("[::]:0").unwrap());
    asked.send_to(b"x", "[fd00:0::97]:7000").unwrap();
    testkit::eventually("the answer is dropped", || drops() != before);
    // Nor with another's hardware address.
    stage.run("a", "ip link set eth0 address 02:00:00:01:00:03");
    assert!(is_dropped(&stage, "10.200.0.2", "10.200.0.1"));
    // Whatever it is that it sends.
    stage.run("a", "ip address add fe80::77/64 dev eth0 nodad");
    let (before, index) = (drops(), stage.index("a"));
    let local = stage.at("a", || UdpSocket::bind(format!("[fe80::77%{index}]:0")).unwrap());
    local.send_to(b"x", format!("[ff02::1%{index}]:7000")).unwrap();
    testkit::eventually("it is dropped", || drops() != before);
}

pub(crate) fn nobody_advertises_routes() {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("a", |_| {});
    stage.container("b", |_| {});
    stage.apply();
    // Duplicate address detection of the link-local address has to end before it can be a source.
    testkit::eventually("eth0 has its link-local address", || {
        let shown = stage.at("a", || std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        // Address, interface, prefix, scope, flags: IFA_F_TENTATIVE is 0x40.
        let mut flags = shown
            .lines()
            .filter(|line| line.starts_with("fe80"))
            .filter_map(|line| line.split_whitespace().nth(4));
        flags.any(|flags| u32::from_str_radix(flags, 16).unwrap() & 0x40 == 0)
    });
    let default_route = || {
        let shown = stage.at("b", || std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap());
        shown.lines().filter(|line| line.starts_with(&"0".repeat(32)) && line.contains("eth0")).count()
    };
    stage.run("b", "ip -6 route flush default");
    assert_eq!(default_route(), 0);
    // Type 134, a router for 1800 s.
    let advertise = "printf '\\206\\000\\000\\000\\100\\000\\007\\010\\000\\000\\000\\000\\000\\000\\000\\000' | socat -u - 'IP6-SENDTO:[ff02::1%eth0]:58,setsockopt-int=41:18:255'";
    let words = ["sh", "-c", advertise];
    let send = || {
        let output =
            stage.at("a", || std::process::Command::new(words[0]).args(&words[1..]).output().unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    send();
    // What is sent after it has come: nothing is on its way any more.
    assert_eq!(stage.all("a", "b", 80), [reached("10.200.0.2"), reached("fd00:0::2")]);
    assert_eq!(default_route(), 0, "{}", ruleset());
    // Without the rules it does what it is meant to.
    stage.run("host", "nft flush ruleset");
    send();
    testkit::eventually("the advertisement is heard", || default_route() == 1);
}
