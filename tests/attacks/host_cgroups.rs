//! CVE-2022-0492, CVE-2023-25809: the host's cgroups are written from inside.

use super::{everywhere, run};
use serde_json::json;
use testkit::Bundle;

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
