//! `execCPUAffinity.initial`: taken on by ourselves before the clone, since it is inherited, and given back after.

use crate::error::{During, Result};
use forgeone_sys::process::{self, CpuSet};

/// What is to be taken back.
#[must_use]
pub(super) struct Affinity(Option<CpuSet>);

impl Affinity {
    /// Takes on the CPUs that the clone is to run on until it is in its cgroup.
    pub(super) fn lend(cpus: Option<&CpuSet>) -> Result<Self> {
        let Some(cpus) = cpus else { return Ok(Self(None)) };
        let step = || "process.execCPUAffinity.initial";
        let own = process::sched_getaffinity(0).during(step)?;
        process::sched_setaffinity(0, cpus).during(step)?;
        Ok(Self(Some(own)))
    }

    /// Runs where we ran before.
    pub(super) fn take_back(self) -> Result<()> {
        let restore = |own: &CpuSet| process::sched_setaffinity(0, own);
        self.0.as_ref().map_or(Ok(()), restore).during(|| "process.execCPUAffinity.initial")
    }
}
