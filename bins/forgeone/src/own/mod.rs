//! `forgeone run self`: a container from an image that is built in. Its root file system holds nothing but this
//! very program, which then reports, from inside, what it may and may not do.

pub(crate) mod report;

use forgeone_runtime::bundle::template::template;
use forgeone_runtime::spec::{
    Cpu, IdMapping, Memory, Mount, Namespace, Pids, Resources, Seccomp, Spec, SyscallRule,
};
use forgeone_sys::process;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What stands for the built-in image on the command line.
pub(crate) const IMAGE: &str = "self";

/// The program's name inside, by which it knows that it is to report.
pub(crate) const NAME: &str = "forgeone-report";

/// A bundle on disk, removed when it is dropped.
pub(crate) struct OwnBundle {
    /// Its directory.
    pub(crate) dir: PathBuf,
}

impl OwnBundle {
    /// Makes the bundle.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn make() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("forgeone-self-{}", process::getpid()));
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let bundle = Self { dir };
        let rootfs = bundle.dir.join("rootfs");
        std::fs::create_dir(&rootfs)?;
        // Mount points: root in there isn't root out here, and couldn't make them.
        for point in ["dev", "proc", "sys"] {
            std::fs::create_dir(rootfs.join(point))?;
        }
        let program = rootfs.join(NAME);
        std::fs::copy("/proc/self/exe", &program)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let spec = serde_json::to_vec_pretty(&spec(process::geteuid() == 0)).map_err(io::Error::other)?;
        std::fs::write(bundle.dir.join("config.json"), spec)?;
        Ok(bundle)
    }
}

impl Drop for OwnBundle {
    fn drop(&mut self) {
        // What is left behind is a directory in /tmp; there is nobody to tell any more.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The template's container, tightened: no capability, a short list of system calls, limits.
fn spec(can_limit: bool) -> Spec {
    let (uid, gid) = (process::geteuid(), process::getegid());
    let mut spec = template((uid != 0).then_some((uid, gid)));
    spec.hostname = "forgeone".to_owned();
    let host: Vec<String> = NAMESPACES.iter().map(|name| inode(name).to_string()).collect();
    if let Some(process) = &mut spec.process {
        process.args = vec![NAME.to_owned()];
        process.terminal = false;
        process.cwd = "/".to_owned();
        process.capabilities = None;
        process.no_new_privileges = true;
        process.env = vec![
            "PATH=/".to_owned(),
            format!("FORGEONE_STARTED={}", report::now()),
            format!("FORGEONE_HOST={}", host.join(",")),
            format!("FORGEONE_UID={uid}"),
        ];
    }
    for mount in spec.mounts.iter_mut().filter(|mount| mount.kind == "devpts") {
        // Its group is not mapped.
        mount.options.retain(|option| !option.starts_with("gid="));
    }
    if let Some(linux) = &mut spec.linux {
        linux.namespaces.push(Namespace { kind: "cgroup".to_owned(), ..Namespace::default() });
        linux.seccomp = Some(filter());
        if uid == 0 {
            // Root here is an ordinary number outside: nothing of the host belongs to it.
            let map = |id| vec![IdMapping { container_id: 0, host_id: id, size: 1, ..IdMapping::default() }];
            linux.namespaces.push(Namespace { kind: "user".to_owned(), ..Namespace::default() });
            linux.uid_mappings = map(ordinary("/proc/self/uid_map"));
            linux.gid_mappings = map(ordinary("/proc/self/gid_map"));
        }
        linux.resources = can_limit.then(limits);
    }
    if can_limit && !spec.mounts.iter().any(|mount| mount.kind == "cgroup") {
        spec.mounts.push(cgroup_mount());
    }
    spec
}

/// An id that nothing belongs to: 100000, or the last one that there is in this user namespace.
fn ordinary(map: &str) -> u32 {
    const USUAL: u32 = 100_000;
    let map = std::fs::read_to_string(map).unwrap_or_default();
    let ends = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().unwrap_or(0));
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((first, first.saturating_add(count.saturating_sub(1))))
    });
    let mut last = USUAL;
    for (first, end) in ends {
        if (first..=end).contains(&USUAL) {
            return USUAL;
        }
        last = end;
    }
    last
}

fn cgroup_mount() -> Mount {
    Mount {
        destination: "/sys/fs/cgroup".to_owned(),
        kind: "cgroup".to_owned(),
        source: "cgroup".to_owned(),
        options: ["nosuid", "noexec", "nodev", "relatime", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    }
}

fn limits() -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(64 << 20), ..Memory::default() }),
        pids: Some(Pids { limit: Some(16), ..Pids::default() }),
        cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        ..Resources::default()
    }
}

/// Calls that the report needs; every other one is answered with EPERM.
const CALLS: [&str; 43] = [
    "access",
    "arch_prctl",
    "brk",
    "clock_gettime",
    "close",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "getuid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "poll",
    "prctl",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "write",
];

fn filter() -> Seccomp {
    let allow = SyscallRule {
        names: CALLS.iter().chain(&["statx", "sched_getaffinity"]).map(|name| (*name).to_owned()).collect(),
        action: "SCMP_ACT_ALLOW".to_owned(),
        ..SyscallRule::default()
    };
    Seccomp { default_action: "SCMP_ACT_ERRNO".to_owned(), syscalls: vec![allow], ..Seccomp::default() }
}

/// Names in `/proc/PID/ns`, in the order in which host and container compare them.
const NAMESPACES: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

fn inode(name: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self/ns").join(name)).map_or(0, |stat| stat.ino())
}
