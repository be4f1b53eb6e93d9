//! create, start, state, kill, exec, pause, delete, run.

use testkit::{Bundle, Door, privileged};

fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

#[test]
fn run_gives_the_programs_output_and_exit_status() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().shell("echo out; echo err >&2; exit 3");
    let door = Door::new();
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("run")]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", "err\n"));
    assert!(door.containers().is_empty(), "run removes its container");
}

#[test]
fn a_container_goes_from_created_to_running_to_stopped() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("life");
    let pid_file = door.directory().join("pid");
    door.ok(["create", "--bundle", dir(&bundle), "--pid-file", pid_file.to_str().unwrap(), &id]);
    assert_eq!(door.status(&id), "created");
    let state = door.state(&id);
    let pid = std::fs::read_to_string(pid_file).unwrap();
    assert_eq!(state["pid"].to_string(), pid);
    door.ok(["start", &id]);
    assert_eq!(door.status(&id), "running");
    let refused = door.run(["delete", &id]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is running"), "{}", refused.stderr);
    door.ok(["kill", &id, "KILL"]);
    door.await_status(&id, "stopped");
    door.ok(["delete", &id]);
    let gone = door.run(["state", &id]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("does not exist"), "{}", gone.stderr);
}

/// The kernel spares the first process of a PID namespace; who stops a container that was never started means it.
#[test]
fn a_container_that_is_created_ends_by_what_would_end_its_program() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("created");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    for harmless in ["WINCH", "CHLD", "CONT", "URG"] {
        door.ok(["kill", &id, harmless]);
    }
    assert_eq!(door.status(&id), "created");
    door.ok(["kill", &id, "TERM"]);
    door.await_status(&id, "stopped");
    door.ok(["delete", &id]);

    // What was sent before is nothing to the program that is started.
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    door.ok(["kill", &id, "WINCH"]);
    door.ok(["start", &id]);
    assert_eq!(door.status(&id), "running");
    door.ok(["delete", "--force", &id]);
}
