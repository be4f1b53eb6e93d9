//! Networks of an ordinary user, by pasta and by slirp4netns: this process becomes one, root of a user namespace as a
//! monitor is, beside an outside that root has made.

use super::names::answer;
use crate::fs::support::need_root;
use forgeone_runtime::network::user::{self, Connected, Program, Wish};
use forgeone_runtime::network::{Port, Protocol, new_namespace};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{AsFd, OwnedFd, credentials, fs as sys};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use testkit::{Temp, eventually, privileged};

const USER: u32 = 54_327;

/// Root, in the outside's network namespace.
struct Outside {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Outside {
    /// What a line of shell prints there.
    fn sh(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}\necho ::end").unwrap();
        let mut said = String::new();
        while !said.ends_with("::end\n") {
            assert!(self.output.read_line(&mut said).unwrap() > 0, "{said}");
        }
        said.trim_end_matches("::end\n").to_owned()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"exit\n");
        let _ = self.shell.wait();
    }
}

struct House {
    temp: Temp,
    outside: Outside,
    namespace: OwnedFd,
    servers: Vec<Child>,
    /// The server of names ends with it.
    _names: OwnedFd,
}

impl House {
    /// This process is the user's monitor from now on; `missing` are programs that aren't installed.
    fn new(missing: &[&str]) -> Self {
        need_root();
        for (program, package) in [
            ("ip", "iproute2"),
            ("socat", "socat"),
            ("pasta", "passt"),
            ("slirp4netns", "slirp4netns"),
            ("dig", "bind9-dnsutils"),
        ] {
            if !privileged::program(program, package) {
                testkit::single::skip(format!("{program} isn't here"));
            }
        }
        if !fs::exists("/dev/net/tun").unwrap() {
            testkit::single::skip("this kernel has no TUN");
        }
        process::unshare(Namespaces::MOUNT | Namespaces::NET).unwrap();
        mount::mount_propagation("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let temp = Temp::new("user");
        let here = temp.path().display();
        let hidden: String =
            missing.iter().map(|name| format!("mount --bind /dev/null /usr/bin/{name}\n")).collect();
        let script = format!(
            "{hidden}mount -t tmpfs none /run; mkdir /run/netns /run/dev
            mknod -m 666 /run/dev/tun c 10 200; mount --bind /run/dev/tun /dev/net/tun
            echo nameserver 192.0.2.53 > {here}/resolv.conf; mount --bind {here}/resolv.conf /etc/resolv.conf
            ip link set lo up; ip netns add out; ip link add up0 type veth peer name up1 netns out
            ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad; ip link set up0 up
            ip -n out addr add 192.0.2.53/24 dev up1; ip -n out addr add 2001:db8::53/64 dev up1 nodad
            ip -n out link set up1 up; ip -n out link set lo up
            ip route add default via 192.0.2.53; ip -6 route add default via 2001:db8::53
            mkdir {here}/container; chown {USER}:{USER} {here} {here}/container"
        );
        let made = Command::new("sh").args(["-ec", &script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut shell = Command::new("ip");
        shell
            .args(["netns", "exec", "out", "unshare", "--pid", "--fork", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let mut outside = Outside { shell, input, output };
        let names = answer_names();
        outside.sh(&listen("TCP4-LISTEN:7000,fork,reuseaddr", "echo from $SOCAT_PEERADDR"));
        outside.sh(&listen("TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=1", "echo from $SOCAT_PEERADDR"));
        become_user();
        Self { temp, outside, namespace: new_namespace().unwrap(), servers: Vec::new(), _names: names }
    }

    fn connect(&self, wish: &Wish) -> forgeone_runtime::Result<Connected> {
        user::connect(&self.temp.path().join("container"), self.namespace.as_fd(), wish)
    }

    fn disconnect(&self) {
        user::disconnect(&self.temp.path().join("container")).unwrap();
    }

    /// In the container's namespace.
    fn inside(&self, line: &str) -> Command {
        let path = format!("--net=/proc/{}/fd/{}", process::getpid(), self.namespace.as_fd().as_raw_fd());
        let mut command = Command::new("nsenter");
        command.args([&path, "--", "sh", "-c", line]);
        command
    }

    fn sh(&self, line: &str) -> String {
        let output = self.inside(line).stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// A server in the container that answers everybody with their address.
    fn serve(&mut self, address: &str) {
        let mut command = self.inside(&format!(
            "exec {}",
            listen(address, "read x; echo $SOCAT_PEERADDR").trim_end_matches(" &")
        ));
        self.servers.push(command.stdin(Stdio::null()).spawn().unwrap());
    }

    /// Processes of a program that speaks for this test's container.
    fn helpers(&self) -> usize {
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let is = |pid: &i32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let ours = fs::read_link(format!("/proc/{pid}/ns/user")).ok()
                == fs::read_link("/proc/self/ns/user").ok();
            let program =
                words.split('\0').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            ours && (program.starts_with("pasta") || program == "slirp4netns")
        };
        pids.filter(is).count()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = user::disconnect(&self.temp.path().join("container"));
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn listen(address: &str, answer: &str) -> String {
    format!("socat {address} SYSTEM:'{answer}' &")
}

/// A server of names in the outside, until the test ends.
fn answer_names() -> OwnedFd {
    let outside = fs::File::open("/run/netns/out").unwrap();
    let (ends, held) = sys::pipe().unwrap();
    if let Forked::Parent(_) = process::clone(&CloneArgs::default()).unwrap() {
        return held;
    }
    drop(held);
    process::setns(&outside, Namespaces::NET).unwrap();
    let address = IpAddr::from([192, 0, 2, 53]);
    let socket = UdpSocket::bind((address, 53)).unwrap();
    let mut bytes = [0; 4096];
    loop {
        let mut fds = [PollFd::readable(&socket), PollFd::readable(&ends)];
        poll(&mut fds, None).unwrap();
        if fds[1].is_ready() {
            process::exit(0);
        }
        let (length, peer) = socket.recv_from(&mut bytes).unwrap();
        if let Some(reply) = answer(&bytes[..length], address, false) {
            socket.send_to(&reply, peer).unwrap();
        }
    }
}

/// An ordinary user, root of a user namespace without anybody else.
fn become_user() {
    credentials::setgroups(&[]).unwrap();
    credentials::setresgid(USER).unwrap();
    credentials::setresuid(USER).unwrap();
    process::set_dumpable(true).unwrap();
    process::unshare(Namespaces::USER | Namespaces::MOUNT).unwrap();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", format!("0 {USER} 1")).unwrap();
    fs::write("/proc/self/gid_map", format!("0 {USER} 1")).unwrap();
}

fn wish(program: Program, ports: &[(Protocol, Option<&str>, u16, u16)]) -> Wish {
    let ports = ports.iter().map(|(protocol, host, host_port, container_port)| Port {
        protocol: *protocol,
        host: host.map(|host| host.parse().unwrap()),
        host_port: *host_port,
        container_port: *container_port,
    });
    Wish { program: Some(program), interface: "eth0".into(), ports: ports.collect(), ..Wish::default() }
}

/// What holds with either of them.
fn lives_in_the_world(house: &House, connected: &Connected) {
    assert_eq!(house.sh("socat -u TCP:192.0.2.53:7000 -"), "from 192.0.2.1\n");
    let addresses: Vec<IpAddr> = connected.addresses.iter().map(|net| net.addr()).collect();
    assert_eq!(addresses[0], IpAddr::from([10, 0, 2, 100]));
    for address in addresses {
        assert!(house.sh("ip addr show eth0").contains(&format!(" {address}/")), "{address}");
    }
    assert!(house.sh("ip link show eth0").contains(&format!("link/ether {} ", connected.mac)));
    assert_eq!(connected.dns, [IpAddr::from([10, 0, 2, 3])]);
    assert_eq!(house.sh("dig +short +time=10 @10.0.2.3 good.example"), "203.0.113.1\n");
}

pub(crate) fn pasta_keeps_the_addresses_of_who_comes() {
    let mut house = House::new(&[]);
    let ports = [
        (Protocol::Tcp, None, 8080, 80),
        (Protocol::Tcp, Some("127.0.0.1"), 8081, 80),
        (Protocol::Tcp, Some("2001:db8::1"), 8082, 80),
        (Protocol::Udp, None, 8053, 53),
    ];
    let wish = Wish {
        mtu: Some(1400),
        mac: Some("02:00:00:00:00:07".parse().unwrap()),
        ..wish(Program::Pasta, &ports)
    };
    let connected = house.connect(&wish).unwrap();
    lives_in_the_world(&house, &connected);
    assert_eq!((connected.mac, connected.ports.len()), (wish.mac.unwrap(), 4));
    assert!(house.sh("ip link show eth0").contains("mtu 1400"));
    assert_eq!(
        house.sh("socat -u TCP6:[2001:db8::53]:7000 -"),
        "from [2001:0db8:0000:0000:0000:0000:0000:0001]\n"
    );
    house.serve("TCP6-LISTEN:80,fork,reuseaddr,ipv6only=0");
    house.serve("UDP-RECVFROM:53,fork");
    eventually("the servers listen", || {
        house.sh("cat /proc/net/tcp6 /proc/net/udp | grep -cE ':(0050|0035) '") == "2\n"
    });
    assert_eq!(
        house.outside.sh("echo x | socat -T 5 - TCP:192.0.2.1:8080"),
        "[0000:0000:0000:0000:0000:ffff:c000:0235]\n"
    );
    let own = "[2001:0db8:0000:0000:0000:0000:0000:0053]\n";
    assert_eq!(house.outside.sh("echo x | socat -T 5 - TCP6:[2001:db8::1]:8080"), own);
    assert_eq!(house.outside.sh("echo x | socat -T 5 - TCP6:[2001:db8::1]:8082"), own);
    assert_eq!(house.outside.sh("echo x | socat -T 5 - UDP:192.0.2.1:8053"), "192.0.2.53\n");
    // One that is open at the loopback interface alone.
    assert_eq!(house.outside.sh("socat -u TCP:192.0.2.1:8081 - 2>&1 | grep -o refused"), "refused\n");
    let loopback = Command::new("socat")
        .args(["-T", "5", "SYSTEM:echo x; cat >&2", "TCP:127.0.0.1:8081"])
        .output()
        .unwrap();
    assert_eq!(loopback.stderr, b"[0000:0000:0000:0000:0000:ffff:7f00:0001]\n");
    house.disconnect();
    assert_eq!((house.helpers(), house.sh("ip -o link show eth0")), (0, String::new()));
}

pub(crate) fn slirp4netns_publishes_ports() {
    let mut house = House::new(&[]);
    let ports = [(Protocol::Tcp, None, 8080, 80), (Protocol::Udp, Some("192.0.2.1"), 8053, 53)];
    let connected = house.connect(&wish(Program::Slirp4netns, &ports)).unwrap();
    lives_in_the_world(&house, &connected);
    house.serve("TCP-LISTEN:80,fork,reuseaddr");
    house.serve("UDP-RECVFROM:53,fork");
    eventually("the servers listen", || {
        house.sh("cat /proc/net/tcp /proc/net/udp | grep -cE ':(0050|0035) '") == "2\n"
    });
    assert_eq!(house.outside.sh("echo x | socat -T 5 - TCP:192.0.2.1:8080"), "192.0.2.53\n");
    assert_eq!(house.outside.sh("echo x | socat -T 5 - UDP:192.0.2.1:8053"), "192.0.2.53\n");
    assert!(!house.temp.path().join("container/slirp.sock").exists());
    house.disconnect();
    assert_eq!((house.helpers(), house.sh("ip -o link show eth0")), (0, String::new()));
}

pub(crate) fn the_hosts_loopback_is_reached_only_if_asked_for() {
    let house = House::new(&[]);
    let server = std::net::TcpListener::bind("127.0.0.1:7001").unwrap();
    server.set_nonblocking(true).unwrap();
    for program in [Program::Pasta, Program::Slirp4netns] {
        for host_loopback in [false, true] {
            house.connect(&Wish { host_loopback, ..wish(program, &[]) }).unwrap();
            // Also by the addresses that one would try.
            house.sh(
                "for a in 10.0.2.2 127.0.0.1; do socat -T 5 /dev/null TCP:$a:7001,connect-timeout=5; done",
            );
            let mut came = 0;
            while server.accept().is_ok() {
                came += 1;
            }
            assert_eq!(came, i32::from(host_loopback), "{program:?}");
        }
    }
    // Each has ended the one before.
    assert!(house.helpers() <= 1);
}

pub(crate) fn what_can_not_be_had_is_one_line_and_leaves_nothing() {
    let house = House::new(&[]);
    let taken = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    let one = [(Protocol::Tcp, None, 8080, 80)];
    for (program, ports, said) in [
        (Program::Pasta, &one[..], "pasta: port 8080/tcp: is in use"),
        (Program::Slirp4netns, &one, "slirp4netns: port 8080/tcp: is in use"),
        (
            Program::Pasta,
            &[(Protocol::Udp, Some("192.0.2.1"), 53, 53)],
            "port 53/udp of 192.0.2.1: is root's; see",
        ),
        (Program::Pasta, &[(Protocol::Udp, Some("192.0.2.9"), 5353, 53)], "the host has no such address"),
        (
            Program::Slirp4netns,
            &[(Protocol::Tcp, Some("::1"), 8081, 80)],
            "publishes no IPv6; install the package passt",
        ),
        (
            Program::Pasta,
            &[(Protocol::Sctp, None, 8081, 80)],
            "port 8081/sctp: users other than root publish TCP and UDP",
        ),
    ] {
        let e = house.connect(&wish(program, ports)).unwrap_err().to_string();
        assert!(e.contains(said) && e.starts_with(program.word()) && !e.contains('\n'), "{e}");
        eventually("nothing is left", || house.helpers() == 0);
        let left: Vec<_> = fs::read_dir(house.temp.path().join("container")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    drop(taken);
    house.connect(&wish(Program::Pasta, &one)).unwrap();
}

pub(crate) fn whoever_comes_later_ends_it() {
    let house = House::new(&[]);
    let directory = house.temp.path().join("container");
    for program in [Program::Pasta, Program::Slirp4netns] {
        // A monitor that is lost: what it started goes on.
        let connected = house.connect(&wish(program, &[])).unwrap();
        assert_eq!(user::connected(&directory).unwrap(), Some(connected));
        assert_eq!(house.sh("socat -u TCP:192.0.2.53:7000 -"), "from 192.0.2.1\n");
        user::disconnect(&directory).unwrap();
        assert_eq!((house.helpers(), user::connected(&directory).unwrap()), (0, None));
        user::disconnect(&directory).unwrap();
    }
}

pub(crate) fn another_program_serves_or_its_package_is_named() {
    let house = House::new(&["pasta"]);
    let any = Wish { interface: "eth0".into(), ..Wish::default() };
    assert_eq!(house.connect(&any).unwrap().program, Program::Slirp4netns);
    let e = house.connect(&wish(Program::Pasta, &[])).unwrap_err().to_string();
    assert_eq!(e, "user network: pasta isn't installed; install the package passt");
}

pub(crate) fn without_any_the_packages_are_named() {
    let house = House::new(&["pasta", "slirp4netns"]);
    let e = house.connect(&Wish { interface: "eth0".into(), ..Wish::default() }).unwrap_err().to_string();
    let named = "user network: neither pasta nor slirp4netns is installed; install the package passt, or use --network none";
    assert_eq!(e, named);
}
