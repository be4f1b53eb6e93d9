//! The rarer fields of `linux.resources`: what they do to a container, or that they can't be had.

use crate::cgroup::{group, path, resources, v1, values};
use crate::running::{Running, dir, read, refusal};
use serde_json::json;
use std::fs;
use std::process::Command;
use testkit::{Bundle, Door, Temp, eventually, privileged, skip};

/// A block device of the test's own.
struct Loop {
    name: String,
    _file: Temp,
}

impl Loop {
    fn new() -> Option<Self> {
        let file = Temp::new("loop");
        let image = file.path().join("image");
        fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&image).output().ok()?;
        let name = String::from_utf8(output.stdout).unwrap().trim().strip_prefix("/dev/")?.to_owned();
        Some(Self { name, _file: file })
    }

    fn numbers(&self) -> String {
        read(format!("/sys/block/{}/dev", self.name))
    }

    /// Whether it has the scheduler that knows weights.
    fn schedule_by_weight(&self) -> bool {
        fs::write(format!("/sys/block/{}/queue/scheduler", self.name), "bfq").is_ok()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = fs::write(format!("/sys/block/{}/queue/scheduler", self.name), "none");
        let _ = Command::new("losetup").arg("--detach").arg(format!("/dev/{}", self.name)).status();
    }
}

#[test]
fn machine_block_devices_have_weights_and_rates() {
    if !v1(&["blkio"]) || !privileged::program("losetup", "mount") {
        return;
    }
    let Some(device) = Loop::new() else { return skip("needs loop devices") };
    if !device.schedule_by_weight() {
        return skip("needs the BFQ scheduler");
    }
    let numbers = device.numbers();
    let (major, minor) = numbers.split_once(':').unwrap();
    let (major, minor): (u64, u64) = (major.parse().unwrap(), minor.parse().unwrap());
    let of = |weight: u64, rate: u64| {
        json!({
            "weight": 300,
            "weightDevice": [{ "major": major, "minor": minor, "weight": weight }],
            "throttleReadIOPSDevice": [{ "major": major, "minor": minor, "rate": rate }],
        })
    };
    let running = Running::of(resources(Bundle::busybox(), "blockIO", of(200, 100)));
    let group = group(running.pid(), "blkio");
    let check = |weight: &str, rate: &str| {
        values(
            &group,
            &[
                ("blkio.bfq.weight", "300"),
                ("blkio.bfq.weight_device", &format!("default 300\n{numbers} {weight}")),
                ("blkio.throttle.read_iops_device", &format!("{numbers} {rate}")),
            ],
        );
    };
    check("200", "100");
    // And through update, which takes back what was written before a rate that can't be.
    let file = running.door.directory().join("limits.json");
    let update = |io: serde_json::Value| {
        fs::write(&file, json!({ "blockIO": io }).to_string()).unwrap();
        running.door.run(["update", "-r", file.to_str().unwrap(), &running.id])
    };
    assert_eq!(update(of(700, 500)).code, 0);
    check("700", "500");
    // A new weight for all leaves that of the device.
    assert_eq!(update(json!({ "weight": 300 })).code, 0);
    check("700", "500");
    let mut wrong = of(20, 30);
    wrong["throttleWriteIOPSDevice"] = json!([{ "major": 4000, "minor": 7, "rate": 1 }]);
    assert_eq!(update(wrong).code, 1);
    check("700", "500");
}

#[test]
fn idle_and_realtime_are_in_the_containers_group() {
    if !v1(&["cpu"]) {
        return;
    }
    let running = Running::of(resources(Bundle::busybox(), "cpu", json!({ "idle": 1 })));
    values(&group(running.pid(), "cpu"), &[("cpu.idle", "1")]);
    if !group(1, "cpu").join("cpu.rt_runtime_us").exists() {
        return skip("needs groups for realtime processes (CONFIG_RT_GROUP_SCHED)");
    }
    let cpu = json!({ "realtimeRuntime": 2000, "realtimePeriod": 400_000 });
    let running = Running::of(resources(Bundle::busybox(), "cpu", cpu));
    values(&group(running.pid(), "cpu"), &[("cpu.rt_runtime_us", "2000"), ("cpu.rt_period_us", "400000")]);
}

#[test]
fn the_memory_of_tcp_and_of_groups_inside_is_limited() {
    if !v1(&["memory"]) {
        return;
    }
    let memory = json!({ "kernelTCP": 8_388_608, "useHierarchy": true });
    let running = Running::of(resources(Bundle::busybox(), "memory", memory));
    values(
        &group(running.pid(), "memory"),
        &[("memory.kmem.tcp.limit_in_bytes", "8388608"), ("memory.use_hierarchy", "1")],
    );
}

/// Without the OOM killer a program waits for memory, and goes on when it gets some.
#[test]
fn without_the_oom_killer_a_program_waits_for_memory() {
    if !v1(&["memory"]) {
        return;
    }
    let memory = json!({ "limit": 16_777_216, "swap": 16_777_216, "disableOOMKiller": true });
    let bundle = resources(Bundle::busybox(), "memory", memory)
        .shell("dd if=/dev/zero of=/dev/null bs=64M count=1 && echo done");
    let door = Door::new();
    let id = door.id("waits");
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].as_i64().unwrap() as i32;
    let control = group(pid, "memory").join("memory.oom_control");
    eventually("it waits", || read(&control).contains("under_oom 1"));
    assert_eq!(door.status(&id), "running");
    door.ok(["update", "--memory", "256M", "--memory-swap", "256M", &id]);
    door.await_status(&id, "stopped");
    assert!(output.stdout_now().is_empty() || output.stdout_now() == "done\n");
    assert!(fs::read_to_string(output.stdout_file).unwrap().contains("done"));
}

#[test]
fn what_a_machine_has_no_controller_for_is_refused_by_field() {
    if !privileged::root() {
        return;
    }
    let mounted = read("/proc/self/mountinfo");
    for (controller, name, value, field) in [
        ("net_cls", "network", json!({ "classID": 1 }), "linux.resources.network.classID"),
        (
            "net_prio",
            "network",
            json!({ "priorities": [{ "name": "lo", "priority": 1 }] }),
            "linux.resources.network.priorities[0]",
        ),
        ("rdma", "rdma", json!({ "mlx5_1": { "hcaHandles": 3 } }), "linux.resources.rdma[\"mlx5_1\"]"),
    ] {
        if mounted.contains(&format!("rw,{controller}")) {
            skip(format_args!("needs a machine without {controller}"));
            continue;
        }
        let error = refusal(&resources(Bundle::busybox(), name, value));
        let field = field.trim_end_matches("[0]");
        assert!(error.starts_with(&format!("forgeone: create: {field}")), "{error}");
    }
}

#[test]
fn paths_that_name_no_group_are_refused() {
    if !privileged::root() || !privileged::cgroupfs_driver() {
        return;
    }
    for (asked, why) in [
        ("/", "\"/\" names no group of the container's own"),
        ("..", "\"..\" names no group of the container's own"),
        ("/a/../..", "\"/a/../..\" names no group of the container's own"),
        ("a\nb", "\"a\\nb\" has control characters"),
    ] {
        let error = refusal(&path(Bundle::busybox(), asked));
        assert_eq!(error, format!("forgeone: create: linux.cgroupsPath: {why}"));
    }
}
