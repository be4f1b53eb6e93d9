//! SELinux: labels of a container's processes and mounts, on a kernel that has it.
//!
//! tests/vm boots one with Debian's policy, in which nothing is refused (permissive); a label that the policy doesn't
//! know is an error all the same. That policy has no types of containers: these are its types of virtual machines.

use crate::running::{Running, read, refusal};
use serde_json::json;
use testkit::{Bundle, Door, privileged, skip};

const PROCESS: &str = "system_u:system_r:svirt_t:s0:c1,c2";
const OTHER: &str = "system_u:system_r:svirt_t:s0:c3,c4";
const FILES: &str = "system_u:object_r:svirt_tmpfs_t:s0:c1,c2";

/// Whether SELinux is enabled; otherwise the test is skipped.
fn enabled() -> bool {
    let enabled = std::fs::exists("/sys/fs/selinux/enforce").unwrap_or(false);
    if !enabled {
        skip("needs a kernel with SELinux enabled");
    }
    enabled && privileged::root()
}

fn labelled(process: &str, files: &str) -> Bundle {
    Bundle::busybox().edit(|config| {
        config["process"]["selinuxLabel"] = json!(process);
        config["linux"]["mountLabel"] = json!(files);
    })
}

/// The kernel ends a label with a NUL.
fn label(text: &str) -> &str {
    text.trim_end_matches(['\0', '\n'])
}

#[test]
fn processes_and_mounts_have_the_labels_of_the_config() {
    if !enabled() {
        return;
    }
    let running = Running::of(labelled(PROCESS, FILES));
    assert_eq!(label(&read(format!("/proc/{}/attr/current", running.pid()))), PROCESS);
    assert_eq!(label(&running.says("cat /proc/self/attr/current")), PROCESS);
    let output =
        running.door.ok(["exec", "--process-label", OTHER, &running.id, "cat", "/proc/self/attr/current"]);
    assert_eq!(label(&output.stdout), OTHER);
    let mounts = running.says("cat /proc/self/mountinfo");
    for point in ["/dev", "/dev/shm"] {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(point)).unwrap();
        assert!(line.contains(FILES), "{line}");
    }
}

#[test]
fn a_label_that_the_policy_does_not_know_is_an_error_that_names_it() {
    if !enabled() {
        return;
    }
    let error = refusal(&labelled("nobody:knows:this_t:s0", FILES));
    assert!(error.contains("process.selinuxLabel \"nobody:knows:this_t:s0\""), "{error}");
    let error = refusal(&labelled(PROCESS, "nobody:knows:this_t:s0"));
    assert!(error.contains("nobody:knows:this_t:s0"), "{error}");
}

#[test]
fn features_claims_selinux_and_it_is_there() {
    if !enabled() {
        return;
    }
    assert_eq!(Door::new().ok(["features"]).json()["linux"]["selinux"]["enabled"], true);
}
