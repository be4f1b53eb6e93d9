//! What a container may use, and what executes it.

use serde::{Deserialize, Serialize};

/// What a container may use; absent means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResourceLimits {
    /// CPU time, in cores: `0.5` is half of one core's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Space for written files, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Network rate in each direction, in bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_bps: Option<u64>,
}

/// What executes the container's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExecMode {
    /// The kernel, as a process in the sandbox.
    #[default]
    Native,
    /// The WASM engine's worker, in the sandbox.
    Wasm,
    /// A virtual machine monitor, in the sandbox.
    MicroVm,
    /// An agent's runner, in the sandbox.
    Agent,
}

/// Both values of a limit of getrlimit(2), in that limit's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What holds until the program raises it.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
}
