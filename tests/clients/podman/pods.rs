//! Pods: containers that share namespaces, and a parent group.

use super::Podman;
use testkit::{eventually, privileged};

#[test]
fn podmans_pod_shares_what_it_says() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::program("catatonit", "catatonit") {
        return;
    }
    let create = ["pod", "create", "--name", "pod", "--network", "none", "--share", "net,ipc,uts,pid"];
    podman.ok([&create[..], &["--hostname", "together", "--cgroup-parent", podman.group.path()]].concat());
    podman.ok(["run", "--detach", "--pod", "pod", "--name", "one", "bb", "sleep", "1000"]);
    podman.ok(["run", "--detach", "--pod", "pod", "--name", "two", "bb", "sleep", "1000"]);
    let links = "for name in net ipc uts pid; do readlink /proc/self/ns/$name; done; hostname";
    assert_eq!(podman.exec("one", links), podman.exec("two", links));
    assert!(podman.exec("one", "hostname").contains("together"));
    let mount = "readlink /proc/self/ns/mnt";
    assert_ne!(podman.exec("one", mount), podman.exec("two", mount));
    let processes = podman.exec("one", "ps");
    assert!(processes.contains("catatonit") && processes.matches("sleep 1000").count() == 2, "{processes}");

    podman.ok(["pod", "pause", "pod"]);
    assert_eq!(podman.inspect("two", "{{.State.Status}}"), "paused");
    podman.ok(["pod", "unpause", "pod"]);
    podman.ok(["pod", "stop", "--time", "0", "pod"]);
    eventually("Podman has seen it", || podman.inspect("one", "{{.State.Status}}") == "exited");
    podman.ok(["pod", "start", "pod"]);
    assert_eq!(podman.exec("one", links), podman.exec("two", links));
    podman.ok(["pod", "rm", "--force", "--time", "0", "pod"]);
    assert_eq!(podman.ok(["ps", "--all", "--quiet"]).stdout, "");
}
