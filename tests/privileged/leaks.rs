//! Nothing is left after many runs.

use crate::running::dir;
use serde_json::json;
use std::fs;
use std::process::Stdio;
use testkit::{Bundle, Door, Leaks, privileged};

/// Mounts, cgroups, processes and open files of the machine, counted.
fn census() -> [(&'static str, usize); 4] {
    let lines = |file: &str| fs::read_to_string(file).unwrap().lines().count();
    let cgroups = fs::read_to_string("/proc/cgroups").unwrap();
    let cgroups = cgroups.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<usize>().ok());
    let numeric = |name: &std::ffi::OsStr| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| numeric(&entry.file_name()));
    let sockets = lines("/proc/net/unix");
    [
        ("mounts", lines("/proc/self/mountinfo")),
        ("cgroups", cgroups.sum()),
        ("processes", processes.count()),
        ("sockets", sockets),
    ]
}

/// The whole machine is counted, so nothing else may run.
#[test]
fn machine_a_thousand_runs_leave_nothing() {
    if !privileged::root() {
        return;
    }
    let leaks = Leaks::before();
    let bundle = Bundle::busybox().args(["true"]).namespace(json!({ "type": "cgroup" })).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 1 << 26 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 100 });
    });
    let door = Door::new();
    let id = door.id("again");
    // The first makes what stays (a cgroup's parents, the kernel's own).
    door.ok(["run", "--bundle", dir(&bundle), &id]);
    let before = census();
    for round in 0..1000 {
        let status = door
            .command(["run", "--bundle", dir(&bundle), &id])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(status.success(), "round {round}: {status}");
    }
    assert!(door.containers().is_empty());
    leaks.assert_none();
    // Removed cgroups are counted until the kernel has let go of them, and the machine has processes of its own.
    let slack = 20;
    let mut grown = before.to_vec();
    testkit::eventually(&format!("no more than before: {before:?}"), || {
        // What is left for good stays above: one look at each that shows otherwise is enough.
        let now = census();
        grown.retain(|(name, was)| now.iter().any(|(other, count)| other == name && *count > was + slack));
        grown.is_empty()
    });
}
