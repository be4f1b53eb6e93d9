//! What `/proc` says of a process, and of us.

use crate::error::{During, Error, Kind, Result};
use crate::fs::Procfs;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::signal::{self, SignalSet};
use forgeone_sys::{AsFd, Errno, process};

/// Of `/proc/PID/stat`, proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Field 3: `R`, `S`, `Z`, ...
    pub state: char,
    /// Field 22: clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// Whether it still runs, in whatever way.
    pub(super) fn is_alive(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads it; `None` if there is no such process.
pub(super) fn stat(procfs: &Procfs, pid: i32) -> Result<Option<Stat>> {
    match procfs.read_if_there(&format!("{pid}/stat"), 4096) {
        Ok(text) => Ok(text.and_then(|text| parse_stat(&text))),
        Err(e) if e.errno() == Errno::SRCH => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// When a process that is alive was started, which with its number tells it from all others of this boot.
pub(crate) fn started(pid: i32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text).filter(|stat| stat.is_alive()).map(|stat| stat.start_time)
}

/// Whether the process of this number is alive and the one whose pidfd has this inode number; `None` where that can't be
/// asked. The start time would say the same, but to make all of `/proc/PID/stat` takes the kernel 12 µs instead of 4.
pub(super) fn is_process(pid: i32, inode: u64) -> Option<bool> {
    match process::pidfd_open(pid) {
        Ok(pidfd) => {
            // The inode was noted on this kernel, whose pidfds have their own.
            let same = fs::fstat(&pidfd).ok()?.st_ino == inode;
            Some(same && !signal::wait_readable(&pidfd, Some(0)).ok()?)
        }
        Err(e) if e.errno() == Errno::SRCH => Some(false),
        Err(_) => None,
    }
}

/// The name in parentheses may hold anything, parentheses too: fields are counted from the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let text = std::str::from_utf8(&text[text.iter().rposition(|byte| *byte == b')')? + 1..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, start_time: fields.nth(18)?.parse().ok()? })
}

/// Whether this process's user namespace is not the initial one, which maps all ids to themselves.
pub fn in_user_namespace() -> bool {
    /// `USER_NS_INIT_INO` of `<linux/nsfs.h>`, the same in all versions.
    const INITIAL: u64 = 0xeffffffd;
    let own = fs::statat(fs::CWD, c"/proc/self/ns/user", AtFlags::empty());
    if own.is_ok_and(|namespace| namespace.st_ino == INITIAL) {
        return false;
    }
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !maps_all(&map))
}

fn maps_all(uid_map: &str) -> bool {
    uid_map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// The signals that we ignore, and whatever we clone: proc_pid_status(5), `SigIgn`.
pub(super) fn ignored_signals(procfs: &Procfs) -> Result<SignalSet> {
    let text = procfs.read_if_there("self/status", 8192).during(|| "ignored signals")?.unwrap_or_default();
    let bits = parse_field(&text, "SigIgn:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    bits.map(SignalSet::from_bits).ok_or_else(|| Error::new(Kind::System, "/proc/self/status: has no SigIgn"))
}

/// The value behind a name in `/proc/PID/status`.
fn parse_field<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Whether a process, named as in `/proc`, and those in user namespaces below its own may set supplementary groups:
/// user_namespaces(7), `deny` where an unprivileged user wrote the map of its namespace.
pub(super) fn may_set_groups(process: &str, procfs: &Procfs) -> Result<bool> {
    let text = procfs.read(&format!("{process}/setgroups"), 64).during(|| "setgroups")?;
    Ok(!text.starts_with(b"deny"))
}

/// The boot that process ids belong to.
pub(super) fn boot_id() -> Result<String> {
    let file = fs::open("/proc/sys/kernel/random/boot_id", OFlags::RDONLY, Mode::empty())?;
    let text = fs::read_regular(&file, 64).during(|| "boot_id")?;
    let text = String::from_utf8(text).map_err(|e| Error::new(Kind::System, e.to_string()))?;
    Ok(text.trim_end().to_owned())
}

/// What is behind one of our descriptors, such as `pipe:[123]` or `/dev/null`; empty if it is closed.
pub(super) fn describe_fd(number: u32) -> String {
    let link = fs::readlinkat(fs::CWD, format!("/proc/self/fd/{number}"));
    link.map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Who holds the lock of a file or directory, proc_locks(5); `None` if nobody does, or it can't be told (some file
/// systems have numbers of their own for their device).
pub(super) fn lock_holder(procfs: &Procfs, file: impl AsFd) -> Result<Option<i32>> {
    let stat = fs::fstat(file)?;
    let place = format!("{:02x}:{:02x}:{}", fs::major(stat.st_dev), fs::minor(stat.st_dev), stat.st_ino);
    let locks = procfs.read("locks", 64 << 20).during(|| "locks")?;
    Ok(String::from_utf8_lossy(&locks).lines().find_map(|line| holder(line, &place)))
}

/// Of a line such as `1: FLOCK  ADVISORY  WRITE 4711 00:1a:77 0 EOF`; those who wait have `->` before the kind.
fn holder(line: &str, place: &str) -> Option<i32> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (kind, pid, at) = (fields.next()?, fields.nth(2)?, fields.next()?);
    (kind == "FLOCK" && at == place).then(|| pid.parse().ok()).flatten()
}

/// A process's command line, empty if it is gone.
pub(super) fn command(procfs: &Procfs, pid: i32) -> String {
    let line = procfs.read(&format!("{pid}/cmdline"), 1 << 20).unwrap_or_default();
    String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ")
}

/// Reads bytes as each of the files.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = (parse_stat(bytes), maps_all(&text), text.lines().find_map(|line| holder(line, "00:1a:77")));
    if let Some(value) = parse_field(bytes, "SigIgn:") {
        assert!(!value.contains('\n'), "{value:?}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_initial_user_namespace_maps_all() {
        assert!(maps_all("         0          0 4294967295\n"));
        assert!(!maps_all("         0       1000          1\n"));
        assert!(!maps_all("         0     100000      65536\n     65536       1000          1\n"));
        assert!(!maps_all(""));
    }

    #[test]
    fn who_holds_a_lock_is_told_from_who_waits_for_it() {
        let place = "00:1a:77";
        assert_eq!(holder("1: FLOCK  ADVISORY  WRITE 4711 00:1a:77 0 EOF", place), Some(4711));
        assert_eq!(holder("1: -> FLOCK  ADVISORY  WRITE 12 00:1a:77 0 EOF", place), None);
        assert_eq!(holder("2: FLOCK  ADVISORY  WRITE 4711 00:1a:78 0 EOF", place), None);
        assert_eq!(holder("3: POSIX  ADVISORY  WRITE 4711 00:1a:77 0 EOF", place), None);
        assert_eq!(holder("", place), None);
    }

    #[test]
    fn a_process_is_told_from_another_and_from_a_dead_one_by_its_pidfd() {
        let inode = |pid| process::pidfd_inode(process::pidfd_open(pid).ok()?);
        // Before Linux 6.9 nothing is noted that could be compared.
        let Some(own) = inode(process::getpid()) else { return };
        assert_eq!(is_process(process::getpid(), own), Some(true));
        assert_eq!(is_process(process::getppid(), own), Some(false));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let theirs = inode(pid).unwrap();
        assert!(signal::wait_readable(process::pidfd_open(pid).unwrap(), None).unwrap());
        assert_eq!(is_process(pid, theirs), Some(false), "it has ended");
        child.wait().unwrap();
        assert_eq!(is_process(pid, theirs), Some(false), "it is gone");
    }

    #[test]
    fn a_field_of_status_is_found_at_the_line_s_start() {
        let text = b"Name:\tSigIgn:\nSigIgn:\t0000000000001000\nSigCgt:\t0\n";
        assert_eq!(parse_field(text, "SigIgn:"), Some("0000000000001000"));
        assert_eq!(parse_field(text, "None:"), None);
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let mut text = b"42 (a) R (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1".to_vec();
        assert_eq!(parse_stat(&text), Some(Stat { state: 'S', start_time: 987_654 }));
        text.truncate(30);
        assert_eq!(parse_stat(&text), None);
    }
}
