//! Looking after a running container: logs, files, restarts, signals.

use super::Podman;
use crate::client::Client;
use crate::group;
use std::fs;
use testkit::eventually;

#[test]
fn podmans_logs_have_both_outputs() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &[], &["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(podman.ok(["wait", "web"]).stdout, "0\n");
    let logs = podman.ok(["logs", "web"]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn podman_copies_files_into_a_running_container_and_back() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &["--tmpfs", "/t"], &["sleep", "1000"]);
    let (source, back) = (podman.dir().join("source"), podman.dir().join("back"));
    fs::write(&source, "some\nlines\n").unwrap();
    for inside in ["/file", "/t/file"] {
        let place = format!("web:{inside}");
        podman.ok(["cp", source.to_str().unwrap(), &place]);
        assert_eq!(podman.exec("web", &format!("cat {inside}; echo more >> {inside}")), "some\nlines");
        podman.ok(["cp", &place, back.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(&back).unwrap(), "some\nlines\nmore\n");
        fs::remove_file(&back).unwrap();
    }
}

#[test]
fn podman_stops_the_processes_of_a_paused_container() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &[], &["sh", "-c", "while :; do echo x >> /count; done"]);
    let count = || podman.exec("web", "wc -c < /count").parse::<u64>().unwrap_or(0);
    eventually("it counts", || count() > 0);
    podman.ok(["pause", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "paused");
    assert_eq!(podman.answer(["exec", "web", "true"]).code, 255, "exec in a paused container");
    if !podman.systemd {
        let pid = podman.inspect("web", "{{.State.Pid}}");
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(group.contains(podman.group.name()), "{group}");
    }
    podman.ok(["unpause", "web"]);
    let before = count();
    eventually("it counts again", || count() > before);
}

#[test]
fn podman_restarts_a_container_that_fails() {
    let Some(podman) = Podman::new() else { return };
    let line = "echo again >> /count; exit 3";
    podman.start("web", &["--restart", "on-failure:2"], &["sh", "-c", line]);
    eventually("it has been restarted", || {
        podman.inspect("web", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}") == "2 exited 3"
    });
    let count = podman.dir().join("count");
    podman.ok(["cp", "web:/count", count.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(count).unwrap(), "again\n".repeat(3));

    podman.start("other", &[], &["sleep", "1000"]);
    let pid = podman.inspect("other", "{{.State.Pid}}");
    podman.ok(["restart", "--time", "0", "other"]);
    assert_ne!(podman.inspect("other", "{{.State.Pid}}"), pid);
    assert_eq!(podman.inspect("other", "{{.State.Status}}"), "running");
}

#[test]
fn podmans_signals_arrive() {
    let Some(podman) = Podman::new() else { return };
    let script = "trap 'echo usr1' USR1; trap 'exit 9' HUP; echo ready; while :; do sleep 0.01; done";
    podman.start("web", &[], &["sh", "-c", script]);
    eventually("it is ready", || podman.ok(["logs", "web"]).stdout == "ready\n");
    podman.ok(["kill", "--signal", "USR1", "web"]);
    eventually("it has the signal", || podman.ok(["logs", "web"]).stdout == "ready\nusr1\n");
    podman.ok(["kill", "--signal", "HUP", "web"]);
    assert_eq!(podman.ok(["wait", "web"]).stdout, "9\n");
}

#[test]
fn podman_leaves_no_group_of_a_container_that_it_removes() {
    let Some(podman) = Podman::new() else { return };
    podman.says(&["--memory", "32m"], "true");
    podman.start("web", &["--rm"], &["sleep", "1000"]);
    let pid = podman.inspect("web", "{{.State.Pid}}");
    let groups = ["pids", "memory"].map(|controller| group::of_process(&pid, controller));
    assert!(groups.iter().all(|group| group.is_dir()));
    podman.ok(["kill", "web"]);
    eventually("it has removed itself", || podman.ok(["ps", "--all", "--quiet"]).stdout.is_empty());
    assert!(!groups.iter().any(|group| group.exists()));
}
