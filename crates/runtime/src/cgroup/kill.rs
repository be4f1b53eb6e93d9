//! Signals to all processes of a group.
//!
//! A group in which `cgroup.kill` was used is only good for being removed: Linux 6.18 was seen to kill whoever is
//! born into it by `clone3` afterwards, since it compares the group's count of kills with that of the parent's
//! group.

use super::freezer::{Freezer, is_frozen_at};
use super::members::{self, gone};
use super::paths::Paths;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, CWD};
use forgeone_sys::{Errno, process};

/// How often is looked again for processes that were forked while the others were being signalled.
const ROUNDS: usize = 100;

const SIGKILL: i32 = 9;

/// Sends SIGKILL to all, also to those that are being forked; they may still be on their way out afterwards.
pub(super) fn kill(paths: &Paths) -> Result<()> {
    let Some(v2) = &paths.v2 else {
        return signal(paths, SIGKILL);
    };
    match fs::write_file_at(CWD, format!("{v2}/cgroup.kill"), b"1") {
        Ok(()) => kill_strangers(paths, v2),
        // Before Linux 5.14, or no longer there.
        Err(e) if gone(&e) => signal(paths, SIGKILL),
        Err(e) => Err(e).during(|| "killing"),
    }
}

/// Kills those that are in the container's v1 groups and not in its cgroup2 group, because somebody moved them.
fn kill_strangers(paths: &Paths, v2: &str) -> Result<()> {
    let v1 = Paths { v2: None, ..paths.clone() };
    let Some(path) = v1.primary() else { return Ok(()) };
    let there = members::at(path)?;
    if there.is_empty() {
        return Ok(());
    }
    let known = members::at(v2)?;
    if there.iter().all(|pid| known.contains(pid)) { Ok(()) } else { signal(&v1, SIGKILL) }
}

/// Sends a signal to each process once, also to those that are forked meanwhile, but not to the caller.
///
/// The group is frozen for it, if it can be: then nobody forks, ends or has its number used again. Otherwise a process
/// counts as found when its number is still in the group after its descriptor was opened. What was frozen before
/// stays so, but for SIGKILL, which has to take effect.
pub(super) fn signal(paths: &Paths, signal: i32) -> Result<()> {
    let Some(path) = paths.primary() else { return Ok(()) };
    let mut freezer = Freezer::find(paths);
    let stay = signal != SIGKILL && is_frozen_at(paths).unwrap_or(false);
    let mut seen = vec![process::getpid()];
    for _ in 0..ROUNDS {
        // One that can't freeze is not waited for again.
        freezer = freezer.filter(|freezer| freezer.freeze().is_ok());
        let found = round(path, signal, freezer.is_some(), &mut seen);
        if let (Some(freezer), false) = (&freezer, stay) {
            freezer.thaw()?;
        }
        if !found? || freezer.is_some() {
            return Ok(());
        }
    }
    let why = format!("signalling: {path}: processes are forked faster than they can be signalled");
    Err(Error::new(Kind::System, why))
}

/// Signals the processes that are not in `seen`, and says whether there were any.
fn round(path: &str, signal: i32, frozen: bool, seen: &mut Vec<i32>) -> Result<bool> {
    let new: Vec<i32> = members::at(path)?.into_iter().filter(|pid| !seen.contains(pid)).collect();
    let mut handles = Vec::with_capacity(new.len());
    for pid in &new {
        match process::pidfd_open(*pid) {
            Ok(fd) => handles.push((*pid, Some(fd))),
            Err(e) if e.errno() == Errno::SRCH => {}
            // Before Linux 5.3, or a filter's answer.
            Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => handles.push((*pid, None)),
            Err(e) => return Err(e).during(|| "signalling"),
        }
    }
    let still = if frozen { new.clone() } else { members::at(path)? };
    for (pid, fd) in handles.into_iter().filter(|(pid, _)| still.contains(pid)) {
        let sent = match fd {
            Some(fd) => process::pidfd_send_signal(fd, signal),
            None => process::kill(pid, signal),
        };
        match sent {
            Err(e) if e.errno() != Errno::SRCH => return Err(e).during(|| "signalling"),
            _ => {}
        }
    }
    seen.extend(&new);
    Ok(!new.is_empty())
}
