//! A container in a container in a container: each made by the door that is inside of the one around it.

use crate::cgroup::resources;
use crate::running::run;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use testkit::{Bundle, forgeone, privileged};

/// A group with processes passes no controllers on: on cgroup2 the shell goes into one of its own first.
const LINE: &str = "if test -e /sys/fs/cgroup/cgroup.procs; then
        mkdir /sys/fs/cgroup/own && echo 0 > /sys/fs/cgroup/own/cgroup.procs || exit 9
    fi
    forgeone --root /run/containers run --bundle /bundle inner
    status=$?
    echo left: $(forgeone --root /run/containers list -q)
    exit $status";

/// A bundle that runs the other one, with a copy of the door that is in its root.
fn around(inner: &Bundle, processes: u32) -> Bundle {
    let outer = limited(Bundle::busybox().writable().shell(LINE), processes);
    let mut copy = Command::new("cp");
    copy.arg("--archive").arg(inner.path()).arg(outer.rootfs().join("bundle"));
    assert!(copy.status().unwrap().success());
    fs::copy(forgeone(), outer.rootfs().join("bin/forgeone")).unwrap();
    let claims = testkit::Door::new().ok(["features"]).json();
    let all = &claims["linux"]["capabilities"];
    let tmpfs = json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs" });
    let outer = resources(outer, "devices", json!([{ "allow": true, "access": "rwm" }])).mount(tmpfs);
    outer.edit(|config| {
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
        for mount in config["mounts"].as_array_mut().unwrap() {
            if mount["type"] == "cgroup" {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
            }
        }
    })
}

fn limited(bundle: Bundle, processes: u32) -> Bundle {
    let namespace: Value = json!({ "type": "cgroup" });
    resources(bundle, "pids", json!({ "limit": processes })).namespace(namespace)
}

#[test]
fn a_container_runs_in_a_container_in_a_container() {
    if !privileged::root() {
        return;
    }
    let line = "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2> /dev/null; ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm
        for file in pids mnt net ipc uts pid; do readlink /proc/self/ns/$file; done | sort | uniq -d; exit 7";
    let innermost = limited(Bundle::busybox().shell(line), 20);
    let output = run(&around(&around(&innermost, 40), 60));
    // The shell, ls and wc, whose group may have twenty processes; then the lists of the two around it.
    assert_eq!((output.code, output.stdout.as_str()), (7, "20\n3\nsh\nleft:\nleft:\n"), "{}", output.stderr);
}
