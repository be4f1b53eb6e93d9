//! `oom_score_adj` for the new process: set on ourselves before the clone, since it is inherited, and taken back after.
//!
//! Nobody else could write it: the new process isn't dumpable, so its files in `/proc` belong to the host's root, and
//! neither it, once it is in a user namespace, nor an unprivileged runtime may open them.
//!
//! A process of `exec` starts with the highest score, where the runtime can change that later: should the container have
//! no memory left for it, the kernel ends it, and none of those that were there before.

use crate::error::{During, Result};
use crate::fs::Procfs;
use forgeone_sys::{OwnedFd, fs, process};

const FILE: &str = "self/oom_score_adj";

/// proc_pid_oom_score_adj(5): the first to go.
const HIGHEST: i64 = 1000;

/// What is to be taken back.
#[must_use]
pub(super) struct OomScore {
    /// What it was, and the file: once we aren't dumpable, an unprivileged runtime may not open it again.
    own: Option<(Vec<u8>, OwnedFd)>,
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
        let file = procfs.open_for_writing(FILE).during(|| "process.oomScoreAdj")?;
        fs::write_once(&file, score.as_bytes()).during(|| format!("process.oomScoreAdj {score}"))?;
        Ok(Self { own: Some((own, file)) })
    }

    /// Takes on the highest score for a process whose own is to be set by [`OomScore::give`]; without the right to that,
    /// its own.
    pub(super) fn lend_highest(procfs: &Procfs, score: Option<i64>) -> Result<Self> {
        if process::geteuid() == 0 { Self::lend(procfs, Some(HIGHEST)) } else { Self::lend(procfs, score) }
    }

    /// Gives a process that was born under [`OomScore::lend_highest`] its own score, or ours.
    pub(super) fn give(procfs: &Procfs, pid: i32, score: Option<i64>) -> Result<()> {
        if process::geteuid() != 0 {
            return Ok(());
        }
        let score = match score {
            Some(score) => score.to_string().into_bytes(),
            None => procfs.read(FILE, 64).during(|| "process.oomScoreAdj")?,
        };
        let given = procfs.write(&format!("{pid}/oom_score_adj"), score.trim_ascii());
        given.during(|| format!("process.oomScoreAdj {}", String::from_utf8_lossy(score.trim_ascii())))
    }

    /// Becomes what we were. A score that was never below may always be returned to (proc_pid_oom_score_adj(5)).
    pub(super) fn take_back(self) -> Result<()> {
        let Some((own, file)) = self.own else { return Ok(()) };
        fs::write_once(&file, own.trim_ascii()).during(|| "process.oomScoreAdj")
    }
}
