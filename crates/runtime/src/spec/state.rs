//! The container's state as the specification prints it: `state`'s output, the hooks' standard input, and what the agent
//! of a filter that notifies is told.

use crate::object;
use std::collections::BTreeMap;

object! {
    /// runtime.md, "State".
    pub struct State {
        /// The specification's version.
        pub version: String = "ociVersion" required,
        /// The container's id.
        pub id: String = "id" required,
        /// `creating`, `created`, `running`, `paused` or `stopped`.
        pub status: String = "status" required,
        /// Process id of the container's init in the runtime's PID namespace; 0 when stopped.
        pub pid: i32 = "pid",
        /// Absolute path of the bundle.
        pub bundle: String = "bundle" required,
        /// As in `config.json`.
        pub annotations: BTreeMap<String, String> = "annotations",
    }
}

object! {
    /// config-linux.md, "The Container Process State".
    pub struct ContainerProcessState {
        /// The specification's version.
        pub version: String = "ociVersion" required,
        /// Names of the descriptors that come with it, in their order.
        pub fds: Vec<String> = "fds",
        /// The process, in the runtime's PID namespace.
        pub pid: i32 = "pid" required,
        /// `listenerMetadata` of the filter.
        pub metadata: String = "metadata",
        /// Of the container.
        pub state: State = "state" required,
    }
}
