//! `oom_score_adj` for the new process: set on ourselves before the clone, since it is inherited, and taken back after.
//!
//! Nobody else could write it: the new process isn't dumpable, so its files in `/proc` belong to the host's root, and
//! neither it, once it is in a user namespace, nor an unprivileged runtime may open them.

use crate::error::{During, Result};
use crate::fs::Procfs;

const FILE: &str = "self/oom_score_adj";

/// What is to be taken back.
#[must_use]
pub(super) struct OomScore {
    own: Option<Vec<u8>>,
}

impl OomScore {
    /// Takes on the score that the clone is to have.
    pub(super) fn lend(procfs: &Procfs, score: Option<i64>) -> Result<Self> {
        let Some(score) = score else { return Ok(Self { own: None }) };
        let own = procfs.read(FILE, 64).during(|| "process.oomScoreAdj")?;
        let score = score.to_string();
        if own.trim_ascii() == score.as_bytes() {
            return Ok(Self { own: None });
        }
        procfs.write(FILE, score.as_bytes()).during(|| format!("process.oomScoreAdj {score}"))?;
        Ok(Self { own: Some(own) })
    }

    /// Becomes what we were. A score that was never below may always be returned to (proc_pid_oom_score_adj(5)).
    pub(super) fn take_back(self, procfs: &Procfs) -> Result<()> {
        let Some(own) = self.own else { return Ok(()) };
        procfs.write(FILE, own.trim_ascii()).during(|| "process.oomScoreAdj")
    }
}
