//! cgroup2 alone, with the controllers of a usual machine: limits in the group's files, and what they do.
//!
//! The reference machine has cgroup v1; these tests run in the guest that tests/vm describes.

use crate::cgroup::{group, path, resources, v2, values, whole_disk};
use crate::running::{Running, dir, refusal, run};
use serde_json::json;
use std::fs;
use std::path::Path;
use testkit::{Bundle, Door, eventually, names, privileged, skip};

/// Whether cgroup2 is alone and has this controller; otherwise the test is skipped.
fn alone(controller: &str) -> bool {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        skip("needs cgroup v2 alone");
        return false;
    }
    v2(controller)
}

#[test]
fn memory_limits_are_in_the_group() {
    if !alone("memory") {
        return;
    }
    let memory = json!({ "limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728 });
    let running = Running::of(resources(Bundle::busybox(), "memory", memory));
    values(
        &group(running.pid(), ""),
        &[("memory.max", "67108864"), ("memory.low", "33554432"), ("memory.swap.max", "67108864")],
    );
}

#[test]
fn a_program_that_takes_more_memory_than_it_may_is_killed() {
    if !alone("memory") {
        return;
    }
    let limit = json!({ "limit": 16_777_216, "swap": 16_777_216 });
    let dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    let bundle = resources(Bundle::busybox(), "memory", limit).args(dd);
    assert_eq!(run(&bundle).code, 137);
    assert_eq!(run(&resources(bundle, "memory", json!({ "limit": 268_435_456 }))).code, 0);
}

#[test]
fn a_limit_that_nothing_can_run_below_is_an_error_and_leaves_nothing() {
    if !alone("memory") {
        return;
    }
    let error = refusal(&resources(Bundle::busybox(), "memory", json!({ "limit": 4096 })));
    assert!(error.contains("linux.resources.memory"), "{error}");
}

#[test]
fn shares_and_quotas_of_cpu_are_in_the_group() {
    if !alone("cpu") {
        return;
    }
    let cpu = json!({ "shares": 1024, "quota": 20_000, "period": 50_000, "burst": 10_000 });
    let running = Running::of(resources(Bundle::busybox(), "cpu", cpu));
    let expected = [("cpu.weight", "100"), ("cpu.max", "20000 50000"), ("cpu.max.burst", "10000")];
    values(&group(running.pid(), ""), &expected);
    let running = Running::of(resources(Bundle::busybox(), "cpu", json!({ "idle": 1, "shares": 2048 })));
    values(&group(running.pid(), ""), &[("cpu.idle", "1")]);
}

#[test]
fn a_container_runs_on_the_cpus_it_may() {
    if !alone("cpuset") {
        return;
    }
    let bundle = resources(Bundle::busybox().with_probe(), "cpu", json!({ "cpus": "0", "mems": "0" }));
    let running = Running::of(bundle);
    values(&group(running.pid(), ""), &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]);
    assert_eq!(running.probe()["process"]["cpus_allowed"], "0");
    let error = refusal(&resources(Bundle::busybox(), "cpu", json!({ "cpus": "x" })));
    assert!(error.contains("linux.resources.cpu.cpus: "), "{error}");
}

#[test]
fn no_more_processes_than_the_limit_can_be_made() {
    if !alone("pids") {
        return;
    }
    let line = "for i in 1 2 3 4 5 6 7 8; do sleep 100 & echo $i; done";
    let output = run(&resources(Bundle::busybox().shell(line), "pids", json!({ "limit": 5 })));
    assert_eq!(output.stdout, "1\n2\n3\n4\n", "the shell is the fifth");
}

#[test]
fn block_devices_are_throttled() {
    if !alone("io") {
        return;
    }
    let Some(device) = whole_disk() else { return skip("needs a block device") };
    let (major, minor) = device.split_once(':').unwrap();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let rate = |rate: u64| json!([{ "major": number(major), "minor": number(minor), "rate": rate }]);
    let limits = json!({ "throttleReadBpsDevice": rate(1_048_576), "throttleWriteIOPSDevice": rate(200) });
    let running = Running::of(resources(Bundle::busybox(), "blockIO", limits));
    let line = format!("{device} rbps=1048576 wbps=max riops=max wiops=200");
    values(&group(running.pid(), ""), &[("io.max", &line)]);
}

#[test]
fn values_of_unified_are_in_the_group_or_refused() {
    if !alone("memory") {
        return;
    }
    let unified = json!({ "memory.high": "64M", "memory.oom.group": "1", "pids.max": "77" });
    let running = Running::of(resources(Bundle::busybox(), "unified", unified));
    let expected = [("memory.high", "67108864"), ("memory.oom.group", "1"), ("pids.max", "77")];
    values(&group(running.pid(), ""), &expected);
    for (key, value) in [("memory.nothing", "1"), ("memory.max", "lots"), ("nothing.max", "1")] {
        let error = refusal(&resources(Bundle::busybox(), "unified", json!({ key: value })));
        assert!(error.contains(&format!("linux.resources.unified[\"{key}\"]")), "{error}");
    }
}

/// Each error names the field, and the file or value with the cause; [`refusal`] sees that nothing is left.
#[test]
fn limits_that_can_not_be_are_refused_with_field_and_cause() {
    if !alone("memory") || !alone("cpuset") {
        return;
    }
    for (name, value, expected) in [
        ("memory", json!({ "limit": -2 }), &["linux.resources.memory.limit", "-2"][..]),
        ("memory", json!({ "limit": "lots" }), &["linux.resources.memory.limit", "\"lots\""]),
        ("memory", json!({ "reservation": 1.5 }), &["linux.resources.memory.reservation", "1.5"]),
        ("memory", json!({ "limit": 1 << 26, "swap": 1 << 25 }), &["linux.resources.memory.swap"]),
        ("pids", json!({ "limit": "x" }), &["linux.resources.pids.limit", "\"x\""]),
        ("cpu", json!({ "quota": 10 }), &["linux.resources.cpu.quota", "cpu.max", "10 100000", "EINVAL"]),
        ("cpu", json!({ "period": 10_000_000 }), &["linux.resources.cpu.period", "cpu.max", "EINVAL"]),
        ("cpu", json!({ "idle": 2 }), &["linux.resources.cpu.idle", "2 is neither 0 nor 1"]),
        ("cpu", json!({ "mems": "77" }), &["linux.resources.cpu.mems", "cpuset.mems", "77"]),
        ("rdma", json!({ "no_such0": { "hcaHandles": 1 } }), &["linux.resources.rdma[\"no_such0\"]"]),
        (
            "unified",
            json!({ "misc.max": "nothing 1" }),
            &["linux.resources.unified[\"misc.max\"]", "nothing 1"],
        ),
        (
            "unified",
            json!({ "pids.max": "-1" }),
            &["linux.resources.unified[\"pids.max\"]", "pids.max", "-1"],
        ),
        ("unified", json!({ "cgroup.procs": "1" }), &["linux.resources.unified[\"cgroup.procs\"]"]),
    ] {
        let error = refusal(&resources(Bundle::busybox(), name, value));
        assert!(expected.iter().all(|word| error.contains(word)), "{expected:?}: {error}");
    }
}

#[test]
fn memory_that_runs_out_ends_the_whole_group_if_the_config_says_so() {
    if !alone("memory") {
        return;
    }
    let door = Door::new();
    let line = "sleep 1000 & dd if=/dev/zero of=/dev/null bs=64M count=1; echo survived; sleep 1000";
    let limit = json!({ "limit": 16_777_216, "swap": 16_777_216 });
    let bundle = resources(Bundle::busybox().shell(line), "memory", limit);
    for (together, survives) in [("0", true), ("1", false)] {
        let bundle = crate::cgroup::like(&bundle, line);
        let bundle = resources(bundle, "unified", json!({ "memory.oom.group": together }));
        let id = door.id("together");
        let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        if survives {
            eventually("the shell goes on", || output.stdout_now() == "survived\n");
        } else {
            door.await_status(&id, "stopped");
            assert_eq!(output.stdout_now(), "");
        }
        door.ok(["delete", "--force", &id]);
    }
}

/// As the scheduler of the machine's disks has it: BFQ's weights, or those of the kernel's cost model.
#[test]
fn block_devices_have_weights() {
    if !alone("io") {
        return;
    }
    let bundle = resources(Bundle::busybox(), "blockIO", json!({ "weight": 300 }));
    let probe = Running::of(Bundle::busybox());
    let own = group(probe.pid(), "");
    if let Some((file, value)) = [("io.bfq.weight", "default 300"), ("io.weight", "default 2930")]
        .iter()
        .find(|(file, _)| own.join(file).exists())
    {
        values(&group(Running::of(bundle).pid(), ""), &[(file, value)]);
    } else {
        let error = refusal(&bundle);
        assert!(error.contains("linux.resources.blockIO.weight"), "{error}");
    }
}

/// Below a group of threads there are no processes with memory of their own to limit.
#[test]
fn a_tree_of_threads_is_an_error_that_names_the_group() {
    if !alone("memory") || !privileged::cgroupfs_driver() || !privileged::machine_root() {
        return;
    }
    let name = names::unique("threads");
    let own = Path::new("/sys/fs/cgroup").join(&name);
    fs::create_dir(&own).unwrap();
    let tree = Levels(own.clone());
    fs::create_dir(own.join("threads")).unwrap();
    fs::write(own.join("threads/cgroup.type"), "threaded").unwrap();
    for place in ["threads/x", "domain"] {
        let bundle = path(Bundle::busybox().args(["true"]), &format!("/{name}/{place}"));
        let error = refusal(&resources(bundle, "memory", json!({ "limit": 1 << 26 })));
        assert!(error.contains("linux.resources.memory.limit") && error.contains(&name), "{error}");
    }
    drop(tree);
}

/// Groups of the test's own.
struct Levels(std::path::PathBuf);

impl Drop for Levels {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("threads"));
        let _ = fs::remove_dir(&self.0);
    }
}

/// A group that somebody else manages, who passes some controllers on and has processes in it.
#[test]
fn a_controller_that_can_not_be_passed_on_is_an_error_that_names_it() {
    if !alone("memory") || !privileged::cgroupfs_driver() || !privileged::machine_root() {
        return;
    }
    let name = names::unique("busy");
    let own = Levels(Path::new("/sys/fs/cgroup").join(&name));
    fs::create_dir(&own.0).unwrap();
    let mut inside = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(own.0.join("cgroup.procs"), inside.id().to_string()).unwrap();
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 1 << 26 }));
    let error = std::panic::catch_unwind(|| refusal(&path(bundle, &format!("/{name}/x"))));
    inside.kill().and_then(|()| inside.wait()).unwrap();
    let error = error.unwrap();
    // EBUSY or, where it would make threads of its processes, EOPNOTSUPP.
    for word in ["linux.resources.memory.limit", &name, "cgroup.subtree_control"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn what_only_v1_has_is_refused() {
    if !alone("memory") {
        return;
    }
    let error = refusal(&resources(Bundle::busybox(), "memory", json!({ "swappiness": 7 })));
    assert!(error.ends_with("linux.resources.memory.swappiness: cgroup v2 has none"), "{error}");
}

#[test]
fn groups_that_the_container_makes_are_paused_killed_and_removed_with_it() {
    if !alone("pids") {
        return;
    }
    let mount = json!({ "destination": "/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] });
    let line = "mkdir /cgroup/in && (echo 0 > /cgroup/in/cgroup.procs; exec sleep 1000) & exec sleep 1000";
    let bundle = Bundle::busybox().mount(mount).namespace(json!({ "type": "cgroup" })).shell(line);
    let door = Door::new();
    let id = door.id("groups");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let own = group(door.state(&id)["pid"].as_i64().unwrap() as i32, "");
    let inner = own.join("in/cgroup.procs");
    eventually("a process is inside", || fs::read_to_string(&inner).is_ok_and(|list| !list.is_empty()));
    assert_eq!(door.ok(["ps", "--format", "json", &id]).json().as_array().unwrap().len(), 2);
    door.ok(["pause", &id]);
    values(&own, &[("cgroup.freeze", "1")]);
    assert!(fs::read_to_string(own.join("in/cgroup.events")).unwrap().contains("frozen 1"));
    door.ok(["resume", &id]);
    door.ok(["delete", "--force", &id]);
    assert!(!own.exists());
}
