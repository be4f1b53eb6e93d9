//! Removing a group.
//!
//! A group can be removed when nobody is in it and no group is inside. A process that was killed leaves a moment
//! after its parent has seen it end; on cgroup2 the kernel says when the last one is gone, on v1 it is tried again.

use super::make::{open, rmdir};
use super::members::{self, await_event, gone, inner};
use super::paths::Paths;
use super::systemd;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::Errno;
use std::time::{Duration, Instant};

/// How long is waited for processes that are on their way out, for all places together.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// The first pause between two tries on v1; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_micros(50);

/// Why a place is still there.
enum Left {
    /// These are in it.
    Busy(Vec<i32>),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Left {
    fn from(e: E) -> Self {
        Self::Failed(e.into().during("cgroup"))
    }
}

/// Removes all places, with groups that the container made in them, and the levels above that were made for it. A
/// failure doesn't end it: the rest is removed, and all failures are given.
pub(super) fn remove(paths: &Paths, wait: Duration) -> Result<()> {
    // systemd removes most of it, and forgets the unit.
    let stopped = if paths.unit.is_empty() { Ok(()) } else { systemd::stop(&paths.unit, paths.user) };
    let deadline = Instant::now() + wait;
    let mut errors = Vec::new();
    let mut busy: Vec<(&str, Vec<i32>)> = Vec::new();
    // cgroup2 first: when nobody is in it any more, the others need no second try.
    let v2 = paths.v2.iter().map(|path| (path, true));
    for (path, v2) in v2.chain(paths.v1.values().map(|path| (path, false))) {
        match leaf(path, v2, deadline) {
            Ok(()) => {}
            Err(Left::Busy(pids)) => busy.push((path, pids)),
            Err(Left::Failed(e)) => errors.push(e),
        }
    }
    errors.splice(0..0, in_use(&busy));
    for path in paths.parents.iter().rev() {
        match rmdir(path) {
            // Others use it by now.
            Err(e) if matches!(e.errno(), Errno::BUSY | Errno::NOTEMPTY) => {}
            result => errors.extend(result.during(|| "cgroup").err()),
        }
    }
    if !errors.is_empty() {
        // Otherwise nothing is left: a systemd that can't be asked, or is gone, sees the empty group by itself.
        errors.extend(stopped.err());
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// Removes all places if nobody is in them, which the removal itself shows; `false` if something is left.
pub(super) fn remove_vacant(paths: &Paths) -> bool {
    let gone = |path: &String| rmdir(path).is_ok();
    let unused = |path: &String| match rmdir(path) {
        Err(e) => matches!(e.errno(), Errno::BUSY | Errno::NOTEMPTY),
        Ok(()) => true,
    };
    paths.unit.is_empty()
        && paths.v2.iter().chain(paths.v1.values()).all(gone)
        && paths.parents.iter().rev().all(unused)
}

/// One error for each set of processes: they are usually in all places alike.
fn in_use(busy: &[(&str, Vec<i32>)]) -> Vec<Error> {
    in_use_by(busy, members::name)
}

fn in_use_by(busy: &[(&str, Vec<i32>)], name: impl Fn(&[i32]) -> String) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, (path, pids)) in busy.iter().enumerate() {
        if busy[..i].iter().any(|(_, other)| other == pids) {
            continue;
        }
        let more = busy[i + 1..].iter().filter(|(_, other)| other == pids).count();
        let more = if more == 0 { String::new() } else { format!(" (and in {more} other hierarchies)") };
        errors.push(Error::new(Kind::State, format!("cgroup {path}: it has {}{more}", name(pids))));
    }
    errors
}

/// Removes one place.
fn leaf(path: &str, v2: bool, deadline: Instant) -> std::result::Result<(), Left> {
    let mut pause = PAUSE;
    loop {
        let busy = match rmdir(path) {
            Err(e) if matches!(e.errno(), Errno::BUSY | Errno::NOTEMPTY) => e,
            result => return Ok(result?),
        };
        nested(path)?;
        if Instant::now() >= deadline || (v2 && !await_event(path, "populated", false, deadline)?) {
            let pids = members::at(path)?;
            return Err(if pids.is_empty() { busy.into() } else { Left::Busy(pids) });
        }
        if rmdir(path).is_ok() {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Removes the groups in a group, inner ones first, as far as they can be.
fn nested(path: &str) -> forgeone_sys::Result<()> {
    let dir = match open(path) {
        Err(e) if gone(&e) => return Ok(()),
        dir => dir?,
    };
    for name in inner(&dir)? {
        let path = format!("{path}/{}", name.to_string_lossy());
        nested(&path)?;
        match rmdir(&path) {
            Err(e) if !matches!(e.errno(), Errno::BUSY | Errno::NOTEMPTY) => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_once() {
        let name = |pids: &[i32]| format!("{pids:?}");
        let errors = in_use_by(&[("/a", vec![7]), ("/b", vec![7, 8]), ("/c", vec![7])], name);
        let texts: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(texts, ["cgroup /a: it has [7] (and in 1 other hierarchies)", "cgroup /b: it has [7, 8]"]);
    }
}
