//! Pods: containers that share namespaces, and a parent group.

use super::Podman;
use crate::client::Client;
use std::fs;
use std::path::PathBuf;
use testkit::{eventually, privileged, skip};

/// What somebody has made where cgroup hierarchies are mounted: with any runtime, Podman makes the group of a pod there,
/// writes files into it, and can't remove it.
fn directory_without_hierarchy() -> Option<PathBuf> {
    let entries = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    // Links name hierarchies of several controllers.
    let mut directories = entries.filter(|path| path.is_dir() && !path.is_symlink());
    let v1 = !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    directories.find(|path| v1 && !path.join("cgroup.procs").exists())
}

#[test]
fn podmans_pod_shares_what_it_says() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::program("catatonit", "catatonit") {
        return;
    }
    if let Some(stray) = directory_without_hierarchy() {
        return skip(format_args!("{}: Podman takes it for a hierarchy and fails", stray.display()));
    }
    let create = ["pod", "create", "--name", "pod", "--network", "none", "--share", "net,ipc,uts,pid"];
    podman.ok([&create[..], &["--hostname", "together"], &podman.parent()].concat());
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
