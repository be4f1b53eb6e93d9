//! Containers reach each other, the host and the world, and only where they may.

use crate::wire::Wire;
use serde_json::Value;

/// What of networks there is in the test's own network.
fn left(wire: &Wire) -> Vec<String> {
    let links = wire.ip(None, "-o link show");
    let links = links
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|name| !name.starts_with("up0") && !name.starts_with("lo"));
    let tables = wire.within(None, &["nft", "list", "tables"]).stdout;
    links.chain(tables.lines()).map(str::to_owned).collect()
}

#[test]
fn the_seeds_options_make_networks() {
    let Some(wire) = Wire::new() else { return };
    wire.sleeper(
        "web",
        &[
            "--net",
            "10.77.0.0/24",
            "--net6",
            "fd77::/64",
            "--bridge",
            "br77",
            "--ip",
            "10.77.0.9",
            "--mac",
            "02:00:00:00:00:77",
        ],
    );
    let address = wire.ip(Some(&wire.inside("web")), "-o address show dev eth0");
    assert!(address.contains("10.77.0.9/24") && address.contains("fd77::"), "{address}");
    assert!(wire.ip(Some(&wire.inside("web")), "link show eth0").contains("02:00:00:00:00:77"));
    assert!(wire.ip(None, "-o link show type bridge").contains("br77"));
    // The same again is the same network.
    wire.sleeper("second", &["--net", "10.77.0.0/24"]);
    assert!(wire.ip(None, "-o link show master br77").lines().count() == 2);
    let rootfs = wire.rootfs();
    let run = |options: &[&str], code| {
        let words = [&["run", "--rm", "--rootfs", rootfs.to_str().unwrap()], options, &["true"]].concat();
        wire.fails(&words, code)
    };
    let error = run(&["--net", "10.77.0.0/16"], 125);
    assert!(error.contains("10.77.0.0/16") && error.contains("overlap"), "{error}");
    let error = run(&["--net", "10.77.0.0/24", "--ip", "10.78.0.1"], 125);
    assert!(error.contains("10.78.0.1"), "{error}");
    let error = run(&["--net", "10.77.0.0/24", "--ip", "10.77.0.9"], 125);
    assert!(error.contains("10.77.0.9") && error.contains("web"), "{error}");
}

#[test]
fn fifty_at_once_have_addresses_of_their_own_and_leave_nothing() {
    let Some(wire) = Wire::new() else { return };
    let before = left(&wire);
    let rootfs = wire.rootfs();
    let mut starting: Vec<_> = (0..50)
        .map(|at| {
            let name = format!("c{at}");
            let words = [
                "run",
                "-d",
                "--rootfs",
                rootfs.to_str().unwrap(),
                "--name",
                &name,
                "--stop-signal",
                "KILL",
                "sleep",
                "1000",
            ];
            wire.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for starting in &mut starting {
        assert!(starting.wait().unwrap().success());
    }
    let network: Value = serde_json::from_str(&wire.ok(&["network", "inspect", "forgeone"])).unwrap();
    let all = network[0]["Containers"].as_object().unwrap();
    let mut addresses: Vec<_> = all.values().map(|one| one["IPAddress"].to_string()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((all.len(), addresses.len()), (50, 50));
    wire.serve(Some(&wire.inside("c0")), "TCP4-LISTEN:80");
    let whom = format!("TCP4:{}:80", wire.place("c0", "forgeone", "IPAddress"));
    assert!(wire.ask(Some(&wire.inside("c49")), &whom).is_some());
    wire.ok(&["rm", "--all", "--force"]);
    testkit::eventually("nothing is left", || left(&wire) == before);
}

#[test]
fn what_was_killed_is_taken_away_by_the_next() {
    let Some(wire) = Wire::new() else { return };
    let before = left(&wire);
    for name in ["a", "b"] {
        wire.sleeper(name, &["-p", "80"]);
    }
    let processes = wire.within(
        None,
        &[
            "sh",
            "-c",
            &format!("ls -l /proc/*/ns/net 2>/dev/null | wc -l; pgrep -f {}", wire.path("data").display()),
        ],
    );
    for pid in processes.stdout.lines().skip(1) {
        // Its own shell is among them.
        let _ = wire.within(None, &["kill", "-KILL", pid]);
    }
    for name in ["a", "b"] {
        let pid = wire.inspect(name)["State"]["Pid"].to_string();
        let _ = wire.within(None, &["kill", "-KILL", &pid]);
    }
    testkit::eventually("the interfaces went with their namespaces", || {
        !wire.ip(None, "-o link show type veth").contains("master")
    });
    wire.ok(&["network", "reload"]);
    assert_eq!(left(&wire), before, "nothing is orphaned");
    let network: Value = serde_json::from_str(&wire.ok(&["network", "inspect", "forgeone"])).unwrap();
    assert_eq!(network[0]["Containers"].as_object().unwrap().len(), 0);
    // They start as if nothing had been.
    wire.ok(&["start", "a", "b"]);
    assert_ne!(wire.place("a", "forgeone", "IPAddress"), wire.place("b", "forgeone", "IPAddress"));
}

#[test]
fn networks_are_made_shown_and_removed() {
    let Some(wire) = Wire::new() else { return };
    assert_eq!(
        wire.ok(&[
            "network",
            "create",
            "--subnet",
            "10.9.0.0/24",
            "--gateway",
            "10.9.0.254",
            "--mtu",
            "1400",
            "-l",
            "a=b",
            "lan"
        ]),
        "lan\n"
    );
    let all: Value = serde_json::from_str(&wire.ok(&["network", "inspect", "lan"])).unwrap();
    assert_eq!(
        (&all[0]["Subnets"][0]["Gateway"], &all[0]["MTU"], &all[0]["Labels"]["a"]),
        (&"10.9.0.254".into(), &1400.into(), &"b".into())
    );
    assert_eq!(wire.ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]), "lan bridge\n");
    wire.sleeper("web", &["--network", "lan", "--rm"]);
    let inside = wire.inside("web");
    assert!(wire.ip(Some(&inside), "link show eth0").contains("mtu 1400"));
    assert!(wire.ip(Some(&inside), "route").contains("default via 10.9.0.254"));
    let hosts = wire.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(
        hosts.contains("10.9.0.254\thost.containers.internal") && hosts.contains("\tweb")
            || hosts.contains(" web\n"),
        "{hosts}"
    );
    let stats: Value =
        serde_json::from_str(&wire.ok(&["stats", "--no-stream", "--format", "json", "web"])).unwrap();
    assert!(stats.to_string().contains("\"eth0\""), "{stats}");
    let table: &[(&[&str], &str)] = &[
        (&["network", "create", "lan"], "lan"),
        (&["network", "create", "--subnet", "10.9.0.128/25", "x"], "10.9.0.128/25"),
        (&["network", "create", "--subnet", "192.0.2.0/25", "x"], "192.0.2.0/25"),
        (&["network", "create", "--subnet", "nonsense", "x"], "nonsense"),
        (&["network", "create", "--subnet", "10.10.0.0/24", "--gateway", "10.11.0.1", "x"], "10.11.0.1"),
        (&["network", "create", "host"], "host"),
        (&["network", "create", "-d", "overlay", "x"], "overlay"),
        (&["network", "rm", "lna"], "lna"),
        (&["network", "rm", "lan"], "web"),
        (&["network", "connect", "lan", "web"], "already"),
        (&["network", "disconnect", "forgeone", "web"], "isn't in network"),
    ];
    for (words, part) in table {
        let error = wire.fails(words, 1);
        assert!(error.contains(part), "{words:?}: {error}");
    }
    assert_eq!(wire.ok(&["network", "ls", "-q"]), "lan\n", "nothing half-made stays");
    let rootfs = wire.rootfs();
    let missing =
        wire.fails(&["run", "--rootfs", rootfs.to_str().unwrap(), "--network", "nowhere", "true"], 125);
    assert!(missing.contains("nowhere"), "{missing}");
    wire.ok(&["rm", "-f", "web"]);
    assert_eq!(wire.ok(&["network", "prune"]), "lan\n");
}
