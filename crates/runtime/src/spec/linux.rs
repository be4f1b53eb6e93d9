//! `linux`: namespaces, id maps, devices and the other parts that only Linux has.

use super::{Resources, Seccomp};
use crate::object;
use std::collections::BTreeMap;

object! {
    /// What is Linux's own.
    pub struct Linux {
        /// User ids of a new user namespace.
        pub uid_mappings: Vec<IdMapping> = "uidMappings",
        /// Group ids of a new user namespace.
        pub gid_mappings: Vec<IdMapping> = "gidMappings",
        /// Kernel parameters that are namespaced, `net.ipv4.ip_forward` → `1`.
        pub sysctl: BTreeMap<String, String> = "sysctl",
        /// cgroup limits.
        pub resources: Option<Resources> = "resources",
        /// Where the cgroup is; relative paths are below the runtime's own choice.
        pub cgroups_path: String = "cgroupsPath",
        /// Namespaces to make or, where they have a path, to join.
        pub namespaces: Vec<Namespace> = "namespaces",
        /// Device nodes.
        pub devices: Vec<Device> = "devices",
        /// Network devices to move in, by their name on the host.
        pub net_devices: BTreeMap<String, NetDevice> = "netDevices",
        /// System call filter.
        pub seccomp: Option<Seccomp> = "seccomp",
        /// `shared`, `slave`, `private`, `unbindable` or the recursive `r…` forms.
        pub rootfs_propagation: String = "rootfsPropagation",
        /// Absolute paths that can't be read.
        pub masked_paths: Vec<String> = "maskedPaths",
        /// Absolute paths that can't be written.
        pub readonly_paths: Vec<String> = "readonlyPaths",
        /// SELinux label of mounts.
        pub mount_label: String = "mountLabel",
        /// Intel RDT.
        pub intel_rdt: Option<IntelRdt> = "intelRdt",
        /// set_mempolicy(2).
        pub memory_policy: Option<MemoryPolicy> = "memoryPolicy",
        /// personality(2).
        pub personality: Option<Personality> = "personality",
        /// Clock offsets of a new time namespace, by `monotonic` and `boottime`.
        pub time_offsets: BTreeMap<String, TimeOffset> = "timeOffsets",
    }
}

object! {
    /// A namespace to make or to join.
    pub struct Namespace {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time`.
        pub kind: String = "type" required,
        /// A namespace file to join; empty means a new one.
        pub path: String = "path",
    }
}

object! {
    /// A range of ids, user_namespaces(7).
    pub struct IdMapping {
        /// First id inside.
        pub container_id: u32 = "containerID" required,
        /// First id outside.
        pub host_id: u32 = "hostID" required,
        /// How many.
        pub size: u32 = "size" required,
    }
}

/// Why the kernel wouldn't take these ranges, with the number of the one concerned: user_namespaces(7) has at most 340
/// lines, and neither side may exceed 32 bits.
pub fn wrong_range(maps: &[IdMapping]) -> Option<(usize, &'static str)> {
    if maps.len() > 340 {
        return Some((340, "is more than the kernel's 340 ranges"));
    }
    let wrong = |map: &IdMapping| {
        let ends = [map.container_id, map.host_id].map(|first| u64::from(first) + u64::from(map.size));
        map.size == 0 || ends.iter().any(|end| *end > u64::from(u32::MAX))
    };
    maps.iter().position(wrong).map(|i| (i, "size: must be 1 or more and fit in 32 bits"))
}

/// Lines for `/proc/PID/uid_map` and `gid_map`.
pub fn map_lines(maps: &[IdMapping]) -> String {
    maps.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}

object! {
    /// A device node.
    pub struct Device {
        /// Absolute path inside the container.
        pub path: String = "path" required,
        /// `c`, `b`, `u` or `p`.
        pub kind: String = "type" required,
        /// Major number.
        pub major: i64 = "major",
        /// Minor number.
        pub minor: i64 = "minor",
        /// Permission bits; absent means 0666.
        pub file_mode: Option<u32> = "fileMode",
        /// Owner; absent means 0.
        pub uid: Option<u32> = "uid",
        /// Group; absent means 0.
        pub gid: Option<u32> = "gid",
    }
}

object! {
    /// A network device to move in.
    pub struct NetDevice {
        /// Its name inside; empty keeps it.
        pub name: String = "name",
    }
}

object! {
    /// A clock's offset.
    pub struct TimeOffset {
        /// Seconds.
        pub secs: i64 = "secs",
        /// Nanoseconds.
        pub nanosecs: u32 = "nanosecs",
    }
}

object! {
    /// Intel RDT: resctrl.
    pub struct IntelRdt {
        /// Class of service.
        pub clos_id: String = "closID",
        /// Schemata lines.
        pub schemata: Vec<String> = "schemata",
        /// L3 line.
        pub l3_cache_schema: String = "l3CacheSchema",
        /// Memory bandwidth line.
        pub mem_bw_schema: String = "memBwSchema",
        /// Whether to make a monitoring group.
        pub enable_monitoring: bool = "enableMonitoring",
    }
}

object! {
    /// set_mempolicy(2).
    pub struct MemoryPolicy {
        /// `MPOL_…`.
        pub mode: String = "mode" required,
        /// Node list such as `0-3`.
        pub nodes: String = "nodes",
        /// `MPOL_F_…`.
        pub flags: Vec<String> = "flags",
    }
}

object! {
    /// personality(2).
    pub struct Personality {
        /// `LINUX` or `LINUX32`.
        pub domain: String = "domain" required,
        /// None are defined.
        pub flags: Vec<String> = "flags",
    }
}
