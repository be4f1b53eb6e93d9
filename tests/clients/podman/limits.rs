//! Limits, figures and health: of root's Podman, as the machine has it. [`super::systemd`] has the same with systemd's groups.

use super::Podman;
use crate::client::Client;
use crate::group;
use std::path::Path;
use testkit::{eventually, privileged, skip};

#[test]
fn podmans_limits_are_the_cgroups() {
    let Some(podman) = Podman::new().filter(|_| has_controllers()) else { return };
    limits(&podman);
}

#[test]
fn podman_sees_that_memory_ran_out() {
    if !group::is_v2() {
        return skip("is about cgroup v2: on v1 conmon misses it, with runc too");
    }
    let Some(podman) = Podman::new() else { return };
    out_of_memory(&podman);
}

#[test]
fn podmans_update_changes_limits_while_the_container_runs() {
    let Some(podman) = Podman::new().filter(|_| has_controllers()) else { return };
    update(&podman);
}

#[test]
fn podmans_stats_are_the_cgroups() {
    let Some(podman) = Podman::new().filter(|_| has_controllers()) else { return };
    stats(&podman);
}

#[test]
fn podmans_health_check_runs_in_the_container() {
    let Some(podman) = Podman::new() else { return };
    health(&podman);
}

/// Whether memory is limited, on either version; otherwise the test is skipped.
fn has_controllers() -> bool {
    group::is_v2() || privileged::file("/sys/fs/cgroup/memory/memory.limit_in_bytes")
}

/// What a container sees in the files of its own group: those of v1, or those of v2.
fn files(v1: &str, v2: &str) -> String {
    format!("cd /sys/fs/cgroup; cat {}", if group::is_v2() { v2 } else { v1 })
}

pub(super) fn limits(podman: &Podman) {
    let options = ["--memory", "32m", "--pids-limit", "50", "--cpus", "0.5"];
    let line = files(
        "memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us",
        "memory.max pids.max cpu.max | cut -d ' ' -f 1",
    );
    assert_eq!(podman.says(&options, &line), "33554432\n50\n50000\n");
    let options = ["--rm", "--memory", "16m", "--memory-swap", "16m"];
    let output = podman.run(&options, &["sh", "-c", "tail /dev/zero"]);
    assert_eq!(output.code, 137, "{}", output.stderr);
}

/// conmon hears of it only while the container goes on, and Podman sees conmon's note when it ends.
pub(super) fn out_of_memory(podman: &Podman) {
    let line = "tail /dev/zero; echo $?; exec sleep 1000";
    podman.start("web", &["--memory", "16m", "--memory-swap", "16m"], &["sh", "-c", line]);
    eventually("the program is killed", || podman.ok(["logs", "web"]).stdout == "137\n");
    let note = podman.inspect("web", "{{.OCIConfigPath}}").replace("config.json", "oom");
    eventually("conmon has noted it", || Path::new(&note).exists());
    podman.ok(["kill", "web"]);
    podman.ok(["wait", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.OOMKilled}}"), "true");
}

pub(super) fn update(podman: &Podman) {
    podman.start("web", &["--memory", "32m"], &["sleep", "1000"]);
    podman.ok(["update", "--memory", "64m", "--cpu-shares", "2", "--cpus", "0.5", "web"]);
    let line = files(
        "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares",
        "memory.max cpu.max cpu.weight | cut -d ' ' -f 1",
    );
    let least = if group::is_v2() { "1" } else { "2" };
    assert_eq!(podman.exec("web", &line), format!("67108864\n50000\n{least}"));
}

pub(super) fn stats(podman: &Podman) {
    podman.start("web", &["--memory", "32m"], &["sh", "-c", "sleep 1000 & exec sleep 1000"]);
    let format = "{{.MemLimit}} {{.PIDs}}";
    eventually("there are two processes", || {
        let stats = podman.ok(["stats", "--no-stream", "--format", format, "web"]).stdout;
        stats.trim() == "33554432 2"
    });
}

pub(super) fn health(podman: &Podman) {
    // Without an interval: timers are systemd's, and know no options of Podman's.
    let options = ["--health-cmd", "test -e /ok", "--health-interval", "disable", "--health-retries", "1"];
    podman.start("web", &options, &["sleep", "1000"]);
    let check = || podman.answer(["healthcheck", "run", "web"]).code;
    let health = || podman.inspect("web", "{{.State.Health.Status}}");
    assert_eq!((check(), health()), (1, "unhealthy".into()));
    podman.exec("web", "touch /ok");
    assert_eq!((check(), health()), (0, "healthy".into()));
}
