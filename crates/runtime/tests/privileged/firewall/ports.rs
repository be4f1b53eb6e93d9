//! Translated addresses: out, published ports in, and names.

use super::stage::{HOST, OUTSIDE, Outcome, Stage, br_netfilter, port, ports, reached, ruleset};
use forgeone_runtime::network::Protocol;

/// A network with two containers, of which `web` publishes 8080 for its port 80.
fn two() -> Stage {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("web", |web| web.ports = ports(None, 8080, 80));
    stage.container("other", |_| {});
    stage.apply();
    stage
}

pub(crate) fn what_leaves_has_the_hosts_address() {
    let stage = two();
    assert_eq!(stage.both("web", "192.0.2.9:7000", "outside", 7000), reached(HOST[0]));
    assert_eq!(stage.both("web", "[2001:db8::9]:7000", "outside", 7000), reached(HOST[1]));
    // The host itself, and those beside it, see who it is.
    assert_eq!(stage.both("web", "10.200.0.1:7000", "host", 7000), reached("10.200.0.2"));
    assert_eq!(stage.both("web", "192.0.2.1:7000", "host", 7000), reached("10.200.0.2"));
    assert_eq!(stage.all("other", "web", 80), [reached("10.200.0.3"), reached("fd00:0::3")]);
}

pub(crate) fn frames_of_one_network_are_let_alone_by_br_netfilter() {
    let mut stage = two();
    if !br_netfilter(true) {
        testkit::single::skip("needs br_netfilter");
    }
    assert_eq!(stage.all("other", "web", 80), [reached("10.200.0.3"), reached("fd00:0::3")]);
    assert_eq!(stage.both("other", "192.0.2.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("outside", "192.0.2.1:8080", "web", 80), reached(OUTSIDE[0]));
    // Translated already on the bridge, what a container sends to itself leaves by the port that it came by.
    stage.hairpin("web");
    assert_eq!(stage.both("web", "192.0.2.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("web", "[2001:db8::1]:8080", "web", 80), reached("fd00:0::1"));
}

pub(crate) fn a_published_port_leads_inside() {
    let stage = two();
    // The client's own address is seen.
    assert_eq!(stage.both("outside", "192.0.2.1:8080", "web", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.both("outside", "[2001:db8::1]:8080", "web", 80), reached(OUTSIDE[1]));
    // From the host by all of its addresses; by ::1 there is no way.
    assert_eq!(stage.both("host", "192.0.2.1:8080", "web", 80), reached(HOST[0]));
    assert_eq!(stage.both("host", "127.0.0.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("host", "127.0.0.77:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("host", "10.200.0.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("host", "[2001:db8::1]:8080", "web", 80), reached(HOST[1]));
    assert_eq!(stage.both("host", "[::1]:8080", "web", 80), Outcome::Refused);
    // And back to where it came from.
    assert_eq!(stage.both("other", "192.0.2.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("web", "192.0.2.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("web", "[2001:db8::1]:8080", "web", 80), reached("fd00:0::1"));
    // Other ports are the host's.
    assert_eq!(stage.both("outside", "192.0.2.1:80", "host", 80), reached(OUTSIDE[0]));
}

pub(crate) fn a_port_may_be_of_one_address() {
    let mut stage = two();
    stage.endpoint("web").ports = [
        ports(Some("127.0.0.1"), 8001, 80),
        ports(Some("192.0.2.1"), 8002, 80),
        ports(Some("2001:db8::1"), 8003, 80),
        ports(Some("0.0.0.0"), 8004, 80),
        vec![port(Protocol::Tcp, None, 8005, 80)],
    ]
    .concat();
    stage.apply();
    assert_eq!(stage.both("host", "127.0.0.1:8001", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("outside", "192.0.2.1:8001", "web", 80), Outcome::Refused);
    assert_eq!(stage.both("host", "127.0.0.1:8002", "web", 80), Outcome::Refused);
    assert_eq!(stage.both("outside", "192.0.2.1:8002", "web", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.both("outside", "[2001:db8::1]:8003", "web", 80), reached(OUTSIDE[1]));
    assert_eq!(stage.both("outside", "192.0.2.1:8003", "web", 80), Outcome::Refused);
    assert_eq!(stage.both("outside", "192.0.2.1:8004", "web", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.both("outside", "[2001:db8::1]:8004", "web", 80), Outcome::Refused);
    assert_eq!(stage.speak(Protocol::Tcp, "outside", "192.0.2.1:8005", "web", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.speak(Protocol::Udp, "outside", "192.0.2.1:8005", "web", 80), Outcome::Refused);
    // It ends with the container.
    stage.networks[0].endpoints.remove(0);
    stage.apply();
    assert_eq!(stage.both("outside", "192.0.2.1:8004", "web", 80), Outcome::Refused);
}

pub(crate) fn sctp_is_published_too() {
    let mut stage = two();
    stage.endpoint("web").ports = vec![port(Protocol::Sctp, None, 9000, 90)];
    stage.apply();
    assert!(ruleset().contains("sctp . 9000 comment \"web\" : 10.200.0.2 . 90"), "{}", ruleset());
    assert_eq!(stage.both("outside", "192.0.2.1:9000", "web", 90), Outcome::Refused);
}

pub(crate) fn names_are_resolved_at_the_gateway() {
    let mut stage = two();
    stage.networks[0].resolver = Some(5353);
    stage.network("second", |_| {});
    stage.container("stranger", |_| {});
    stage.apply();
    assert_eq!(stage.both("web", "10.200.0.1:53", "host", 5353), reached("10.200.0.2"));
    assert_eq!(stage.both("web", "[fd00:0::1]:53", "host", 5353), reached("fd00:0::2"));
    // Another network's is nobody's to ask, nor is the host's own taken away.
    assert_eq!(stage.both("stranger", "10.200.0.1:53", "host", 5353), Outcome::Dropped);
    assert_eq!(stage.both("web", "192.0.2.1:53", "host", 53), reached("10.200.0.2"));
    assert_eq!(stage.both("web", "192.0.2.9:53", "outside", 53), reached(HOST[0]));
}
