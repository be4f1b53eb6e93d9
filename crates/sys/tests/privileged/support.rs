//! What these tests share.

use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::seccomp::{Instruction, seccomp_load};
use forgeone_sys::{Errno, mount};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Skips the test where it can't be root.
pub(crate) fn need_root() {
    if process::geteuid() != 0 {
        testkit::single::skip("needs root");
    }
}

/// Runs `body` in a child with new namespaces and fails if it panics there. Mounts stay private to it.
pub(crate) fn in_child(namespaces: Namespaces, body: impl FnOnce()) {
    assert_eq!(exit_of(namespaces, body), Exit::Code(0));
}

/// How a child that runs `body` ends.
pub(crate) fn exit_of(namespaces: Namespaces, body: impl FnOnce()) -> Exit {
    if !namespaces.is_empty() {
        need_root();
    }
    let pid = spawn(namespaces, || {
        if namespaces.contains(Namespaces::MOUNT) {
            let private = mount::MountPropagationFlags::PRIVATE | mount::MountPropagationFlags::REC;
            mount::mount_propagation("/", private).unwrap();
        }
        body();
    });
    process::wait(pid).unwrap()
}

/// Starts a child that runs `body`.
pub(crate) fn spawn(namespaces: Namespaces, body: impl FnOnce()) -> i32 {
    let args = CloneArgs { namespaces, ..CloneArgs::default() };
    match process::clone(&args).unwrap() {
        Forked::Parent(child) => child.pid,
        Forked::Child => run_and_exit(body),
    }
}

/// The whole life of a child.
pub(crate) fn run_and_exit(body: impl FnOnce()) -> ! {
    let ran = catch_unwind(AssertUnwindSafe(body));
    process::exit(if ran.is_ok() { 0 } else { 101 })
}

/// A field of `/proc/self/status`.
pub(crate) fn status(field: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A new cgroup2 group; removed when it is dropped.
pub(crate) struct Group(PathBuf);

impl Group {
    pub(crate) fn new() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let Some(line) = mounts.lines().find(|line| line.contains(" - cgroup2 ")) else {
            testkit::single::skip("needs a cgroup2 mount");
        };
        let path = Path::new(line.split(' ').nth(4).unwrap()).join(testkit::names::unique("sys"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
/// Where the low half of an argument is in `struct seccomp_data` (little endian).
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

fn op(code: u16, k: u32) -> Instruction {
    Instruction { code, k, ..Instruction::default() }
}

fn skip_unless(code: u16, k: u32, skip: u8) -> Instruction {
    Instruction { code, jt: 0, jf: skip, k }
}

fn refuse(errno: Errno) -> Instruction {
    op(RETURN, 0x0005_0000 | errno.raw_os_error() as u32)
}

/// From here on, these system calls fail with `errno` in this process.
pub(crate) fn deny(calls: &[libc::c_long], errno: Errno) {
    let mut program = vec![op(LOAD, 0)];
    for call in calls {
        program.push(skip_unless(JUMP_IF_EQUAL, *call as u32, 1));
        program.push(refuse(errno));
    }
    program.push(op(RETURN, ALLOW));
    load(&program);
}

/// From here on, `call` fails with `errno` if the argument of this index equals, or has a bit of, `value`.
pub(crate) fn deny_argument(call: libc::c_long, index: u32, value: u32, bits: bool, errno: Errno) {
    let compare = if bits { JUMP_IF_BITS } else { JUMP_IF_EQUAL };
    let program = [
        op(LOAD, 0),
        skip_unless(JUMP_IF_EQUAL, call as u32, 3),
        op(LOAD, argument(index)),
        skip_unless(compare, value, 1),
        refuse(errno),
        op(RETURN, ALLOW),
    ];
    load(&program);
}

fn load(program: &[Instruction]) {
    process::set_no_new_privs().unwrap();
    assert!(seccomp_load(program, 0).unwrap().is_none());
}
