//! `linux.netDevices`: interfaces of the host that move into a container. The host's network is one of the test's own.

use crate::inside::{dir, refused, run, writable};
use forgeone_sys::process::{self, Namespaces};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, privileged};

/// From here on this thread, and what it starts, is in a network namespace of its own, with these devices, up.
fn own_network(devices: &[&str]) -> bool {
    if !privileged::root() || !privileged::program("ip", "iproute2") {
        return false;
    }
    process::unshare(Namespaces::NET).unwrap();
    for device in devices {
        ip(&format!("link add {device} type veth peer name {device}p"));
        ip(&format!("link set {device}p up"));
        ip(&format!("link set {device} up"));
    }
    true
}

#[track_caller]
fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names of the host's interfaces but for the loopback, sorted.
fn links() -> Vec<String> {
    let text = ip("-o link");
    let names = text.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
    let mut names: Vec<_> = names.filter(|name| *name != "lo").map(str::to_owned).collect();
    names.sort();
    names
}

/// A bundle that gets these devices.
fn with(bundle: Bundle, devices: Value) -> Bundle {
    bundle.edit(|config| config["linux"]["netDevices"] = devices)
}

/// A network namespace that a process holds.
struct Network(std::process::Child);

impl Network {
    fn new() -> Self {
        let mut unshare = Command::new("unshare");
        let command = unshare.args(["--net", "sh", "-c", "echo there; exec sleep 1000"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
        Self(child)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn joined_by(&self, bundle: Bundle) -> Bundle {
        bundle.namespace(json!({ "type": "network", "path": self.path() }))
    }

    /// What `ip` says in it.
    fn ip(&self, words: &str) -> String {
        let pid = self.0.id().to_string();
        let mut command = Command::new("nsenter");
        let output = command.args(["-t", &pid, "-n", "ip"]).args(words.split_whitespace()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Addresses, with their prefix, that `ip -o addr` tells.
fn addresses(text: &str) -> Vec<&str> {
    let address = |line: &'_ str| -> Option<usize> { line.find(" inet") };
    let lines = text.lines().filter(|line| address(line).is_some());
    lines.filter_map(|line| line.split_whitespace().nth(3)).collect()
}

#[test]
fn a_device_moves_with_what_it_is_and_its_lasting_addresses() {
    if !own_network(&["mv0"]) {
        return;
    }
    ip("link set mv0 mtu 1400 address 02:11:22:33:44:55");
    ip("addr add 10.9.0.1/24 brd 10.9.0.255 dev mv0");
    ip("addr add 10.9.0.2/24 dev mv0");
    ip("addr add 10.9.1.1 peer 10.9.1.2/32 dev mv0");
    ip("addr add 10.9.2.1/24 scope link dev mv0");
    ip("addr add 10.9.3.1/24 dev mv0 valid_lft 1000 preferred_lft 1000");
    ip("addr add fd00:9::1/64 nodad dev mv0");
    let bundle = with(Bundle::busybox(), json!({ "mv0": {} })).args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("moves");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    assert_eq!(links(), ["mv0p"], "it is the host's no more");
    door.ok(["start", &id]);
    let seen = door.ok(["exec", &id, "ip", "addr", "show", "mv0"]).stdout;
    let has = |part: &str| seen.contains(part);
    assert!(has(",UP") && has("mtu 1400") && has("02:11:22:33:44:55"), "{seen}");
    for address in ["10.9.0.1/24 brd 10.9.0.255", "10.9.0.2/24", "10.9.1.1 peer 10.9.1.2/32", "fd00:9::1/64"]
    {
        assert!(has(address), "{address}: {seen}");
    }
    assert!(!has("10.9.2.1") && !has("10.9.3.1"), "of the link alone, or for a time: {seen}");
    door.ok(["delete", "--force", &id]);
    testkit::eventually("the pair dies with the namespace", || links().is_empty());
}

#[test]
fn names_inside_are_those_that_were_asked_for() {
    if !own_network(&["mv0", "mv1", "mv2", "mv3"]) {
        return;
    }
    ip("addr add 10.9.0.1/24 dev mv2");
    let devices = json!({
        "mv0": { "name": "eth0" }, "mv1": { "name": "net%d" }, "mv2": { "name": "net%d" }, "mv3": { "name": "mv0" },
    });
    let bundle = with(Bundle::busybox(), devices)
        // The kernel says a little later that a device which was set up is up.
        .shell(
            "n=0; while grep -q down /sys/class/net/*/operstate && [ $n -lt 1000 ]; do sleep 0.01; n=$((n + 1)); done
            cat /sys/class/net/*/operstate; ls /sys/class/net; ip addr show net1",
        );
    let output = run(&bundle);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(
        words[..10],
        ["up", "unknown", "up", "up", "up", "eth0", "lo", "mv0", "net0", "net1"],
        "{words:?}"
    );
    assert!(output.stdout.contains("10.9.0.1/24"), "{}", output.stdout);
}

#[test]
fn a_joined_namespace_keeps_what_it_was_given() {
    if !own_network(&["mv0", "mv1"]) {
        return;
    }
    let network = Network::new();
    // Numbers and the first names are taken there.
    for n in 0..5 {
        network.ip(&format!("link add net{n} type veth peer name p{n}"));
    }
    ip("addr add 10.9.0.1/24 dev mv0");
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    let bundle = Bundle::busybox().owned_by(100_000, 100_000).namespace(json!({ "type": "user" }));
    let bundle = bundle.edit(|config| {
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "sysfs");
    });
    let bundle =
        with(network.joined_by(bundle), json!({ "mv0": { "name": "eth0" }, "mv1": { "name": "net%d" } }));
    let output = run(&bundle.shell("ip -o addr show eth0; ip link show net5"));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(output.stdout.contains("10.9.0.1/24") && output.stdout.contains("net5"), "{}", output.stdout);
    let there = network.ip("-o addr show eth0");
    assert_eq!(addresses(&there)[0], "10.9.0.1/24", "the container is gone, the device stays: {there}");
    assert_eq!(links(), ["mv0p", "mv1p"]);
}

#[test]
fn a_tap_device_moves() {
    if !own_network(&[]) || !privileged::file("/dev/net/tun") {
        return;
    }
    ip("tuntap add tap9 mode tap");
    let bundle = with(Bundle::busybox(), json!({ "tap9": { "name": "tap0" } }));
    let output = run(&bundle.shell("ip link show tap0 | grep -o '[<,]UP[,>]'"));
    assert_eq!((output.code, output.stdout.as_str()), (0, ",UP>\n"), "{}", output.stderr);
}

#[test]
fn a_container_that_fails_gives_its_devices_back() {
    if !own_network(&["mv0", "mv1"]) {
        return;
    }
    ip("addr add 10.9.0.1/24 dev mv0");
    ip("addr add 10.9.3.1/24 dev mv0 scope link");
    ip("addr add fd00:9::1/64 nodad dev mv0");
    ip("link set mv1 down");
    let devices = json!({ "mv0": { "name": "eth0" }, "mv1": { "name": "net%d" } });
    let network = Network::new();
    for (bundle, part) in [
        (writable().args(["/no/such/program"]), "/no/such/program"),
        (network.joined_by(writable()).args(["/no/such/program"]), "/no/such/program"),
        (
            writable().edit(|config| {
                config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/false" }] });
            }),
            "createRuntime",
        ),
        (writable().mount(crate::inside::mount("/data", "bind", "/nowhere", "bind")), "mounts[7]"),
    ] {
        let output = run(&with(bundle, devices.clone()));
        assert!(output.code != 0 && output.stderr.contains(part), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert_eq!(links(), ["mv0", "mv0p", "mv1", "mv1p"], "{part}");
        let there = ip("-o addr show mv0");
        let mut found: Vec<_> =
            addresses(&there).into_iter().filter(|address| !address.starts_with("fe80")).collect();
        found.sort_unstable();
        assert_eq!(found, ["10.9.0.1/24", "10.9.3.1/24", "fd00:9::1/64"], "{part}: {there}");
        assert!(ip("link show mv0").contains(",UP") && !ip("link show mv1").contains(",UP"), "{part}");
    }
}

#[test]
fn what_can_not_move_is_refused_and_stays() {
    if !own_network(&["mv0", "mv1"]) {
        return;
    }
    ip("addr add 10.9.0.1/24 dev mv0");
    let network = Network::new();
    network.ip("link add eth0 type veth peer name p0");
    let host = |bundle: Bundle| {
        bundle.edit(|config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().retain(|ns| ns["type"] != "network");
        })
    };
    let own = json!({ "type": "network", "path": "/proc/self/ns/net" });
    for (bundle, devices, parts) in [
        (writable(), json!({ "mv9": {} }), ["linux.netDevices[\"mv9\"]", "no such network device"]),
        // The first is in already.
        (
            writable(),
            json!({ "mv0": {}, "mv9": {} }),
            ["linux.netDevices[\"mv9\"]", "no such network device"],
        ),
        (writable(), json!({ "mv0": { "name": "lo" } }), ["linux.netDevices[\"mv0\"]", "\"lo\": is taken"]),
        (
            network.joined_by(writable()),
            json!({ "mv0": {"name": "eth0"}}),
            ["linux.netDevices[\"mv0\"]", "\"eth0\": is taken"],
        ),
        (writable(), json!({ "lo": { "name": "lo2" } }), ["linux.netDevices[\"lo\"]", "RTM_NEWLINK"]),
        (
            writable(),
            json!({ "mv0": { "name": "a/b" } }),
            ["linux.netDevices[\"mv0\"]", "\"a/b\": is not the name"],
        ),
        (host(writable()), json!({ "mv0": {} }), ["linux.netDevices[\"mv0\"]", "needs a network namespace"]),
        (writable().namespace(own), json!({ "mv0": {} }), ["linux.netDevices", "is the host's"]),
    ] {
        let said = refused(&with(bundle, devices.clone()));
        assert!(parts.iter().all(|part| said.contains(part)), "{devices}: {said}");
        assert_eq!(links(), ["mv0", "mv0p", "mv1", "mv1p"], "{devices}");
        assert!(ip("-o addr show mv0").contains("10.9.0.1/24"), "{devices}");
        assert!(ip("link show mv0").contains(",UP"), "{devices}");
        assert!(ip("link show lo").contains("LOOPBACK"), "{devices}");
    }
}
