//! A machine of its own for a network with names: a network namespace that is the host, one that is a member, the files of a
//! network, and servers of the world.

use crate::fs::support::need_root;
use forgeone_runtime::network::{Network, resolver};
use forgeone_runtime::registry::Places;
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{OwnedFd, fs as sys};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::{Temp, eventually, privileged, programs};

/// Messages that are none, or nearly one.
pub(crate) const HOSTILE: &[&[u8]] = &[
    &[0],
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    &[0xff; 12],
    &[0xff; 512],
    &[0, 7, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
    &[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1],
    &[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 0, 0, 1, 0, 1],
    &[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 41, 255, 255, 0, 0, 0, 0, 255, 255],
    &[0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w', b'e', b'b', 0, 0, 1, 0, 1],
];

pub(crate) struct House {
    temp: Temp,
    places: Places,
}

impl House {
    /// This process is the host from now on: a bridge, and behind it the member `web`.
    pub(crate) fn new(network: &str) -> Self {
        need_root();
        for (program, package) in
            [("ip", "iproute2"), ("dig", "bind9-dnsutils"), ("busybox", "busybox-static")]
        {
            if !privileged::program(program, package) {
                testkit::single::skip(format!("{program} isn't here"));
            }
        }
        process::unshare(Namespaces::MOUNT | Namespaces::NET).unwrap();
        mount::mount_propagation("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let temp = Temp::new("names");
        let places = Places {
            data_root: temp.path().join("data"),
            state_root: temp.path().join("state"),
            door: PathBuf::from("/nonexistent"),
            image_helper: PathBuf::from("/nonexistent"),
            monitor: programs::standalone(),
        };
        let house = Self { temp, places };
        fs::write(house.path("resolv.conf"), "").unwrap();
        house.servers(&["192.0.2.53"]);
        house.sh(&format!(
            "mount -t tmpfs none /run; mkdir /run/netns; mount --bind {}/resolv.conf /etc/resolv.conf
            ip link set lo up; ip addr add 192.0.2.53/32 dev lo; ip addr add 192.0.2.54/32 dev lo
            ip link add forgeone0 type bridge; ip link set forgeone0 up
            ip addr add 10.200.0.1/16 dev forgeone0; ip addr add fd00:1::1/64 dev forgeone0 nodad
            ip netns add in; ip link add fo0 type veth peer name eth0 netns in
            ip link set fo0 master forgeone0 up; ip -n in link set lo up; ip -n in link set eth0 up
            ip -n in addr add 10.200.0.2/16 dev eth0; ip -n in addr add fd00:1::2/64 dev eth0 nodad",
            house.temp.path().display()
        ));
        fs::create_dir_all(house.path("data/networks/net/endpoints")).unwrap();
        let about = json!({
            "version": 1, "name": "net", "id": "n".repeat(64), "created": "2026-01-01T00:00:00Z", "driver": network,
            "interface": "forgeone0", "dns": true, "subnets": [
                {"subnet": "10.200.0.0/16", "gateway": "10.200.0.1"}, {"subnet": "fd00:1::/64", "gateway": "fd00:1::1"},
            ],
        });
        fs::write(house.path("data/networks/net/network.json"), about.to_string()).unwrap();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The host's servers, replaced as a program does that keeps the file.
    pub(crate) fn servers(&self, servers: &[&str]) {
        let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        fs::write(self.path("resolv.conf"), text).unwrap();
    }

    pub(crate) fn network(&self, change: impl Fn(&mut Value)) {
        edit(&self.path("data/networks/net/network.json"), change);
    }

    fn endpoint(&self, id: &str) -> PathBuf {
        self.path("data/networks/net/endpoints").join(id.repeat(64) + ".json")
    }

    pub(crate) fn member(&self, id: &str, name: &str, addresses: &[&str], aliases: &[&str]) {
        let endpoint = json!({
            "version": 1, "container": id.repeat(64), "name": name, "aliases": aliases, "addresses": addresses,
            "mac": "02:00:00:00:00:01", "interface": "eth0", "host_interface": "fo0",
        });
        replace(&self.endpoint(id), &endpoint.to_string());
    }

    pub(crate) fn asks(&self, id: &str, servers: &[&str]) {
        edit(&self.endpoint(id), |endpoint| endpoint["dns"] = json!(servers));
    }

    pub(crate) fn leaves(&self, id: &str) {
        fs::remove_file(self.endpoint(id)).unwrap();
    }

    /// The network is removed with all that is there, and made again.
    pub(crate) fn again(&self) {
        let network = self.path("data/networks/net");
        let about = fs::read_to_string(network.join("network.json")).unwrap();
        let lock = self.lock();
        fs::remove_dir_all(&network).unwrap();
        fs::create_dir_all(network.join("endpoints")).unwrap();
        fs::write(network.join("network.json"), about).unwrap();
        drop(lock);
    }

    pub(crate) fn lock(&self) -> OwnedFd {
        let file = fs::File::create(self.path("data/networks/lock")).unwrap();
        let lock = OwnedFd::from(file);
        sys::flock_exclusive(&lock).unwrap();
        lock
    }

    pub(crate) fn ensure(&self) {
        let about = fs::read(self.path("data/networks/net/network.json")).unwrap();
        let network: Network = serde_json::from_slice(&about).unwrap();
        resolver::ensure(&self.places, &network).unwrap();
    }

    pub(crate) fn port(&self) -> Option<u16> {
        resolver::port(&self.places, "net")
    }

    /// The process of the resolver.
    pub(crate) fn resolver(&self) -> Option<i32> {
        self.resolvers().pop()
    }

    /// All there are.
    pub(crate) fn resolvers(&self) -> Vec<i32> {
        let mine = self.path("data").display().to_string();
        let is_mine = |pid: &i32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split('\0').nth(1) == Some("resolver") && words.split('\0').any(|word| word == mine)
        };
        let pids = fs::read_dir("/proc").unwrap();
        pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(is_mine).collect()
    }

    pub(crate) fn kill(&self) {
        let pid = self.resolver().expect("a resolver");
        process::kill(pid, 9).unwrap();
        // By then it has given back its locks, too.
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        eventually("it is killed", || {
            state().rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
        });
    }

    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// In the host's namespace, whatever its exit status.
    pub(crate) fn host(&self, line: &str) -> String {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// As the member `web`, with a resolv.conf that names the gateway.
    pub(crate) fn inside(&self, line: &str) -> String {
        fs::write(self.path("inside.conf"), "nameserver 10.200.0.1\n").unwrap();
        fs::write(self.path("inside"), line).unwrap();
        let (conf, script) = (self.path("inside.conf"), self.path("inside"));
        let line = format!("mount --bind {} /etc/resolv.conf; exec sh {}", conf.display(), script.display());
        let output = Command::new("ip").args(["netns", "exec", "in", "sh", "-c", &line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What dig prints, asked as the member.
    pub(crate) fn dig_all(&self, words: &str) -> String {
        self.inside(&format!("dig +time=20 +tries=1 {words}"))
    }

    /// The answers alone.
    pub(crate) fn dig(&self, words: &str) -> String {
        self.dig_all(&format!("+short {words}"))
    }
}

impl Drop for House {
    /// The resolver ends as every one does: its network is empty.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.path("data/networks/net/endpoints"));
        if !std::thread::panicking() {
            eventually("no resolver is left", || self.resolver().is_none());
        } else if let Some(pid) = self.resolver() {
            let _ = process::kill(pid, 9);
        }
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    replace(path, &value.to_string());
}

/// A server of the world, at port 53 of one of the host's addresses, until the test ends.
pub(crate) struct World {
    questions: Arc<AtomicUsize>,
    lies: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn new(address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let world = Self { questions: Arc::default(), lies: Arc::default() };
        let (questions, lies) = (world.questions.clone(), world.lies.clone());
        let udp = UdpSocket::bind((address, 53)).unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut bytes) {
                questions.fetch_add(1, Ordering::SeqCst);
                let question = &bytes[..length];
                if name(question) == "liar.example" && address.to_string().ends_with("53") {
                    lies.fetch_add(lie(&udp, question, peer), Ordering::SeqCst);
                }
                if let Some(reply) = answer(question, address, false) {
                    udp.send_to(&reply, peer).unwrap();
                }
            }
        });
        let tcp = TcpListener::bind((address, 53)).unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                match answer(&question, address, true) {
                    Some(reply) => {
                        let whole = [&(reply.len() as u16).to_be_bytes(), &reply[..]].concat();
                        // In two pieces.
                        let (one, two) = whole.split_at(5);
                        stream.write_all(one).and_then(|()| stream.write_all(two)).unwrap();
                    }
                    None => kept.push(stream),
                }
            }
        });
        world
    }

    /// How often it was asked by UDP.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    /// How many wrong answers it gave.
    pub(crate) fn lies(&self) -> usize {
        self.lies.load(Ordering::SeqCst)
    }
}

/// The name that is asked for.
fn name(question: &[u8]) -> String {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_lowercase());
        at = end;
    }
    labels.join(".")
}

/// What it is answered, if it is.
pub(crate) fn answer(question: &[u8], server: IpAddr, tcp: bool) -> Option<Vec<u8>> {
    let name = name(question);
    let IpAddr::V4(own) = server else { return None };
    let (first, last) = (own.octets()[3] == 53, own.octets()[3]);
    let (code, address, count) = match name.as_str() {
        "hang.example" if first => return None,
        "fail.example" if first => (2, 0, 0),
        "refused.example" => (5, 0, 0),
        "who.example" | "hang.example" | "fail.example" => (0, last, 1),
        "big.example" if tcp => (0, 1, 100),
        "big.example" => return Some(made(question, 0x8380, 1, 0, false)),
        "long.example" => (0, 1, 60),
        _ => (0, 1, 1),
    };
    let end = 12 + name.len() + 2;
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    let asked_nsid = question[end + 4..].windows(2).any(|pair| pair == [0, 3]);
    Some(made(question, 0x8180 | code, address, if kind == 1 { count } else { 0 }, asked_nsid))
}

/// A reply with so many addresses.
fn made(question: &[u8], flags: u16, address: u8, count: u16, nsid: bool) -> Vec<u8> {
    let end = 12 + name(question).len() + 2 + 4;
    let mut reply = question[..end].to_vec();
    reply[2..4].copy_from_slice(&flags.to_be_bytes());
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply[8..12].copy_from_slice(&[0, 0, 0, u8::from(nsid)]);
    for number in 0..count {
        let last = if count == 1 { address } else { number as u8 };
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, last]);
    }
    if nsid {
        reply.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 9, 0, 3, 0, 5]);
        reply.extend_from_slice(b"world");
    }
    reply
}

/// Answers that aren't to be believed: of another id, to another question, from another port. How many.
fn lie(udp: &UdpSocket, question: &[u8], peer: SocketAddr) -> usize {
    let mut id = made(question, 0x8180, 66, 1, false);
    id[0] ^= 1;
    let mut other = made(question, 0x8180, 67, 1, false);
    other[13] = b'x';
    udp.send_to(&id, peer).unwrap();
    udp.send_to(&other, peer).unwrap();
    let elsewhere = UdpSocket::bind((udp.local_addr().unwrap().ip(), 0)).unwrap();
    elsewhere.send_to(&made(question, 0x8180, 68, 1, false), peer).unwrap();
    3
}
