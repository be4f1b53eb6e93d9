//! Being told when a group runs out of memory.
//!
//! v1 counts in an eventfd what the kernel does about it; cgroup2's `memory.events` says how many processes were killed,
//! and is in an error condition for poll when it has changed since it was read.

use super::make::open;
use super::members::{gone, number};
use super::paths::Paths;
use crate::error::{During, Result};
use forgeone_sys::event::{count_cgroup_events, eventfd, read_eventfd};
use forgeone_sys::fs::{self, AtFlags, CWD, Mode, OFlags};
use forgeone_sys::signal::PollFd;
use forgeone_sys::{AsFd, OwnedFd};

/// Watches a group for being out of memory.
#[derive(Debug)]
pub struct OomWatch(Source);

#[derive(Debug)]
enum Source {
    V1 { counter: OwnedFd, group: OwnedFd },
    V2 { events: OwnedFd, kills: u64 },
}

const FILE_V1: &str = "memory.oom_control";

impl OomWatch {
    /// Counts from now on; `None` where the container has no group with the memory controller.
    ///
    /// # Errors
    /// When the group is gone, or the caller has no rights over it.
    pub fn new(paths: &Paths) -> Result<Option<Self>> {
        let source = match (paths.controller("memory"), &paths.v2) {
            (Some(path), _) => Self::v1(path).map(Some),
            (None, Some(path)) => Self::v2(path),
            (None, None) => Ok(None),
        };
        source.during(|| "memory events").map(|source| source.map(Self))
    }

    fn v1(path: &str) -> forgeone_sys::Result<Source> {
        let (group, counter) = (open(path)?, eventfd()?);
        let file = fs::openat(&group, FILE_V1, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        count_cgroup_events(&group, &counter, &file)?;
        Ok(Source::V1 { counter, group })
    }

    fn v2(path: &str) -> forgeone_sys::Result<Option<Source>> {
        let file = format!("{path}/memory.events");
        let events = match fs::openat(CWD, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(e) if gone(&e) => return Ok(None),
            events => events?,
        };
        let kills = kills(&events)?;
        Ok(Some(Source::V2 { events, kills }))
    }

    /// What [`forgeone_sys::signal::poll`] is to wait for.
    pub fn poll_fd(&self) -> PollFd<'_> {
        match &self.0 {
            Source::V1 { counter, .. } => PollFd::readable(counter),
            Source::V2 { events, .. } => PollFd::new(events, false, false),
        }
    }

    /// Whether it happened since it was asked last. A group that is gone has enough.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn happened(&mut self) -> Result<bool> {
        match &mut self.0 {
            Source::V1 { counter, group } => {
                let counted = read_eventfd(counter).during(|| "memory events")? > 0;
                // Removing the group counts, too.
                Ok(counted && fs::statat(group, FILE_V1, AtFlags::empty()).is_ok())
            }
            Source::V2 { events, kills: known } => {
                let now = kills(events).during(|| "memory events")?;
                let more = now > *known;
                *known = now;
                Ok(more)
            }
        }
    }
}

/// How many processes were killed.
fn kills(events: impl AsFd) -> forgeone_sys::Result<u64> {
    let read = || {
        fs::rewind(&events)?;
        fs::read_up_to(&events, 4096)
    };
    match read() {
        Err(e) if gone(&e) => Ok(0),
        text => Ok(number(&String::from_utf8_lossy(&text?), "oom_kill").unwrap_or(0)),
    }
}
