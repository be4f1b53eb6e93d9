//! Limits by project quota: each container with one has a project of its own, where the file system counts projects' files
//! and holds their limits (ext4 with `-O quota,project` and `prjquota`, xfs with `pquota`). It needs no file system in a
//! file, and the limit is that of the container's directory.

use super::upper::WORK;
use crate::error::{Error, Kind, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd, quota, random};
use std::path::Path;

/// How many numbers are tried until one is free.
const TRIES: u32 = 64;

/// The smallest number that is taken: small ones are given by people (projects(5)).
const FIRST: u32 = 1 << 20;

/// Takes a project with this limit for what lies in a directory. `None` where there is no such thing.
pub(super) fn take(directory: &Path, bytes: u64) -> Result<Option<u32>> {
    let place = open(directory)?;
    // Without quotas, or before Linux 5.14, the kernel has one answer or another.
    if !quota::holds(&place).unwrap_or(false) {
        return Ok(None);
    }
    for _ in 0..TRIES {
        let mut number = [0; 4];
        random::getrandom(&mut number)?;
        let id = u32::from_ne_bytes(number) & i32::MAX.unsigned_abs() | FIRST;
        let free = match quota::project(&place, id) {
            Err(e) if e.errno() == Errno::NOENT => true,
            known => known.is_ok_and(|project| project.limit == 0 && project.used == 0),
        };
        if free {
            quota::set_limit(&place, id, bytes)?;
            return Ok(Some(id));
        }
    }
    Err(Error::new(Kind::System, "no project is free"))
}

/// Takes the limit of a container away whose directory this is, if it has one.
pub(in super::super) fn release(directory: &Path) {
    let project = || {
        let work = open(&directory.join(WORK))?;
        quota::project_of(&work).and_then(|id| match id {
            FIRST.. => quota::set_limit(&work, id, 0),
            // None, or not one of ours.
            _ => Ok(()),
        })
    };
    // Where there is no such thing there is nothing to take away; a limit that stays bounds nothing.
    let _ = project();
}

fn open(directory: &Path) -> forgeone_sys::Result<OwnedFd> {
    fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}
