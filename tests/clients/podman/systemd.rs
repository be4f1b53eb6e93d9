//! Podman with its usual cgroup manager, systemd: root's, and a user's with their own systemd.

use super::{Podman, limits};
use crate::client::Client;
use crate::group;

/// All of what is looked after, in one test each: an image is made for every Podman, which takes long in an emulation.
fn looks_after(podman: &Podman, slice: &str) {
    podman.start("scope", &[], &["sleep", "1000"]);
    let (pid, id) = (podman.inspect("scope", "{{.State.Pid}}"), podman.inspect("scope", "{{.Id}}"));
    let group = group::of_process(&pid, "pids");
    assert!(group.ends_with(format!("{slice}/libpod-{id}.scope")), "{}", group.display());
    limits::limits(podman);
    let noted = limits::out_of_memory(podman);
    podman.ok(["rm", "--force", "--time", "0", "web"]);
    for check in [limits::update, limits::stats, limits::health] {
        check(podman);
        podman.ok(["rm", "--force", "--time", "0", "web"]);
    }
    podman.ok(["pause", "scope"]);
    assert_eq!(podman.inspect("scope", "{{.State.Status}}"), "paused");
    podman.ok(["unpause", "scope"]);
    podman.ok(["rm", "--force", "--time", "0", "scope"]);
    assert!(!group.exists());
    limits::skip_unless_noted(noted);
}

#[test]
fn podman_looks_after_containers_in_scopes_of_systemd() {
    let Some(podman) = Podman::with_systemd() else { return };
    looks_after(&podman, "machine.slice");
}

#[test]
fn podman_looks_after_a_users_containers_in_scopes_of_their_systemd() {
    let Some(podman) = Podman::of_session() else { return };
    looks_after(&podman, "user.slice");
}
