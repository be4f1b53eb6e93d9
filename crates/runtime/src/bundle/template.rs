//! The `config.json` that `spec` writes: a shell in a terminal, with few rights, over `./rootfs`.
//!
//! Equal in content to what runc's `spec` writes, but for the host name and the specification's version;
//! of runc 1.1's four capability sets it has the three that later ones kept (ambient capabilities that are
//! not inheritable can't be set, capabilities(7)).

use crate::spec::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, Process, Resources, Rlimit, Root, Spec,
    VERSION,
};

const CAPABILITIES: &[&str] = &["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const ENV: &[&str] = &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"];

const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Destination, type, source, options.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PROC: Row = ("/proc", "proc", "proc", &[]);
const DEV: Row = ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]);
const PTS: &[&str] = &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
const PTS_GROUP: &str = "gid=5";
const SHM: Row = ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]);
const MQUEUE: Row = ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
const SYS: Row = ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]);
/// A user namespace that doesn't own its network namespace can't mount a sysfs of its own.
const HOST_SYS: Row = ("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
const CGROUP: Row = ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);

/// The starter config; with `rootless` one for a caller without privileges, whose effective user and group id
/// it names: they become root inside, the network stays the caller's and there are no limits.
pub fn template(rootless: Option<(u32, u32)>) -> Spec {
    Spec {
        version: VERSION.to_owned(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".to_owned(), readonly: true, ..Root::default() }),
        hostname: "forgeone".to_owned(),
        mounts: mounts(rootless.is_some()),
        linux: Some(Box::new(linux(rootless))),
        ..Spec::default()
    }
}

/// Adds a cgroup namespace, as is due where all of `/sys/fs/cgroup` is cgroup v2.
pub fn add_cgroup_namespace(spec: &mut Spec) {
    let linux = spec.linux.get_or_insert_default();
    linux.namespaces.push(Namespace { kind: "cgroup".to_owned(), ..Namespace::default() });
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&s| s.to_owned()).collect()
}

fn process() -> Process {
    let limit = Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024, ..Rlimit::default() };
    let set = || strings(CAPABILITIES);
    let capabilities =
        Capabilities { bounding: set(), effective: set(), permitted: set(), ..Capabilities::default() };
    Process {
        terminal: true,
        args: strings(&["sh"]),
        env: strings(ENV),
        cwd: "/".to_owned(),
        capabilities: Some(capabilities),
        rlimits: vec![limit],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mounts(rootless: bool) -> Vec<Mount> {
    let mut pts = PTS.to_vec();
    if !rootless {
        pts.push(PTS_GROUP); // not mapped into a user namespace of one user
    }
    let sys = if rootless { HOST_SYS } else { SYS };
    [PROC, DEV, ("/dev/pts", "devpts", "devpts", &pts), SHM, MQUEUE, sys, CGROUP].map(mount).to_vec()
}

fn mount((destination, kind, source, options): (&str, &str, &str, &[&str])) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: strings(options),
        ..Mount::default()
    }
}

fn linux(rootless: Option<(u32, u32)>) -> Linux {
    let kinds: &[&str] = match rootless {
        None => &["pid", "network", "ipc", "uts", "mount"],
        Some(_) => &["pid", "ipc", "uts", "mount", "user"],
    };
    let namespace = |&kind: &&str| Namespace { kind: kind.to_owned(), ..Namespace::default() };
    let one = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1, ..IdMapping::default() }];
    Linux {
        uid_mappings: rootless.map(|(uid, _)| one(uid)).unwrap_or_default(),
        gid_mappings: rootless.map(|(_, gid)| one(gid)).unwrap_or_default(),
        resources: if rootless.is_none() { Some(no_devices()) } else { None },
        namespaces: kinds.iter().map(namespace).collect(),
        masked_paths: strings(MASKED),
        readonly_paths: strings(READONLY),
        ..Linux::default()
    }
}

fn no_devices() -> Resources {
    let rule = DeviceRule { allow: false, access: "rwm".to_owned(), ..DeviceRule::default() };
    Resources { devices: vec![rule], ..Resources::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    /// What runc's `spec` writes, less what is known to differ; `None` where runc is missing.
    fn runc_spec(name: &str, args: &[&str]) -> Option<Value> {
        let dir = std::env::temp_dir().join(format!("forgeone-spec-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let done = std::process::Command::new("runc").arg("spec").args(args).current_dir(&dir).status();
        let text = std::fs::read(dir.join("config.json"));
        std::fs::remove_dir_all(&dir).unwrap();
        if let Err(e) = done {
            assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
            return None;
        }
        let mut value: Value = serde_json::from_slice(&text.unwrap()).unwrap();
        value["ociVersion"] = VERSION.into();
        value["hostname"] = "forgeone".into();
        value["process"]["capabilities"].as_object_mut().unwrap().shift_remove("ambient");
        let namespaces = value["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|n| n["type"] != "cgroup");
        Some(value)
    }

    fn compare(name: &str, args: &[&str], rootless: Option<(u32, u32)>) {
        let Some(theirs) = runc_spec(name, args) else {
            return testkit::skip("needs runc");
        };
        // `Value`s of objects are equal whatever the order of their keys.
        assert_eq!(serde_json::to_value(template(rootless)).unwrap(), theirs);
    }

    #[test]
    fn template_has_the_content_of_runc_spec() {
        compare("root", &[], None);
    }

    #[test]
    fn rootless_template_has_the_content_of_runc_spec_rootless() {
        use std::os::unix::fs::MetadataExt;
        let me = std::fs::metadata("/proc/self").unwrap();
        compare("rootless", &["--rootless"], Some((me.uid(), me.gid())));
    }

    #[test]
    fn template_is_valid_for_the_oracle() {
        for rootless in [None, Some((1000, 1000))] {
            let text = serde_json::to_vec(&template(rootless)).unwrap();
            serde_json::from_slice::<oci_spec::runtime::Spec>(&text).unwrap();
        }
    }

    #[test]
    fn rootless_template_maps_the_caller_to_root() {
        let linux = template(Some((1000, 100))).linux.unwrap();
        assert_eq!((linux.uid_mappings[0].host_id, linux.uid_mappings[0].container_id), (1000, 0));
        assert_eq!((linux.gid_mappings[0].host_id, linux.gid_mappings[0].size), (100, 1));
        assert!(linux.resources.is_none());
    }

    #[test]
    fn cgroup_namespace_is_added_once_asked_for() {
        let mut spec = template(None);
        add_cgroup_namespace(&mut spec);
        assert_eq!(spec.linux.unwrap().namespaces.last().unwrap().kind, "cgroup");
    }
}
