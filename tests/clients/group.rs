//! The cgroup in which a client makes those of its containers: one of the test's name, in each hierarchy.
//!
//! A client that goes on in other groups of the machine would meet those of other tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::{eventually, names};

/// How long the processes of all the groups may take to go.
const GRACE: Duration = Duration::from_secs(60);

/// It isn't made, but removed with all below it: clients leave it, as they do with runc.
#[derive(Debug)]
pub(crate) struct Group(String);

impl Group {
    /// A name for it, in which `tag` says whose it is.
    pub(crate) fn new(tag: &str) -> Self {
        Self(format!("/{}", names::unique(tag)))
    }

    /// Its path below the hierarchies' mount points, with a slash in front: clients take another for relative to
    /// theirs.
    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    /// The last part of the path, which is all of it.
    pub(crate) fn name(&self) -> &str {
        &self.0[1..]
    }

    /// What a file of a container's group says, in the hierarchy of this controller.
    pub(crate) fn read(&self, controller: &str, container: &str, file: &str) -> Option<String> {
        let group = mount_of(controller).join(self.name()).join(container);
        Some(fs::read_to_string(group.join(file)).ok()?.trim().to_owned())
    }

    /// Waits until no container has a group in it.
    pub(crate) fn await_empty(&self) {
        eventually("the containers' groups are gone", || self.tops().all(|top| below(&top).is_empty()));
    }

    fn tops(&self) -> impl Iterator<Item = PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let hierarchies =
            hierarchies.map(|hierarchy| hierarchy.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        hierarchies.map(|hierarchy| hierarchy.join(self.name())).filter(|top| top.is_dir())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Podman fills directories that somebody made for hierarchies that aren't mounted.
        let (plain, tops): (Vec<_>, Vec<_>) = self.tops().partition(|top| !top.join("cgroup.procs").exists());
        plain.iter().for_each(|top| fs::remove_dir_all(top).unwrap_or_default());
        let groups = tops.into_iter().flat_map(|top| [below(&top), vec![top]].concat());
        let until = Instant::now() + GRACE;
        let left: Vec<_> = groups.filter(|group| !remove(group, until)).collect();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("cgroups can't be removed: {left:?}");
        }
    }
}

/// Whether cgroup2 is alone.
pub(crate) fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Where the hierarchy of a controller is mounted.
fn mount_of(controller: &str) -> PathBuf {
    let top = PathBuf::from("/sys/fs/cgroup");
    if is_v2() { top } else { top.join(controller) }
}

/// The directory of a process's group in the hierarchy of this controller.
pub(crate) fn of_process(pid: &str, controller: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let has = |names: &str| (is_v2() && names.is_empty()) || names.split(',').any(|name| name == controller);
    let (_, path) = lines.into_iter().find(|(names, _)| has(names)).unwrap();
    mount_of(controller).join(path.trim_start_matches('/'))
}

/// The groups below, the deepest first.
fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.flat_map(|entry| [below(&entry.path()), vec![entry.path()]].concat()).collect()
}

/// conmon and the killed go a moment after their container.
fn remove(group: &Path, until: Instant) -> bool {
    loop {
        if fs::remove_dir(group).is_ok() || !group.exists() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
