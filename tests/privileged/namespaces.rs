//! `linux.namespaces` and what belongs to them: host name, kernel parameters, clocks, the loopback interface.

use crate::running::{Running, namespace_of, read, refusal, run, says, seen};
use serde_json::{Value, json};
use testkit::{Bundle, privileged, probe};

/// Namespaces by their names in the config and in `/proc/PID/ns`.
const KINDS: [(&str, &str); 8] = [
    ("user", "user"),
    ("mount", "mnt"),
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn without(bundle: Bundle, kind: &str) -> Bundle {
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != kind);
        if kind == "uts" {
            drop(config.as_object_mut().unwrap().remove("hostname"));
        }
    })
}

/// A new user namespace; its ids are the host's from 100000 on.
fn mapped(bundle: Bundle) -> Bundle {
    let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    bundle.owned_by(100_000, 100_000).namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
    })
}

/// Joins a namespace of this process.
fn joining(bundle: Bundle, kind: &str, name: &str, pid: i32) -> Bundle {
    bundle.namespace(json!({ "type": kind, "path": format!("/proc/{pid}/ns/{name}") }))
}

fn everything_new() -> Bundle {
    let bundle = mapped(Bundle::busybox().with_probe());
    bundle.namespace(json!({ "type": "cgroup" })).namespace(json!({ "type": "time" }))
}

#[test]
fn all_eight_namespaces_are_new_when_asked_for() {
    if !privileged::root() {
        return;
    }
    let host = probe::host();
    let running = Running::of(everything_new());
    for seen in [seen(&everything_new()), running.probe()] {
        let seen = probe::relative_to(&host, seen);
        for (_, name) in KINDS {
            assert_eq!(seen["namespaces"][name], "new", "{name}");
        }
        assert_eq!(seen["uid_map"], json!(["0 100000 65536"]));
        assert_eq!(seen["gid_map"], json!(["0 100000 65536"]));
        assert_eq!(seen["credentials"]["Uid"], "0\t0\t0\t0");
    }
}

#[test]
fn a_namespace_that_is_not_listed_is_the_hosts() {
    if !privileged::machine_root() {
        return;
    }
    let host = probe::host();
    for (kind, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
        let seen = probe::relative_to(&host, seen(&without(Bundle::probe(), kind)));
        assert_eq!(seen["namespaces"][name], "same", "{kind}");
    }
    let error = refusal(&without(Bundle::probe(), "mount"));
    assert!(error.contains("linux.namespaces: a mount namespace is needed"), "{error}");
}

#[test]
fn each_namespace_is_joined_by_path() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe();
    let bundle = bundle.namespace(json!({ "type": "cgroup" })).namespace(json!({ "type": "time" }));
    let first = Running::of(bundle);
    for (kind, name) in [
        ("pid", "pid"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ] {
        let theirs = namespace_of(first.pid(), name);
        let second = Running::of(joining(Bundle::busybox().with_probe(), kind, name, first.pid()));
        assert_eq!(namespace_of(second.pid(), name), theirs, "{kind}");
        assert_eq!(second.probe()["namespaces"][name], theirs, "{kind} by exec");
        let others = ["pid", "net", "ipc", "uts"].iter().filter(|other| **other != name);
        for other in others {
            assert_ne!(
                namespace_of(second.pid(), other),
                namespace_of(first.pid(), other),
                "{kind}: {other}"
            );
        }
    }
}

#[test]
fn all_of_them_are_joined_at_once() {
    if !privileged::root() {
        return;
    }
    let first = Running::of(everything_new());
    let mut bundle = Bundle::busybox().with_probe().owned_by(100_000, 100_000);
    for (kind, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
        bundle = joining(bundle, kind, name, first.pid());
    }
    // Its own name would be written into the other's namespace.
    let bundle = bundle.edit(|config| drop(config.as_object_mut().unwrap().remove("hostname")));
    let second = Running::of(bundle);
    for (_, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
        assert_eq!(namespace_of(second.pid(), name), namespace_of(first.pid(), name), "{name}");
    }
    assert_eq!(second.probe()["credentials"]["Uid"], "0\t0\t0\t0");
    // Both are in one PID namespace.
    assert_eq!(second.says("ls -d /proc/1/root > /dev/null; ps -o comm | grep -c sleep"), "2");
}

#[test]
fn processes_of_a_joined_pid_namespace_are_seen() {
    if !privileged::root() {
        return;
    }
    let first = Running::of(Bundle::busybox());
    let second = joining(Bundle::busybox(), "pid", "pid", first.pid());
    let output = run(&second.shell("cat /proc/1/cmdline | tr '\\0' ' '; test $$ != 1 && echo another"));
    assert_eq!((output.code, output.stdout.as_str()), (0, "sleep 1000 another\n"), "{}", output.stderr);
    assert_eq!(first.door.status(&first.id), "running", "the other goes on");
}

#[test]
fn a_joined_mount_namespace_gets_the_containers_root() {
    if !privileged::root() || !privileged::program("unshare", "util-linux") {
        return;
    }
    let mut holder = Holder::of(&["unshare", "--mount", "--propagation", "private"]);
    let bundle = joining(Bundle::busybox().with_probe(), "mount", "mnt", holder.pid());
    let seen = seen(&bundle);
    assert_eq!(seen["namespaces"]["mnt"], namespace_of(holder.pid(), "mnt"));
    assert!(seen["root"].as_array().unwrap().contains(&json!("probe")), "{}", seen["root"]);
    holder.end();
}

/// A process in namespaces of its own.
struct Holder(std::process::Child);

impl Holder {
    /// `unshare` with options, which becomes a shell that waits.
    fn of(words: &[&str]) -> Self {
        use std::io::Read;
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]).args(["sh", "-c", "echo; exec cat"]);
        let pipe = std::process::Stdio::piped;
        let mut child = command.stdin(pipe()).stdout(pipe()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn what_is_joined_has_to_be_a_namespace_of_that_kind() {
    if !privileged::root() {
        return;
    }
    let path = |kind: &str, path: &str| Bundle::busybox().namespace(json!({ "type": kind, "path": path }));
    for (bundle, expected) in [
        (path("network", "/proc/self/ns/nothing"), "/proc/self/ns/nothing"),
        (path("network", "/etc/passwd"), "/etc/passwd: is not a namespace"),
        (path("ipc", "/proc/self/ns/uts"), "linux.namespaces: join /proc/self/ns/uts"),
        (path("network", "relative"), "linux.namespaces[4]: path: \"relative\" must be absolute"),
    ] {
        let error = refusal(&bundle);
        assert!(error.contains("linux.namespaces") && error.contains(expected), "{error}");
    }
}

#[test]
fn the_host_name_and_the_domain_name_are_the_containers() {
    if !privileged::root() {
        return;
    }
    let (host, domain) = (read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/domainname"));
    let bundle = Bundle::busybox().edit(|config| {
        config["hostname"] = json!("inside.example");
        config["domainname"] = json!("nis.example");
    });
    assert_eq!(says(bundle, "hostname; cat /proc/sys/kernel/domainname"), "inside.example\nnis.example");
    assert_eq!((read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/domainname")), (host, domain));
    for field in ["hostname", "domainname"] {
        let bundle = without(Bundle::busybox(), "uts").edit(|config| config[field] = json!("x"));
        let error = refusal(&bundle);
        assert!(error.contains(&format!("{field}: needs a uts namespace")), "{error}");
    }
}

fn sysctl(bundle: Bundle, parameters: Value) -> Bundle {
    bundle.edit(|config| config["linux"]["sysctl"] = parameters)
}

#[test]
fn kernel_parameters_of_namespaces_take_effect_inside_only() {
    if !privileged::root() {
        return;
    }
    let files = [
        "net/ipv4/ip_unprivileged_port_start",
        "kernel/shm_rmid_forced",
        "fs/mqueue/msg_max",
        "net/ipv4/conf/lo/forwarding",
    ];
    let host = files.map(|file| read(format!("/proc/sys/{file}")));
    let parameters = json!({
        "net.ipv4.ip_unprivileged_port_start": "77",
        "kernel.shm_rmid_forced": "1",
        "fs.mqueue.msg_max": "33",
        "net/ipv4/conf/lo/forwarding": "1",
    });
    let line = files.map(|file| format!("cat /proc/sys/{file}")).join("; ");
    assert_eq!(says(sysctl(Bundle::busybox(), parameters), &line), "77\n1\n33\n1");
    assert_eq!(files.map(|file| read(format!("/proc/sys/{file}"))), host);
}

#[test]
fn kernel_parameters_of_the_whole_machine_are_refused() {
    if !privileged::root() {
        return;
    }
    let host = || Bundle::busybox();
    for (bundle, key) in [
        (host(), "vm.swappiness"),
        (host(), "kernel.panic"),
        (host(), "kernel/../vm/swappiness"),
        (without(host(), "network"), "net.ipv4.ip_forward"),
        (without(host(), "ipc"), "kernel.shmmax"),
    ] {
        let error = refusal(&sysctl(bundle, json!({ key: "1" })));
        assert!(error.contains(&format!("linux.sysctl[\"{key}\"]: ")), "{error}");
    }
    let own = host().namespace(json!({ "type": "network", "path": "/proc/self/ns/net" }));
    let error = refusal(&sysctl(own, json!({ "net.ipv4.ip_forward": "1" })));
    assert!(error.contains("linux.sysctl: the network namespace /proc/self/ns/net is the host's"), "{error}");
    let error = refusal(&sysctl(host(), json!({ "net.ipv4.no_such_parameter": "1" })));
    assert!(error.contains("net.ipv4.no_such_parameter"), "{error}");
}

#[test]
fn a_kernel_parameter_may_be_set_in_a_joined_namespace() {
    if !privileged::root() {
        return;
    }
    let first = Running::of(Bundle::busybox());
    let second = joining(Bundle::busybox(), "network", "net", first.pid());
    let second = sysctl(second, json!({ "net.ipv4.ip_unprivileged_port_start": "78" }));
    let line = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(says(second, line), "78");
    assert_eq!(first.says(line), "78");
}

#[test]
fn clocks_have_their_offsets() {
    if !privileged::machine_root() || !privileged::file("/proc/self/ns/time") {
        return;
    }
    let bundle = Bundle::busybox().with_probe().namespace(json!({ "type": "time" })).edit(|config| {
        config["linux"]["timeOffsets"] =
            json!({ "boottime": { "secs": 1_000_000_000, "nanosecs": 5 }, "monotonic": { "secs": 7200 } });
    });
    let uptime = |text: &str| text.split(['.', ' ']).next().unwrap().parse::<u64>().unwrap();
    let host = uptime(&read("/proc/uptime"));
    let running = Running::of(bundle);
    let inside = uptime(&running.says("cat /proc/uptime"));
    assert!((host + 1_000_000_000..=host + 1_000_000_060).contains(&inside), "{host} {inside}");
    assert_eq!(running.probe()["timens_offsets"], json!(["monotonic 7200 0", "boottime 1000000000 5"]));
    // The program itself, not only what is executed later.
    assert_eq!(namespace_of(running.pid(), "time"), namespace_of(running.pid(), "time_for_children"));
}

#[test]
fn the_loopback_interface_of_a_new_network_namespace_is_up() {
    if !privileged::root() {
        return;
    }
    let line = "ip -o addr show lo | grep -o 'inet 127.0.0.1/8'; ip link show lo | grep -o 'LOOPBACK,UP'; ls /sys/class/net";
    assert_eq!(says(Bundle::busybox(), line), "inet 127.0.0.1/8\nLOOPBACK,UP\nlo");
    assert_eq!(
        says(mapped(Bundle::busybox()), line),
        "inet 127.0.0.1/8\nLOOPBACK,UP\nlo",
        "in a user namespace"
    );
}
