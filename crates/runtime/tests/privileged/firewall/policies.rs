//! Policies of containers, also between neighbours on one bridge.

use super::stage::{OUTSIDE, Outcome, Stage, TABLE, br_netfilter, drops, ports, reached, rules, ruleset};
use forgeone_runtime::error::Kind;
use forgeone_runtime::network::policy::Policy;
use forgeone_runtime::network::{Protocol, firewall};
use std::net::UdpSocket;

const REFUSED: [Outcome; 2] = [Outcome::Refused, Outcome::Refused];

fn all(outcome: &[Outcome; 2]) -> bool {
    outcome.iter().all(|outcome| matches!(outcome, Outcome::Reached(_)))
}

/// `web` may be asked at 80 by those with `role=client`, and by an address outside; `app` and `other` are beside it.
fn ingress() -> Stage {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("web", |web| {
        web.policy.ingress =
            rules(&["label:role=client@tcp/80", "label:role=client@udp/80-81", "192.0.2.9@tcp/80"]);
        web.ports = ports(None, 8080, 80);
    });
    stage.container("app", |app| drop(app.labels.insert("role".into(), "client".into())));
    stage.container("other", |other| drop(other.labels.insert("role".into(), "server".into())));
    stage.apply();
    stage
}

fn is_enforced(stage: &Stage) {
    assert_eq!(stage.all("app", "web", 80), [reached("10.200.0.3"), reached("fd00:0::3")]);
    assert_eq!(stage.all("other", "web", 80), REFUSED);
    assert_eq!(stage.all("app", "web", 82), REFUSED);
    assert_eq!(stage.speak(Protocol::Udp, "app", "10.200.0.2:81", "web", 81), reached("10.200.0.3"));
    assert_eq!(stage.speak(Protocol::Tcp, "app", "10.200.0.2:81", "web", 81), Outcome::Refused);
    // What it begins itself is answered, and others are let alone.
    assert_eq!(stage.all("web", "other", 80), [reached("10.200.0.2"), reached("fd00:0::2")]);
    assert_eq!(stage.all("app", "other", 80), [reached("10.200.0.3"), reached("fd00:0::3")]);
}

pub(crate) fn ingress_is_by_label_address_and_port() {
    let stage = ingress();
    is_enforced(&stage);
    // By the published port the same holds, for whoever it was who asked.
    let tcp = Protocol::Tcp;
    assert_eq!(stage.speak(tcp, "outside", "192.0.2.1:8080", "web", 80), reached(OUTSIDE[0]));
    assert_eq!(stage.both("outside", "[2001:db8::1]:8080", "web", 80), Outcome::Refused);
    assert_eq!(stage.both("other", "192.0.2.1:8080", "web", 80), Outcome::Refused);
    assert_eq!(stage.both("app", "192.0.2.1:8080", "web", 80), reached("10.200.0.1"));
    assert_eq!(stage.both("host", "10.200.0.2:80", "web", 80), Outcome::Refused);
}

pub(crate) fn neighbours_are_kept_apart_with_and_without_br_netfilter() {
    let stage = ingress();
    is_enforced(&stage);
    if !br_netfilter(true) {
        testkit::single::skip("needs br_netfilter for the other half");
    }
    is_enforced(&stage);
}

pub(crate) fn what_is_said_past_the_host_is_dropped() {
    let stage = ingress();
    // Every interface has a link-local address, which no policy names.
    stage.run("web", "ip address add fe80::2/64 dev eth0 nodad");
    stage.run("other", "ip address add fe80::4/64 dev eth0 nodad");
    let index = stage.index("other");
    assert_eq!(stage.both("other", &format!("[fe80::2%{index}]:80"), "web", 80), Outcome::Dropped);
    // And there is everybody's address.
    let server = stage.at("web", || UdpSocket::bind("0.0.0.0:99").unwrap());
    server.set_nonblocking(true).unwrap();
    let client = stage.at("other", || UdpSocket::bind("0.0.0.0:0").unwrap());
    client.set_broadcast(true).unwrap();
    let before = drops();
    client.send_to(b"x", "10.200.255.255:99").unwrap();
    testkit::eventually("it is dropped", || drops() != before);
    assert!(server.recv(&mut [0; 4]).is_err());
}

pub(crate) fn egress_leaves_the_resolver_reachable() {
    let mut stage = Stage::new();
    stage.network("net", |_| {});
    stage.container("job", |job| {
        job.policy.egress = rules(&["192.0.2.0/24@tcp/443", "label:role=db@tcp/5432"])
    });
    stage.container("db", |db| drop(db.labels.insert("role".into(), "db".into())));
    stage.network("far", |_| {});
    stage.container("away", |_| {});
    stage.networks[0].resolver = Some(5353);
    stage.apply();
    let tcp = Protocol::Tcp;
    assert_eq!(stage.speak(tcp, "job", "192.0.2.9:443", "outside", 443), reached("192.0.2.1"));
    assert_eq!(stage.both("job", "192.0.2.9:80", "outside", 80), Outcome::Refused);
    assert_eq!(stage.both("job", "[2001:db8::9]:443", "outside", 443), Outcome::Refused);
    assert_eq!(stage.speak(tcp, "job", "10.200.0.3:5432", "db", 5432), reached("10.200.0.2"));
    assert_eq!(stage.both("job", "10.200.0.3:80", "db", 80), Outcome::Refused);
    // The host is somebody, too; its resolver is always there.
    assert_eq!(stage.speak(tcp, "job", "192.0.2.1:443", "host", 443), reached("10.200.0.2"));
    assert_eq!(stage.both("job", "10.200.0.1:80", "host", 80), Outcome::Refused);
    assert_eq!(stage.both("job", "10.200.0.1:53", "host", 5353), reached("10.200.0.2"));
    assert_eq!(stage.both("job", "[fd00:0::1]:53", "host", 5353), reached("fd00:0::2"));
    // It is asked by whoever wants, and answers.
    assert!(all(&stage.all("db", "job", 80)));
    assert_eq!(stage.both("host", "10.200.0.2:80", "job", 80), reached("10.200.0.1"));
    // Nothing at all, and then anything.
    stage.endpoint("job").policy.egress = rules(&[]);
    stage.apply();
    assert_eq!(stage.both("job", "192.0.2.9:443", "outside", 443), Outcome::Refused);
    stage.endpoint("job").policy = Policy::default();
    stage.apply();
    assert_eq!(stage.both("job", "192.0.2.9:443", "outside", 443), reached("192.0.2.1"));
    assert_eq!(stage.all("job", "db", 80), [reached("10.200.0.2"), reached("fd00:0::2")]);
}

pub(crate) fn labels_are_found_in_other_networks() {
    let mut stage = Stage::new();
    stage.network("one", |_| {});
    stage.container("a", |a| drop(a.labels.insert("team".into(), "x".into())));
    stage.container("b", |_| {});
    stage.network("two", |_| {});
    stage.container("web", |web| {
        web.policy.ingress = rules(&["label:team"]);
        web.ports = ports(None, 8080, 80);
    });
    stage.apply();
    assert!(matches!(stage.both("a", "192.0.2.1:8080", "web", 80), Outcome::Reached(_)));
    assert_eq!(stage.both("b", "192.0.2.1:8080", "web", 80), Outcome::Refused);
}

pub(crate) fn a_policy_that_can_not_be_had_is_refused() {
    let mut stage = ingress();
    let before = ruleset();
    stage.networks[0].network.joined = true;
    let error = firewall::apply(TABLE, &stage.networks).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let expected = "policy of container \"web\": network \"net\" can't have any: it has joined a bridge";
    assert!(error.to_string().starts_with(expected), "{error}");
    let counted =
        |text: &str| text.lines().filter(|line| !line.contains("counter")).collect::<Vec<_>>().join("\n");
    assert_eq!(counted(&ruleset()), counted(&before));
}
