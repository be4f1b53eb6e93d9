//! What this runtime implements, in the words of the specification's "Features Structure".
//!
//! It says what is built, whatever the machine can do, and nothing that isn't. A list that a module decides by
//! is that module's own; those that stand here are the specification's and have a test of their own there.
//!
//! Source: <https://github.com/opencontainers/runtime-spec>, `features.md` and `features-linux.md`.

use crate::plan::memory;
use crate::security::seccomp;
use crate::{fs, spec::VERSION};
use forgeone_sys::credentials::CAPABILITIES;
use forgeone_sys::seccomp::seccomp_flags_supported;
use serde_json::{Value, json};

/// The lowest specification version whose configs are accepted.
pub const VERSION_MIN: &str = "1.0.0";

/// Hook points, in the order in which they run.
const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Namespace types of `linux.namespaces`.
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Annotations by which a config changes what is done, for those who take configs from strangers; a dot at the end
/// stands for all that begin so.
const UNSAFE_ANNOTATIONS: &[&str] =
    &["io.forgeone.", "module.wasm.image/variant", "org.systemd.property.", "run.oci.handler"];

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
        "mountOptions": fs::known_options().collect::<Vec<_>>(),
        "linux": linux(),
        "annotations": annotations,
        "potentiallyUnsafeConfigAnnotations": UNSAFE_ANNOTATIONS,
    })
}

fn linux() -> Value {
    json!({
        "namespaces": NAMESPACES,
        "capabilities": CAPABILITIES,
        "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
        "seccomp": filter(),
        "apparmor": { "enabled": true },
        "selinux": { "enabled": true },
        "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
        "mountExtensions": { "idmap": { "enabled": true } },
        "memoryPolicy": {
            "modes": memory::modes().collect::<Vec<_>>(),
            "flags": memory::flags().collect::<Vec<_>>(),
        },
        "netDevices": { "enabled": true },
    })
}

fn filter() -> Value {
    let supported = seccomp::flags().filter(|(_, value)| seccomp_flags_supported(*value));
    json!({
        "enabled": true,
        "actions": seccomp::actions().collect::<Vec<_>>(),
        "operators": seccomp::operators().collect::<Vec<_>>(),
        "archs": seccomp::arch::KNOWN,
        "knownFlags": seccomp::flags().map(|(name, _)| name).collect::<Vec<_>>(),
        "supportedFlags": supported.map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn namespaces_are_those_that_the_plan_knows() {
        let known = NAMESPACES.iter().filter_map(|word| crate::plan::namespaces::kind(word));
        let kinds: std::collections::BTreeSet<u32> = known.map(|kind| kind.bits()).collect();
        assert_eq!(kinds.len(), crate::plan::namespaces::KINDS.len());
    }

    #[test]
    fn the_commit_is_named_only_where_it_is_known() {
        assert_eq!(document("0.1.0", None)["annotations"], json!({ "io.forgeone.version": "0.1.0" }));
        assert_eq!(document("0.1.0", Some("abc"))["annotations"]["io.forgeone.commit"], "abc");
    }

    #[test]
    fn annotations_that_choose_an_engine_are_named() {
        let named = |key: &str| {
            UNSAFE_ANNOTATIONS.iter().any(|a| *a == key || a.ends_with('.') && key.starts_with(a))
        };
        assert!(crate::plan::ENGINE_ANNOTATIONS.into_iter().all(named));
    }

    #[test]
    fn the_oracle_reads_it() {
        let text = serde_json::to_vec(&document("0.1.0", None)).unwrap();
        let features: oci_spec::runtime::Features = serde_json::from_slice(&text).unwrap();
        assert_eq!(features.oci_version_min(), VERSION_MIN);
        assert_eq!(features.oci_version_max(), VERSION);
        let annotations = features.potentially_unsafe_config_annotations().as_deref().unwrap_or_default();
        assert_eq!(annotations, UNSAFE_ANNOTATIONS);
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
