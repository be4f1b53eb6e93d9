//! How a process gets into a group when it starts, without a write to `cgroup.procs`.
//!
//! The parent opens what is needed, since a process in a new user namespace would get EACCES by path; the kernel
//! checks the rights of whoever opened. cgroup2 is entered by `clone3`, the v1 hierarchies by the process itself,
//! as the first thing that it does:
//!
//! ```text
//!  parent: group.birth() ─► clone(into_cgroup) ─► drops its Birth
//!                                └─► child: birth.enter_v1(): `0` into each `tasks`, all closed
//! ```

use super::paths::Paths;
use super::systemd::Manager;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::{BorrowedFd, OwnedFd, process};
use std::os::fd::AsFd;

/// Open descriptors by which one new process enters a group; all close-on-exec.
#[derive(Debug)]
pub struct Birth {
    tasks: Vec<OwnedFd>,
    v2: Option<OwnedFd>,
    procs: Option<OwnedFd>,
    attach: Option<Attach>,
}

/// Where systemd has to move a process, since the caller may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The user's unit.
    pub(super) unit: String,
    /// The group inside, without a slash at either end; empty for the unit's own.
    pub(super) inside: String,
}

impl Attach {
    /// Has the user's own systemd move the process.
    ///
    /// # Errors
    /// When it can't be asked, or refuses.
    pub fn process(&self, pid: i32) -> Result<()> {
        Manager::connect(true)?.attach(&self.unit, &self.inside, pid)
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        process::close_together(std::mem::take(&mut self.tasks));
    }
}

impl Birth {
    /// Opens v1's `tasks`, and the cgroup2 directory unless it is given.
    pub(super) fn new(paths: &Paths, v2: Option<OwnedFd>) -> Result<Self> {
        let tasks =
            |path| fs::openat(CWD, format!("{path}/tasks"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let tasks: forgeone_sys::Result<Vec<OwnedFd>> = paths.v1.values().map(tasks).collect();
        let v2 = match (v2, &paths.v2) {
            (None, Some(path)) => Some(super::make::open(path).during(|| "cgroup")?),
            (v2, _) => v2,
        };
        Ok(Self { tasks: tasks.during(|| "cgroup")?, v2, procs: None, attach: None })
    }

    /// For a process that somebody else moves.
    pub(super) fn moved(attach: Attach) -> Self {
        Self { tasks: Vec::new(), v2: None, procs: None, attach: Some(attach) }
    }

    /// Set where the process has to wait until it was moved.
    pub fn attach(&self) -> Option<&Attach> {
        self.attach.as_ref()
    }

    /// The cgroup2 directory, for `CloneArgs::into_cgroup`.
    pub fn into_cgroup(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(AsFd::as_fd)
    }

    /// All descriptors that [`Birth::into_cgroup`] and [`Birth::enter`] need.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.tasks.iter().chain(&self.v2).chain(&self.procs).map(AsFd::as_fd)
    }

    /// Prepares for [`Birth::enter`], to be called when `clone` said `ENOSYS` to `into_cgroup` (before Linux 5.7).
    ///
    /// # Errors
    /// When the caller has no rights over the group.
    pub fn without_clone3(&mut self) -> Result<()> {
        if let Some(dir) = &self.v2 {
            let procs = fs::openat(dir, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            self.procs = Some(procs.during(|| "cgroup")?);
        }
        Ok(())
    }

    /// Called in the new process, which has one thread: enters the v1 groups, and closes everything.
    ///
    /// # Errors
    /// When the kernel refuses, as for a realtime process in a group without realtime time.
    pub fn enter_v1(self) -> Result<()> {
        self.tasks.iter().try_for_each(|tasks| fs::write_all(tasks, b"0")).during(|| "entering the cgroup")
    }

    /// Called in the new process where `clone` couldn't put it into the cgroup2 group: enters that as well. It waits
    /// for a grace period of the kernel's, some 11 ms on an idle machine.
    ///
    /// # Errors
    /// As [`Birth::enter_v1`].
    pub fn enter(mut self) -> Result<()> {
        if let Some(procs) = self.procs.take() {
            fs::write_all(procs, b"0").during(|| "entering the cgroup")?;
        }
        self.enter_v1()
    }
}
