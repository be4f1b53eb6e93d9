//! From run to rm.

use crate::kit::Machine;
use serde_json::json;
use std::fs;

#[test]
fn run_gives_output_and_status_of_the_program() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    let output = machine.run(&machine.shell(rootfs, &["--rm"], "echo out; echo err >&2; exit 3"));
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", "err\n"));
    assert_eq!(machine.ok(&["ps", "-aq"]), "", "--rm");
}

#[test]
fn a_program_that_can_not_be_started_has_podmans_status() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    assert!(
        machine.fails(&["run", "--rm", "--rootfs", rootfs, "/bin/nothing"], 127).contains("/bin/nothing")
    );
    assert!(machine.fails(&["run", "--rm", "--rootfs", rootfs, "/etc/passwd"], 126).contains("/etc/passwd"));
    assert!(machine.fails(&["run", "--rm", "--bogus"], 125).contains("--bogus"));
    assert!(machine.fails(&["run", "--rm", "--rootfs", "/nowhere", "x"], 125).contains("/nowhere"));
    assert_eq!(machine.ok(&["ps", "-aq"]), "", "nothing half-made stays");
}

#[test]
fn a_detached_container_is_listed_logged_stopped_started_and_removed() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let line = "echo up; trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done";
    let id = machine.ok(&machine.shell(
        rootfs.to_str().unwrap(),
        &["-d", "--name", "web", "-l", "tier=front"],
        line,
    ));
    let id = id.trim();
    assert_eq!(id.len(), 64);
    let row = machine.ok(&["ps", "--format", "{{.Names}} {{.State}}"]);
    assert_eq!(row, "web running\n");
    assert_eq!(machine.ok(&["ps", "-q", "--no-trunc", "--filter", "label=tier=front"]).trim(), id);
    assert_eq!(machine.ok(&["ps", "-q", "--filter", "label=tier=back"]), "");
    testkit::eventually("it has said so", || machine.ok(&["logs", "web"]) == "up\n");
    assert_eq!(machine.ok(&["stop", &id[..8]]), format!("{}\n", &id[..8]));
    assert_eq!(machine.ok(&["logs", "web"]), "up\nbye\n");
    let state = machine.inspect("web")["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(0)));
    assert_eq!(machine.ok(&["wait", "web"]), "0\n");
    assert_eq!(machine.ok(&["start", "web"]), "web\n");
    assert_eq!(machine.inspect("web")["State"]["Running"], true);
    let refused = machine.fails(&["rm", "web"], 1);
    assert!(refused.contains("web"), "{refused}");
    assert_eq!(machine.ok(&["rm", "-f", "web"]), "web\n");
    assert_eq!(machine.ok(&["ps", "-aq"]), "");
    let left: Vec<_> = fs::read_dir(machine.path("data/containers")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_it_wrote_is_there_at_the_next_start() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let line = "test -e /count && echo again >> /count; echo once >> /count; cat /count";
    let rootfs = rootfs.to_str().unwrap();
    let run = machine.ok(&machine.shell(rootfs, &["--name", "count"], line));
    assert_eq!(run, "once\n");
    assert_eq!(machine.ok(&["start", "-a", "count"]), "once\nagain\nonce\n");
}

#[test]
fn names_are_unique_and_can_be_changed() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    machine.ok(&["create", "--name", "web", "--rootfs", rootfs, "/bin/true"]);
    let taken = machine.fails(&["create", "--name", "web", "--rootfs", rootfs, "/bin/true"], 125);
    assert!(taken.contains("\"web\""), "{taken}");
    machine.ok(&["rename", "web", "old"]);
    machine.ok(&["create", "--name", "web", "--rootfs", rootfs, "/bin/true"]);
    let named = machine.ok(&["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!(named, "web\nold\n", "the newest first");
    assert_eq!(machine.ok(&["completion", "words", "stop", "o"]), "old\tcreated\n");
    let missing = machine.fails(&["inspect", "wbe"], 1);
    assert!(missing.contains("did you mean \"web\"?"), "{missing}");
    assert!(machine.ok(&["create", "--rootfs", rootfs, "/bin/true"]).len() == 65, "a name of two words");
}

#[test]
fn it_is_started_again_as_its_policy_says() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let options = ["-d", "--name", "flaky", "--restart", "on-failure:2"];
    machine.ok(&machine.shell(rootfs.to_str().unwrap(), &options, "echo try; exit 7"));
    assert_eq!(machine.ok(&["wait", "flaky"]), "7\n");
    assert_eq!(machine.ok(&["logs", "flaky"]), "try\ntry\ntry\n");
    assert_eq!(machine.inspect("flaky")["RestartCount"], 2);
}

#[test]
fn after_a_reboot_those_are_started_whose_policy_says_so() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    for (name, policy) in
        [("no", "no"), ("always", "always"), ("unless", "unless-stopped"), ("stopped", "unless-stopped")]
    {
        let words = ["create", "--name", name, "--restart", policy, "--rootfs", rootfs.to_str().unwrap()];
        machine.ok(&[&words[..], &["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]].concat());
    }
    machine.ok(&["start", "stopped"]);
    machine.ok(&["stop", "stopped"]);
    let boot =
        ["start", "--all", "--filter", "restart-policy=always", "--filter", "restart-policy=unless-stopped"];
    assert_eq!(machine.ok(&boot), "unless\nalways\n");
    assert_eq!(machine.ok(&["ps", "--format", "{{.Names}}"]), "unless\nalways\n");
    assert_eq!(machine.ok(&boot), "", "those run already");
}
