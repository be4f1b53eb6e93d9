//! cgroup2 alone, with the controllers of a usual machine: limits in the group's files, and what they do.
//!
//! The reference machine has cgroup v1; these tests run in the guest that tests/vm describes.

use crate::cgroup::{group, resources, v2, values, whole_disk};
use crate::running::{Running, dir, refusal, run};
use serde_json::json;
use std::fs;
use std::path::Path;
use testkit::{Bundle, Door, eventually, skip};

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
