//! What the benchmark tells the floor, as `KEY=VALUE`: what a runtime would find in the bundle and on the machine.

use std::ffi::CString;

/// All of it; what isn't given is empty, and then left out.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The root file system.
    pub(crate) root: String,
    /// The container's cgroup below each mount point, with a slash before it.
    pub(crate) group: String,
    /// Names of the v1 hierarchies in `/sys/fs/cgroup`.
    pub(crate) v1: Vec<String>,
    /// Whether cgroup2 is at `/sys/fs/cgroup`.
    pub(crate) v2: bool,
    /// The limit of memory in bytes.
    pub(crate) memory: String,
    /// The limit of processes.
    pub(crate) pids: String,
    /// A file of classic BPF instructions as the kernel has them.
    pub(crate) filter: String,
    /// A directory that is bound to each of `binds` directories of the root, `/m0` and so on.
    pub(crate) source: String,
    /// How many of them.
    pub(crate) binds: u32,
    /// The first id on the host, for a new user namespace.
    pub(crate) user: String,
    /// How many ids it has.
    pub(crate) ids: String,
    /// Whether it runs without privileges: no network namespace, the host's `/sys`, one id.
    pub(crate) rootless: bool,
    /// The container's init, for `exec`.
    pub(crate) pid: i32,
    /// The program.
    pub(crate) program: Vec<CString>,
}

impl Arguments {
    pub(crate) fn of(mut words: impl Iterator<Item = String>) -> Self {
        let mut found = Self::default();
        for word in words.by_ref().take_while(|word| word != "--") {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            let text = || value.to_owned();
            match key {
                "root" => found.root = text(),
                "group" => found.group = text(),
                "v1" => found.v1 = value.split(':').map(str::to_owned).collect(),
                "v2" => found.v2 = true,
                "memory" => found.memory = text(),
                "pids" => found.pids = text(),
                "filter" => found.filter = text(),
                "source" => found.source = text(),
                "binds" => found.binds = value.parse().unwrap_or(0),
                "user" => found.user = text(),
                "ids" => found.ids = text(),
                "rootless" => found.rootless = true,
                "pid" => found.pid = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        found.program = words.filter_map(|word| CString::new(word).ok()).collect();
        found
    }
}
