//! What can be done to all who are in.

use super::support::{Ground, place, resident, resident_with};
use forgeone_runtime::Kind;
use forgeone_runtime::cgroup::{Group, Paths};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked};
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{OwnedFd, fs};

/// A process of the group that writes into a pipe for as long as it runs.
fn writer(group: &mut Group) -> (i32, OwnedFd) {
    let (read, write) = fs::pipe().unwrap();
    let pid = super::support::spawn(group, || while fs::write_all(&write, &[0; 4096]).is_ok() {});
    (pid, read)
}

/// Whether the writer still writes: what is in the pipe is taken out first, which is at most its capacity.
fn writes(pipe: &OwnedFd) -> bool {
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..64 {
        if poll(&mut [PollFd::readable(pipe)], Some(100)).unwrap() == 0 {
            return false;
        }
        fs::read(pipe, &mut buffer).unwrap();
    }
    true
}

pub(super) fn freezing(ground: &Ground) {
    let mut group = ground.group("{}");
    let (pid, pipe) = writer(&mut group);
    assert!(writes(&pipe) && !group.frozen().unwrap());
    group.freeze().unwrap();
    assert!(group.frozen().unwrap());
    assert!(!writes(&pipe));
    group.freeze().unwrap();
    group.thaw().unwrap();
    assert!(!group.frozen().unwrap() && writes(&pipe));
    // A frozen one can be killed.
    group.freeze().unwrap();
    group.kill().unwrap();
    assert_eq!(process::wait(pid).unwrap(), Exit::Signal(9));
    group.delete().unwrap();
    assert!(!group.frozen().unwrap());
}

pub(crate) fn frozen_processes_stand_still() {
    let ground = Ground::hybrid();
    freezing(&ground);
    ground.end();
}

/// A process of the group that makes children without end, as fast as it can.
fn forking(group: &mut Group) -> i32 {
    let (told, tell) = fs::pipe().unwrap();
    let pid = super::support::spawn(group, || {
        loop {
            match process::clone(&CloneArgs::default()).unwrap() {
                Forked::Parent(child) => drop(process::wait(child.pid).unwrap()),
                Forked::Child => {
                    fs::write_all(&tell, b"x").unwrap();
                    process::exit(0);
                }
            }
        }
    });
    // A few generations.
    for _ in 0..10 {
        assert_eq!(fs::read(&told, &mut [0]).unwrap(), 1);
    }
    pid
}

/// `known` is what the killer knows of the group's places.
pub(super) fn killing(ground: &Ground, known: impl FnOnce(Paths) -> Paths) {
    let mut group = ground.group("{}");
    let pids: Vec<i32> = (0..3).map(|_| forking(&mut group)).collect();
    assert!(group.populated().unwrap());
    assert!(pids.iter().all(|pid| group.pids().unwrap().contains(pid)));
    Group::open(known(group.paths().clone())).kill().unwrap();
    for pid in pids {
        assert_eq!(process::wait(pid).unwrap(), Exit::Signal(9));
    }
    group.delete().unwrap();
    assert!(!group.populated().unwrap() && group.pids().unwrap().is_empty());
}

pub(crate) fn kill_ends_processes_that_fork() {
    let ground = Ground::hybrid();
    killing(&ground, |paths| paths);
    // One that was taken out of the container's cgroup2 group.
    let mut group = ground.group("{}");
    let v2 = place(group.paths(), "");
    let (pid, _release) =
        resident_with(&mut group, || std::fs::write(format!("{v2}/../cgroup.procs"), "0").unwrap());
    assert!(group.pids().unwrap().is_empty());
    group.kill().unwrap();
    assert_eq!(process::wait(pid).unwrap(), Exit::Signal(9));
    group.delete().unwrap();
    ground.end();
}

pub(super) fn signalling(ground: &Ground) {
    const SIGUSR1: i32 = 10;
    let mut group = ground.group("{}");
    let (first, _one) = resident(&mut group);
    let (second, _two) = resident(&mut group);
    assert_eq!(group.pids().unwrap(), {
        let mut pids = vec![first, second];
        pids.sort_unstable();
        pids
    });
    group.signal(0).unwrap();
    assert!(group.populated().unwrap());
    // What is frozen stays frozen, and meets its signal later.
    group.freeze().unwrap();
    group.signal(SIGUSR1).unwrap();
    assert!(group.frozen().unwrap());
    group.thaw().unwrap();
    for pid in [first, second] {
        assert_eq!(process::wait(pid).unwrap(), Exit::Signal(SIGUSR1));
    }
    group.signal(SIGUSR1).unwrap();
    group.delete().unwrap();
}

pub(crate) fn signals_reach_all() {
    let ground = Ground::hybrid();
    signalling(&ground);
    ground.end();
}

pub(crate) fn delete_takes_groups_inside() {
    let ground = Ground::hybrid();
    let mut group = ground.group("{}");
    let (memory, v2) = (place(group.paths(), "memory"), place(group.paths(), ""));
    for inner in ["a", "a/b", "a/b/c", "d"] {
        std::fs::create_dir(format!("{memory}/{inner}")).unwrap();
        std::fs::create_dir(format!("{v2}/{inner}")).unwrap();
    }
    let (pid, release) =
        resident_with(&mut group, || std::fs::write(format!("{v2}/a/b/c/cgroup.procs"), "0").unwrap());
    assert_eq!(group.pids().unwrap(), [pid]);
    assert!(group.populated().unwrap());
    // It ends while delete waits for it.
    drop(release);
    group.delete().unwrap();
    process::wait(pid).unwrap();
    ground.end();
}

pub(crate) fn delete_names_who_is_in_it() {
    let ground = Ground::hybrid();
    let mut group = ground.group("{}");
    let (pid, release) = resident(&mut group);
    let other = Paths { v1: Default::default(), parents: Vec::new(), ..group.paths().clone() };
    let error = Group::open(other).delete_within(std::time::Duration::from_millis(100)).unwrap_err();
    let text = format!("cgroup {}: it has process {pid} (privileged", place(group.paths(), ""));
    assert!(error.to_string().starts_with(&text) && error.kind() == Kind::State, "{error}");
    drop(release);
    process::wait(pid).unwrap();
    group.delete().unwrap();
    ground.end();
}

pub(crate) fn what_is_gone_is_no_error() {
    let ground = Ground::hybrid();
    let group = ground.group("{}");
    group.delete().unwrap();
    for group in [&group, &Group::open(Paths::default())] {
        group.delete().unwrap();
        group.kill().unwrap();
        assert!(group.pids().unwrap().is_empty());
        assert!(!group.populated().unwrap() && !group.frozen().unwrap());
    }
    let error = Group::open(Paths::default()).freeze().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    ground.end();
}
