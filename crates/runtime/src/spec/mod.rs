//! The OCI runtime specification's types (1.3), as they stand in `config.json`.
//!
//! Names are the specification's in snake case. Enumerated strings (actions, capabilities, namespace types)
//! stay strings here: what is unknown is an error for some and a warning for others, and that decision
//! belongs to planning. Unknown fields are kept in `extra`. A field that is absent or `null` is `None`,
//! empty or zero. Sections for other systems (`windows`, `solaris`, `zos`, `freebsd`, `vm`) stay in `extra`.
//!
//! Source: <https://github.com/opencontainers/runtime-spec>, `config.md` and `config-linux.md`.

mod linux;
mod process;
mod resources;
mod seccomp;
mod state;

pub use linux::*;
pub use process::*;
pub use resources::*;
pub use seccomp::*;
pub use state::*;

use crate::object;
use std::collections::BTreeMap;

/// The version of the specification that is implemented.
pub const VERSION: &str = "1.3.0";

object! {
    /// `config.json`.
    pub struct Spec {
        /// The specification's version that the bundle complies with (SemVer).
        pub version: String = "ociVersion" required,
        /// The program to run; absent for a container that is only created.
        pub process: Option<Process> = "process",
        /// The root file system.
        pub root: Option<Root> = "root",
        /// Host name, in the container's UTS namespace.
        pub hostname: String = "hostname",
        /// NIS domain name, in the container's UTS namespace.
        pub domainname: String = "domainname",
        /// Mounts on top of the root, in this order.
        pub mounts: Vec<Mount> = "mounts",
        /// Programs run at points of the life cycle.
        pub hooks: Option<Hooks> = "hooks",
        /// Free-form metadata.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// What is Linux's own.
        pub linux: Option<Box<Linux>> = "linux",
    }
}

object! {
    /// The root file system.
    pub struct Root {
        /// Path on the host, absolute or relative to the bundle.
        pub path: String = "path" required,
        /// Whether the container sees it read-only.
        pub readonly: bool = "readonly",
    }
}

object! {
    /// A mount on top of the root file system.
    pub struct Mount {
        /// Absolute path inside the container.
        pub destination: String = "destination" required,
        /// File-system type as in `/proc/filesystems`, or `bind`.
        pub kind: String = "type",
        /// What is mounted: a path for bind mounts, otherwise up to the file system.
        pub source: String = "source",
        /// Options in the manner of fstab, mount(8).
        pub options: Vec<String> = "options",
        /// User ids of an idmapped mount.
        pub uid_mappings: Vec<IdMapping> = "uidMappings",
        /// Group ids of an idmapped mount.
        pub gid_mappings: Vec<IdMapping> = "gidMappings",
    }
}

object! {
    /// Programs run at points of the life cycle (config.md, "POSIX-platform Hooks").
    pub struct Hooks {
        /// Deprecated: after the namespaces exist, before the program starts; in the runtime's namespaces.
        pub prestart: Vec<Hook> = "prestart",
        /// While creating, before the root is changed; in the runtime's namespaces.
        pub create_runtime: Vec<Hook> = "createRuntime",
        /// While creating, before the root is changed; in the container's namespaces.
        pub create_container: Vec<Hook> = "createContainer",
        /// When starting, before the program; in the container's namespaces and root.
        pub start_container: Vec<Hook> = "startContainer",
        /// After the program was started; in the runtime's namespaces.
        pub poststart: Vec<Hook> = "poststart",
        /// After the container was deleted; in the runtime's namespaces.
        pub poststop: Vec<Hook> = "poststop",
    }
}

object! {
    /// One program of a hook point; it reads the container's state from its standard input.
    pub struct Hook {
        /// Absolute path of the program.
        pub path: String = "path" required,
        /// Its arguments, the first of which is its name, as in execv(3).
        pub args: Vec<String> = "args",
        /// Its environment, `KEY=value`; what a hook has that names none depends on its point.
        pub env: Option<Vec<String>> = "env",
        /// Seconds after which it is killed and counts as failed; greater than zero.
        pub timeout: Option<i64> = "timeout",
    }
}
