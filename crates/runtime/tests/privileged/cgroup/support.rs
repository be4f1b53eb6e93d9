//! What these tests share.

use forgeone_runtime::cgroup::{self, Group, Layout, Mode, Options, Paths, Plan};
use forgeone_runtime::{Result, json};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::{OwnedFd, fs, mount};
use std::panic::{AssertUnwindSafe, catch_unwind};
use testkit::single::skip;
use testkit::{Leaks, names};

/// A cgroupsPath of this test's own, and the machine as it was before; nothing may be left of it.
pub(crate) struct Ground {
    pub(crate) path: String,
    leaks: Leaks,
}

impl Ground {
    /// Skips the test where it can't be root.
    pub(crate) fn new() -> Self {
        if process::geteuid() != 0 {
            skip("needs root");
        }
        Self { path: format!("/{}/c1", names::unique("cgroup")), leaks: Leaks::before() }
    }

    /// The same on a machine with both versions.
    pub(crate) fn hybrid() -> Self {
        let ground = Self::new();
        if cgroup::detect().unwrap().mode() != Mode::Hybrid {
            skip("needs cgroup v1 with cgroup2 beside it");
        }
        ground
    }

    pub(crate) fn plan(&self, resources: &str) -> Plan {
        plan(&self.path, resources).unwrap()
    }

    pub(crate) fn group(&self, resources: &str) -> Group {
        Group::create(&self.plan(resources)).unwrap()
    }

    pub(crate) fn end(self) {
        self.leaks.assert_none();
    }
}

impl Drop for Ground {
    /// What a failed test has left.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (top, _) = self.path.rsplit_once('/').unwrap();
        let layout = layout();
        let v1 = layout.v1.iter().map(|h| (h.controllers.join(","), format!("{}{top}", h.mount)));
        let v2 = layout.v2.as_ref().map(|v2| format!("{}{top}", v2.mount));
        let group = Group::open(Paths { v1: v1.collect(), v2, ..Paths::default() });
        let _ = (group.thaw(), group.kill(), group.delete());
    }
}

pub(crate) fn layout() -> Layout {
    cgroup::detect().unwrap()
}

pub(crate) fn plan(path: &str, resources: &str) -> Result<Plan> {
    let resources = json::from_slice(resources.as_bytes()).unwrap();
    Ok(cgroup::plan(&layout(), "c1", path, Some(&resources), &Options::default())?.0)
}

/// A file of the group, in the hierarchy of `controller` (cgroup2 if empty).
pub(crate) fn read(paths: &Paths, controller: &str, file: &str) -> String {
    let text = std::fs::read_to_string(format!("{}/{file}", place(paths, controller))).unwrap();
    text.trim().to_owned()
}

/// The group's path in the hierarchy of `controller` (cgroup2 if empty).
pub(crate) fn place(paths: &Paths, controller: &str) -> String {
    if controller.is_empty() {
        return paths.v2.clone().unwrap();
    }
    let mut v1 = paths.v1.iter();
    v1.find(|(names, _)| names.split(',').any(|name| name == controller)).unwrap().1.clone()
}

/// Runs `body` in a child with new namespaces; it fails if the child does. Mounts stay private to it.
pub(crate) fn in_child(namespaces: Namespaces, body: impl FnOnce()) {
    let args = CloneArgs { namespaces, ..CloneArgs::default() };
    let pid = match process::clone(&args).unwrap() {
        Forked::Parent(child) => child.pid,
        Forked::Child => run_and_exit(|| {
            if namespaces.contains(Namespaces::MOUNT) {
                let private = mount::MountPropagationFlags::PRIVATE | mount::MountPropagationFlags::REC;
                mount::mount_propagation("/", private).unwrap();
            }
            body();
        }),
    };
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
}

/// The whole life of a child.
pub(crate) fn run_and_exit(body: impl FnOnce()) -> ! {
    let ran = catch_unwind(AssertUnwindSafe(body));
    process::exit(if ran.is_ok() { 0 } else { 101 })
}

/// Starts a process in the group that runs `body` when it is in; it has no other descriptors of the group's.
pub(crate) fn spawn(group: &mut Group, body: impl FnOnce()) -> i32 {
    let birth = group.birth().unwrap();
    let args = CloneArgs { into_cgroup: birth.into_cgroup(), ..CloneArgs::default() };
    match process::clone(&args).unwrap() {
        Forked::Parent(child) => child.pid,
        Forked::Child => run_and_exit(|| {
            birth.enter_v1().unwrap();
            body();
        }),
    }
}

/// A process of the group that is in it when this returns, and ends when `OwnedFd` is closed (or it is killed).
pub(crate) fn resident(group: &mut Group) -> (i32, OwnedFd) {
    resident_with(group, || {})
}

/// The same; it runs `first` before.
pub(crate) fn resident_with(group: &mut Group, first: impl FnOnce()) -> (i32, OwnedFd) {
    let (told, tell) = fs::pipe().unwrap();
    let (wait_here, release) = fs::pipe().unwrap();
    let mut ends = Some((tell, release));
    let pid = spawn(group, || {
        first();
        // The child's own copies.
        drop(ends.take());
        let _ = fs::read(&wait_here, &mut [0]);
    });
    let (tell, release) = ends.unwrap();
    drop(tell);
    assert_eq!(fs::read(&told, &mut [0]).unwrap(), 0);
    (pid, release)
}

/// Shows this mount namespace v1 alone.
pub(crate) fn only_v1() {
    if let Some(unified) = layout().v2 {
        mount::umount(unified.mount.as_str(), mount::UnmountFlags::DETACH).unwrap();
    }
    assert_eq!(layout().mode(), Mode::V1);
}

/// Shows this mount namespace cgroup2 alone.
pub(crate) fn only_v2() {
    mount::umount("/sys/fs/cgroup", mount::UnmountFlags::DETACH).unwrap();
    mount::mount("none", "/sys/fs/cgroup", "cgroup2", mount::MountFlags::empty(), None).unwrap();
    assert_eq!(layout().mode(), Mode::V2);
}
