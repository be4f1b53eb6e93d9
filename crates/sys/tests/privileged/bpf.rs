//! Device filters of a cgroup.

use crate::support::{Group, need_root, run_and_exit};
use forgeone_sys::bpf::{self, BpfInstruction};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked};
use forgeone_sys::{AsFd, Errno, OwnedFd};

const END: BpfInstruction = BpfInstruction { code: 0x95, regs: 0, off: 0, imm: 0 };

/// A program that answers every access with `answer`.
fn program(answer: i32) -> OwnedFd {
    let set = BpfInstruction { code: 0xb7, regs: 0, off: 0, imm: answer };
    bpf::device_program_load(&[set, END]).unwrap()
}

/// Whether a process of the group can open `/dev/null`.
fn opens(group: &OwnedFd) -> bool {
    let args = CloneArgs { into_cgroup: Some(group.as_fd()), ..CloneArgs::default() };
    match process::clone(&args).unwrap() {
        Forked::Parent(child) => process::wait(child.pid).unwrap() == Exit::Code(0),
        Forked::Child => run_and_exit(|| match fs::open("/dev/null", OFlags::RDONLY, Mode::empty()) {
            Ok(_) => {}
            Err(error) => process::exit(if error.errno() == Errno::PERM { 1 } else { 2 }),
        }),
    }
}

pub(crate) fn device_program_decides_and_can_be_replaced() {
    need_root();
    let group = Group::new();
    let directory = fs::open(group.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    assert!(bpf::device_programs(&directory).unwrap().is_empty());
    assert!(opens(&directory));
    bpf::device_program_attach(&directory, program(0), None).unwrap();
    assert!(!opens(&directory));
    let attached = bpf::device_programs(&directory).unwrap();
    assert_eq!(attached.len(), 1);
    bpf::device_program_attach(&directory, program(1), Some(attached[0].as_fd())).unwrap();
    assert!(opens(&directory));
    let attached = bpf::device_programs(&directory).unwrap();
    assert_eq!(attached.len(), 1);
    assert!(fs::cloexec(&attached[0]).unwrap());
    bpf::device_program_attach(&directory, program(0), None).unwrap();
    assert_eq!(bpf::device_programs(&directory).unwrap().len(), 2);
    assert!(!opens(&directory));
    for program in bpf::device_programs(&directory).unwrap() {
        bpf::device_program_detach(&directory, program).unwrap();
    }
    assert!(bpf::device_programs(&directory).unwrap().is_empty());
    let error = bpf::device_program_detach(&directory, program(0)).unwrap_err();
    let text = format!("bpf(BPF_PROG_DETACH, <{}>, BPF_CGROUP_DEVICE): ENOENT", group.path().display());
    assert!(error.to_string().starts_with(&text), "{error}");
}

pub(crate) fn verifier_log_is_in_the_error() {
    need_root();
    let error = bpf::device_program_load(&[END]).unwrap_err();
    assert!(error.to_string().contains("R0 !read_ok"), "{error}");
    assert!(!error.to_string().contains('\n') && error.errno() == Errno::ACCESS, "{error}");
}
