//! Which namespaces are made, which are joined, and how one gets there.

use crate::error::{Error, Kind, Result};
use crate::spec::{IdMapping, Linux, TimeOffset, wrong_range};
use forgeone_sys::process::Namespaces;
use std::path::PathBuf;

/// The namespaces of a container.
#[derive(Clone, Debug)]
pub struct NamespacePlan {
    /// Made by `clone3`, but for cgroup and time (see `lifecycle::init`).
    pub new: Namespaces,
    /// Joined, in the order of the config.
    pub join: Vec<Join>,
    /// User ids of a new user namespace.
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// `/proc/self/timens_offsets`, a line for each clock; empty for none.
    pub time_offsets: String,
}

/// A namespace that exists already.
#[derive(Clone, Debug)]
pub struct Join {
    /// Its kind, one flag.
    pub kind: Namespaces,
    /// A file of it.
    pub path: PathBuf,
}

impl NamespacePlan {
    /// Whether the container has a namespace of this kind that isn't the caller's.
    pub fn contains(&self, kind: Namespaces) -> bool {
        self.new.contains(kind) || self.joins(kind)
    }

    /// Whether a namespace of this kind is joined.
    pub fn joins(&self, kind: Namespaces) -> bool {
        self.join.iter().any(|j| j.kind == kind)
    }

    /// Whether namespaces must be joined before init is cloned: a PID namespace is entered by children only, a
    /// user namespace decides who owns the new ones, and a new one takes away the right to join any other.
    pub fn joins_first(&self) -> bool {
        !self.join.is_empty() && (self.joins(Namespaces::PID) || self.contains(Namespaces::USER))
    }
}

/// The flag of a namespace as the specification writes it.
pub fn kind(word: &str) -> Option<Namespaces> {
    Some(match word {
        "mount" => Namespaces::MOUNT,
        "uts" => Namespaces::UTS,
        "ipc" => Namespaces::IPC,
        "user" => Namespaces::USER,
        "pid" => Namespaces::PID,
        "network" => Namespaces::NET,
        "cgroup" => Namespaces::CGROUP,
        "time" => Namespaces::TIME,
        _ => return None,
    })
}

/// Every kind with its name in `/proc/PID/ns`.
pub const KINDS: [(Namespaces, &str); 8] = [
    (Namespaces::USER, "user"),
    (Namespaces::MOUNT, "mnt"),
    (Namespaces::PID, "pid"),
    (Namespaces::NET, "net"),
    (Namespaces::IPC, "ipc"),
    (Namespaces::UTS, "uts"),
    (Namespaces::CGROUP, "cgroup"),
    (Namespaces::TIME, "time"),
];

/// Inode numbers of a process's namespaces, in the order of [`KINDS`]; 0 for a kind that the kernel doesn't have.
pub type Inodes = [u64; KINDS.len()];

fn refuse(field: impl std::fmt::Display, cause: &str) -> Error {
    Error::new(Kind::Config, format!("{field}: {cause}"))
}

/// Plans the namespaces.
///
/// # Errors
/// [`Kind::Config`], naming the field.
pub fn plan(linux: &Linux, hostname: bool, domainname: bool) -> Result<NamespacePlan> {
    let mut plan = NamespacePlan {
        new: Namespaces::empty(),
        join: Vec::new(),
        uid_mappings: linux.uid_mappings.clone(),
        gid_mappings: linux.gid_mappings.clone(),
        time_offsets: String::new(),
    };
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        let field = || format!("linux.namespaces[{i}]");
        let kind = kind(&namespace.kind)
            .ok_or_else(|| refuse(field(), &format!("type: \"{}\" is not a namespace", namespace.kind)))?;
        if plan.contains(kind) {
            return Err(refuse(field(), &format!("type: \"{}\" is there twice", namespace.kind)));
        }
        if namespace.path.is_empty() {
            plan.new.insert(kind);
        } else if namespace.path.starts_with('/') {
            plan.join.push(Join { kind, path: PathBuf::from(&namespace.path) });
        } else {
            return Err(refuse(field(), &format!("path: \"{}\" must be absolute", namespace.path)));
        }
    }
    if hostname && !plan.contains(Namespaces::UTS) {
        return Err(refuse("hostname", "needs a uts namespace of the container's own (linux.namespaces)"));
    }
    if domainname && !plan.contains(Namespaces::UTS) {
        return Err(refuse("domainname", "needs a uts namespace of the container's own (linux.namespaces)"));
    }
    check_maps(&plan)?;
    plan.time_offsets = time_offsets(linux, plan.new.contains(Namespaces::TIME))?;
    Ok(plan)
}

fn check_maps(plan: &NamespacePlan) -> Result<()> {
    let makes_user = plan.new.contains(Namespaces::USER);
    for (field, maps) in
        [("linux.uidMappings", &plan.uid_mappings), ("linux.gidMappings", &plan.gid_mappings)]
    {
        if makes_user && maps.is_empty() {
            return Err(refuse(field, "a new user namespace needs at least one mapping"));
        }
        if !maps.is_empty() && !plan.contains(Namespaces::USER) {
            return Err(refuse(field, "needs a user namespace (linux.namespaces)"));
        }
        if let Some((i, cause)) = wrong_range(maps) {
            return Err(refuse(format!("{field}[{i}]"), cause));
        }
    }
    Ok(())
}

fn time_offsets(linux: &Linux, makes_time: bool) -> Result<String> {
    let mut lines = String::new();
    for (clock, TimeOffset { secs, nanosecs, .. }) in &linux.time_offsets {
        let field = format!("linux.timeOffsets.{clock}");
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(refuse(field, "is neither monotonic nor boottime"));
        }
        if !makes_time {
            return Err(refuse(field, "needs a new time namespace (linux.namespaces)"));
        }
        if *nanosecs >= 1_000_000_000 {
            return Err(refuse(format!("{field}.nanosecs"), "must be below 1000000000"));
        }
        lines.push_str(&format!("{clock} {secs} {nanosecs}\n"));
    }
    Ok(lines)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::json::from_slice;

    fn planned(json: &str) -> Result<NamespacePlan> {
        plan(&from_slice(json.as_bytes()).unwrap(), false, false)
    }

    #[test]
    fn new_ones_are_made_and_those_with_a_path_are_joined() {
        let plan =
            planned(r#"{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/a"}]}"#).unwrap();
        assert!(plan.new.contains(Namespaces::PID) && plan.joins(Namespaces::NET));
        assert!(!plan.joins_first(), "a network namespace is joined by init itself");
    }

    #[test]
    fn joining_pid_or_anything_beside_a_user_namespace_needs_a_process_before_init() {
        let pid = r#"{"namespaces":[{"type":"pid","path":"/proc/1/ns/pid"}]}"#;
        assert!(planned(pid).unwrap().joins_first());
        let user = r#"{"namespaces":[{"type":"user"},{"type":"network","path":"/a"}],
            "uidMappings":[{"containerID":0,"hostID":1,"size":1}],
            "gidMappings":[{"containerID":0,"hostID":1,"size":1}]}"#;
        assert!(planned(user).unwrap().joins_first());
    }

    #[test]
    fn refusals_name_the_field() {
        for (json, expected) in [
            (
                r#"{"namespaces":[{"type":"pid"},{"type":"pid"}]}"#,
                "linux.namespaces[1]: type: \"pid\" is there twice",
            ),
            (r#"{"namespaces":[{"type":"nope"}]}"#, "linux.namespaces[0]: type: \"nope\" is not a namespace"),
            (
                r#"{"namespaces":[{"type":"ipc","path":"x"}]}"#,
                "linux.namespaces[0]: path: \"x\" must be absolute",
            ),
            (
                r#"{"namespaces":[{"type":"user"}]}"#,
                "linux.uidMappings: a new user namespace needs at least one mapping",
            ),
            (
                r#"{"uidMappings":[{"containerID":0,"hostID":0,"size":1}]}"#,
                "linux.uidMappings: needs a user namespace (linux.namespaces)",
            ),
            (
                r#"{"timeOffsets":{"boottime":{"secs":1}}}"#,
                "linux.timeOffsets.boottime: needs a new time namespace (linux.namespaces)",
            ),
            (
                r#"{"namespaces":[{"type":"time"}],"timeOffsets":{"tai":{"secs":1}}}"#,
                "linux.timeOffsets.tai: is neither monotonic nor boottime",
            ),
        ] {
            assert_eq!(planned(json).unwrap_err().to_string(), expected);
        }
    }
}
