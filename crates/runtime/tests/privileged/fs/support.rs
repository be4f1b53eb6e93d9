//! A container's root file system, built and entered in a child of the test.

use forgeone_runtime::fs::{self as rootfs, CgroupView, Entered, Options, Rootfs, RootfsPlan};
use forgeone_runtime::{Result, json, spec::Spec};
use forgeone_sys::fs::{read_up_to, write_all};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::seccomp::{Instruction, seccomp_load};
use forgeone_sys::{Errno, OwnedFd, fs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use testkit::Temp;

/// How the kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// As it is.
    New,
    /// The calls of Linux 5.2 and later answer this.
    Without(Errno),
    /// All but mount_setattr(2): Linux 5.2 to 5.11.
    WithoutSetattr,
}

pub(crate) const KERNELS: [Kernel; 4] =
    [Kernel::New, Kernel::Without(Errno::NOSYS), Kernel::Without(Errno::PERM), Kernel::WithoutSetattr];

/// There is no runtime beside the child that could.
pub(crate) fn nobody_idmaps(_: usize, _: OwnedFd) -> Result<()> {
    panic!("an idmapped source inside the root file system")
}

pub(crate) fn need_root() {
    if process::geteuid() != 0 {
        testkit::single::skip("needs root");
    }
}

/// A bundle: a root file system of directories, and a place for sources beside it.
pub(crate) struct Bundle {
    temp: Temp,
    pub(crate) spec: String,
    pub(crate) options: Options,
    pub(crate) namespaces: Namespaces,
    pub(crate) cgroups: CgroupView,
    pub(crate) kernel: Kernel,
    /// The id maps of a user namespace.
    pub(crate) maps: &'static str,
}

const NEW: Namespaces = Namespaces::MOUNT;

impl Bundle {
    /// With these parts of a `config.json`, `%` standing for `"`; `@` for the bundle's path.
    pub(crate) fn new(parts: &str) -> Self {
        need_root();
        let temp = Temp::new("rootfs");
        for dir in ["dev", "proc", "sys", "etc", "tmp", "data"] {
            std::fs::create_dir_all(temp.path().join("rootfs").join(dir)).unwrap();
        }
        let mut bundle = Self {
            temp,
            spec: String::new(),
            options: Options::default(),
            namespaces: NEW | Namespaces::PID | Namespaces::IPC | Namespaces::NET | Namespaces::UTS,
            cgroups: CgroupView::default(),
            kernel: Kernel::New,
            maps: "0 100000 1000",
        };
        bundle.configure(parts);
        bundle
    }

    pub(crate) fn configure(&mut self, parts: &str) {
        let linux = if parts.contains("%linux%") { "" } else { "%linux%:{%namespaces%:[{%type%:%mount%}]}," };
        let text = format!("{{%ociVersion%:%1.3.0%,%root%:{{%path%:%rootfs%}},{linux}{parts}}}");
        self.spec = text.replace(",}", "}").replace('%', "\"").replace('@', self.path("").to_str().unwrap());
    }

    /// A path in the bundle.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }

    /// A path in the root file system.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.path("rootfs").join(path)
    }

    pub(crate) fn plan(&self) -> RootfsPlan {
        let spec: Spec = json::from_slice(self.spec.as_bytes()).unwrap();
        rootfs::plan(&spec, self.temp.path(), &self.options).unwrap().0
    }

    /// Builds, finishes and enters the root file system in a child; `body` runs inside.
    pub(crate) fn run(&self, body: impl FnOnce(&Entered)) {
        self.run_with(|_| Ok(()), |entered| body(&entered.unwrap()));
    }

    /// As [`Bundle::run`], on each kind of kernel.
    pub(crate) fn on_all_kernels(&mut self, body: impl Fn(Kernel, &Entered)) {
        for kernel in KERNELS {
            self.kernel = kernel;
            eprintln!("{kernel:?}");
            self.run(|entered| body(kernel, entered));
        }
    }

    /// The error that building ends with.
    pub(crate) fn failure(&self) -> String {
        let (reader, writer) = fs::pipe().unwrap();
        self.run_with(
            |_| Ok(()),
            |entered| write_all(&writer, entered.unwrap_err().to_string().as_bytes()).unwrap(),
        );
        drop(writer);
        String::from_utf8(read_up_to(reader, 4096).unwrap()).unwrap()
    }

    /// `hook` runs between building and finishing.
    pub(crate) fn run_with(
        &self,
        hook: impl FnOnce(&Rootfs) -> Result<()>,
        body: impl FnOnce(Result<Entered>),
    ) {
        let plan = self.plan();
        let prepared = rootfs::prepare(&plan);
        in_mapped_child(self.namespaces, self.maps, || {
            self.kernel.become_it();
            let built =
                prepared.and_then(|prepared| rootfs::build(&plan, prepared, &self.cgroups, &nobody_idmaps));
            let entered = built.and_then(|rootfs| {
                hook(&rootfs)?;
                rootfs.finish()?;
                rootfs.enter()
            });
            body(entered);
        });
    }
}

/// Runs `body` in a child with new namespaces and fails if it panics there.
pub(crate) fn in_child(namespaces: Namespaces, body: impl FnOnce()) {
    in_mapped_child(namespaces, "0 100000 1000", body);
}

fn in_mapped_child(namespaces: Namespaces, maps: &str, body: impl FnOnce()) {
    let (reader, writer) = fs::pipe().unwrap();
    let args = CloneArgs { namespaces, ..CloneArgs::default() };
    let child = match process::clone(&args).unwrap() {
        Forked::Parent(child) => child,
        Forked::Child => {
            drop(writer);
            read_up_to(&reader, 1).unwrap();
            run_and_exit(|| {
                if namespaces.contains(Namespaces::USER) {
                    forgeone_sys::credentials::setresgid(0).unwrap();
                    forgeone_sys::credentials::setresuid(0).unwrap();
                }
                body();
            })
        }
    };
    drop(reader);
    if namespaces.contains(Namespaces::USER) {
        if process::geteuid() != 0 {
            std::fs::write(format!("/proc/{}/setgroups", child.pid), "deny").unwrap();
        }
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{map}", child.pid), maps).unwrap();
        }
    }
    drop(writer);
    assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(0));
}

/// Makes this process' mounts its own, shared among its children as on an ordinary machine.
pub(crate) fn own_host() {
    process::unshare(Namespaces::MOUNT).unwrap();
    mount::mount_propagation("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount::mount_propagation("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
}

fn run_and_exit(body: impl FnOnce()) -> ! {
    let ran = catch_unwind(AssertUnwindSafe(body));
    process::exit(if ran.is_ok() { 0 } else { 101 })
}

/// A mount as mountinfo shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mount {
    pub(crate) root: String,
    pub(crate) point: String,
    /// The mount's own, sorted.
    pub(crate) options: String,
    /// `shared:1 master:2`, without the numbers.
    pub(crate) propagation: String,
    pub(crate) fstype: String,
    pub(crate) source: String,
    /// The file system's.
    pub(crate) superblock: String,
}

/// All mounts, in their order, read through a procfs.
pub(crate) fn mounts(entered: &Entered) -> Vec<Mount> {
    parse_mounts(&String::from_utf8(entered.procfs.read("self/mountinfo", 1 << 20).unwrap()).unwrap())
}

pub(crate) fn parse_mounts(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ").unwrap();
        let (left, right) = (left.split(' ').collect::<Vec<_>>(), right.split(' ').collect::<Vec<_>>());
        let kind = |tag: &&str| tag.split(':').next().unwrap().to_owned();
        Mount {
            root: left[3].to_owned(),
            point: left[4].to_owned(),
            options: left[5].to_owned(),
            propagation: left[6..].iter().map(kind).collect::<Vec<_>>().join(" "),
            fstype: right[0].to_owned(),
            source: right[1].to_owned(),
            superblock: right[2].to_owned(),
        }
    };
    text.lines().map(line).collect()
}

/// The last mount at a point.
pub(crate) fn mount_at(mounts: &[Mount], point: &str) -> Mount {
    mounts.iter().rev().find(|m| m.point == point).unwrap_or_else(|| panic!("no mount at {point}")).clone()
}

/// Mounts a tmpfs.
pub(crate) fn tmpfs(path: &Path, flags: mount::MountFlags) {
    std::fs::create_dir_all(path).unwrap();
    mount::mount("tmpfs", path, "tmpfs", flags, None).unwrap();
}

impl Kernel {
    pub(crate) fn become_it(self) {
        // openat2, open_tree, move_mount, fsopen, fsconfig, fsmount, mount_setattr
        match self {
            Self::New => {}
            Self::Without(errno) => deny(&[437, 428, 429, 430, 431, 432, 442], errno),
            Self::WithoutSetattr => deny(&[442], Errno::NOSYS),
        }
    }

    /// Whether whole trees can get attributes.
    pub(crate) fn has_setattr(self) -> bool {
        self == Self::New
    }
}

/// From here on, these system calls fail with `errno` in this process.
fn deny(calls: &[u32], errno: Errno) {
    let op = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let mut program = vec![op(0x20, 0, 0, 0)];
    for call in calls {
        program.push(op(0x15, 0, 1, *call));
        program.push(op(0x06, 0, 0, 0x0005_0000 | errno.raw_os_error() as u32));
    }
    program.push(op(0x06, 0, 0, 0x7fff_0000));
    process::set_no_new_privs().unwrap();
    assert!(seccomp_load(&program, 0).unwrap().is_none());
}
