//! The container's state as the specification prints it: `state`'s output and the hooks' standard input.

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
