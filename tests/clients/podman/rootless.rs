//! Podman of an ordinary user: no rights over cgroups, ids out of /etc/subuid.

use super::{Podman, SUBORDINATE, USER};
use crate::client::Client;
use testkit::eventually;

/// The fields of a map of ids, one line a list.
fn map(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn podman_runs_a_users_container() {
    let Some(podman) = Podman::rootless() else { return };
    let (user, first) = (USER.to_string(), SUBORDINATE.to_string());
    let output = podman.run(&["--rm"], &["sh", "-c", "id -u; cat /proc/self/uid_map; exit 3"]);
    assert_eq!((output.code, output.stderr.as_str()), (3, ""));
    let (id, maps) = output.stdout.split_once('\n').unwrap();
    assert_eq!(id, "0");
    assert_eq!(map(maps), [["0", &user, "1"], ["1", &first, "65536"]]);

    let output = podman.says(&["--userns=keep-id"], "id -u; cat /proc/self/uid_map");
    assert!(output.starts_with(&format!("{user}\n")), "{output}");
    assert_eq!(map(&output)[2], [&user, "0", "1"]);
    let output = podman.says(&["--userns=auto:size=1000"], "cat /proc/self/uid_map");
    assert_eq!(map(&output), [["0", "1", "1000"]]);
}

#[test]
fn podman_keeps_a_users_container_in_the_background() {
    let Some(podman) = Podman::rootless() else { return };
    let script = "echo ready; trap 'echo bye; exit 4' TERM; while :; do sleep 0.01; done";
    podman.start("web", &["--read-only", "--tmpfs", "/t"], &["sh", "-c", script]);
    eventually("it is ready", || podman.ok(["logs", "web"]).stdout == "ready\n");
    let logs = podman.ok(["logs", "web"]);
    assert_eq!(logs.stderr, "", "the runtime's warnings are no output of the container");
    assert_eq!(
        podman.exec("web", "touch /t/x && id -u; touch /x 2>/dev/null || echo read-only"),
        "0\nread-only"
    );
    let output = podman.answer(["exec", "--user", "1000:2000", "web", "sh", "-c", "id -u; exit 5"]);
    assert_eq!((output.code, output.stdout.as_str()), (5, "1000\n"), "{}", output.stderr);
    podman.ok(["stop", "--time", "20", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.ExitCode}}"), "4");
    podman.ok(["restart", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "running");
    podman.ok(["kill", "web"]);
    podman.ok(["wait", "web"]);
    podman.ok(["rm", "web"]);
}

#[test]
fn podman_makes_a_users_pod() {
    let Some(podman) = Podman::rootless() else { return };
    if !testkit::privileged::program("catatonit", "catatonit") {
        return;
    }
    podman.ok(["pod", "create", "--name", "pod", "--network", "none"]);
    podman.ok(["run", "--detach", "--pod", "pod", "--name", "one", "bb", "sleep", "1000"]);
    podman.ok(["run", "--detach", "--pod", "pod", "--name", "two", "bb", "sleep", "1000"]);
    let links = "for name in net ipc uts user; do readlink /proc/self/ns/$name; done";
    assert_eq!(podman.exec("one", links), podman.exec("two", links));
    podman.ok(["pod", "rm", "--force", "--time", "0", "pod"]);
}
