//! `forgeone-config`: what a container is asked to be.
//!
//! The plain types that the other crates share. They hold no logic and touch no system.
#![forbid(unsafe_code)]

/// What a container may use; absent means unlimited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceLimits {
    /// CPU time, in cores: `0.5` is half of one core's time.
    pub cpu_cores: Option<f64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Space for written files, in bytes.
    pub disk_bytes: Option<u64>,
    /// Network rate in each direction, in bits a second.
    pub network_bps: Option<u64>,
}

/// What executes the container's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
