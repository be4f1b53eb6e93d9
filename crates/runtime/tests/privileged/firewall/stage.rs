//! A host in a network namespace of its own, somebody outside, and containers: namespaces, pairs and bridges as networks
//! make them; the firewall alone is what is tried.
//!
//! ```text
//! outside 192.0.2.9, 2001:db8::9 ── lan ── host 192.0.2.1, 2001:db8::1 ── forgeoneN ── containers 10.20N.0.X, fd00:N::X
//! ```

use forgeone_runtime::network::policy::{Policy, Rule};
use forgeone_runtime::network::{
    Driver, Endpoint, Mac, Network, Populated, Port, Protocol, Subnet, firewall, new_namespace,
};
use forgeone_sys::net::{Address, Route, Veth, inside, loopback_up};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{AsFd, OwnedFd};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The table's name.
pub(crate) const TABLE: &str = "forgeone-test";

pub(crate) const HOST: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
pub(crate) const OUTSIDE: [&str; 2] = ["192.0.2.9", "2001:db8::9"];

/// Nothing that comes takes as long on any machine.
const LONG: Duration = Duration::from_secs(20);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) struct Stage {
    route: Route,
    pub(crate) networks: Vec<Populated>,
    /// By name; `outside` is one, `host` is not.
    namespaces: BTreeMap<String, OwnedFd>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The other end has heard it, from this address, and was heard.
    Reached(IpAddr),
    /// An error came back.
    Refused,
    /// A rule has dropped it.
    Dropped,
}

pub(crate) fn reached(address: &str) -> Outcome {
    Outcome::Reached(ip(address))
}

impl Stage {
    /// Host and outside. Skips where this can't be.
    pub(crate) fn new() -> Self {
        if process::geteuid() != 0 {
            testkit::single::skip("needs root");
        }
        for (program, package) in [("nft", "nftables"), ("ip", "iproute2"), ("socat", "socat")] {
            if !testkit::privileged::program(program, package) {
                testkit::single::skip(format!("needs {program}"));
            }
        }
        process::unshare(Namespaces::NET).unwrap();
        loopback_up().unwrap();
        let mut stage = Self { route: Route::open().unwrap(), networks: vec![], namespaces: BTreeMap::new() };
        for (name, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            // Each refusal is said.
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv6/icmp/ratelimit", "0"),
        ] {
            set(name, value);
        }
        br_netfilter(false);
        stage.bridge("lan", 200, &HOST.map(net));
        stage.plug("outside", "lan", "v-out", Mac([2, 0, 0, 9, 9, 9]), &OUTSIDE.map(net), &HOST);
        stage
    }

    fn bridge(&self, name: &str, number: u8, addresses: &[IpNet]) {
        self.route.add_bridge(name, [2, 0, 0, 0, number, 1], None).unwrap();
        let index = self.route.device(name).unwrap().unwrap().index;
        for address in addresses {
            self.route.add_address(index, &Address::new(address.addr(), address.prefix_len())).unwrap();
        }
    }

    /// A namespace with an interface on a bridge.
    fn plug(
        &mut self,
        name: &str,
        bridge: &str,
        port: &str,
        mac: Mac,
        addresses: &[IpNet],
        gateways: &[&str],
    ) {
        let namespace = new_namespace().unwrap();
        let master = self.route.device(bridge).unwrap().unwrap().index;
        let veth =
            Veth { name: port, master, namespace: namespace.as_fd(), peer: "eth0", mac: mac.0, mtu: None };
        self.route.add_veth(&veth).unwrap();
        let there = inside(&namespace, Route::open).unwrap().unwrap();
        let index = there.device("eth0").unwrap().unwrap().index;
        for address in addresses {
            there.add_address(index, &Address::new(address.addr(), address.prefix_len())).unwrap();
        }
        there.set_link_up(index, true).unwrap();
        for gateway in gateways {
            there.add_default_route(index, ip(gateway)).unwrap();
        }
        self.namespaces.insert(name.to_owned(), namespace);
    }

    /// A network of both families; changed by `change` before its bridge is made.
    pub(crate) fn network(&mut self, name: &str, change: impl FnOnce(&mut Network)) {
        let number = self.networks.len();
        let subnet = |net: String, gateway: String| Subnet {
            subnet: net.parse().unwrap(),
            gateway: Some(ip(&gateway)),
            range: None,
        };
        let mut network = Network {
            version: 1,
            name: name.to_owned(),
            id: "0".repeat(64),
            created: "2026-01-01T00:00:00Z".into(),
            driver: Driver::Bridge,
            interface: format!("forgeone{number}"),
            joined: false,
            vlan: None,
            subnets: vec![
                subnet(format!("10.20{number}.0.0/16"), format!("10.20{number}.0.1")),
                subnet(format!("fd00:{number}::/64"), format!("fd00:{number}::1")),
            ],
            internal: false,
            isolated: false,
            mtu: None,
            dns: true,
            labels: BTreeMap::new(),
        };
        change(&mut network);
        let addresses = network
            .subnets
            .iter()
            .map(|subnet| IpNet::new(subnet.gateway.unwrap(), subnet.subnet.prefix_len()).unwrap());
        self.bridge(&network.interface, number as u8, &addresses.collect::<Vec<_>>());
        set(&format!("ipv4/conf/{}/route_localnet", network.interface), "1");
        self.networks.push(Populated { network, endpoints: vec![], resolver: None });
    }

    /// A container in the network that was made last: `.2`, `.3` and so on.
    pub(crate) fn container(&mut self, name: &str, change: impl FnOnce(&mut Endpoint)) {
        let number = self.networks.len() - 1;
        let populated = self.networks.last().unwrap();
        let last = populated.endpoints.len() as u8 + 2;
        let mac = Mac([2, 0, 0, 1, number as u8, last]);
        let host = |subnet: &Subnet| match subnet.subnet {
            IpNet::V4(_) => ip(&format!("10.20{number}.0.{last}")),
            IpNet::V6(_) => ip(&format!("fd00:{number}::{last}")),
        };
        let subnets = &populated.network.subnets;
        let addresses: Vec<_> = subnets
            .iter()
            .map(|subnet| IpNet::new(host(subnet), subnet.subnet.prefix_len()).unwrap())
            .collect();
        let gateways: Vec<_> = subnets.iter().map(|subnet| subnet.gateway.unwrap().to_string()).collect();
        let gateways: Vec<_> = gateways.iter().map(String::as_str).collect();
        let bridge = populated.network.interface.clone();
        let port = format!("fo{number}-{last}");
        self.plug(name, &bridge, &port, mac, &addresses, &gateways);
        let mut endpoint = Endpoint {
            version: 1,
            container: format!("{name:0<64}"),
            name: name.to_owned(),
            aliases: vec![],
            addresses,
            mac,
            interface: "eth0".into(),
            host_interface: port,
            ports: vec![],
            policy: Policy::default(),
            labels: BTreeMap::new(),
            rate: None,
            dns: vec![],
        };
        change(&mut endpoint);
        self.networks.last_mut().unwrap().endpoints.push(endpoint);
    }

    pub(crate) fn endpoint(&mut self, name: &str) -> &mut Endpoint {
        let all = self.networks.iter_mut().flat_map(|populated| &mut populated.endpoints);
        all.into_iter().find(|endpoint| endpoint.name == name).unwrap()
    }

    pub(crate) fn apply(&self) {
        firewall::apply(TABLE, &self.networks).unwrap();
    }

    /// Does something in a namespace, or on the host.
    pub(crate) fn at<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        match self.namespaces.get(name) {
            Some(namespace) => inside(namespace, work).unwrap(),
            None => {
                assert_eq!(name, "host");
                work()
            }
        }
    }

    /// The number of the interface inside.
    pub(crate) fn index(&self, name: &str) -> u32 {
        self.at(name, || Route::open().unwrap().device("eth0").unwrap().unwrap().index)
    }

    /// Has frames go back to the port that they came by.
    pub(crate) fn hairpin(&mut self, name: &str) {
        let port = self.endpoint(name).host_interface.clone();
        self.route.set_hairpin(self.route.device(&port).unwrap().unwrap().index).unwrap();
    }

    /// Runs a program there.
    pub(crate) fn run(&self, name: &str, words: &str) {
        let words: Vec<_> = words.split(' ').collect();
        let output = self.at(name, || Command::new(words[0]).args(&words[1..]).output().unwrap());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Tries to speak to `to`, while `server` listens at that port, or at `listen`.
    pub(crate) fn speak(
        &self,
        protocol: Protocol,
        client: &str,
        to: &str,
        server: &str,
        listen: u16,
    ) -> Outcome {
        let to: SocketAddr = to.parse().unwrap();
        // Who has several addresses answers from the one that was meant.
        let own = ["host", "outside"].contains(&server) && to.port() == listen;
        let any = if to.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
        let at = SocketAddr::new(if own { to.ip() } else { any }, listen);
        let before = drops();
        let mut attempt: Box<dyn Attempt> = match protocol {
            Protocol::Udp => {
                let server = self.at(server, || UdpSocket::bind(at).unwrap());
                let client = self.at(client, || UdpSocket::bind(SocketAddr::new(any, 0)).unwrap());
                Box::new(Datagram::new(server, client, to))
            }
            _ => {
                let server = self.at(server, || TcpListener::bind(at).unwrap());
                Box::new(self.at(client, || Connection::new(server, to)))
            }
        };
        let start = Instant::now();
        loop {
            if let Some(outcome) = attempt.look() {
                return outcome;
            }
            let now = drops();
            if now != before {
                // It was another packet's only if this one has come through by now.
                return attempt.look().unwrap_or_else(|| {
                    eprintln!("{protocol:?} from {client} to {to} dropped: {now:?} after {before:?}");
                    Outcome::Dropped
                });
            }
            assert!(
                start.elapsed() < LONG,
                "{protocol:?} from {client} to {to}: nothing became of it\n{}",
                ruleset()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The same by TCP and UDP, which have to fare alike.
    pub(crate) fn both(&self, client: &str, to: &str, server: &str, listen: u16) -> Outcome {
        let tcp = self.speak(Protocol::Tcp, client, to, server, listen);
        let udp = self.speak(Protocol::Udp, client, to, server, listen);
        assert_eq!(tcp, udp, "from {client} to {to}");
        tcp
    }

    /// By both, to that port of a container's own addresses of both families.
    pub(crate) fn all(&self, client: &str, server: &str, port: u16) -> [Outcome; 2] {
        let all = self.networks.iter().flat_map(|populated| &populated.endpoints);
        let endpoint = all.into_iter().find(|endpoint| endpoint.name == server).unwrap();
        let of = |at: usize| {
            self.both(client, &SocketAddr::new(endpoint.addresses[at].addr(), port).to_string(), server, port)
        };
        [of(0), of(1)]
    }
}

fn net(address: &str) -> IpNet {
    let address = ip(address);
    IpNet::new(address, if address.is_ipv4() { 24 } else { 64 }).unwrap()
}

/// Sets a number below /proc/sys/net of the namespace that the test is in.
pub(crate) fn set(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap_or_else(|e| panic!("{name}: {e}"));
}

/// Whether frames of bridges pass the rules for packets, too; what there is to be said where the kernel can't.
pub(crate) fn br_netfilter(on: bool) -> bool {
    let write = |way| {
        std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{way}"), if on { "1" } else { "0" })
    };
    write("iptables").is_ok() && write("ip6tables").is_ok()
}

/// A port that is published.
pub(crate) fn port(protocol: Protocol, host: Option<&str>, host_port: u16, container_port: u16) -> Port {
    Port { protocol, host: host.map(ip), host_port, container_port }
}

/// A port of TCP and UDP.
pub(crate) fn ports(host: Option<&str>, host_port: u16, container_port: u16) -> Vec<Port> {
    [Protocol::Tcp, Protocol::Udp].map(|protocol| port(protocol, host, host_port, container_port)).to_vec()
}

/// Rules of a policy.
pub(crate) fn rules(words: &[&str]) -> Option<Vec<Rule>> {
    Some(words.iter().map(|word| word.parse().unwrap()).collect())
}

/// What nft lists.
pub(crate) fn ruleset() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rules that count what they drop, but for rejects, and what isn't anybody's attempt: remains of connections.
pub(crate) fn drops() -> Vec<String> {
    let text = ruleset();
    let dropping = text.lines().map(str::trim).filter(|line| line.contains("counter packets"));
    let dropping = dropping.filter(|line| !line.contains("reject") && !line.contains("ct state invalid"));
    dropping.filter(|line| !line.contains("packets 0 ")).map(str::to_owned).collect()
}

/// Something that is tried, and looked at without waiting.
trait Attempt {
    fn look(&mut self) -> Option<Outcome>;
}

struct Datagram {
    server: UdpSocket,
    client: UdpSocket,
    heard: Option<IpAddr>,
    refused: bool,
}

impl Datagram {
    fn new(server: UdpSocket, client: UdpSocket, to: SocketAddr) -> Self {
        for socket in [&server, &client] {
            socket.set_nonblocking(true).unwrap();
        }
        let refused = client.connect(to).and_then(|()| client.send(b"x")).is_err();
        Self { server, client, heard: None, refused }
    }
}

impl Attempt for Datagram {
    fn look(&mut self) -> Option<Outcome> {
        let mut buffer = [0; 16];
        if let Ok((_, from)) = self.server.recv_from(&mut buffer) {
            self.heard = Some(from.ip());
            self.server.send_to(b"y", from).unwrap();
        }
        match (self.client.recv(&mut buffer), self.heard) {
            (Ok(_), Some(from)) => Some(Outcome::Reached(from)),
            (Ok(_), None) => panic!("an answer to nothing"),
            (Err(e), _) if e.kind() != ErrorKind::WouldBlock => Some(Outcome::Refused),
            _ => self.refused.then_some(Outcome::Refused),
        }
    }
}

/// The client is a process, so that it can be ended while it tries.
struct Connection {
    server: TcpListener,
    client: Child,
}

impl Connection {
    fn new(server: TcpListener, to: SocketAddr) -> Self {
        server.set_nonblocking(true).unwrap();
        let mut socat = Command::new("socat");
        socat.args(["-u", &format!("TCP:{to}"), "STDOUT"]).stdout(Stdio::null()).stderr(Stdio::null());
        Self { server, client: socat.spawn().unwrap() }
    }
}

impl Attempt for Connection {
    fn look(&mut self) -> Option<Outcome> {
        // It is accepted once the client has had an answer and has answered that.
        if let Ok((_, from)) = self.server.accept() {
            return Some(Outcome::Reached(from.ip()));
        }
        let ended = self.client.try_wait().unwrap()?;
        assert!(!ended.success(), "it is connected to somebody else");
        Some(Outcome::Refused)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
