//! Containers that run: exec, kill, pause, top, stats, events, volumes, health.

use crate::kit::Machine;
use std::fs;

const STAY: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

#[test]
fn exec_runs_in_it_as_asked() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    machine.ok(&machine.shell(
        rootfs.to_str().unwrap(),
        &["-d", "--name", "web", "-h", "box", "-e", "A=1"],
        STAY,
    ));
    let sh = |options: &[&str], line: &str| {
        machine.run(&[&["exec"], options, &["web", "/bin/sh", "-c", line]].concat())
    };
    let output = sh(&["-e", "B=2", "-w", "/tmp"], "echo $(hostname) $A $B $(pwd)");
    assert_eq!((output.code, output.stdout.as_str()), (0, "box 1 2 /tmp\n"), "{}", output.stderr);
    let user = sh(&["-u", "1234:5"], "echo $(id -u) $(id -g)");
    assert_eq!(user.stdout, "1234 5\n", "{}", user.stderr);
    assert_eq!(sh(&["-u", "root"], "id -u").stdout, "0\n");
    assert_eq!(sh(&[], "exit 9").code, 9);
    let mut command = machine.command(&["exec", "-i", "web", "/bin/cat"]);
    command.stdin(fs::File::open("/etc/hostname").unwrap());
    assert_eq!(machine.finish(&mut command).stdout, fs::read_to_string("/etc/hostname").unwrap());
    machine.ok(&["kill", "-s", "KILL", "web"]);
    machine.await_so("web", "{{.State.Status}}", "exited");
    assert!(machine.fails(&["exec", "web", "/bin/true"], 125).contains("isn't running"));
    assert_eq!(machine.ok(&["wait", "web"]), "137\n");
}

#[test]
fn commands_of_the_oci_runtime_take_its_name() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    machine.ok(&machine.shell(rootfs.to_str().unwrap(), &["-d", "--name", "web"], STAY));
    let state: serde_json::Value = serde_json::from_str(&machine.ok(&["state", "web"])).unwrap();
    assert_eq!(state["status"], "running");
    machine.ok(&["pause", "web"]);
    assert_eq!(machine.ok(&["ps", "--format", "{{.State}}"]), "paused\n");
    machine.ok(&["resume", "web"]);
    assert_eq!(machine.ok(&["ps", "--format", "{{.State}}"]), "running\n");
    assert!(machine.ok(&["top", "web"]).contains("/bin/sh -c"), "ps' table");
    let stats: serde_json::Value =
        serde_json::from_str(&machine.ok(&["stats", "--no-stream", "--format", "json"])).unwrap();
    assert_eq!(stats[0]["Name"], "web");
    assert!(
        machine.ok(&["list"]).contains(state["id"].as_str().unwrap()),
        "as any container of the state root"
    );
}

#[test]
fn what_happens_is_told() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    assert_eq!(machine.run(&machine.shell(rootfs.to_str().unwrap(), &["--name", "short"], "exit 4")).code, 4);
    let events = machine.ok(&["events", "--format", "json", "--filter", "container=short"]);
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(names.contains(&"start") && names.contains(&"die"), "{names:?}");
    assert!(events.iter().any(|event| event["event"] == "die" && event["status"] == 4), "{events:?}");
    assert_eq!(machine.ok(&["events", "--filter", "event=nothing"]), "");
}

#[test]
fn a_volume_outlives_its_containers() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    machine.ok(&machine.shell(rootfs, &["--name", "writer", "-v", "data:/srv"], "echo kept > /srv/file"));
    assert!(machine.ok(&["volume", "ls"]).contains("data"));
    let used = machine.fails(&["volume", "rm", "data"], 1);
    assert!(used.contains("writer"), "{used}");
    machine.ok(&["rm", "writer"]);
    let read = machine.ok(&machine.shell(
        rootfs,
        &["--rm", "-v", "data:/srv:ro"],
        "cat /srv/file; touch /srv/x 2>/dev/null && echo written; true",
    ));
    assert_eq!(read, "kept\n");
    assert_eq!(machine.ok(&["volume", "rm", "data"]), "data\n");
    assert!(machine.fails(&["volume", "inspect", "data"], 1).contains("no volume \"data\""));
}

#[test]
fn limits_and_rights_are_those_that_were_asked_for() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    let status = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\n\\t'";
    let default = machine.ok(&machine.shell(rootfs, &["--rm"], status));
    assert_eq!(default, "CapEff:00000000a80425fbNoNewPrivs:1Seccomp:2");
    let options = ["--rm", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--seccomp", "unconfined"];
    assert_eq!(
        machine.ok(&machine.shell(rootfs, &options, status)),
        "CapEff:0000000000000001NoNewPrivs:1Seccomp:0"
    );
    let environment =
        machine.ok(&machine.shell(rootfs, &["--rm"], "env | cut -d= -f1 | sort | tr '\\n' ' '"));
    assert!(!environment.contains("FORGEONE") && environment.contains("PATH"), "{environment}");
    let read_only = machine.run(&machine.shell(rootfs, &["--rm", "--read-only"], "echo x > /file"));
    assert_ne!(read_only.code, 0, "{}", read_only.stderr);
}

#[test]
fn an_unhealthy_container_is_told_of() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let options = [
        "-d",
        "--name",
        "web",
        "--health-cmd",
        "test -e /well",
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
    ];
    machine.ok(&machine.shell(rootfs.to_str().unwrap(), &options, STAY));
    machine.await_so("web", "{{.State.Health.Status}}", "unhealthy");
    machine.ok(&["exec", "web", "/bin/touch", "/well"]);
    machine.await_so("web", "{{.State.Health.Status}}", "healthy");
    assert_eq!(machine.ok(&["ps", "-q", "--filter", "health=unhealthy"]), "");
    let options = [
        "-d",
        "--name",
        "weak",
        "--health-cmd",
        "false",
        "--health-interval",
        "50ms",
        "--health-retries",
        "1",
    ];
    let options = [&options[..], &["--health-on-failure", "kill"]].concat();
    machine.ok(&machine.shell(rootfs.to_str().unwrap(), &options, STAY));
    machine.await_so("weak", "{{.State.Status}} {{.State.ExitCode}}", "exited 137");
}

#[test]
fn files_go_in_and_out() {
    let Some(machine) = Machine::new() else { return };
    let archive = machine.archive();
    machine.ok(&["run", "-d", "--name", "web", "--rootfs", &archive, "/bin/sh", "-c", STAY]);
    fs::write(machine.path("here/file"), "from outside\n").unwrap();
    machine.ok(&["cp", "file", "web:/tmp/file"]);
    assert_eq!(machine.ok(&["exec", "web", "/bin/cat", "/tmp/file"]), "from outside\n");
    machine.ok(&["exec", "web", "/bin/sh", "-c", "echo from inside > /made"]);
    machine.ok(&["cp", "web:/made", "made"]);
    assert_eq!(fs::read_to_string(machine.path("here/made")).unwrap(), "from inside\n");
    let changed = machine.ok(&["diff", "web"]);
    assert!(changed.contains("A /made"), "{changed}");
    machine.ok(&["commit", "-c", "CMD [\"/bin/cat\", \"/made\"]", "web", "kept:1"]);
    assert_eq!(machine.ok(&["run", "--rm", "kept:1"]), "from inside\n");
    assert!(machine.fails(&["cp", "a", "b"], 1).contains("CONTAINER:PATH"));
}
