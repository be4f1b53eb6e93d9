//! Cgroups as a runtime finds them: v1 alone, or v2 alone, each in a mount namespace of its own.
//!
//! On a hybrid machine, which crun refuses, what isn't wanted is unmounted there; the host's mounts stay as they are.
//! The benchmark enters a view before it starts a runtime, and its own namespace again at the end. Containers get their
//! cgroups below a group that is made in each view's hierarchies and removed with the value.

use crate::Outcome;
use crate::line::reap;
use forgeone_sys::fs::{CWD, Mode, OFlags, open};
use forgeone_sys::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_propagation, umount,
};
use forgeone_sys::process::{Namespaces, kill, setns, unshare};
use forgeone_sys::{OwnedFd, fs as sys_fs};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::temp::unescape;

/// How often a left cgroup is looked at, with 10 ms between.
const SWEEPS: u32 = 200;
const SIGKILL: i32 = 9;

const CGROUP: &str = "/sys/fs/cgroup";

/// One way to see cgroups.
pub(crate) struct View {
    /// `v1` or `v2`.
    pub(crate) name: &'static str,
    /// The names of the v1 hierarchies; none in v2.
    pub(crate) v1: Vec<String>,
    /// Whether memory and processes can be limited in it.
    pub(crate) limits: bool,
    /// The group of all containers, below each mount point, with a slash before it.
    pub(crate) group: String,
    namespace: OwnedFd,
}

/// What this machine can show.
pub(crate) struct Views {
    /// cgroup2 alone.
    pub(crate) v2: Outcome<View>,
    /// v1 alone.
    pub(crate) v1: Outcome<View>,
    own: OwnedFd,
}

impl Views {
    /// Makes both; `group` is a name that nobody else has.
    pub(crate) fn make(group: &str) -> Outcome<Self> {
        let own = namespace()?;
        let mounts = mounts()?;
        let v2 = View::v2(&mounts, group);
        setns(&own, Namespaces::MOUNT).map_err(|e| e.to_string())?;
        let v1 = View::v1(&mounts, group);
        setns(&own, Namespaces::MOUNT).map_err(|e| e.to_string())?;
        Ok(Self { v2, v1, own })
    }

    /// Where memory and processes can be limited: v1 if it is there, as where the goals were set.
    pub(crate) fn limits(&self) -> Outcome<&View> {
        let views = [&self.v1, &self.v2].into_iter().flatten();
        views.into_iter().find(|view| view.limits).ok_or_else(|| "no memory and pids controllers".to_owned())
    }

    /// v2 alone, without limits.
    pub(crate) fn plain(&self) -> Outcome<&View> {
        self.v2.as_ref().map_err(Clone::clone)
    }
}

impl Drop for Views {
    fn drop(&mut self) {
        for view in [&self.v1, &self.v2].into_iter().flatten() {
            if view.enter().is_ok() {
                let groups: Vec<_> = view.hierarchies().map(|at| at.join(&view.group[1..])).collect();
                if let Err(why) = sweep(&groups) {
                    eprintln!("bench: {why}");
                }
            }
        }
        // The program is about to end if this fails.
        let _ = setns(&self.own, Namespaces::MOUNT);
    }
}

impl View {
    fn v2(mounts: &[(PathBuf, String)], group: &str) -> Outcome<Self> {
        private_namespace()?;
        if !mounts.iter().any(|(at, kind)| at == Path::new(CGROUP) && kind == "cgroup2") {
            umount(CGROUP, UnmountFlags::DETACH).map_err(|e| e.to_string())?;
            mount("none", CGROUP, "cgroup2", MountFlags::empty(), None).map_err(|e| e.to_string())?;
        }
        let words = fs::read_to_string(format!("{CGROUP}/cgroup.subtree_control")).unwrap_or_default();
        let limits = ["memory", "pids"].iter().all(|word| words.split_whitespace().any(|w| w == *word));
        let view = Self::new("v2", Vec::new(), limits, group)?;
        if limits {
            write(&format!("{CGROUP}{}/cgroup.subtree_control", view.group), "+memory +pids")?;
        }
        Ok(view)
    }

    fn v1(mounts: &[(PathBuf, String)], group: &str) -> Outcome<Self> {
        let of = |wanted: &str| {
            let found = mounts.iter().filter(|(_, kind)| kind == wanted);
            found.map(|(at, _)| at.clone()).collect::<Vec<_>>()
        };
        let below = of("cgroup");
        let names = below.iter().filter_map(|at| at.strip_prefix(CGROUP).ok()?.to_str());
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.is_empty() {
            return Err("no v1 hierarchies on this machine".to_owned());
        }
        private_namespace()?;
        for at in of("cgroup2") {
            umount(at, UnmountFlags::DETACH).map_err(|e| e.to_string())?;
        }
        let has = |wanted: &str| names.iter().any(|name| name.split(',').any(|part| part == wanted));
        let limits = has("memory") && has("pids");
        Self::new("v1", names, limits, group)
    }

    /// The calling process is in the namespace already.
    fn new(name: &'static str, v1: Vec<String>, limits: bool, group: &str) -> Outcome<Self> {
        let view = Self { name, v1, limits, group: format!("/{group}"), namespace: namespace()? };
        for hierarchy in view.hierarchies() {
            let group = hierarchy.join(&view.group[1..]);
            fs::create_dir(&group).map_err(|e| format!("mkdir {}: {e}", group.display()))?;
            for file in ["cpuset.cpus", "cpuset.mems"].map(|name| hierarchy.join(name)) {
                if !view.v1.is_empty() && file.exists() {
                    let above = fs::read_to_string(&file).map_err(|e| e.to_string())?;
                    let own = group.join(file.file_name().unwrap_or_default());
                    write(&own.to_string_lossy(), &above)?;
                }
            }
        }
        Ok(view)
    }

    /// Makes it what this process and its children see.
    pub(crate) fn enter(&self) -> Outcome<()> {
        setns(&self.namespace, Namespaces::MOUNT).map_err(|e| e.to_string())
    }

    /// Ends and removes what a container left in its cgroups, when its runtime was killed for example.
    pub(crate) fn sweep(&self, id: &str) -> Outcome<()> {
        let groups: Vec<_> = self.hierarchies().map(|at| at.join(&self.group[1..]).join(id)).collect();
        sweep(&groups)
    }

    fn hierarchies(&self) -> impl Iterator<Item = PathBuf> {
        let v1 = self.v1.iter().map(|name| Path::new(CGROUP).join(name));
        v1.chain(self.v1.is_empty().then(|| PathBuf::from(CGROUP)))
    }
}

fn namespace() -> Outcome<OwnedFd> {
    open("/proc/self/ns/mnt", OFlags::RDONLY, Mode::empty()).map_err(|e| e.to_string())
}

fn private_namespace() -> Outcome<()> {
    unshare(Namespaces::MOUNT).map_err(|e| e.to_string())?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_propagation("/", private).map_err(|e| e.to_string())
}

/// Where file systems are mounted, and their types.
fn mounts() -> Outcome<Vec<(PathBuf, String)>> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("mountinfo: {e}"))?;
    let of = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        Some((unescape(before.split(' ').nth(4)?).into(), after.split(' ').next()?.to_owned()))
    };
    Ok(text.lines().filter_map(of).collect())
}

fn write(file: &str, text: &str) -> Outcome<()> {
    sys_fs::write_file_at(CWD, file, text.as_bytes()).map_err(|e| e.to_string())
}

/// Ends all processes in these groups, and removes them.
fn sweep(groups: &[PathBuf]) -> Outcome<()> {
    for _ in 0..SWEEPS {
        groups.iter().for_each(|group| remove(group));
        match groups.iter().find(|group| group.exists()) {
            None => return Ok(()),
            Some(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    Err(format!("can't be removed: {groups:?}"))
}

/// Removes a group and all below it if nothing is in them any more; what is gets SIGKILL.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        // It may be gone by now.
        let _ = kill(pid, SIGKILL);
    }
    reap();
    // Busy if something was in it: the next time.
    let _ = fs::remove_dir(group);
}
