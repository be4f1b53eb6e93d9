//! `linux.resources` and `linux.cgroupsPath`: what the host sees of a container's groups, and the limits' effect.

use crate::running::{Running, dir, read, refusal, run, seen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use testkit::temp::unescape;
use testkit::{Bundle, Door, Temp, names, privileged, skip};

pub(crate) fn resources(bundle: Bundle, name: &str, value: Value) -> Bundle {
    bundle.edit(|config| config["linux"]["resources"][name] = value)
}

pub(crate) fn path(bundle: Bundle, path: &str) -> Bundle {
    bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(path))
}

/// Mount points of the hierarchies, by v1 controller; cgroup2's by the empty name.
fn hierarchies() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for line in read("/proc/self/mountinfo").lines() {
        let (front, back) = line.split_once(" - ").unwrap();
        let point = PathBuf::from(unescape(front.split(' ').nth(4).unwrap()));
        let back: Vec<_> = back.split(' ').collect();
        match back[0] {
            "cgroup2" => drop(found.insert(String::new(), point)),
            "cgroup" => found.extend(back[2].split(',').map(|option| (option.to_owned(), point.clone()))),
            _ => {}
        }
    }
    found
}

/// Paths of a process's groups below their hierarchies, by controllers.
pub(crate) fn groups(pid: i32) -> BTreeMap<String, String> {
    let text = read(format!("/proc/{pid}/cgroup"));
    let groups = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    groups.map(|(controllers, path)| (controllers.to_owned(), path.to_owned())).collect()
}

/// The directory of a process's group in the hierarchy of a controller; cgroup2's for the empty name.
pub(crate) fn group(pid: i32, controller: &str) -> PathBuf {
    let groups = groups(pid);
    let own = |(controllers, path): (&String, &String)| {
        controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').to_owned())
    };
    hierarchies()[controller].join(groups.iter().find_map(own).unwrap())
}

/// Whether v1 has these controllers, as the reference machine; otherwise the test is skipped.
pub(crate) fn v1(controllers: &[&str]) -> bool {
    let hierarchies = hierarchies();
    let missing = controllers.iter().find(|controller| !hierarchies.contains_key(**controller));
    if let Some(controller) = missing {
        skip(format_args!("needs cgroup v1's {controller}"));
    }
    missing.is_none() && privileged::root()
}

/// Whether cgroup2 has this controller, for a user the part of it that is theirs.
pub(crate) fn v2(controller: &str) -> bool {
    let hierarchies = hierarchies();
    let own = match privileged::is_machine_root() {
        true => String::new(),
        false => read("/proc/self/cgroup")
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .unwrap_or_default()
            .to_owned(),
    };
    let has = |mount: &PathBuf| {
        read(mount.join(&own).join("cgroup.controllers")).split(' ').any(|name| name == controller)
    };
    let yes = hierarchies.get("").is_some_and(has);
    if !yes {
        skip(format_args!("needs cgroup2's {controller}"));
    }
    yes && privileged::root()
}

#[track_caller]
pub(crate) fn values(group: &Path, expected: &[(&str, &str)]) {
    for (file, value) in expected {
        assert_eq!(read(group.join(file)), *value, "{file}");
    }
}

#[test]
fn memory_limits_are_in_the_containers_group() {
    if !v1(&["memory"]) {
        return;
    }
    let memory =
        json!({ "limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728, "swappiness": 7 });
    let running = Running::of(resources(Bundle::busybox(), "memory", memory));
    values(
        &group(running.pid(), "memory"),
        &[
            ("memory.limit_in_bytes", "67108864"),
            ("memory.soft_limit_in_bytes", "33554432"),
            ("memory.memsw.limit_in_bytes", "134217728"),
            ("memory.swappiness", "7"),
        ],
    );
}

#[test]
fn a_program_that_takes_more_memory_than_it_may_is_killed() {
    if !v1(&["memory"]) {
        return;
    }
    let limit = json!({ "limit": 16_777_216, "swap": 16_777_216 });
    let bundle = resources(Bundle::busybox(), "memory", limit).args([
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=64M",
        "count=1",
    ]);
    assert_eq!(run(&bundle).code, 137);
    let bundle = resources(bundle, "memory", json!({ "limit": 268_435_456 }));
    assert_eq!(run(&bundle).code, 0);
}

#[test]
fn shares_and_quotas_of_cpu_are_in_the_containers_group() {
    if !v1(&["cpu"]) {
        return;
    }
    let cpu = json!({ "shares": 512, "quota": 20_000, "period": 50_000, "burst": 10_000 });
    let running = Running::of(resources(Bundle::busybox(), "cpu", cpu));
    values(
        &group(running.pid(), "cpu"),
        &[
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "20000"),
            ("cpu.cfs_period_us", "50000"),
            ("cpu.cfs_burst_us", "10000"),
        ],
    );
}

#[test]
fn a_container_runs_on_the_cpus_it_may() {
    if !v1(&["cpuset"]) {
        return;
    }
    let bundle = resources(Bundle::busybox().with_probe(), "cpu", json!({ "cpus": "0", "mems": "0" }));
    let running = Running::of(bundle);
    values(&group(running.pid(), "cpuset"), &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]);
    assert_eq!(running.probe()["process"]["cpus_allowed"], "0");
    let error = refusal(&resources(Bundle::busybox(), "cpu", json!({ "cpus": "4000" })));
    assert!(error.contains("linux.resources.cpu.cpus: "), "{error}");
}

#[test]
fn no_more_processes_than_the_limit_can_be_made() {
    if !v1(&["pids"]) {
        return;
    }
    let bundle = resources(Bundle::busybox(), "pids", json!({ "limit": 5 }));
    let output = run(&like(&bundle, "for i in 1 2 3 4 5 6 7 8; do sleep 100 & echo $i; done"));
    assert_eq!(output.stdout, "1\n2\n3\n4\n", "the shell is the fifth");
    assert!(output.stderr.contains("can't fork"), "{}", output.stderr);
    let running = Running::of(bundle);
    values(&group(running.pid(), "pids"), &[("pids.max", "5"), ("pids.current", "1")]);
}

/// Another bundle of busybox with the same config, but for the program.
pub(crate) fn like(bundle: &Bundle, line: &str) -> Bundle {
    let config = bundle.config().clone();
    Bundle::busybox().edit(|new| *new = config).shell(line)
}

#[test]
fn block_devices_are_throttled() {
    if !v1(&["blkio"]) {
        return;
    }
    let Some(device) = whole_disk() else { return skip("needs a block device") };
    let (major, minor) = device.split_once(':').unwrap();
    let rate = |rate: u64| json!([{ "major": major.parse::<u64>().unwrap(), "minor": minor.parse::<u64>().unwrap(), "rate": rate }]);
    let limits = json!({
        "throttleReadBpsDevice": rate(1_048_576),
        "throttleWriteBpsDevice": rate(2_097_152),
        "throttleReadIOPSDevice": rate(100),
        "throttleWriteIOPSDevice": rate(200),
    });
    let running = Running::of(resources(Bundle::busybox(), "blockIO", limits));
    values(
        &group(running.pid(), "blkio"),
        &[
            ("blkio.throttle.read_bps_device", &format!("{device} 1048576")),
            ("blkio.throttle.write_bps_device", &format!("{device} 2097152")),
            ("blkio.throttle.read_iops_device", &format!("{device} 100")),
            ("blkio.throttle.write_iops_device", &format!("{device} 200")),
        ],
    );
}

/// Numbers of a block device that isn't a loop device.
pub(crate) fn whole_disk() -> Option<String> {
    let entries = fs::read_dir("/sys/block").ok()?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| ["vd", "sd", "nvme", "xvd"].iter().any(|prefix| name.starts_with(prefix)));
    names.first().map(|name| read(format!("/sys/block/{name}/dev")))
}

/// A kernel log, 1:11, and the kernel's zeros under another name, 1:5, with these rules for the first.
pub(crate) fn with_log(rules: Value) -> Bundle {
    let device = |path: &str, minor: u64| json!({ "path": path, "type": "c", "major": 1, "minor": minor, "fileMode": 0o666 });
    let bundle = Bundle::busybox().edit(|config| {
        config["linux"]["devices"] = json!([device("/dev/log", 11), device("/dev/zeros", 5)]);
        // Reading the log needs more than the device's leave where dmesg is restricted.
        let names = json!(["CAP_SYSLOG", "CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] =
            json!({ "bounding": names, "effective": names, "permitted": names });
    });
    resources(bundle, "devices", rules)
}

/// Opens the log and the zeros for reading and writing.
pub(crate) const OPENS: &str =
    "for d in log zeros; do (: < /dev/$d) && echo $d r; (: >> /dev/$d) && echo $d w; done 2>&1; true";
pub(crate) const REFUSED: &str = "sh: can't open /dev/log: Operation not permitted";

pub(crate) fn check_devices(run: impl Fn(&Bundle) -> String) {
    let log = |access: &str| json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": access });
    let none = json!({ "allow": false, "access": "rwm" });
    let create = "sh: can't create /dev/log: Operation not permitted";
    let zeros = "zeros r\nzeros w\n";
    for (rules, expected) in [
        (json!([none]), format!("{REFUSED}\n{create}\n{zeros}")),
        (json!([]), format!("{REFUSED}\n{create}\n{zeros}")),
        (json!([none, log("r")]), format!("log r\n{create}\n{zeros}")),
        (json!([none, log("rw")]), format!("log r\nlog w\n{zeros}")),
    ] {
        assert_eq!(run(&with_log(rules.clone()).shell(OPENS)), expected, "{rules}");
    }
}

#[test]
fn devices_are_opened_only_as_the_rules_allow() {
    if !privileged::machine_root() {
        return;
    }
    check_devices(|bundle| run(bundle).stdout);
    let running = Running::of(with_log(json!([{ "allow": false, "access": "rwm" }])));
    assert!(running.exec(OPENS).stdout.starts_with(REFUSED), "exec is under the same rules");
}

#[test]
fn huge_pages_and_unified_values_are_in_the_cgroup2_group() {
    if !v2("hugetlb") {
        return;
    }
    let bundle =
        resources(Bundle::busybox(), "hugepageLimits", json!([{ "pageSize": "2MB", "limit": 4_194_304 }]));
    let running = Running::of(resources(
        bundle,
        "unified",
        json!({ "hugetlb.2MB.max": "8388608", "cgroup.max.depth": "3" }),
    ));
    values(
        &group(running.pid(), ""),
        &[("hugetlb.2MB.rsvd.max", "4194304"), ("hugetlb.2MB.max", "8388608"), ("cgroup.max.depth", "3")],
    );
}

#[test]
fn the_group_is_where_the_config_says() {
    if !privileged::machine_root() || !privileged::cgroupfs_driver() {
        return;
    }
    let own = groups(std::process::id() as i32);
    for (asked, absolute) in [("", false), ("/NAME/a/b", true), ("NAME/c", false), ("/../NAME", true)] {
        let name = names::unique("group");
        let asked = asked.replace("NAME", &name);
        let running =
            Running::of(if asked.is_empty() { Bundle::busybox() } else { path(Bundle::busybox(), &asked) });
        let name = if asked.is_empty() {
            running.id.clone()
        } else {
            asked.trim_start_matches("/..").trim_matches('/').to_owned()
        };
        for (controllers, group) in groups(running.pid()) {
            if controllers == "name=elogind" || !own.contains_key(&controllers) {
                continue;
            }
            // v1 counts from the caller's group, cgroup2 from the level above it.
            let parent = match &own[&controllers] {
                _ if absolute => "",
                own if controllers.is_empty() => own.rsplit_once('/').unwrap().0,
                own => own.trim_end_matches('/'),
            };
            assert_eq!(group, format!("{parent}/{name}"), "{controllers} {asked}");
        }
        // On drop the door deletes it and finds what is left, levels above included.
    }
}

#[test]
fn the_levels_above_stay_as_long_as_another_container_is_below() {
    if !privileged::machine_root() || !privileged::cgroupfs_driver() {
        return;
    }
    let name = names::unique("pod");
    let first = Running::of(path(Bundle::busybox(), &format!("/{name}/first")));
    let second = Running::of(path(Bundle::busybox(), &format!("/{name}/second")));
    let dir = group(second.pid(), hierarchies().keys().next().unwrap());
    first.door.ok(["delete", "--force", &first.id]);
    assert_eq!(second.says("echo here"), "here");
    second.door.ok(["delete", "--force", &second.id]);
    assert!(!dir.exists());
    let _ = remove_levels(&name);
}

/// The first container made the levels and couldn't remove them; the second didn't make them.
fn remove_levels(name: &str) -> std::io::Result<()> {
    hierarchies().values().try_for_each(|mount| fs::remove_dir(mount.join(name)))
}

#[test]
fn exec_runs_in_the_containers_groups() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let init = read(format!("/proc/{}/cgroup", running.pid()));
    assert_eq!(running.says("cat /proc/self/cgroup"), init);
    assert!(init.lines().all(|line| line.contains(&running.id)), "{init}");
}

#[test]
fn a_cgroup_namespace_has_the_containers_group_for_its_root() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe().namespace(json!({ "type": "cgroup" }));
    let running = Running::of(bundle);
    let is_root = |seen: &Value| {
        seen["cgroup"].as_array().unwrap().iter().all(|line| line.as_str().unwrap().ends_with(":/"))
    };
    assert!(is_root(&running.probe()), "exec");
    let seen = seen(&Bundle::probe().namespace(json!({ "type": "cgroup" })));
    assert!(is_root(&seen), "{}", seen["cgroup"]);
}

#[test]
fn processes_are_born_in_their_group_and_never_moved() {
    if !privileged::root() || !privileged::cgroupfs_driver() || !privileged::program("strace", "strace") {
        return;
    }
    let bundle = resources(Bundle::busybox(), "pids", json!({ "limit": 50 }));
    let bundle = resources(bundle, "memory", json!({ "limit": 67_108_864 }));
    let running = Running::of(bundle);
    let trace = running.door.directory().join("trace");
    let traced = |args: &[&str]| {
        let line = format!(
            "exec strace -f -y -s 128 -o {} -e trace=openat,openat2,write,pwrite64,clone3 \"$@\"",
            trace.display()
        );
        let output = running.door.finish(&mut crate::running::prepared_by(&line, &running.door, args));
        assert_eq!((output.code, output.stdout.as_str()), (0, "born\n"), "{}", output.stderr);
        read(&trace)
    };
    let bundle = like(running.bundle(), "echo born");
    let id = running.door.id("traced");
    for args in [&["run", "--bundle", dir(&bundle), &id][..], &["exec", &running.id, "echo", "born"]] {
        let trace = traced(args);
        let writes = |line: &&str| {
            line.contains("cgroup.procs")
                && (line.contains("write") || line.contains("O_WRONLY") || line.contains("O_RDWR"))
        };
        assert_eq!(trace.lines().filter(writes).collect::<Vec<_>>(), Vec::<&str>::new(), "{}", args[0]);
        // The test sees what it looks for: that is how the container got there.
        if hierarchies().contains_key("") {
            assert!(trace.contains("CLONE_INTO_CGROUP"), "{}", args[0]);
        }
        if hierarchies().contains_key("memory") {
            assert!(trace.contains("/tasks>, \"0\", 1"), "{}", args[0]);
        }
    }
}

/// A door whose commands all see the cgroups that a line of shell leaves mounted, in a mount namespace of their own.
pub(crate) fn view(line: &str) -> (Temp, Door) {
    let temp = Temp::new("view");
    let file = temp.path().join("door");
    let forgeone = testkit::forgeone();
    let script = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private sh -c '{line}; exec \"$@\"' sh {} \"$@\"\n",
        forgeone.display()
    );
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    (temp, Door::of(file))
}

const ONLY_V1: &str = "umount -l /sys/fs/cgroup/unified";
pub(crate) const ONLY_V2: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";

/// A whole life in a view.
fn lives(door: &Door) {
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let id = door.id("view");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    door.ok(["start", &id]);
    let pid = door.state(&id)["pid"].as_i64().unwrap();
    assert_eq!(
        door.ok(["exec", &id, "cat", "/proc/self/cgroup"]).stdout.trim_end(),
        read(format!("/proc/{pid}/cgroup"))
    );
    assert_eq!(door.ok(["ps", "--format", "json", &id]).json(), json!([pid]));
    door.ok(["pause", &id]);
    assert_eq!(door.status(&id), "paused");
    door.ok(["resume", &id]);
    door.ok(["kill", &id, "KILL"]);
    door.await_status(&id, "stopped");
    door.ok(["delete", &id]);
    assert!(door.containers().is_empty());
}

#[test]
fn a_container_lives_with_v1_alone() {
    if !v1(&["memory", "devices", "pids", "freezer"]) || !v2("hugetlb") {
        return;
    }
    let (_script, door) = view(ONLY_V1);
    lives(&door);
    check_devices(|bundle| door.run(["run", "--bundle", dir(bundle), &door.id("devices")]).stdout);
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 67_108_864 }));
    let line =
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; ls -d /sys/fs/cgroup/unified 2> /dev/null; true";
    let bundle = bundle.shell(line);
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("memory")]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "67108864\n"), "{}", output.stderr);
    let bundle = resources(bundle, "unified", json!({ "memory.max": "1" }));
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("unified")]);
    assert!(
        output
            .stderr
            .contains("linux.resources.unified[\"memory.max\"]: invalid configuration: needs cgroup v2"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_container_lives_with_v2_alone() {
    if !v1(&["memory"]) || !v2("hugetlb") {
        return;
    }
    let (_script, door) = view(ONLY_V2);
    lives(&door);
    check_devices(|bundle| door.run(["run", "--bundle", dir(bundle), &door.id("devices")]).stdout);
    let limit = json!([{ "pageSize": "2MB", "limit": 4_194_304 }]);
    let bundle = resources(Bundle::busybox(), "hugepageLimits", limit).namespace(json!({ "type": "cgroup" }));
    let bundle = bundle.shell("cat /proc/self/cgroup | grep ^0; cat /sys/fs/cgroup/hugetlb.2MB.rsvd.max");
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("pages")]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "0::/\n4194304\n"), "{}", output.stderr);
    let bundle = resources(bundle, "memory", json!({ "limit": 67_108_864 }));
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("memory")]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("linux.resources.memory.limit: the memory controller"),
        "{}",
        output.stderr
    );
}
