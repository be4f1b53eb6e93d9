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
    let Some(podman) = Podman::new().filter(|_| has_controllers()) else { return };
    skip_unless_noted(out_of_memory(&podman));
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
}

/// Whether conmon has noted it at all, which Podman then has to see. conmon hears of it only while it listens and the
/// container goes on, on a slow machine not always. It makes its note where it was started; Podman, when the container ends,
/// looks for it in the container's directory, and removes it (Debian 12's: conmon 2.1.6, Podman 4.3).
pub(super) fn out_of_memory(podman: &Podman) -> bool {
    let line = "while :; do tail /dev/zero; echo $?; sleep 0.1; done";
    let options = ["--name", "web", "--memory", "16m", "--memory-swap", "16m"];
    let mut words = podman.run_words(&options, &["sh", "-c", line]);
    words[0] = "create";
    podman.ok(words);
    let directory = podman.inspect("web", "{{.StaticDir}}");
    let mut start = podman.command(["start", "web"]);
    let started = podman.door().finish(start.current_dir(&directory));
    assert_eq!(started.code, 0, "{}", started.stderr);
    let noted = || Path::new(&directory).join("oom").exists();
    let killed = || podman.ok(["logs", "web"]).stdout.matches("137\n").count();
    eventually("programs are killed", || killed() >= if noted() { 1 } else { 10 });
    let noted = noted();
    podman.ok(["kill", "web"]);
    podman.ok(["wait", "web"]);
    assert!(!noted || podman.inspect("web", "{{.State.OOMKilled}}") == "true");
    noted
}

/// Says so where conmon has missed it.
pub(super) fn skip_unless_noted(noted: bool) {
    if !noted {
        skip("conmon has not noted that memory ran out, ten times");
    }
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
