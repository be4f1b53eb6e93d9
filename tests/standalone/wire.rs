//! A machine with an outside: a second network, at the other end of a cable, with servers and clients of Debian's.

use crate::kit::{Machine, Output};
use forgeone_runtime::network::new_namespace;
use forgeone_sys::net::inside;
use std::cell::RefCell;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::privileged;

/// See the module. The machine's end of the cable is `up0`, with 192.0.2.1 and 2001:db8::1; outside is .2 and ::2, which
/// knows no way to the networks of containers.
pub(crate) struct Wire {
    machine: Machine,
    outside: OwnedFd,
    servers: RefCell<Vec<Child>>,
    /// Tells the servers that are threads.
    ended: Arc<AtomicBool>,
}

/// What is needed from Debian.
const PROGRAMS: [&str; 4] = ["ip", "nsenter", "socat", "nft"];

impl Wire {
    /// `None`, with the reason told, where a test can't have one.
    pub(crate) fn new() -> Option<Self> {
        if let Some(missing) = PROGRAMS.iter().find(|program| privileged::find_program(program).is_none()) {
            testkit::skip(format!("{missing} is missing (Debian packages iproute2, socat, nftables)"));
            return None;
        }
        let machine = Machine::new()?;
        let wire = Self {
            machine,
            outside: new_namespace().unwrap(),
            servers: RefCell::default(),
            ended: Arc::default(),
        };
        let there = wire.outside();
        wire.ip(None, &format!("link add up0 type veth peer name eth0 netns {there}"));
        for (namespace, interface, end) in [(None, "up0", 1), (Some(there.as_str()), "eth0", 2)] {
            wire.ip(namespace, &format!("address add 192.0.2.{end}/24 dev {interface}"));
            wire.ip(namespace, &format!("address add 2001:db8::{end}/64 dev {interface} nodad"));
            wire.ip(namespace, &format!("link set {interface} up"));
        }
        wire.ip(None, "route add default via 192.0.2.2");
        wire.ip(None, "route add default via 2001:db8::2");
        Some(wire)
    }

    /// The namespace outside, as a path.
    pub(crate) fn outside(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.outside.as_raw_fd())
    }

    /// The namespace of a container, as a path.
    pub(crate) fn inside(&self, container: &str) -> String {
        format!("/proc/{}/ns/net", self.inspect(container)["State"]["Pid"])
    }

    /// A container that sleeps, with these options.
    #[track_caller]
    pub(crate) fn sleeper(&self, name: &str, options: &[&str]) {
        let rootfs = self.rootfs();
        let words = [
            &["run", "-d", "--rootfs", rootfs.to_str().unwrap(), "--name", name, "--stop-signal", "KILL"],
            options,
            &["sleep", "1000"],
        ];
        self.ok(&words.concat());
    }

    /// What `inspect` says of a container in a network.
    pub(crate) fn place(&self, container: &str, network: &str, key: &str) -> String {
        let found = self.inspect(container)["NetworkSettings"]["Networks"][network][key].clone();
        found.as_str().unwrap_or_else(|| panic!("{container} has no {key} in {network}: {found}")).to_owned()
    }

    /// Runs a program in a namespace; the machine's where none is named.
    pub(crate) fn within(&self, namespace: Option<&str>, words: &[&str]) -> Output {
        self.finish(command(namespace).args(words).stdin(Stdio::null()))
    }

    /// iproute2.
    #[track_caller]
    pub(crate) fn ip(&self, namespace: Option<&str>, line: &str) -> String {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split(' ')).collect();
        let output = self.within(namespace, &words);
        assert_eq!(output.code, 0, "ip {line}: {}", output.stderr);
        output.stdout
    }

    /// Has a server listen in a namespace (`TCP4-LISTEN:80`, `UDP4:53`), which answers each client with the client's own
    /// address.
    pub(crate) fn serve(&self, namespace: Option<&str>, listen: &str) {
        if let Some(port) = listen.strip_prefix("UDP4:") {
            return self.answer(namespace, port.parse().unwrap());
        }
        let mut command = command(namespace);
        command.args(["socat", &format!("{listen},fork"), "SYSTEM:echo $SOCAT_PEERADDR"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.servers.borrow_mut().push(child);
        let port = listen.rsplit_once(':').unwrap().1.split(',').next().unwrap().to_owned();
        testkit::eventually(&format!("{listen} is served"), || {
            self.within(namespace, &["ss", "-tlnH", &format!("sport = :{port}")])
                .stdout
                .contains(&format!(":{port}"))
        });
    }

    /// The same by UDP. socat loses packets between two of them.
    fn answer(&self, namespace: Option<&str>, port: u16) {
        let own = "/proc/thread-self/ns/net";
        let namespace = std::fs::File::open(namespace.unwrap_or(own)).unwrap();
        let socket = inside(&namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().unwrap();
        let ended = self.ended.clone();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok((_, client)) = socket.recv_from(&mut [0; 64]) {
                    let _ = socket.send_to(format!("{}\n", client.ip()).as_bytes(), client);
                }
            }
        });
    }

    /// What a server answers (`TCP4:192.0.2.2:80`); nothing if it can't be reached.
    pub(crate) fn ask(&self, namespace: Option<&str>, whom: &str) -> Option<String> {
        self.patient(namespace, whom, 30)
    }

    /// Whether a server that can be reached from elsewhere is out of reach from here.
    pub(crate) fn is_cut_off(&self, namespace: Option<&str>, whom: &str) -> bool {
        self.patient(namespace, whom, 2).is_none()
    }

    fn patient(&self, namespace: Option<&str>, whom: &str, seconds: u32) -> Option<String> {
        // The answer to UDP is one packet, for which somebody waits half a second; TCP ends by itself.
        let (tries, line) = match whom.starts_with("TCP") {
            true => (1, format!("socat -T 30 -u {whom},connect-timeout={seconds} -")),
            false => (seconds * 2, format!("echo x | socat -t 0.5 - {whom}")),
        };
        let once = || self.within(namespace, &["sh", "-c", &line]).stdout.trim().to_owned();
        (0..tries).map(|_| once()).find(|text| !text.is_empty())
    }
}

/// Runs what its arguments say, in a namespace.
fn command(namespace: Option<&str>) -> Command {
    let Some(namespace) = namespace else { return Command::new("env") };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={namespace}"));
    command
}

impl Deref for Wire {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for server in self.servers.get_mut() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
