//! What this runtime implements, in the words of the specification's "Features Structure".
//!
//! It says what is built, whatever the machine can do, and nothing that isn't. A list that a module decides by
//! is that module's own; those that stand here are the specification's and have a test of their own there.
//!
//! Source: <https://github.com/opencontainers/runtime-spec>, `features.md` and `features-linux.md`.

use crate::spec::VERSION;
use serde_json::{Value, json};

/// The lowest specification version whose configs are accepted.
pub const VERSION_MIN: &str = "1.0.0";

/// Hook points, in the order in which they run.
const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Namespace types of `linux.namespaces`.
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Mount options that are not handed to the file system (config.md, "Linux mount options").
const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// capabilities(7), by number.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Seccomp actions, operators, architectures and flags (config-linux.md, "Seccomp").
mod seccomp {
    pub(super) const ACTIONS: &[&str] = &[
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ];
    pub(super) const OPERATORS: &[&str] = &[
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_LE",
        "SCMP_CMP_LT",
        "SCMP_CMP_MASKED_EQ",
        "SCMP_CMP_NE",
    ];
    pub(super) const ARCHS: &[&str] =
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];
    pub(super) const FLAGS: &[&str] =
        &["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"];
}

/// The document that `features` prints; annotations name the runtime and, where it is known, its commit.
pub fn document(version: &str, commit: Option<&str>) -> Value {
    let mut annotations = json!({ "io.forgeone.version": version });
    if let Some(commit) = commit {
        annotations["io.forgeone.commit"] = commit.into();
    }
    json!({
        "ociVersionMin": VERSION_MIN,
        "ociVersionMax": VERSION,
        "hooks": HOOKS,
        "mountOptions": MOUNT_OPTIONS,
        "linux": linux(),
        "annotations": annotations,
    })
}

fn linux() -> Value {
    json!({
        "namespaces": NAMESPACES,
        "capabilities": CAPABILITIES,
        "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
        "seccomp": {
            "enabled": true,
            "actions": seccomp::ACTIONS,
            "operators": seccomp::OPERATORS,
            "archs": seccomp::ARCHS,
            "knownFlags": seccomp::FLAGS,
            "supportedFlags": seccomp::FLAGS,
        },
        "apparmor": { "enabled": false },
        "selinux": { "enabled": false },
        "intelRdt": { "enabled": false, "schemata": false, "monitoring": false },
        "mountExtensions": { "idmap": { "enabled": true } },
        "netDevices": { "enabled": false },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_list_names_a_thing_twice() {
        let lists = [HOOKS, NAMESPACES, MOUNT_OPTIONS, CAPABILITIES];
        let seccomp = [seccomp::ACTIONS, seccomp::OPERATORS, seccomp::ARCHS, seccomp::FLAGS];
        for list in lists.into_iter().chain(seccomp) {
            let unique: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(unique.len(), list.len(), "{list:?}");
        }
    }

    #[test]
    fn what_is_not_built_is_said_to_be_so() {
        let document = document("0.1.0", None);
        for path in ["/linux/cgroup/systemd", "/linux/apparmor/enabled", "/linux/intelRdt/enabled"] {
            assert_eq!(document.pointer(path), Some(&Value::Bool(false)), "{path}");
        }
    }

    #[test]
    fn the_commit_is_named_only_where_it_is_known() {
        assert_eq!(document("0.1.0", None)["annotations"], json!({ "io.forgeone.version": "0.1.0" }));
        assert_eq!(document("0.1.0", Some("abc"))["annotations"]["io.forgeone.commit"], "abc");
    }

    #[test]
    fn the_oracle_reads_it() {
        let text = serde_json::to_vec(&document("0.1.0", None)).unwrap();
        let features: oci_spec::runtime::Features = serde_json::from_slice(&text).unwrap();
        assert_eq!(features.oci_version_min(), VERSION_MIN);
        assert_eq!(features.oci_version_max(), VERSION);
    }

    #[test]
    fn it_claims_every_capability_mount_option_and_namespace_of_runc() {
        let Ok(output) = std::process::Command::new("runc").arg("features").output() else {
            return testkit::skip("needs runc");
        };
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = document("0.1.0", None);
        for path in ["/hooks", "/mountOptions", "/linux/namespaces", "/linux/capabilities"] {
            let ours = ours.pointer(path).unwrap().as_array().unwrap();
            for word in theirs.pointer(path).unwrap().as_array().unwrap() {
                // Access control lists were never an option of mount(2); newer versions dropped them.
                let dropped = word == "acl" || word == "noacl";
                assert!(dropped || ours.contains(word), "{path}: {word}");
            }
        }
    }
}
