//! Running: exit statuses, output, terminals, networks and namespaces.

use super::Podman;
use crate::client::Client;
use crate::terminal;
use std::fs;
use std::process::Command;
use testkit::{eventually, privileged};

#[test]
fn podman_run_gives_output_and_exit_status() {
    let Some(podman) = Podman::new() else { return };
    let output = podman.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    let output = podman.run(&["--rm"], &["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]);
    assert_eq!(output.code, 143, "{}", output.stderr);
}

/// 125: Podman itself; 126: can't be executed; 127: isn't there.
#[test]
fn podman_knows_why_a_program_does_not_start() {
    let Some(podman) = Podman::new() else { return };
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sleep", "1000"]));
    let table: &[(i32, &[&str], &str)] = &[
        (127, &["nosuch"], "executable file not found in $PATH"),
        (127, &["/nosuch"], "no such file or directory"),
        (126, &["/etc"], "permission denied"),
        (126, &["/etc/passwd"], "permission denied"),
        (42, &["sh", "-c", "exit 42"], ""),
    ];
    for (status, command, word) in table {
        for output in [podman.run(&["--rm"], command), podman.answer([&["exec", "web"], *command].concat())] {
            assert_eq!(output.code, *status, "{command:?}: {}", output.stderr);
            assert!(output.stderr.contains(word), "{command:?}: {}", output.stderr);
        }
    }
    let output = podman.answer(["exec", "--workdir", "/nowhere", "web", "true"]);
    assert_eq!(output.code, 127, "{}", output.stderr);
    assert_eq!(podman.run(&["--rm", "--memory", "lots"], &["true"]).code, 125);
    assert_eq!(podman.answer(["exec", "nobody", "true"]).code, 125);
}

#[test]
fn podman_runs_a_container_in_the_background_and_stops_it() {
    let Some(podman) = Podman::new() else { return };
    let script = "echo ready; trap 'echo bye; exit 4' TERM; while :; do sleep 0.01; done";
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sh", "-c", script]));
    eventually("it is ready", || podman.ok(["logs", "web"]).stdout == "ready\n");
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "running");
    let output = podman.ok(["exec", "web", "sh", "-c", "id -u; cat /proc/1/comm"]);
    assert_eq!(output.stdout, "0\nsh\n");
    let output = podman.ok([
        "exec",
        "--user",
        "1000:2000",
        "--env",
        "A=b",
        "--workdir",
        "/tmp",
        "web",
        "sh",
        "-c",
        "echo $(id -u):$(id -g) $A $PWD",
    ]);
    assert_eq!(output.stdout, "1000:2000 b /tmp\n");
    podman.ok(["exec", "--detach", "web", "touch", "/tmp/detached"]);
    eventually("the detached exec has run", || {
        podman.answer(["exec", "web", "test", "-e", "/tmp/detached"]).code == 0
    });
    let titles = podman.ok(["top", "web", "pid", "comm"]).stdout;
    assert!(titles.contains("sh") || titles.contains("busybox"), "{titles}");

    podman.ok(["stop", "--time", "20", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    assert_eq!(podman.ok(["logs", "web"]).stdout, "ready\nbye\n");
    podman.ok(["start", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "running");
    podman.ok(["pause", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "paused");
    podman.ok(["unpause", "web"]);
    podman.ok(["kill", "--signal", "KILL", "web"]);
    assert_eq!(podman.ok(["wait", "web"]).stdout, "137\n");
    podman.ok(["rm", "web"]);
    assert_eq!(podman.ok(["ps", "--all", "--quiet"]).stdout, "");
}

#[test]
fn podman_gives_a_terminal() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::program("script", "bsdutils") {
        return;
    }
    let in_terminal = |command: &Command| podman.door.finish(&mut terminal::in_terminal(command).unwrap());
    let line = "tty; test -t 0 -a -t 1 -a -t 2 && echo terminal; exit 5";
    let output = in_terminal(&podman.command(podman.run_words(&["--rm", "-it"], &["sh", "-c", line])));
    assert_eq!((output.code, output.stdout.as_str()), (5, "/dev/pts/0\r\nterminal\r\n"), "{}", output.stderr);

    podman.ok(podman.run_words(&["--detach", "-t", "--name", "web"], &["sh", "-c", "tty; exec sleep 1000"]));
    eventually("it has said its terminal", || podman.ok(["logs", "web"]).stdout.contains("/dev/pts/0"));
    let output = in_terminal(&podman.command(["exec", "-it", "web", "sh", "-c", line]));
    assert_eq!((output.code, output.stdout.as_str()), (5, "/dev/pts/1\r\nterminal\r\n"), "{}", output.stderr);
}

#[test]
fn podman_passes_standard_input_on() {
    let Some(podman) = Podman::new() else { return };
    let file = podman.dir().join("input");
    fs::write(&file, "some\ninput\n").unwrap();
    let mut command = podman.command(podman.run_words(&["--rm", "-i"], &["wc", "-l"]));
    let output = podman.door.finish(command.stdin(fs::File::open(&file).unwrap()));
    assert_eq!((output.code, output.stdout.trim()), (0, "2"), "{}", output.stderr);
}

#[test]
fn podman_shares_the_hosts_network() {
    let Some(podman) = Podman::new() else { return };
    let words =
        [&["run", "--rm"], &*podman.parent(), &["--network=host", "bb", "readlink", "/proc/self/ns/net"]]
            .concat();
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(podman.ok(words).stdout.trim(), ours.to_str().unwrap());
}

#[test]
fn podmans_containers_share_namespaces_with_each_other() {
    let Some(podman) = Podman::new() else { return };
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sleep", "1000"]));
    let link =
        "for name in net ipc uts; do readlink /proc/self/ns/$name; done; ls -d /proc/1; cat /proc/1/comm";
    let theirs = podman.ok(["exec", "web", "sh", "-c", link]).stdout;
    let shared = ["--network=container:web", "--ipc=container:web", "--uts=container:web"];
    let command = ["--pid=container:web", "bb", "sh", "-c", link];
    let words = [&["run", "--rm"], &*podman.parent(), &shared, &command].concat();
    assert_eq!(podman.ok(words).stdout, theirs);
}
