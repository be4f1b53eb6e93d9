//! What is kept of a container in `<root>/<id>/`, and how.
//!
//! ```text
//! <root>/<id>/            0711, also the lock: flock of the directory
//!   state.json            Record, replaced whole; written before the first side effect
//!   config.json           the bundle's config as it was at create
//!   waits                 empty; init holds its flock until it executes the program
//!   start                 the rendezvous socket: from created to started
//!   events                one JSON object a line, append only
//! ```

mod events;
mod store;

pub use events::{Event, append, append_exit, begin};
pub use store::{Dir, Lock, Root};

use crate::spec::Resources;
use crate::{cgroup, object, resctrl};
use std::collections::BTreeMap;

/// The version of `state.json` that is written.
pub const VERSION: u32 = 1;

object! {
    /// `state.json`, version 1.
    pub struct Record {
        /// The format's version.
        pub version: u32 = "version" required,
        /// Id.
        pub id: String = "id" required,
        /// Specification version of the config.
        pub oci_version: String = "ociVersion" required,
        /// Absolute path of the bundle.
        pub bundle: String = "bundle" required,
        /// Absolute path of the root file system.
        pub rootfs: String = "rootfs" required,
        /// When `create` began: RFC 3339, UTC, nanoseconds.
        pub created: String = "created" required,
        /// Boot that the process ids belong to: `/proc/sys/kernel/random/boot_id`.
        pub boot_id: String = "bootId" required,
        /// Whether create came to its end.
        pub complete: bool = "complete" required,
        /// Process id of init in the runtime's PID namespace; 0 while there is none.
        pub pid: i32 = "pid" required,
        /// Its start, in clock ticks since boot: field 22 of `/proc/PID/stat`.
        pub start_time: u64 = "startTime" required,
        /// Its pidfd's inode number, which on Linux 6.9 no other process of this boot has; 0 before.
        pub pidfd_inode: u64 = "pidfdInode",
        /// What executes the program.
        pub engine: String = "engine" required,
        /// The group (pod); the id itself for a lone container.
        pub group: String = "group" required,
        /// User who created it.
        pub owner: u32 = "owner" required,
        /// What descriptors 0, 1 and 2 were when it was created, such as `pipe:[123]`.
        pub stdio: Vec<String> = "stdio",
        /// Mounts by opaque key, in the order of the plan.
        pub mounts: Vec<MountKey> = "mounts",
        /// Inode numbers of the container's own namespaces, by their name in `/proc/PID/ns`.
        pub namespaces: BTreeMap<String, u64> = "namespaces",
        /// Whether the container has the session keyring of whoever created it.
        pub keep_keyring: bool = "keepKeyring",
        /// cgroups.
        pub cgroup: cgroup::Paths = "cgroup",
        /// Directories in resctrl.
        pub resctrl: resctrl::Paths = "resctrl",
        /// Whether the config has hooks for after the end; absent in what an earlier version wrote.
        pub poststop: Option<bool> = "poststop",
        /// The group's inode number on cgroup2, by which the kernel's tracing knows it; 0 without cgroup2.
        pub cgroup_id: u64 = "cgroupId",
        /// `linux.resources` as they were changed last; absent as long as those of the config hold.
        pub resources: Option<Resources> = "resources",
        /// Annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
    }
}

object! {
    /// A mount of the container; keys are generated and never hold what a config says.
    pub struct MountKey {
        /// `m0`, `m1`, ...
        pub key: String = "key" required,
        /// Where it is inside the container.
        pub destination: String = "destination" required,
    }
}
