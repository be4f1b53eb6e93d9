//! `--systemd-cgroup`: a container's group is a scope of systemd's.
//!
//! What needs a running systemd is tried in the guest that tests/vm describes; what a broken bus comes to, everywhere.

use crate::cgroup::{OPENS, REFUSED, group, groups, path, resources, v2, values, with_log};
use crate::running::{dir, read};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Output, Temp, eventually, privileged, skip};

/// Whether systemd runs here, and the test as root; otherwise the test is skipped.
fn runs() -> bool {
    privileged::systemd() && privileged::machine_root() && privileged::program("systemctl", "systemd")
}

/// What a program of the host prints.
#[track_caller]
fn says(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A property of a unit, as systemd tells it.
fn property(unit: &str, name: &str) -> String {
    says("systemctl", &["show", "--value", "--property", name, unit])
}

/// The door with `--systemd-cgroup`.
struct Systemd {
    door: Door,
    id: String,
    unit: String,
}

impl Systemd {
    fn new(tag: &str) -> Self {
        let door = Door::new();
        let id = door.id(tag);
        Self { unit: format!("test-{id}.scope"), door, id }
    }

    /// `slice:prefix:name` for this container.
    fn path(&self, slice: &str) -> String {
        format!("{slice}:test:{}", self.id)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.door.run([&["--systemd-cgroup"], args].concat())
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> Output {
        self.door.ok([&["--systemd-cgroup"], args].concat())
    }

    /// Starts a bundle that sleeps in a scope in `slice`.
    #[track_caller]
    fn start(&self, bundle: Bundle, slice: &str) -> Bundle {
        let bundle = path(bundle, &self.path(slice)).args(["sleep", "1000"]);
        self.ok(&["create", "--bundle", dir(&bundle), &self.id]);
        self.ok(&["start", &self.id]);
        bundle
    }

    fn pid(&self) -> i32 {
        self.door.state(&self.id)["pid"].as_i64().unwrap() as i32
    }

    fn state(&self) -> Value {
        let text = read(self.door.root().join(&self.id).join("state.json"));
        serde_json::from_str(&text).unwrap()
    }
}

/// The path of a process's group, below every hierarchy that systemd manages.
fn place(pid: i32) -> String {
    let groups = groups(pid);
    groups.get("name=systemd").unwrap_or_else(|| &groups[""]).clone()
}

fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn a_container_lives_in_a_scope() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("scope");
    let _bundle = systemd.start(Bundle::busybox(), "system.slice");
    let expected = format!("/system.slice/{}", systemd.unit);
    assert_eq!(place(systemd.pid()), expected);
    assert!(groups(systemd.pid()).values().all(|path| *path == expected), "{:?}", groups(systemd.pid()));
    for (name, value) in [
        ("ActiveState", "active"),
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("MemoryAccounting", "yes"),
        ("CPUAccounting", "yes"),
        ("TasksAccounting", "yes"),
        ("Transient", "yes"),
    ] {
        assert_eq!(property(&systemd.unit, name), value, "{name}");
    }
    assert_eq!(systemd.state()["cgroup"]["unit"], systemd.unit);

    // The rest of the commands, which need no option any more.
    let door = &systemd.door;
    let inside = door.ok(["exec", &systemd.id, "cat", "/proc/self/cgroup"]).stdout;
    assert!(inside.lines().all(|line| line.ends_with(&expected) || line.ends_with(":/")), "{inside}");
    assert_eq!(door.ok(["ps", "--format", "json", &systemd.id]).json(), json!([systemd.pid()]));
    door.ok(["pause", &systemd.id]);
    assert_eq!(door.status(&systemd.id), "paused");
    door.ok(["resume", &systemd.id]);
    door.ok(["kill", &systemd.id, "KILL"]);
    door.await_status(&systemd.id, "stopped");
    door.ok(["delete", &systemd.id]);
    assert_eq!(property(&systemd.unit, "LoadState"), "not-found");
}

#[test]
fn without_a_path_the_scope_has_the_containers_id() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("plain");
    let bundle = Bundle::busybox().shell("cat /proc/self/cgroup");
    let said = systemd.ok(&["run", "--bundle", dir(&bundle), &systemd.id]).stdout;
    assert!(said.contains(&format!(":/system.slice/forgeone-{}.scope\n", systemd.id)), "{said}");
}

#[test]
fn slices_of_a_cluster_lie_in_each_other() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("pod");
    let _bundle = systemd.start(Bundle::busybox(), "fotest-besteffort-pod1_2.slice");
    let expected =
        format!("/fotest.slice/fotest-besteffort.slice/fotest-besteffort-pod1_2.slice/{}", systemd.unit);
    assert_eq!(place(systemd.pid()), expected);
    systemd.door.ok(["delete", "--force", &systemd.id]);
    for slice in ["fotest-besteffort-pod1_2.slice", "fotest-besteffort.slice", "fotest.slice"] {
        says("systemctl", &["stop", slice]);
    }
}

#[test]
fn limits_are_properties_and_stay_when_systemd_reloads() {
    if !runs() || !v2("memory") {
        return;
    }
    let systemd = Systemd::new("limits");
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 67_108_864, "swap": 67_108_864 }));
    let cpu = json!({ "shares": 2048, "quota": 20_000, "period": 50_000, "cpus": "0", "burst": 5000 });
    let bundle = resources(resources(bundle, "cpu", cpu), "pids", json!({ "limit": 20 }));
    let bundle = resources(bundle, "hugepageLimits", json!([{ "pageSize": "2MB", "limit": 4_194_304 }]));
    let bundle = resources(bundle, "unified", json!({ "memory.high": "60000000" }));
    let _bundle = systemd.start(bundle, "system.slice");
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("MemoryHigh", "60000000"),
        ("MemorySwapMax", "0"),
        ("CPUQuotaPerSecUSec", "400ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("AllowedCPUs", "0"),
        ("TasksMax", "20"),
    ] {
        assert_eq!(property(&systemd.unit, name), value, "{name}");
    }
    let files = [
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("cpu.max", "20000 50000"),
        ("cpu.max.burst", "5000"),
        ("cpuset.cpus", "0"),
        ("pids.max", "20"),
        ("hugetlb.2MB.max", "4194304"),
    ];
    let own = group(systemd.pid(), "");
    values(&own, &files);
    let weight = read(own.join("cpu.weight"));
    assert_eq!(property(&systemd.unit, "CPUWeight"), weight);
    says("systemctl", &["daemon-reload"]);
    values(&own, &files);
    values(&own, &[("memory.high", "59998208"), ("cpu.weight", &weight)]);
}

/// By its own unit, whatever the command line says.
#[test]
fn an_update_changes_properties_and_files() {
    if !runs() || !v2("memory") {
        return;
    }
    let systemd = Systemd::new("update");
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 67_108_864 }));
    let _bundle = systemd.start(resources(bundle, "pids", json!({ "limit": 20 })), "system.slice");
    let change = ["update", "--memory", "128M", "--pids-limit", "30", "--cpu-quota", "33333", &systemd.id];
    systemd.door.ok(change);
    let own = group(systemd.pid(), "");
    let files = [("memory.max", "134217728"), ("pids.max", "30"), ("cpu.max", "33333 100000")];
    values(&own, &files);
    for (name, value) in [("MemoryMax", "134217728"), ("TasksMax", "30")] {
        assert_eq!(property(&systemd.unit, name), value, "{name}");
    }
    says("systemctl", &["daemon-reload"]);
    values(&own, &files[..2]);
}

#[test]
fn limits_of_v1_are_properties_and_stay_when_systemd_reloads() {
    if !runs() {
        return;
    }
    if is_v2() {
        return skip("needs cgroup v1");
    }
    let systemd = Systemd::new("limits");
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 67_108_864 }));
    let bundle = resources(bundle, "cpu", json!({ "shares": 512, "quota": 20_000, "cpus": "0" }));
    let _bundle = systemd.start(bundle, "system.slice");
    for (name, value) in [("MemoryLimit", "67108864"), ("CPUShares", "512"), ("CPUQuotaPerSecUSec", "200ms")]
    {
        assert_eq!(property(&systemd.unit, name), value, "{name}");
    }
    says("systemctl", &["daemon-reload"]);
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpuset", "cpuset.cpus", "0"),
    ] {
        values(&group(systemd.pid(), controller), &[(file, value)]);
    }
}

#[test]
fn devices_stay_closed_when_systemd_reloads() {
    if !runs() {
        return;
    }
    let none = json!({ "allow": false, "access": "rwm" });
    let hole = json!([none, { "allow": true, "type": "c", "access": "rw" },
        { "allow": false, "type": "c", "major": 1, "minor": 11, "access": "rw" }]);
    for rules in [json!([none]), hole] {
        if !is_v2() && rules.as_array().unwrap().len() > 1 {
            // v1 can't say this at all.
            continue;
        }
        let systemd = Systemd::new("devices");
        let _bundle = systemd.start(with_log(rules), "system.slice");
        let opens = || systemd.door.run(["exec", &systemd.id, "sh", "-c", OPENS]).stdout;
        let before = opens();
        assert!(before.starts_with(REFUSED) && before.ends_with("zeros r\nzeros w\n"), "{before}");
        says("systemctl", &["daemon-reload"]);
        assert_eq!(opens(), before);
    }
}

#[test]
fn annotations_set_properties() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("annotated");
    let annotate = |key: &str, value: &str| {
        let key = format!("org.systemd.property.{key}");
        Bundle::busybox().edit(move |config| config["annotations"] = json!({ key: value }))
    };
    let _bundle = systemd.start(annotate("TimeoutStopUSec", "uint64 123000000"), "system.slice");
    assert_eq!(property(&systemd.unit, "TimeoutStopUSec"), "2min 3s");
    let other = Systemd::new("wrong");
    for (key, value, expected) in [
        (
            "TimeoutStopUSec",
            "soon",
            "annotations[\"org.systemd.property.TimeoutStopUSec\"]: \"soon\" is not a value",
        ),
        // systemd's own words.
        ("NoSuchProperty", "1", "NoSuchProperty"),
    ] {
        let bundle = path(annotate(key, value), &other.path("system.slice"));
        let output = other.run(&["create", "--bundle", dir(&bundle), &other.id]);
        assert_eq!(output.code, 1);
        assert!(
            output.stderr.contains(expected) && output.stderr.trim_end().lines().count() == 1,
            "{}",
            output.stderr
        );
        assert!(other.door.containers().is_empty());
    }
}

#[test]
fn a_failed_unit_of_the_same_name_is_replaced_and_a_living_one_is_not() {
    if !runs() {
        return;
    }
    let first = Systemd::new("first");
    // One that runs for longer than it may has failed.
    let short = json!({ "org.systemd.property.RuntimeMaxUSec": "uint64 1000000",
        "org.systemd.property.TimeoutStopUSec": "uint64 100000" });
    let _bundle = first.start(Bundle::busybox().edit(|config| config["annotations"] = short), "system.slice");
    first.door.await_status(&first.id, "stopped");
    eventually("the unit has failed", || property(&first.unit, "ActiveState") == "failed");

    let second = Systemd::new("second");
    let bundle = path(Bundle::busybox().args(["sleep", "1000"]), &first.path("system.slice"));
    second.ok(&["run", "--detach", "--bundle", dir(&bundle), &second.id]);
    assert_eq!(property(&first.unit, "ActiveState"), "active");

    let third = Systemd::new("third");
    let output = third.run(&["create", "--bundle", dir(&bundle), &third.id]);
    assert!(output.stderr.contains(&format!("there is a unit {} already", first.unit)), "{}", output.stderr);
    assert!(third.door.containers().is_empty());
    assert_eq!(second.door.status(&second.id), "running", "the other's is not touched");
    second.door.ok(["delete", "--force", &second.id]);
    assert_eq!(property(&first.unit, "LoadState"), "not-found");
}

#[test]
fn a_container_whose_program_is_missing_leaves_no_unit() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("missing");
    let bundle = path(Bundle::busybox().args(["nothing"]), &systemd.path("system.slice"));
    let output = systemd.run(&["run", "--bundle", dir(&bundle), &systemd.id]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("nothing"), "{}", output.stderr);
    assert_eq!(property(&systemd.unit, "LoadState"), "not-found");
}

/// The user of the guest, who has a systemd of his own.
const USER: &str = "guest";

#[test]
fn a_user_has_containers_in_scopes_of_his_own_systemd() {
    if !runs() || !v2("memory") {
        return;
    }
    let Some(uid) = read("/etc/passwd").lines().find_map(|line| {
        let rest = line.strip_prefix(&format!("{USER}:x:"))?;
        rest.split(':').next()?.parse::<u32>().ok()
    }) else {
        return skip(format_args!("needs the user {USER}"));
    };
    says("loginctl", &["enable-linger", USER]);
    let runtime = format!("/run/user/{uid}");
    eventually("the user's bus is there", || Path::new(&runtime).join("bus").exists());
    let temp = Temp::new("user");
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    for place in [temp.path(), &root] {
        std::os::unix::fs::chown(place, Some(uid), Some(uid)).unwrap();
    }
    let door = |prefix: &[&str], args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups"]).args(prefix);
        command.arg(testkit::forgeone()).arg("--root").arg(&root).arg("--systemd-cgroup").args(args);
        command
            .env_clear()
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        let file = |name| fs::File::create(temp.path().join(name)).unwrap();
        let status = command.stdout(file("out")).stderr(file("err")).status().unwrap();
        (status.code(), read(temp.path().join("out")), read(temp.path().join("err")))
    };
    // By themselves, and as root of a user namespace, as Podman calls a runtime.
    for prefix in [&[][..], &["unshare", "--user", "--map-root-user"]] {
        let id = testkit::names::unique("own");
        let bundle = user_bundle(uid, &id, prefix.is_empty());
        let made = door(prefix, &["run", "--detach", "--bundle", dir(&bundle), &id]);
        assert_eq!(made.0, Some(0), "{prefix:?} {}", made.2);
        let state: Value = serde_json::from_str(&door(&[], &["state", &id]).1).unwrap();
        let pid = state["pid"].as_i64().unwrap() as i32;
        let top = format!("/user.slice/user-{uid}.slice/user@{uid}.service/user.slice");
        assert_eq!(place(pid), format!("{top}/test-{id}.scope"));
        values(&group(pid, ""), &[("memory.max", "67108864")]);
        if prefix.is_empty() {
            // From a session that is outside of the user's own groups.
            let inside = door(prefix, &["exec", &id, "cat", "/proc/self/cgroup"]);
            assert_eq!((inside.0, inside.2.as_str()), (Some(0), ""), "{inside:?}");
            assert!(
                inside.1.ends_with(&format!("test-{id}.scope")) || inside.1.ends_with(":/"),
                "{inside:?}"
            );
        }
        // Each unshare makes another namespace: what follows is the user's own to do.
        for args in
            [&["pause", &id][..], &["resume", &id], &["kill", &id, "KILL"], &["delete", "--force", &id]]
        {
            let done = door(&[], args);
            assert_eq!(done.0, Some(0), "{prefix:?} {args:?} {done:?}");
        }
        assert!(!Path::new("/sys/fs/cgroup").join(&top[1..]).join(format!("test-{id}.scope")).exists());
    }
}

/// What a user can run: memory is limited; with a user namespace, or for one who is in one.
fn user_bundle(uid: u32, id: &str, namespace: bool) -> Bundle {
    let limit = json!({ "limit": 67_108_864 });
    let bundle = resources(Bundle::busybox().args(["sleep", "1000"]), "memory", limit).edit(|config| {
        if namespace {
            let map = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }
        config["linux"]["cgroupsPath"] = json!(format!("user.slice:test:{id}"));
        // sysfs is the network's, mqueue the IPC namespace's; devpts without its group.
        let plain = |mount: &Value| mount["type"] == "proc" || mount["type"] == "tmpfs";
        config["mounts"].as_array_mut().unwrap().retain(plain);
    });
    bundle.owned_by(uid, uid)
}

/// The error of a door whose system bus is at this address.
#[track_caller]
fn refused_by(bus: &str) -> String {
    let door = Door::new();
    let id = door.id("bus");
    let bundle = Bundle::busybox();
    let mut command = door.command(["--systemd-cgroup", "create", "--bundle", dir(&bundle), &id]);
    let output = door.finish(command.env("DBUS_SYSTEM_BUS_ADDRESS", bus));
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
    assert!(door.containers().is_empty(), "nothing is made");
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{}", output.stderr);
    output.stderr.trim_end().to_owned()
}

#[test]
fn a_bus_that_hangs_is_an_error_in_a_few_seconds() {
    if !privileged::root() {
        return;
    }
    let temp = Temp::new("hung");
    let bus = temp.path().join("bus");
    let listener = UnixListener::bind(&bus).unwrap();
    let error = refused_by(&format!("unix:path={}", bus.display()));
    assert!(error.contains("--systemd-cgroup: systemd: D-Bus unix:path="), "{error}");
    assert!(error.ends_with("no answer to authentication within 5 seconds"), "{error}");
    drop(listener);
    let error = refused_by(&format!("unix:path={}", temp.path().join("none").display()));
    assert!(error.ends_with("ENOENT (No such file or directory)"), "{error}");
}

#[test]
fn a_bus_without_systemd_says_so() {
    if !privileged::root() || !privileged::program("dbus-daemon", "dbus-daemon") {
        return;
    }
    let temp = Temp::new("bus");
    let bus = temp.path().join("bus");
    let address = format!("unix:path={}", bus.display());
    let config = temp.path().join("config");
    let text = format!(
        "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>"
    );
    fs::write(&config, text).unwrap();
    let mut daemon = Command::new("dbus-daemon");
    daemon.arg("--nofork").arg("--nopidfile").arg(format!("--config-file={}", config.display()));
    let mut daemon = daemon.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    eventually("the bus is there", || bus.exists());
    let error = std::panic::catch_unwind(|| refused_by(&address));
    daemon.kill().and_then(|()| daemon.wait()).unwrap();
    let error = error.unwrap();
    assert!(
        error.ends_with(&format!("systemd: it is not on the bus {address}: it doesn't run here")),
        "{error}"
    );
}

#[test]
fn a_path_that_is_no_unit_is_refused() {
    if !runs() {
        return;
    }
    let systemd = Systemd::new("path");
    for (asked, expected) in [
        ("/a/b", "linux.cgroupsPath: \"/a/b\" is not slice:prefix:name, which --systemd-cgroup needs"),
        ("a/b.slice:c:d", "linux.cgroupsPath: \"a/b.slice\" is not a slice"),
    ] {
        let bundle = path(Bundle::busybox(), asked);
        let output = systemd.run(&["create", "--bundle", dir(&bundle), &systemd.id]);
        assert_eq!(output.code, 1);
        assert!(output.stderr.trim_end().ends_with(expected), "{}", output.stderr);
        assert!(systemd.door.containers().is_empty());
    }
}
