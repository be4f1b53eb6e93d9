//! A host, containers and an outside, all of them network namespaces.

use forgeone_runtime::network::{Attachment, Endpoint, Networks, new_namespace};
use forgeone_runtime::registry::Places;
use forgeone_sys::net::{LinkWatch, Route, inside, loopback_up};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{AsFd, OwnedFd};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// A host of the test's own, with its data root.
pub(crate) struct Host {
    pub(crate) networks: Networks,
    pub(crate) places: Places,
    _temp: testkit::Temp,
}

/// Makes the test's process a host with nothing but a loopback interface.
pub(crate) fn host() -> Host {
    if process::geteuid() != 0 {
        testkit::single::skip("needs root");
    }
    process::unshare(Namespaces::NET).unwrap();
    loopback_up().unwrap();
    let temp = testkit::Temp::new("networks");
    let places = places(temp.path().join("data"));
    Host { networks: Networks::of(&places), places, _temp: temp }
}

pub(crate) fn places(data_root: PathBuf) -> Places {
    let none = PathBuf::from("/nonexistent");
    Places {
        state_root: data_root.join("state"),
        data_root,
        door: none.clone(),
        image_helper: none.clone(),
        monitor: none,
    }
}

impl Host {
    /// A container of which there is nothing but its network.
    pub(crate) fn container(&self, network: &str, name: &str) -> (OwnedFd, Endpoint) {
        let namespace = new_namespace().unwrap();
        let endpoint = self.networks.connect(&attachment(network, name), namespace.as_fd()).unwrap();
        (namespace, endpoint)
    }

    /// What a container's monitor has for as long as it lives.
    pub(crate) fn monitor(&self, name: &str) -> std::fs::File {
        let directory = self.places.container(&id(name));
        std::fs::create_dir_all(&directory).unwrap();
        let lock = std::fs::File::create(directory.join("monitor.lock")).unwrap();
        forgeone_sys::fs::flock_exclusive(&lock).unwrap();
        lock
    }

    /// Ends the test with this reason, and leaves nothing.
    pub(crate) fn skip(self, reason: impl std::fmt::Display) -> ! {
        drop(self);
        testkit::single::skip(reason)
    }

    /// A namespace at the other end of a cable: `up0` here, `eth0` there, both still down.
    pub(crate) fn outside(&self) -> OwnedFd {
        let outside = new_namespace().unwrap();
        let there = self.pass(&outside);
        shown(None, &format!("ip link add up0 type veth peer name eth0 netns /proc/self/fd/{there}"));
        outside
    }

    /// The number of a descriptor that programs are started with.
    pub(crate) fn pass(&self, fd: &OwnedFd) -> i32 {
        forgeone_sys::fs::set_cloexec(fd, false).unwrap();
        std::os::fd::AsRawFd::as_raw_fd(fd)
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.places.data_root.join("networks").join(path)
    }
}

/// A container's id is made of its name.
pub(crate) fn id(name: &str) -> String {
    format!("{name:0<64}")
}

pub(crate) fn attachment(network: &str, name: &str) -> Attachment {
    Attachment {
        network: network.to_owned(),
        container: id(name),
        name: name.to_owned(),
        interface: "eth0".to_owned(),
        default_route: true,
        ..Attachment::default()
    }
}

pub(crate) fn v4(endpoint: &Endpoint) -> IpAddr {
    endpoint.addresses.iter().map(ipnet::IpNet::addr).find(IpAddr::is_ipv4).unwrap()
}

pub(crate) fn v6(endpoint: &Endpoint) -> IpAddr {
    endpoint.addresses.iter().map(ipnet::IpNet::addr).find(IpAddr::is_ipv6).unwrap()
}

/// A program's output, in the current namespace or another.
pub(crate) fn run(namespace: Option<&OwnedFd>, line: &str) -> Output {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    match namespace {
        None => command.output().unwrap(),
        Some(namespace) => inside(namespace, || command.output()).unwrap().unwrap(),
    }
}

/// What a program prints; it has to succeed.
pub(crate) fn shown(namespace: Option<&OwnedFd>, line: &str) -> String {
    let output = run(namespace, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the host's interfaces but for the loopback.
pub(crate) fn interfaces() -> Vec<String> {
    let links = shown(None, "ip -o link show");
    let names = links.lines().filter_map(|line| line.split(": ").nth(1));
    let names = names.map(|name| name.split('@').next().unwrap().to_owned());
    names.filter(|name| name != "lo").collect()
}

/// Waits until an interface of the host is gone.
pub(crate) fn gone(name: &str) {
    let mut watch = LinkWatch::open().unwrap();
    let route = Route::open().unwrap();
    while route.index(name).unwrap().is_some() {
        let seen = poll(&mut [PollFd::readable(&watch)], Some(60_000)).unwrap();
        assert_eq!(seen, 1, "{name} doesn't go");
        watch.gone().unwrap();
    }
}

/// Whether bytes come from one namespace (none: the host's) to a server on an address in another, and the answer back;
/// the server sees the client by the address that is given back.
pub(crate) fn talk(from: Option<&OwnedFd>, to: Option<&OwnedFd>, address: IpAddr) -> std::io::Result<IpAddr> {
    let at = SocketAddr::new(address, 0);
    let listen = || TcpListener::bind(at).unwrap();
    let server = to.map_or_else(listen, |to| inside(to, listen).unwrap());
    let target = SocketAddr::new(address, server.local_addr()?.port());
    let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(5));
    let mut client = from.map_or_else(connect, |from| inside(from, connect).unwrap())?;
    let (mut accepted, peer) = server.accept()?;
    client.write_all(b"question")?;
    let mut buffer = [0; 8];
    accepted.read_exact(&mut buffer)?;
    accepted.write_all(b"answered")?;
    client.read_exact(&mut buffer)?;
    assert_eq!(&buffer, b"answered");
    Ok(peer.ip())
}
