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
fn containers_find_each_other_by_name() {
    let Some(wire) = Wire::new() else { return };
    wire.ok(&["network", "create", "lan"]);
    wire.sleeper("store", &["--network", "lan", "--network-alias", "db"]);
    wire.sleeper("web", &["--network", "lan"]);
    let address = wire.place("store", "lan", "IPAddress");
    for name in ["store", "db", "STORE"] {
        let found = wire.ok(&["exec", "web", "nslookup", name]);
        assert!(found.contains(&address), "{name}: {found}");
    }
    let found = wire.ok(&["exec", "web", "nslookup", &address]);
    assert!(found.contains("store"), "{found}");
    // By the name in the file that libraries read, too.
    wire.serve(Some(&wire.inside("store")), "TCP6-LISTEN:5432");
    let said = wire.ok(&["exec", "web", "nc", "db", "5432"]);
    assert!(!said.trim().is_empty());
    assert_ne!(wire.run(&["exec", "web", "nslookup", "nobody.invalid"]).code, 0);
    // In another network nobody knows them.
    wire.sleeper("stranger", &[]);
    assert_ne!(wire.run(&["exec", "stranger", "nslookup", "store"]).code, 0);
    wire.ok(&["rm", "-f", "store"]);
    assert_ne!(wire.run(&["exec", "web", "nslookup", "store"]).code, 0, "its name went with it");
}

#[test]
fn published_ports_lead_inside_from_everywhere() {
    let Some(wire) = Wire::new() else { return };
    wire.sleeper(
        "web",
        &["-p", "8080:80", "-p", "192.0.2.1:5300:53/udp", "-p", "127.0.0.1:8081:80", "-p", "90"],
    );
    let inside = wire.inside("web");
    for listen in ["TCP4-LISTEN:80", "TCP6-LISTEN:80,ipv6only", "UDP4:53", "TCP4-LISTEN:90"] {
        wire.serve(Some(&inside), listen);
    }
    let outside = wire.outside();
    let outside = Some(outside.as_str());
    // From outside, with the client's own address.
    assert_eq!(wire.ask(outside, "TCP4:192.0.2.1:8080").as_deref(), Some("192.0.2.2"));
    assert_eq!(
        wire.ask(outside, "TCP6:[2001:db8::1]:8080").as_deref(),
        Some("[2001:0db8:0000:0000:0000:0000:0000:0002]")
    );
    assert_eq!(wire.ask(outside, "UDP4:192.0.2.1:5300").as_deref(), Some("192.0.2.2"));
    // From the host.
    for whom in ["TCP4:127.0.0.1:8080", "TCP4:192.0.2.1:8080", "TCP4:127.0.0.1:8081", "UDP4:192.0.2.1:5300"] {
        assert!(wire.ask(None, whom).is_some(), "{whom}");
    }
    // One that was published on the loopback alone isn't there for others.
    assert!(wire.is_cut_off(outside, "TCP4:192.0.2.1:8081"));
    // From itself and from a neighbour, by the host's address.
    wire.sleeper("neighbour", &[]);
    assert!(wire.ask(Some(&inside), "TCP4:192.0.2.1:8080").is_some(), "hairpin");
    assert!(wire.ask(Some(&wire.inside("neighbour")), "TCP4:192.0.2.1:8080").is_some());
    // A free one was chosen and can be told.
    let told = wire.ok(&["port", "web", "90"]);
    let chosen = told.trim().rsplit_once(':').unwrap().1;
    assert!(wire.ask(outside, &format!("TCP4:192.0.2.1:{chosen}")).is_some(), "{told}");
    assert_eq!(wire.ok(&["port", "web", "53/udp"]), "192.0.2.1:5300\n");
    let ports: Value = serde_json::from_str(&wire.ok(&["ps", "--format", "json"])).unwrap();
    assert!(ports.to_string().contains("0.0.0.0:8080->80/tcp"), "{ports}");
    // Nobody else gets them while it runs.
    let rootfs = wire.rootfs();
    let error = wire.fails(&["run", "--rootfs", rootfs.to_str().unwrap(), "-p", "8080:1", "true"], 125);
    assert!(error.contains("port 8080/tcp") && error.contains("in use"), "{error}");
    wire.ok(&["stop", "-t", "0", "web"]);
    wire.ok(&["run", "--rm", "--rootfs", rootfs.to_str().unwrap(), "-p", "8080:1", "true"]);
}

#[test]
fn the_world_is_reached_and_reaches_nothing_that_was_not_published() {
    let Some(wire) = Wire::new() else { return };
    let outside = wire.outside();
    let outside = Some(outside.as_str());
    for listen in ["TCP4-LISTEN:80", "TCP6-LISTEN:80,ipv6only", "UDP4:53"] {
        wire.serve(outside, listen);
    }
    wire.sleeper("web", &[]);
    let inside = wire.inside("web");
    // It is the host that is seen outside, which knows no way back to a container.
    assert_eq!(wire.ask(Some(&inside), "TCP4:192.0.2.2:80").as_deref(), Some("192.0.2.1"));
    assert!(wire.ask(Some(&inside), "TCP6:[2001:db8::2]:80").is_some());
    assert_eq!(wire.ask(Some(&inside), "UDP4:192.0.2.2:53").as_deref(), Some("192.0.2.1"));
    // Somebody outside who does know the way is kept out of what wasn't published.
    let address = wire.place("web", "forgeone", "IPAddress");
    wire.serve(Some(&inside), "TCP4-LISTEN:80");
    assert!(wire.ask(None, &format!("TCP4:{address}:80")).is_some(), "the host itself");
    wire.ip(outside, &format!("route add {address}/32 via 192.0.2.1"));
    assert!(wire.is_cut_off(outside, &format!("TCP4:{address}:80")));
}

#[test]
fn networks_are_kept_apart() {
    let Some(wire) = Wire::new() else { return };
    wire.serve(Some(&wire.outside()), "TCP4-LISTEN:80");
    wire.ok(&["network", "create", "lan"]);
    wire.ok(&["network", "create", "--internal", "inner"]);
    wire.sleeper("one", &["--network", "lan"]);
    wire.sleeper("two", &[]);
    wire.sleeper("hidden", &["--network", "inner"]);
    wire.sleeper("both", &["--network", "inner", "--network", "lan"]);
    for name in ["one", "two", "hidden"] {
        wire.serve(Some(&wire.inside(name)), "TCP4-LISTEN:80");
    }
    let at = |name: &str, network: &str| format!("TCP4:{}:80", wire.place(name, network, "IPAddress"));
    let (one, two, hidden) = (at("one", "lan"), at("two", "forgeone"), at("hidden", "inner"));
    assert!(wire.is_cut_off(Some(&wire.inside("one")), &two));
    assert!(wire.is_cut_off(Some(&wire.inside("two")), &one));
    assert!(wire.is_cut_off(Some(&wire.inside("two")), &hidden));
    // Who is in both reaches both, and the world by the one that leads there.
    let both = wire.inside("both");
    assert!(wire.ask(Some(&both), &one).is_some());
    assert!(wire.ask(Some(&both), &hidden).is_some());
    assert!(wire.ask(Some(&both), "TCP4:192.0.2.2:80").is_some());
    assert!(wire.is_cut_off(Some(&wire.inside("hidden")), "TCP4:192.0.2.2:80"));
    // Connected while it runs, and taken out again.
    wire.ok(&["network", "connect", "--alias", "late", "lan", "two"]);
    assert!(wire.ask(Some(&wire.inside("two")), &one).is_some());
    assert!(wire.ok(&["exec", "one", "nslookup", "late"]).contains(&wire.place("two", "lan", "IPAddress")));
    wire.ok(&["network", "disconnect", "lan", "two"]);
    assert!(wire.is_cut_off(Some(&wire.inside("two")), &one));
    assert!(wire.inspect("two")["NetworkSettings"]["Networks"]["lan"].is_null());
    let error = wire.fails(&["network", "rm", "lan"], 1);
    assert!(error.contains("lan") && error.contains("one"), "{error}");
}

#[test]
fn policies_allow_what_they_name() {
    let Some(wire) = Wire::new() else { return };
    wire.serve(Some(&wire.outside()), "TCP4-LISTEN:80");
    wire.sleeper("db", &["--ingress", "label:app=web@tcp/5432", "--egress", "none"]);
    wire.sleeper("web", &["--label", "app=web"]);
    wire.sleeper("other", &["--egress", "192.0.2.0/24@tcp/80"]);
    let inside = wire.inside("db");
    wire.serve(Some(&inside), "TCP4-LISTEN:5432");
    wire.serve(Some(&inside), "TCP4-LISTEN:22");
    let address = wire.place("db", "forgeone", "IPAddress");
    let at = |port: u16| format!("TCP4:{address}:{port}");
    assert!(wire.ask(Some(&wire.inside("web")), &at(5432)).is_some());
    assert!(wire.is_cut_off(Some(&wire.inside("web")), &at(22)));
    assert!(wire.is_cut_off(Some(&wire.inside("other")), &at(5432)));
    assert!(wire.is_cut_off(Some(&inside), "TCP4:192.0.2.2:80"));
    assert!(wire.ask(Some(&wire.inside("other")), "TCP4:192.0.2.2:80").is_some());
    // Names are resolved all the same.
    assert!(wire.ok(&["exec", "db", "nslookup", "web"]).contains(&wire.place(
        "web",
        "forgeone",
        "IPAddress"
    )));
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
    testkit::eventually("nothing is orphaned", || left(&wire) == before);
    let network: Value = serde_json::from_str(&wire.ok(&["network", "inspect", "forgeone"])).unwrap();
    assert_eq!(network[0]["Containers"].as_object().unwrap().len(), 0);
    // They start as if nothing had been.
    wire.ok(&["start", "a", "b"]);
    assert_ne!(wire.place("a", "forgeone", "IPAddress"), wire.place("b", "forgeone", "IPAddress"));
}

#[test]
fn a_lost_monitor_does_not_cut_the_container_off() {
    let Some(wire) = Wire::new() else { return };
    wire.sleeper("web", &["-p", "8080:80"]);
    let inside = wire.inside("web");
    wire.serve(Some(&inside), "TCP4-LISTEN:80");
    let monitor = wire.within(None, &["pgrep", "-f", "forgeone-standalone monitor"]);
    let own = wire.path("data").display().to_string();
    for pid in monitor.stdout.lines() {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.contains(&own) {
            let _ = wire.within(None, &["kill", "-KILL", pid]);
        }
    }
    wire.ok(&["network", "reload"]);
    assert!(wire.ask(Some(&wire.outside()), "TCP4:192.0.2.1:8080").is_some(), "it still runs");
    // The next monitor keeps the port again, and takes all away at the end.
    wire.ok(&["stop", "-t", "0", "web"]);
    testkit::eventually("all went with it", || !left(&wire).iter().any(|name| name.starts_with("forgeone")));
    wire.ok(&["start", "web"]);
    wire.serve(Some(&wire.inside("web")), "TCP4-LISTEN:80");
    assert!(wire.ask(Some(&wire.outside()), "TCP4:192.0.2.1:8080").is_some());
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
