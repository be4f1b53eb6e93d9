//! Stopping all processes of a group, and letting them go on.
//!
//! On cgroup2 (Linux 5.2) a frozen process can still be killed; with v1's freezer it dies only when it is thawed.
//! So cgroup2 is used wherever the container has a group there.

use super::make::open;
use super::members::{await_event, gone, text};
use super::paths::Paths;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, CWD};
use forgeone_sys::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long freezing may take: a process in uninterruptible sleep freezes when it wakes.
const WAIT: Duration = Duration::from_secs(10);

/// What freezes a container's group: the place's path.
pub(super) enum Freezer<'a> {
    V2(&'a str),
    V1(&'a str),
}

impl<'a> Freezer<'a> {
    /// cgroup2's where the container is in it and the kernel has it, otherwise v1's.
    pub(super) fn find(paths: &'a Paths) -> Option<Self> {
        let can = |path: &&str| fs::statat(CWD, format!("{path}/cgroup.freeze"), AtFlags::empty()).is_ok();
        match paths.v2.as_deref().filter(can) {
            Some(path) => Some(Self::V2(path)),
            None => paths.controller("freezer").map(Self::V1),
        }
    }

    /// The same; an error where there is none.
    pub(super) fn get(paths: &'a Paths) -> Result<Self> {
        let why = "freezing: there is no freezer in the container's cgroups";
        Self::find(paths).ok_or_else(|| Error::new(Kind::Unsupported, why))
    }

    /// Freezes, and waits until all are frozen. If some process doesn't, all go on: half frozen is of no use.
    pub(super) fn freeze(&self) -> Result<()> {
        let deadline = Instant::now() + WAIT;
        let (path, frozen) = match self {
            Self::V2(path) => {
                fs::write_file_at(CWD, format!("{path}/cgroup.freeze"), b"1").during(|| "freezing")?;
                (path, await_event(path, "frozen", true, deadline))
            }
            Self::V1(path) => (path, open(path).and_then(|dir| freeze_v1(&dir, deadline))),
        };
        match frozen {
            Ok(true) => Ok(()),
            Ok(false) => {
                let why = format!("freezing: {path}: not all processes froze within {} s", WAIT.as_secs());
                let errors = [Some(Error::new(Kind::System, why)), self.thaw().err()];
                Error::all(errors.into_iter().flatten().collect()).map_or(Ok(()), Err)
            }
            Err(e) => Err(e).during(|| "freezing"),
        }
    }

    /// Lets them go on.
    pub(super) fn thaw(&self) -> Result<()> {
        let (file, value) = match self {
            Self::V2(path) => (format!("{path}/cgroup.freeze"), b"0".as_slice()),
            Self::V1(path) => (format!("{path}/freezer.state"), b"THAWED".as_slice()),
        };
        match fs::write_file_at(CWD, file, value) {
            // Another command has removed it meanwhile: nobody is frozen in there.
            Err(e) if gone(&e) => Ok(()),
            written => written.during(|| "thawing"),
        }
    }
}

/// v1 says FREEZING until all are frozen, and needs to be asked again for those that are being forked.
fn freeze_v1(dir: &OwnedFd, deadline: Instant) -> forgeone_sys::Result<bool> {
    let mut pause = Duration::from_micros(10);
    loop {
        fs::write_file_at(dir, "freezer.state", b"FROZEN")?;
        if text(dir, "freezer.state")?.trim() == "FROZEN" {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Whether the group was asked to freeze and not to go on since, by the freezer of its hierarchy, if it has one.
pub(super) fn is_frozen(dir: impl AsFd) -> Result<bool> {
    match text(&dir, "cgroup.freeze") {
        Err(e) if gone(&e) => {}
        asked => return Ok(asked.during(|| "cgroup")?.trim() == "1"),
    }
    match text(&dir, "freezer.state") {
        Err(e) if gone(&e) => Ok(false),
        state => Ok(state.during(|| "cgroup")?.trim() != "THAWED"),
    }
}

/// Whether the processes of a container are frozen, or about to be; not whether a group above is. By one path for each
/// file, since a lookup among cgroups is the dearest part of `list`: 10 µs for each container instead of 20.
pub(super) fn is_frozen_at(paths: &Paths) -> Result<bool> {
    let says = |path: &str, file: &str, word: &str| -> Result<Option<bool>> {
        match text(CWD, &format!("{path}/{file}")) {
            Err(e) if gone(&e) => Ok(None),
            said => Ok(Some(said.during(|| "cgroup")?.trim() == word)),
        }
    };
    if let Some(path) = &paths.v2
        && let Some(frozen) = says(path, "cgroup.freeze", "1")?
    {
        return Ok(frozen);
    }
    let Some(path) = paths.controller("freezer") else { return Ok(false) };
    Ok(says(path, "freezer.state", "THAWED")? == Some(false))
}
