//! What a container is at the moment: derived from the kernel at each look, never remembered.
//!
//! ```text
//! creating ──► created ──► running ⇄ paused
//!     └───────────┴───────────┴────────┴──► stopped
//! ```
//!
//! - creating: the record isn't complete and somebody else holds the directory's lock
//! - created: init lives and still holds the lock of `waits`, which exec closes
//! - paused: its cgroup is frozen, whether the program was started or not
//! - stopped: init is gone, or is another process by now (start time, boot)

use super::{Runtime, proc};
use crate::cgroup::Group;
use crate::error::{Error, Kind, Result};
use crate::spec::Spec;
use crate::state::{Dir, Lock, Record};
use std::cell::OnceCell;
use std::fmt;

/// The status words of the specification, and runc's `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; the program isn't started.
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// The program ended, or never ran.
    Stopped,
}

impl Status {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A container that was found.
#[derive(Debug)]
pub(super) struct Container<'a> {
    runtime: &'a Runtime,
    pub(super) id: String,
    pub(super) dir: Dir,
    pub(super) record: Option<Box<Record>>,
    /// Ours, if others are kept from changing it.
    lock: Option<Lock>,
    kept: OnceCell<Kept>,
}

/// The config as it was at create.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) config: Vec<u8>,
    pub(super) spec: Box<Spec>,
}

impl Runtime {
    /// Opens a container and reads its record.
    pub(super) fn find(&self, id: &str) -> Result<Container<'_>> {
        let dir = self.root().open(id)?;
        let record = dir.read()?;
        Ok(self.container(id, dir, record, None))
    }

    /// The same, and keeps others from changing it for as long as it is held.
    pub(super) fn find_locked(&self, id: &str) -> Result<Container<'_>> {
        let (dir, lock) = self.open_locked(id, Dir::lock)?;
        let record = dir.read()?;
        Ok(self.container(id, dir, record, Some(lock)))
    }

    /// Opens a container's directory and has `lock` lock it; again if it was removed meanwhile.
    pub(super) fn open_locked(&self, id: &str, lock: impl Fn(&Dir) -> Result<Lock>) -> Result<(Dir, Lock)> {
        loop {
            let dir = self.root().open(id)?;
            let lock = lock(&dir)?;
            if dir.is_there()? {
                return Ok((dir, lock));
            }
        }
    }

    /// A container of which this much was found.
    pub(super) fn container(
        &self,
        id: &str,
        dir: Dir,
        record: Option<Box<Record>>,
        lock: Option<Lock>,
    ) -> Container<'_> {
        Container { runtime: self, id: id.to_owned(), dir, record, lock, kept: OnceCell::new() }
    }

    /// Whether the record's init is still that process.
    pub(super) fn is_init(&self, record: &Record) -> Result<bool> {
        if record.pid <= 0 || record.boot_id != self.boot_id()? {
            return Ok(false);
        }
        if record.pidfd_inode != 0
            && let Some(is) = proc::is_process(record.pid, record.pidfd_inode)
        {
            return Ok(is);
        }
        let stat = proc::stat(self.procfs()?, record.pid)?;
        // An incomplete record has no start time yet; its create is still at work, or died a moment ago.
        let same = |stat: proc::Stat| stat.start_time == record.start_time || !record.complete;
        Ok(stat.is_some_and(|stat| stat.is_alive() && same(stat)))
    }
}

impl Container<'_> {
    /// The record; without one, create ended before it had done anything.
    pub(super) fn record(&self) -> Result<&Record> {
        self.record.as_deref().ok_or_else(|| {
            let message = format!("container \"{}\" was never made whole; delete it", self.id);
            Error::new(Kind::State, message)
        })
    }

    /// Its config, read when it is first needed.
    pub(super) fn kept(&self) -> Result<&Kept> {
        super::get_or_try(&self.kept, || {
            let config = self.dir.config()?;
            let spec = crate::bundle::parse(&config)?;
            Ok(Kept { config, spec })
        })
    }

    pub(super) fn status(&self) -> Result<Status> {
        let Some(record) = self.record.as_ref().filter(|record| record.complete) else {
            let creating = self.lock.is_none() && self.dir.is_locked()?;
            return Ok(if creating { Status::Creating } else { Status::Stopped });
        };
        // Asked first: an init that ends while we look doesn't wait any more, which isn't to say that its program runs.
        let waits = self.dir.init_waits()?;
        if !self.runtime.is_init(record)? {
            return Ok(Status::Stopped);
        }
        if Group::open(record.cgroup.clone()).frozen()? {
            return Ok(Status::Paused);
        }
        Ok(if waits { Status::Created } else { Status::Running })
    }
}
