//! Who is in a group, and whether anybody is.

use super::layout;
use super::make::open;
use super::path::join;
use super::paths::Paths;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, CWD, FileType, Mode, OFlags};
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{AsFd, Errno, OwnedFd};
use std::ffi::OsString;
use std::time::Instant;

/// The longest list of processes that is read, in bytes; Linux has at most 4 million.
const LIST_MAX: usize = 64 << 20;

/// Whether an error says that the group or file is gone, or was never there.
pub(super) fn gone(e: &forgeone_sys::Error) -> bool {
    matches!(e.errno(), Errno::NOENT | Errno::NODEV)
}

/// A small file of a group, by a single read.
pub(super) fn text(dir: impl AsFd, file: &str) -> forgeone_sys::Result<String> {
    let mut buffer = [0; 4096];
    let fd = fs::openat(dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = fs::read(&fd, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The processes of the group at `path`, as [`list`] gives them.
pub(super) fn at(path: &str) -> Result<Vec<i32>> {
    match open(path) {
        Err(e) if gone(&e) => Ok(Vec::new()),
        dir => list(&dir.during(|| "cgroup")?),
    }
}

/// The processes of a group and of all groups in it, as the caller's PID namespace numbers them, in order.
///
/// Those that it doesn't show are left out. A group that is gone has none.
pub(super) fn list(dir: &OwnedFd) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    collect(dir, &mut pids).during(|| "cgroup")?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn collect(dir: &OwnedFd, pids: &mut Vec<i32>) -> forgeone_sys::Result<()> {
    let listed = match fs::read_file_at(dir, "cgroup.procs", LIST_MAX) {
        // A group in threaded mode has no processes, only threads.
        Err(e) if e.errno() == Errno::OPNOTSUPP => fs::read_file_at(dir, "cgroup.threads", LIST_MAX),
        listed => listed,
    };
    match listed {
        Err(e) if gone(&e) => return Ok(()),
        listed => {
            let listed = listed?;
            let lines = listed.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
            pids.extend(lines.filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        }
    }
    for name in inner(dir)? {
        match fs::openat(dir, &name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Err(e) if gone(&e) => {}
            inner => collect(&inner?, pids)?,
        }
    }
    Ok(())
}

/// The groups in a group; none if it is gone.
pub(super) fn inner(dir: &OwnedFd) -> forgeone_sys::Result<Vec<OsString>> {
    match fs::read_dir(dir) {
        Err(e) if gone(&e) => Ok(Vec::new()),
        entries => {
            let directories = entries?.into_iter().filter(|(_, kind)| *kind == FileType::Directory);
            Ok(directories.map(|(name, _)| name).collect())
        }
    }
}

/// Path of the group at `path`, or of the one in it, that process `pid` is in.
pub(super) fn find(path: &str, pid: i32) -> forgeone_sys::Result<Option<String>> {
    let dir = match open(path) {
        Err(e) if gone(&e) => return Ok(None),
        dir => dir?,
    };
    let listed = match fs::read_file_at(&dir, "cgroup.procs", LIST_MAX) {
        Err(e) if gone(&e) => return Ok(None),
        listed => listed?,
    };
    if listed.split(|b| *b == b'\n').any(|line| line == pid.to_string().as_bytes()) {
        return Ok(Some(path.to_owned()));
    }
    for name in inner(&dir)? {
        if let Some(found) = find(&format!("{path}/{}", name.to_string_lossy()), pid)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether the caller may bring a process of its own group into the cgroup2 group at `path`: the kernel asks whether it
/// may write `cgroup.procs` there and in the group that holds both (cgroups(7), "Cgroup delegation containment").
pub(super) fn may_enter(path: &str) -> Result<bool> {
    let Some(own) = layout::detect()?.v2 else { return Ok(true) };
    let own = join(&own.mount, &own.own);
    let shared = path.split('/').zip(own.split('/')).take_while(|(theirs, ours)| theirs == ours);
    let shared = shared.map(|(part, _)| part).collect::<Vec<_>>().join("/");
    let writable = |group: &str| {
        let file = format!("{group}/cgroup.procs");
        fs::openat(CWD, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).is_ok()
    };
    Ok(writable(path) && writable(&shared))
}

/// `pids.max` of the group, if `pids.current` has come to it.
pub(super) fn full(paths: &Paths) -> Result<Option<u64>> {
    let Some(path) = paths.controller("pids").or(paths.v2.as_deref()) else { return Ok(None) };
    let number = |file: &str| match text(CWD, &format!("{path}/{file}")) {
        Err(e) if gone(&e) => Ok(None),
        // `max` is no number: there is no limit.
        value => value.during(|| "cgroup").map(|value| value.trim_end().parse::<u64>().ok()),
    };
    let Some(most) = number("pids.max")? else { return Ok(None) };
    Ok(number("pids.current")?.filter(|now| *now >= most).map(|_| most))
}

/// `processes 12 (sh), 34 (sleep)`, for an error.
pub(super) fn name(pids: &[i32]) -> String {
    name_by(pids, |pid| {
        let command = fs::read_file_at(CWD, format!("/proc/{pid}/comm"), 64).ok()?;
        Some(String::from_utf8_lossy(command.trim_ascii_end()).into_owned())
    })
}

fn name_by(pids: &[i32], command: impl Fn(i32) -> Option<String>) -> String {
    const SHOWN: usize = 10;
    let show = |pid: &i32| match command(*pid) {
        Some(command) => format!("{pid} ({command})"),
        // It is gone by now, but for this.
        None => pid.to_string(),
    };
    let shown: Vec<String> = pids.iter().take(SHOWN).map(show).collect();
    let noun = if pids.len() == 1 { "process" } else { "processes" };
    let rest = if pids.len() > SHOWN { format!(" and {} more", pids.len() - SHOWN) } else { String::new() };
    format!("{noun} {}{rest}", shown.join(", "))
}

/// The value of a flag in the text of `cgroup.events`.
pub(super) fn event(events: &str, key: &str) -> Option<bool> {
    number(events, key).map(|value| value == 1)
}

/// A number by its name, in a file that has a line for each.
pub(super) fn number(text: &str, key: &str) -> Option<u64> {
    let mut entries = text.lines().filter_map(|line| line.split_once(' '));
    entries.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim_end().parse().ok())
}

/// Waits until a flag in the `cgroup.events` of the cgroup2 group at `path` is `value`, or the group is gone; false
/// when it isn't by the deadline.
pub(super) fn await_event(
    path: &str,
    key: &str,
    value: bool,
    deadline: Instant,
) -> forgeone_sys::Result<bool> {
    loop {
        let file = format!("{path}/cgroup.events");
        let fd = match fs::openat(CWD, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(e) if gone(&e) => return Ok(true),
            fd => fd?,
        };
        let mut buffer = [0; 256];
        let length = match fs::read(&fd, &mut buffer) {
            Err(e) if gone(&e) => return Ok(true),
            length => length?,
        };
        if event(&String::from_utf8_lossy(&buffer[..length]), key) == Some(value) {
            return Ok(true);
        }
        // A change since this descriptor was read shows as an error condition (POLLERR, with POLLPRI).
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32;
        if poll(&mut [PollFd::new(&fd, false, false)], Some(left))? == 0 {
            return Ok(false);
        }
    }
}

/// Whether anybody is in the group.
pub(super) fn populated(paths: &Paths) -> Result<bool> {
    match (&paths.v2, paths.primary()) {
        (Some(v2), _) => match text(CWD, &format!("{v2}/cgroup.events")) {
            Err(e) if gone(&e) => Ok(false),
            events => Ok(event(&events.during(|| "cgroup")?, "populated") == Some(true)),
        },
        (None, Some(path)) => Ok(!at(path)?.is_empty()),
        (None, None) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_name() {
        let events = "populated 1\nfrozen 0\n";
        assert_eq!(event(events, "populated"), Some(true));
        assert_eq!(event(events, "frozen"), Some(false));
        assert_eq!(event("populated 0\n", "frozen"), None);
    }

    #[test]
    fn processes_are_named_in_errors() {
        let command = |pid| (pid == 7).then(|| "sh".to_owned());
        assert_eq!(name_by(&[7], command), "process 7 (sh)");
        assert_eq!(name_by(&[7, 8], command), "processes 7 (sh), 8");
        let many: Vec<_> = (11..=22).collect();
        let shown = "processes 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 and 2 more";
        assert_eq!(name_by(&many, command), shown);
        let own = std::process::id() as i32;
        assert!(name(&[own]).starts_with(&format!("process {own} (")));
    }
}
