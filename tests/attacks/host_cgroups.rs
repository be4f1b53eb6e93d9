//! CVE-2022-0492, CVE-2023-25809: the host's cgroups are written from inside.

use super::{dir, everywhere, path, run};
use serde_json::json;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use testkit::{Bundle, Temp, names, privileged};

/// CVE-2022-0492, CVE-2023-25809: nothing of the host's cgroups can be written.
#[test]
fn cgroups_can_not_be_changed_nor_their_release_agent() {
    everywhere(|door| {
        let door = door();
        let script = "for file in $(find /sys/fs/cgroup -type f); do \
        case $file in *release_agent) echo $file;; esac; \
        (echo 1 > $file) 2>/dev/null && echo wrote $file; done; \
        mkdir /tmp/c; for kind in memory rdma name=x; do \
        mount -t cgroup -o $kind none /tmp/c 2>/dev/null && echo mounted $kind; done; \
        for dir in $(find /sys/fs/cgroup -type d); do mkdir $dir/sub 2>/dev/null && echo made $dir; done; true";
        for namespace in [false, true] {
            let bundle = Bundle::busybox().shell(script).mount(json!({
                "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            }));
            let bundle = if namespace { bundle.namespace(json!({ "type": "cgroup" })) } else { bundle };
            let output = run(&door, &bundle);
            assert_eq!(output.stdout, "", "cgroup namespace {namespace}: {}", output.stderr);
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
    });
}

/// CVE-2023-25809: of an ordinary user's container, to whom the host gave a group.
#[test]
fn a_rootless_container_can_not_write_its_users_cgroups() {
    const USER: u32 = 54_321;
    everywhere(|door| {
        let parent = Path::new("/sys/fs/cgroup/unified");
        if !privileged::file(parent) || !privileged::program("setpriv", "util-linux") {
            return;
        }
        let group = Group(parent.join(names::unique("delegated")));
        fs::create_dir(&group.0).unwrap();
        for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
            chown(group.0.join(file), Some(USER), Some(USER)).unwrap();
        }
        let home = Temp::new("home");
        let state = home.path().join("state");
        fs::create_dir(&state).unwrap();
        chown(&state, Some(USER), Some(USER)).unwrap();
        let maps = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
        let script = "for file in $(find /sys/fs/cgroup /sys/kernel -type f 2>/dev/null); do \
            (echo 1 > $file) 2>/dev/null && echo wrote $file; done; \
            for dir in $(find /sys/fs/cgroup -type d); do mkdir $dir/sub 2>/dev/null && echo made $dir; done; echo tried";
        for own_network in [true, false] {
            let bundle = Bundle::busybox()
                .shell(script)
                .owned_by(USER, USER)
                .namespace(json!({ "type": "user" }))
                .edit(|config| {
                    config["linux"]["uidMappings"] = maps.clone();
                    config["linux"]["gidMappings"] = maps.clone();
                    config["linux"]["resources"] = json!({});
                    let mounts = config["mounts"].as_array_mut().unwrap();
                    mounts.retain(|mount| mount["type"] != "devpts");
                    if !own_network {
                        // Then it is the host's /sys that is bound, with the host's cgroups in it.
                        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
                        list.retain(|namespace| namespace["type"] != "network");
                    }
                });
            let door = door();
            let procs = group.0.join("cgroup.procs");
            let enter = [
                "sh", "-c",
                "user=$1; procs=$2; root=$3; shift 3; echo $$ > $procs && \
                 exec setpriv --reuid=$user --regid=$user --clear-groups \"$1\" --root \"$root\" \"$4\" \"$5\" \"$6\" \"$7\"",
                "sh", &USER.to_string(), path(&procs), path(&state),
            ]
            .map(str::to_owned);
            let id = door.id("rootless");
            let output = door.finish(&mut door.through(enter, ["run", "--bundle", dir(&bundle), &id]));
            // What would be writable in part is refused, where the kernel can't make all of it read-only.
            let refused = output.code == 1 && output.stderr.contains("need Linux 5.12") && !own_network;
            assert!(
                refused || output.stdout == "tried\n",
                "network {own_network}: {}{}",
                output.stdout,
                output.stderr
            );
            let inside = fs::read_dir(&group.0).unwrap().flatten();
            assert_eq!(inside.filter(|entry| entry.path().is_dir()).count(), 0);
        }
    });
}

/// A group of the test's, which goes with it.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}
