//! Looking at a container that lives: what it uses, when it runs out of memory, when it ends.

use super::{Runtime, Status, start};
use crate::cgroup::OomWatch;
use crate::error::{During, Result};
use crate::metrics::{self, Stats};
use crate::state::Record;
use forgeone_sys::process::pidfd_open;
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{Errno, OwnedFd};
use std::time::Duration;

/// How often is looked whether init lives, where there are no pidfds (before Linux 5.3).
const LOOK: Duration = Duration::from_secs(1);

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It ran out of memory.
    OutOfMemory,
    /// Its init ended.
    Ended,
    /// Nothing, so far.
    Nothing,
}

/// A container that is looked at.
#[derive(Debug)]
pub struct Watch<'a> {
    runtime: &'a Runtime,
    record: Box<Record>,
    init: Option<OwnedFd>,
    oom: Option<OomWatch>,
}

impl Runtime {
    /// Begins to look at a container; from now on nothing is missed.
    ///
    /// # Errors
    /// [`crate::Kind::State`] if it doesn't live.
    pub fn watch(&self, id: &str) -> Result<Watch<'_>> {
        let container = self.find(id)?;
        let record = Box::new(container.record()?.clone());
        let oom = OomWatch::new(&record.cgroup)?;
        let init = match pidfd_open(record.pid) {
            // Before Linux 5.3, or a filter's answer; or it is gone, which is seen below.
            Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM | Errno::SRCH) => None,
            init => Some(init.during(|| format!("container \"{id}\""))?),
        };
        match container.status()? {
            status @ (Status::Creating | Status::Stopped) => Err(start::not_running(id, status)),
            _ => Ok(Watch { runtime: self, record, init, oom }),
        }
    }
}

impl Watch<'_> {
    /// Whether it can be seen that it runs out of memory: it has a group with the memory controller.
    pub fn sees_memory(&self) -> bool {
        self.oom.is_some()
    }

    /// What it uses.
    ///
    /// # Errors
    /// When its groups are gone, or can't be read.
    pub fn stats(&self) -> Result<Stats> {
        metrics::read(&self.record.cgroup, &self.record.resctrl)
    }

    /// Waits until something happens, at most this long; it may say too early that nothing did.
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn next(&mut self, within: Duration) -> Result<Happened> {
        let within = if self.init.is_some() { within } else { within.min(LOOK) };
        // Rounded up, or the last millisecond would be spent in a circle.
        let milliseconds = i32::try_from(within.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let init = self.init.iter().map(PollFd::readable);
        let mut fds: Vec<PollFd> = init.chain(self.oom.iter().map(OomWatch::poll_fd)).collect();
        poll(&mut fds, Some(milliseconds))?;
        let ended = match &self.init {
            Some(_) => fds[0].is_ready(),
            None => !self.runtime.is_init(&self.record)?,
        };
        // Asked last, so that an end for lack of memory is told as both.
        if let Some(oom) = &mut self.oom
            && oom.happened()?
        {
            return Ok(Happened::OutOfMemory);
        }
        Ok(if ended { Happened::Ended } else { Happened::Nothing })
    }
}
