//! Tasks, as `ctr` makes them.

use super::{Containerd, For};
use crate::terminal;
use testkit::{eventually, privileged};

#[test]
fn ctr_run_gives_output_and_exit_status() {
    let Some(containerd) = Containerd::new(For::Tasks) else { return };
    let output = containerd.run(&["--rm"], "one", &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    let output = containerd.run(&["--rm"], "two", &["nosuch"]);
    let expected = "OCI runtime create failed: create: exec: \"nosuch\": executable file not found in $PATH";
    assert!(output.code == 1 && output.stderr.contains(expected), "{output:?}");
    let terminal = containerd.command(containerd.run_words(&["--rm", "--tty"], "three", &["tty"]));
    if let Some(mut command) = terminal::in_terminal(&terminal) {
        let output = containerd.door.finish(&mut command);
        assert_eq!((output.code, output.stdout.trim()), (0, "/dev/pts/0"), "{}", output.stderr);
    }
    containerd.group.await_empty();
}

#[test]
fn ctr_runs_a_task_in_the_background() {
    let Some(containerd) = Containerd::new(For::Tasks) else { return };
    let options = ["--detach", "--memory-limit", "33554432", "--cpu-shares", "77"];
    let output = containerd.run(&options, "web", &["sleep", "1000"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    if privileged::file("/sys/fs/cgroup/cpu/cpu.shares") {
        assert_eq!(containerd.group.read("cpu", "web", "cpu.shares").as_deref(), Some("77"));
    }
    let status = |expected: &str| {
        let listed = containerd.ok(["tasks", "list"]);
        let line = listed.lines().find(|line| line.starts_with("web ")).unwrap_or_default();
        line.split_whitespace().last() == Some(expected)
    };
    assert!(status("RUNNING"));
    let exec = ["tasks", "exec", "--exec-id", "e1", "web", "sh", "-c", "cat /proc/1/comm; exit 7"];
    let output = containerd.ctr(exec);
    assert_eq!((output.code, output.stdout.as_str()), (7, "sleep\n"), "{}", output.stderr);
    assert_eq!(containerd.ok(["tasks", "ps", "web"]).lines().count(), 2);

    let metrics = containerd.ok(["tasks", "metrics", "--format", "json", "web"]);
    let metrics: String = metrics.split_whitespace().collect();
    assert!(metrics.contains(r#""limit":33554432"#) && metrics.contains(r#""current":1"#), "{metrics}");
    containerd.ok(["tasks", "pause", "web"]);
    assert!(status("PAUSED"));
    containerd.ok(["tasks", "resume", "web"]);
    assert!(status("RUNNING"));

    containerd.ok(["tasks", "kill", "--signal", "KILL", "web"]);
    eventually("it has stopped", || status("STOPPED"));
    let output = containerd.ctr(["tasks", "delete", "web"]);
    assert!(output.stderr.contains("exit code 137"), "{output:?}");
    containerd.ok(["containers", "delete", "web"]);
    containerd.group.await_empty();
}

#[test]
fn containerd_tells_of_lacking_memory() {
    let Some(containerd) = Containerd::new(For::Tasks) else { return };
    let output = containerd.run(&["--detach", "--memory-limit", "16777216"], "web", &["sleep", "1000"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let log = containerd.dir().join("events.log");
    let _events = crate::room::Daemon::start(&mut containerd.command(["events"]), &log);
    let told = |what: &str| std::fs::read_to_string(&log).unwrap().contains(what);
    // Whether the subscription stands is told by the first event.
    let mut number = 0;
    eventually("events come", || {
        number += 1;
        containerd.ok(["tasks", "exec", "--exec-id", &format!("e{number}"), "web", "true"]);
        told("/tasks/exec-started")
    });
    let output = containerd.ctr(["tasks", "exec", "--exec-id", "greedy", "web", "tail", "/dev/zero"]);
    assert_eq!(output.code, 137, "{}", output.stderr);
    eventually("the event has come", || told(r#"/tasks/oom {"container_id":"web"}"#));
    containerd.ok(["tasks", "delete", "--force", "web"]);
}

#[test]
fn ctrs_options_are_seen_inside() {
    let Some(containerd) = Containerd::new(For::Tasks) else { return };
    let mut number = 0;
    let mut says = |options: &[&str], line: &str| {
        number += 1;
        let id = format!("c{number}");
        let output = containerd.run(&[&["--rm"], options].concat(), &id, &["sh", "-c", line]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}: {}", output.stdout);
        output.stdout
    };
    assert_eq!(says(&["--env", "A=b", "--cwd", "/tmp"], "echo $A $PWD"), "b /tmp\n");
    assert_eq!(says(&["--read-only"], "touch /x 2>/dev/null || echo read-only"), "read-only\n");
    assert_eq!(says(&["--cap-drop", "CAP_CHOWN"], "chown 1 /tmp 2>/dev/null || echo none"), "none\n");
    assert_eq!(says(&["--seccomp"], "grep Seccomp: /proc/self/status"), "Seccomp:\t2\n");
    assert_eq!(says(&["--allow-new-privs"], "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t0\n");
    let mount = format!("type=bind,src={},dst=/v,options=rbind:ro", containerd.dir().display());
    let line = "ls /v/config.toml; touch /v/x 2>/dev/null || echo read-only";
    assert_eq!(says(&["--mount", &mount], line), "/v/config.toml\nread-only\n");
    assert_eq!(says(&["--device", "/dev/full"], "test -c /dev/full && echo there"), "there\n");
    assert_eq!(says(&["--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000"], "id -u"), "0\n");
}
