//! `update`: limits of a container that lives, as they are in its groups afterwards.

use crate::cgroup::{group, resources, v1, values};
use crate::running::{Running, read};
use serde_json::{Value, json};
use std::fs::{self, File};
use testkit::{Bundle, Output, privileged};

/// A container with some limits.
fn limited() -> Running {
    let bundle = resources(
        Bundle::busybox(),
        "memory",
        json!({ "limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728 }),
    );
    let bundle = resources(bundle, "cpu", json!({ "shares": 512, "quota": 20_000, "period": 50_000 }));
    Running::of(resources(bundle, "pids", json!({ "limit": 20 })))
}

impl Running {
    fn update(&self, words: &[&str]) -> Output {
        self.door.run([&["update"], words, &[self.id.as_str()]].concat())
    }

    #[track_caller]
    fn update_ok(&self, words: &[&str]) {
        let output = self.update(words);
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (0, "", ""), "{words:?}");
    }

    /// The error of an update that can't be, one line.
    #[track_caller]
    fn update_refused(&self, words: &[&str]) -> String {
        let output = self.update(words);
        assert_eq!((output.code, &*output.stdout), (1, ""), "{words:?}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        output.stderr.trim_end().to_owned()
    }

    /// Asserts a file's content in the groups of init.
    #[track_caller]
    fn has(&self, controller: &str, file: &str, value: &str) {
        values(&group(self.pid(), controller), &[(file, value)]);
    }

    /// All files of the groups that limits are written to.
    fn snapshot(&self) -> Vec<String> {
        let pid = self.pid();
        let files = [
            ("memory", "memory.limit_in_bytes"),
            ("memory", "memory.memsw.limit_in_bytes"),
            ("memory", "memory.soft_limit_in_bytes"),
            ("cpu", "cpu.shares"),
            ("cpu", "cpu.cfs_quota_us"),
            ("cpu", "cpu.cfs_period_us"),
            ("cpuset", "cpuset.cpus"),
            ("pids", "pids.max"),
            ("blkio", "blkio.throttle.read_bps_device"),
        ];
        files.iter().map(|(controller, file)| read(group(pid, controller).join(file))).collect()
    }

    fn record(&self) -> Value {
        let file = self.door.root().join(&self.id).join("state.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }
}

const CONTROLLERS: &[&str] = &["memory", "cpu", "cpuset", "pids", "blkio"];

#[test]
fn each_option_changes_its_file() {
    if !v1(CONTROLLERS) {
        return;
    }
    let running = limited();
    for (words, controller, file, value) in [
        (&["--memory", "96M"][..], "memory", "memory.limit_in_bytes", "100663296"),
        (&["--memory-swap", "200M"], "memory", "memory.memsw.limit_in_bytes", "209715200"),
        (&["--memory-reservation", "16m"], "memory", "memory.soft_limit_in_bytes", "16777216"),
        (&["--kernel-memory-tcp", "8M"], "memory", "memory.kmem.tcp.limit_in_bytes", "8388608"),
        (&["--cpu-share", "200"], "cpu", "cpu.shares", "200"),
        (&["--cpu-period", "40000"], "cpu", "cpu.cfs_period_us", "40000"),
        (&["--cpu-quota", "30000"], "cpu", "cpu.cfs_quota_us", "30000"),
        (&["--cpu-burst", "10000"], "cpu", "cpu.cfs_burst_us", "10000"),
        (&["--cpu-idle", "1"], "cpu", "cpu.idle", "1"),
        // It has its shares again when it is no longer idle.
        (&["--cpu-idle", "0"], "cpu", "cpu.shares", "200"),
        (&["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"),
        (&["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "0"),
        (&["--pids-limit", "30"], "pids", "pids.max", "30"),
        (&["--pids-limit", "0"], "pids", "pids.max", "1"),
        (&["--pids-limit", "-1"], "pids", "pids.max", "max"),
        (&["--blkio-weight", "300"], "blkio", "blkio.bfq.weight", "300"),
        (&["--cpu-quota", "-1"], "cpu", "cpu.cfs_quota_us", "-1"),
    ] {
        if file == "blkio.bfq.weight" && !group(running.pid(), controller).join(file).exists() {
            continue;
        }
        running.update_ok(words);
        running.has(controller, file, value);
    }
    running.has("cpu", "cpu.cfs_period_us", "40000");
    running.update_ok(&["--memory", "-1"]);
    let unlimited = read(group(1, "memory").join("memory.limit_in_bytes"));
    running.has("memory", "memory.memsw.limit_in_bytes", &unlimited);
    assert_eq!(running.says("echo alive"), "alive");
}

#[test]
fn realtime_is_given_where_the_kernel_has_it() {
    if !v1(&["cpu"]) {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let group = group(running.pid(), "cpu");
    if !group.join("cpu.rt_runtime_us").exists() {
        return testkit::skip("needs groups for realtime processes (CONFIG_RT_GROUP_SCHED)");
    }
    running.update_ok(&["--cpu-rt-period", "500000", "--cpu-rt-runtime", "1000"]);
    values(&group, &[("cpu.rt_period_us", "500000"), ("cpu.rt_runtime_us", "1000")]);
}

#[test]
fn memory_and_swap_go_up_and_down_together() {
    if !v1(&["memory"]) {
        return;
    }
    let running = limited();
    for (memory, swap) in [("256M", "512M"), ("32M", "32M"), ("64M", "96M")] {
        running.update_ok(&["--memory", memory, "--memory-swap", swap]);
        let bytes = |text: &str| (text.trim_end_matches('M').parse::<u64>().unwrap() << 20).to_string();
        running.has("memory", "memory.limit_in_bytes", &bytes(memory));
        running.has("memory", "memory.memsw.limit_in_bytes", &bytes(swap));
    }
    running.update_ok(&["--memory-swap", "-1"]);
    running.has("memory", "memory.limit_in_bytes", "67108864");
    let error = running.update_refused(&["--memory", "64M", "--memory-swap", "1M"]);
    let why = "linux.resources.memory.swap: 1048576 is below linux.resources.memory.limit 67108864, which it includes";
    assert_eq!(error, format!("forgeone: update: {why}"));
}

#[test]
fn limits_come_from_a_file_or_from_standard_input() {
    if !v1(CONTROLLERS) {
        return;
    }
    let running = limited();
    let file = running.door.directory().join("limits.json");
    let limits = json!({
        "memory": { "limit": 33_554_432, "swap": 33_554_432, "swappiness": 7, "disableOOMKiller": true },
        "cpu": { "shares": 100, "quota": 0, "cpus": "" },
        "pids": { "limit": 10 },
        "blockIO": {},
    });
    fs::write(&file, limits.to_string()).unwrap();
    running.update_ok(&["-r", file.to_str().unwrap()]);
    let check = |memory: &str, shares: &str| {
        running.has("memory", "memory.limit_in_bytes", memory);
        running.has("memory", "memory.swappiness", "7");
        running.has("cpu", "cpu.shares", shares);
        running.has("cpu", "cpu.cfs_quota_us", "20000");
        running.has("pids", "pids.max", "10");
    };
    check("33554432", "100");
    let control = || read(group(running.pid(), "memory").join("memory.oom_control"));
    assert!(control().starts_with("oom_kill_disable 1"), "{}", control());
    let limits = r#"{"cpu":{"shares":50},"memory":{"disableOOMKiller":false}}"#;
    fs::write(&file, limits).unwrap();
    let mut command = running.door.command(["update", "--resources=-", &running.id]);
    let output = running.door.finish(command.stdin(File::open(&file).unwrap()));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    check("33554432", "50");
    assert!(control().starts_with("oom_kill_disable 0"), "{}", control());
    for (text, cause) in [
        ("{", "EOF while parsing"),
        (r#"{"memory":{"limit":"much"}}"#, "memory.limit: invalid type: string \"much\", expected i64"),
    ] {
        fs::write(&file, text).unwrap();
        let error = running.update_refused(&["-r", file.to_str().unwrap()]);
        assert!(error.starts_with(&format!("forgeone: update: {}: {cause}", file.display())), "{error}");
    }
    let error = running.update_refused(&["-r", "/nowhere"]);
    assert_eq!(error, "forgeone: update: /nowhere: No such file or directory");
}

#[test]
fn what_was_changed_is_known_to_the_next_change() {
    if !v1(CONTROLLERS) {
        return;
    }
    let running = limited();
    assert_eq!(running.record().get("resources"), None);
    running.update_ok(&["--memory", "32M", "--pids-limit", "7"]);
    let kept = &running.record()["resources"];
    let memory = json!({ "limit": 33_554_432, "reservation": 33_554_432, "swap": 134_217_728 });
    assert_eq!((&kept["memory"], &kept["pids"]), (&memory, &json!({ "limit": 7 })));
    assert_eq!(kept["cpu"], json!({ "shares": 512, "quota": 20_000, "period": 50_000 }));
    // Quota and period belong together; the burst is checked against a quota that an earlier change set.
    running.update_ok(&["--cpu-quota", "10000"]);
    running.has("cpu", "cpu.cfs_period_us", "50000");
    let error = running.update_refused(&["--cpu-burst", "10001"]);
    assert!(
        error.ends_with("linux.resources.cpu.burst: 10001 is above linux.resources.cpu.quota 10000"),
        "{error}"
    );
    let events = fs::read_to_string(running.door.root().join(&running.id).join("events")).unwrap();
    assert_eq!(events.matches(r#""event":"updated""#).count(), 2, "{events}");
}

#[test]
fn an_update_that_fails_changes_nothing_and_says_why() {
    if !v1(CONTROLLERS) {
        return;
    }
    let running = limited();
    let (before, record) = (running.snapshot(), running.record());
    let file = running.door.directory().join("limits.json");
    let limits = json!({
        "memory": { "limit": 16_777_216, "swap": 16_777_216, "reservation": 1_048_576 },
        "cpu": { "shares": 3, "quota": 5000, "period": 100_000, "cpus": "0" },
        "pids": { "limit": 3 },
        // No such device: the last that is written.
        "blockIO": { "throttleReadBpsDevice": [{ "major": 4000, "minor": 7, "rate": 5 }] },
    });
    fs::write(&file, limits.to_string()).unwrap();
    let pid = running.pid();
    let path = group(pid, "blkio").join("blkio.throttle.read_bps_device");
    let error = running.update_refused(&["-r", file.to_str().unwrap()]);
    let cause = format!("write(<{}>, \"4000:7 5\"): ENODEV (No such device)", path.display());
    assert_eq!(error, format!("forgeone: update: linux.resources.blockIO.throttleReadBpsDevice[0]: {cause}"));
    let error = running.update_refused(&["--memory", "16M", "--pids-limit", "3", "--cpuset-cpus", "0,4000"]);
    assert!(error.contains("linux.resources.cpu.cpus: write(<"), "{error}");
    assert!(error.contains("\"0,4000\"): ERANGE"), "{error}");
    assert_eq!(running.snapshot(), before);
    assert_eq!(running.record(), record);
}

#[test]
fn a_limit_below_what_is_in_use_is_refused() {
    if !v1(&["memory"]) {
        return;
    }
    let hog = "x=$(yes | head -c 24000000); echo full; sleep 1000; exit";
    let bundle = resources(
        Bundle::busybox().shell(hog),
        "memory",
        json!({ "limit": 134_217_728, "swap": 134_217_728, "checkBeforeUpdate": true }),
    );
    let door = testkit::Door::new();
    let id = door.id("full");
    let output = door.ok(["run", "--detach", "--bundle", crate::running::dir(&bundle), &id]);
    testkit::eventually("it has taken memory", || output.stdout_now() == "full\n");
    let output = door.run(["update", "--memory", "8M", "--memory-swap", "8M", &id]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.starts_with("forgeone: update: linux.resources.memory.limit: write(<"));
    assert!(output.stderr.contains("EBUSY (Device or resource busy): more than that is in use"));
    assert_eq!(door.status(&id), "running");
}

#[test]
fn what_can_not_be_changed_is_said() {
    if !v1(CONTROLLERS) {
        return;
    }
    let running = limited();
    let output = running.update(&["--kernel-memory", "50M"]);
    assert_eq!(output.code, 0);
    assert!(output.stderr.contains("linux.resources.memory.kernel: ignored"), "{}", output.stderr);
    let file = running.door.directory().join("limits.json");
    fs::write(&file, r#"{"devices":[{"allow":true,"access":"rwm"}]}"#).unwrap();
    let devices = || read(group(running.pid(), "devices").join("devices.list"));
    let before = devices();
    let output = running.update(&["--pids-limit", "5", "-r", file.to_str().unwrap()]);
    assert_eq!((output.code, devices()), (0, before));
    for warning in
        ["device rules can't be changed by update", "option --resources: the other limits are ignored"]
    {
        assert!(output.stderr.contains(warning), "{}", output.stderr);
    }
    running.has("pids", "pids.max", "20");
    let rdt = fs::read_to_string("/proc/filesystems").unwrap().contains("\tresctrl\n");
    let why = if rdt { "has no linux.intelRdt" } else { "this machine has no resctrl file system" };
    for option in ["--l3-cache-schema", "--mem-bw-schema"] {
        let error = running.update_refused(&[option, "L3:0=f"]);
        assert!(
            error.starts_with(&format!("forgeone: update: {option}: ")) && error.contains(why),
            "{error}"
        );
    }
    for (words, why) in [
        (&["--memory", "lots"][..], "option --memory: \"lots\" is neither a size such as 64M nor -1"),
        (&["--cpu-idle", "2"], "linux.resources.cpu.idle: 2 is neither 0 nor 1"),
        (&["--blkio-weight", "5"], "linux.resources.blockIO.weight: 5 is not within 10 to 1000"),
    ] {
        assert!(running.update_refused(words).contains(why), "{why}");
    }
}

#[test]
fn a_container_is_updated_while_it_lives() {
    if !privileged::root() || !v1(&["pids"]) {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = testkit::Door::new();
    let id = door.id("lives");
    let update = |limit: &str| door.run(["update", "--pids-limit", limit, &id]);
    assert!(update("9").stderr.contains("does not exist"));
    door.ok(["create", "--bundle", crate::running::dir(&bundle), &id]);
    let pids = group(door.state(&id)["pid"].as_i64().unwrap() as i32, "pids").join("pids.max");
    assert_eq!((update("9").code, read(&pids)), (0, "9".into()));
    door.ok(["start", &id]);
    door.ok(["pause", &id]);
    assert_eq!((update("8").code, read(&pids)), (0, "8".into()));
    door.ok(["resume", &id]);
    door.ok(["kill", &id, "KILL"]);
    door.await_status(&id, "stopped");
    let output = update("7");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains(&format!("container \"{id}\" is stopped, not running")));
}

#[test]
fn huge_pages_and_unified_values_change_on_cgroup2() {
    if !crate::cgroup::v2("hugetlb") {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let file = running.door.directory().join("limits.json");
    let limits = json!({
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }],
        "unified": { "cgroup.max.depth": "3" },
    });
    fs::write(&file, limits.to_string()).unwrap();
    running.update_ok(&["-r", file.to_str().unwrap()]);
    running.has("", "hugetlb.2MB.max", "4194304");
    running.has("", "hugetlb.2MB.rsvd.max", "4194304");
    running.has("", "cgroup.max.depth", "3");
    let limits = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }], "unified": { "cgroup.max.depth": "x" } });
    fs::write(&file, limits.to_string()).unwrap();
    let error = running.update_refused(&["-r", file.to_str().unwrap()]);
    assert!(error.contains("linux.resources.unified[\"cgroup.max.depth\"]: write(<"), "{error}");
    running.has("", "hugetlb.2MB.max", "4194304");
}
